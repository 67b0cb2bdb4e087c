# SPDX-License-Identifier: Apache-2.0
"""The USB volume of a board: a small FAT file system that is written to without being mounted.

Debug probes and firmware controllers show a volume and flash what is copied to it. To mount it would need
privileges in the job's container; mtools writes to the block device itself, which needs nothing but the node.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from executor.errors import InfrastructureError, LavaExecError
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.tools import proc

if TYPE_CHECKING:
    from executor.model.problem import Problem
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

TOOLS = frozenset({"mcopy", "mdeltree", "mdir", "mtype"})
_ENVIRONMENT = {"MTOOLS_SKIP_CHECK": "1"}  # boards do not always write good boot sectors
_STRAY = re.compile(r"[\x00-\x1f:*?\"<>|\\/]")


class Volume:
    """A FAT file system on `node`, which is the whole device or one of its partitions."""

    def __init__(self, node: Path, run: Run) -> None:
        self.node, self._run = node, run

    def names(self) -> list[str]:
        """What lies in its root directory. Raises InfrastructureError when it is no FAT file system."""
        found: list[str] = []
        self._tool("mdir", "-b", "-i", str(self.node), "::/", lines=found)
        return [line.removeprefix("::/").rstrip("/") for line in found if line.startswith("::/")]

    def clear(self) -> int:
        """Remove everything; the number of entries that the root directory had."""
        names = self.names()
        if names:
            self._tool("mdeltree", "-i", str(self.node), *(f"::/{name}" for name in names))
        return len(names)

    def copy(self, source: Path, name: str, directory: str = "") -> None:
        """Copy a file into the root directory, or a directory of it, as `name`."""
        place = f"::/{file_name(directory)}/" if directory else "::/"
        self._tool("mcopy", "-o", "-m", "-i", str(self.node), str(source), f"{place}{file_name(name)}")

    def copy_tree(self, source: Path) -> int:
        """Copy everything below `source` into the root directory; the number of entries at its top."""
        entries = sorted(source.iterdir())
        if entries:
            self._tool("mcopy", "-o", "-s", "-i", str(self.node), *(str(path) for path in entries), "::/")
        return len(entries)

    def text(self, name: str) -> str:
        """The content of a small text file in the root directory."""
        found: list[str] = []
        self._tool("mtype", "-t", "-i", str(self.node), f"::/{file_name(name)}", lines=found)
        return "\n".join(found)

    def flush(self) -> None:
        """See that all of it has reached the board."""
        try:
            with self.node.open("rb") as file:
                os.fsync(file.fileno())
        except OSError as problem:
            raise InfrastructureError(
                f"{self.node} cannot be flushed: {problem.strerror}",
                "has the board gone while it was written to?",
            ) from problem

    def _tool(self, *argv: str, lines: list[str] | None = None) -> None:
        """Run one of mtools; what it prints goes into `lines`, else into the log."""
        run = self._run
        sink = run.log.output if lines is None else lines.append
        proc.run(argv, deadline=run.deadline, log=sink, env=_ENVIRONMENT)


def file_name(name: str) -> str:
    """A name that FAT and mtools take as one file of the root directory."""
    clean = _STRAY.sub("_", name).strip(". ")
    return clean or "image"


class VolumeAction(Action):
    """An action that works on the board's volume, which is where `path` of the device file says."""

    timeout_error: ClassVar[type[LavaExecError]] = InfrastructureError

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"}), devices=frozenset({"block"}), tools=TOOLS)

    def validate(self, world: World) -> Iterable[Problem]:
        if reason := world.tool("mcopy"):
            yield self.problem(reason, error_type="Infrastructure", hint="it is in the package mtools")


def opened(run: Run) -> Volume:
    """The volume that an action before has found. Raises InfrastructureError."""
    if run.namespace.volume is None:
        raise InfrastructureError(
            "no volume of the board has been found", "the action that looks for it failed"
        )
    return Volume(run.namespace.volume, run)


class OpenVolume(VolumeAction):
    """Take the node as the namespace's volume, once it is seen to be one. Derived classes give the name."""

    def __init__(self, path: str) -> None:
        self.path = path

    def run(self, run: Run) -> None:
        from executor.actions.usb import local

        node = local(run.context.dev, self.path)
        if not node.exists():
            raise InfrastructureError(f"{self.path} is not there", "has the board gone again?")
        names = Volume(node, run).names()
        run.namespace.volume = node
        run.log.info(f"{self.path}: {len(names)} files: {', '.join(names[:20])}")

    def cleanup(self, run: Run) -> None:
        run.namespace.volume = None


class CloseVolume(VolumeAction):
    """Flush what was written and let go of it."""

    def run(self, run: Run) -> None:
        opened(run).flush()
        run.namespace.volume = None

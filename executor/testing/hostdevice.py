# SPDX-License-Identifier: Apache-2.0
"""This machine as the device: the real overlay unpacked into a directory, the real helpers run by a shell of
choice.

    device = HostDevice(tmp_path, [define("smoke", "lava-test-case boot --result pass")], shell="dash")
    text = device.run("k1")                  # what the console would have shown
    device.command("lava-signals", "0", "65536")
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from executor.testshell.definition import TestDefinition
from executor.testshell.overlay import Overlay, OverlayInput, PlacedDefinition, Stage, build_overlay

SECONDS = 60.0  # for one run of a script


def define(name: str, *steps: str, index: int = 0, **fields: object) -> PlacedDefinition:
    """A definition with these run steps. `fields` go to TestDefinition where it has them, else to the
    placing.
    """
    own = {key: fields.pop(key) for key in list(fields) if key in TestDefinition.__struct_fields__}
    definition = TestDefinition(name=name, run_steps=list(steps), **own)  # type: ignore[arg-type]
    uuid = str(fields.pop("uuid", f"1_1.1.{index}"))
    return PlacedDefinition(index=index, name=name, uuid=uuid, definition=definition, **fields)  # type: ignore[arg-type]


class HostDevice:
    """One unpacked overlay. `shell` is a path, or a path and an argument: "/bin/busybox sh"."""

    def __init__(
        self,
        directory: Path,
        definitions: Sequence[PlacedDefinition],
        shell: str = "/bin/sh",
        environment: Mapping[str, str] | None = None,
        **given: object,
    ) -> None:
        self.definitions = list(definitions)
        self.root = directory / "lava-1"
        self._shell = directory / "shell"
        self._shell.write_text(f'#!/bin/sh\nexec {shell} "$@"\n')
        self._shell.chmod(0o755)
        self.environment = {
            "PATH": os.environ["PATH"],
            "SHELL": str(self._shell),
            "TMPDIR": str(directory),
            **(environment or {}),
        }
        self.overlay: Overlay = build_overlay(
            OverlayInput(
                job_id="1",
                results_dir=str(self.root),
                sh=shell,
                stages=[Stage(0, self.definitions)],
                **given,  # type: ignore[arg-type]
            ),
            directory / "overlay.tar.gz",
            directory / "secrets.tar.gz",
        )
        unpack = ["tar", "-x", "-z", "-f", str(self.overlay.path), "-C", "/"]
        subprocess.run(unpack, check=True, timeout=SECONDS)

    def run(self, run: str = "", *, deadline: float = SECONDS) -> str:
        """Run lava-test-runner on the only stage; all that it printed. `run`: its word for this start."""
        return self.command(
            "lava-test-runner", str(self.root / "0"), *([run] if run else []), deadline=deadline
        )

    def command(self, name: str, *arguments: str, deadline: float = SECONDS) -> str:
        """Run one helper; standard output and error as they came."""
        done = subprocess.run(
            [str(self.root / "bin" / name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
            cwd=self.root,
            timeout=deadline,
            check=False,
        )
        return done.stdout.decode(errors="replace")

    def kept(self, wanted: str = "", limit: int = 1 << 20) -> str:
        """What lava-signals prints for these numbers."""
        return self.command("lava-signals", str(self.root / "0"), str(limit), *wanted.split())

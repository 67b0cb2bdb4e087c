# SPDX-License-Identifier: Apache-2.0
"""Programs of the host that flash boards: argument lists from device file and job, without a shell.

A line of the device file is split into words first and its placeholders replaced afterwards, word by word, so
that nothing a job calls its images can become two arguments or an option of another program.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from executor.actions.commands import TOOLS_HINT, words
from executor.console.ports import ProcessPort
from executor.console.reader import Console
from executor.errors import InfrastructureError, JobError
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.tools import proc

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.problem import Problem
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_CLOSE_SECONDS = 5.0
_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.-]+)\}")


def method_options(device: Device, section: str, method: str, *path: str) -> dict[str, Any]:
    """Options of a method in the device file, {} where there are none."""
    methods = device.boot_methods if section == "boot" else device.deploy_methods
    found: Any = methods.get(method)
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def named_images(run: Run) -> dict[str, Path]:
    """Label → path of what the namespace's deploy has brought, each under the name it has in its URL.

    Tools tell formats by the suffix, and files of the cache have none.
    """
    found = {}
    links = run.context.work / f"images-{run.namespace.safe_name}"
    for label, artifact in run.namespace.artifacts.items():
        path = artifact.path
        if path.name != artifact.file_name and path.is_file():
            path = links / artifact.safe_label / artifact.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to(artifact.path)
        found[label] = path
    return found


def placeholders(images: Mapping[str, Path], more: Mapping[str, str] | None = None) -> dict[str, str]:
    """`{label}` and `{LABEL}` of every image, and what else there is."""
    found: dict[str, str] = {}
    for label, path in images.items():
        found |= {label: str(path), label.upper(): str(path)}
    return {**found, **(more or {})}


def expand(text: str, values: Mapping[str, str], *, strict: bool = True) -> str:
    """`text` with `{name}` replaced. Raises JobError for a name that is unknown, unless not `strict`."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in values:
            return values[name]
        if strict:
            raise JobError(
                f"{match.group(0)} in {text!r} stands for nothing",
                f"known are {', '.join('{' + name + '}' for name in sorted(values))}",
            )
        return match.group(0)

    return _PLACEHOLDER.sub(replace, text)


def expand_line(line: str, values: Mapping[str, str], key: str, *, strict: bool = True) -> list[str]:
    """A command line of `key` as words, placeholders replaced after it was split."""
    return [expand(word, values, strict=strict) for word in words(line, key)]


def option_words(options: Any, key: str) -> list[str]:
    """A list of options of the device file (`-if SWD`) as single words."""
    lines = [options] if isinstance(options, str) else options or []
    return [word for line in lines if str(line).strip() for word in words(str(line), key)]


def lines_of(value: Any) -> list[str]:
    """A line or a list of lines, as device files write both."""
    if value is None or value == "":
        return []
    return [str(value)] if isinstance(value, str | int | float) else [str(line) for line in value]


class HostTool(Action):
    """An action that runs one program of the host: what it needs, and whether it is there."""

    tool_devices: ClassVar[frozenset[str]] = frozenset({"usb"})
    tool_mounts: ClassVar[frozenset[str]] = frozenset({"cache", "work"})

    def program(self) -> str:
        """Its name or path, from the device file or the one that everybody uses."""
        raise NotImplementedError

    def needs(self) -> Needs:
        return Needs(mounts=self.tool_mounts, devices=self.tool_devices, tools=frozenset({self.program()}))

    def validate(self, world: World) -> Iterable[Problem]:
        if reason := world.tool(self.program()):
            yield self.problem(reason, error_type="Infrastructure", hint=TOOLS_HINT)

    def call(self, run: Run, argv: Sequence[str | Path], **options: Any) -> proc.Completed:
        """Run it to its end, output in the log. Raises InfrastructureError with the last line it said."""
        return call(run, argv, **options)


def call(run: Run, argv: Sequence[str | Path], **options: Any) -> proc.Completed:
    """Run a program to its end within the action's limit; its output goes into the log."""
    run.log.info("command: " + " ".join(str(word) for word in argv))
    return proc.run(
        argv, deadline=run.deadline, log=run.log.output, **{"error": InfrastructureError, **options}
    )


def open_program(
    run: Run, argv: Sequence[str], name: str, environment: Mapping[str, str] | None = None
) -> Console:
    """Start a program that is talked to on a terminal of its own; the context owns its console."""
    run.log.info("command: " + " ".join(argv))
    namespace, device = run.connection, run.context.device
    console = Console(
        ProcessPort(argv, env={**os.environ, **environment} if environment else None),
        run.context.journal,
        name=name,
        namespace=namespace.name,
        recording=run.context.out / f"console-{namespace.safe_name}-{name}.raw",
        search_window=int(device.constant("spawn_maxread", default=4092)) * 2,
    )
    console.start()
    run.context.consoles.append(console)
    return console


def close_program(run: Run, name: str) -> None:
    """End the program that `open_program` has started under this name, if it still runs."""
    console = next((c for c in run.context.consoles if c.name == name), None)
    if console is not None:
        console.close(run.deadline.within(_CLOSE_SECONDS))
        run.context.consoles.remove(console)

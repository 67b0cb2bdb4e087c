# SPDX-License-Identifier: Apache-2.0
"""Command lines of a method of the device file, with the job's images in them, run on the dispatcher."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from executor.actions.commands import TOOLS_HINT, words
from executor.actions.hosttool import expand, expand_line
from executor.errors import ConfigurationError, InfrastructureError
from executor.model.launch import Needs
from executor.tools import proc

if TYPE_CHECKING:
    from executor.model.problem import Problem
    from executor.pipeline.action import Action
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

# What a job's container has no privilege for, whatever the tool (design §3).
PRIVILEGED = frozenset({"losetup", "mount", "sudo", "umount"})


def programs(lines: Sequence[str], key: str) -> frozenset[str]:
    """First words of the lines, as far as they can be split."""
    found = set()
    for line in lines:
        try:
            found.add(words(line, key)[0])
        except ConfigurationError:
            continue  # told by `problems`
    return frozenset(found)


def lines_needs(lines: Sequence[str], key: str) -> Needs:
    """What they must have in the container: their programs, the board's nodes, a way to the lab's servers."""
    return Needs(
        mounts=frozenset({"cache", "work"}),
        devices=frozenset({"block", "serial", "usb"}),
        network="bridge",
        tools=programs(lines, key),
    )


def problems(action: Action, lines: Sequence[str], key: str, world: World) -> Iterable[Problem]:
    """Lines that cannot be split, programs that are not there, and what the container will not allow."""
    for line in lines:
        try:
            program = words(line, key)[0]
        except ConfigurationError as error:
            yield action.problem(error.message, hint=error.hint, error_type=error.error_type)
            continue
        if reason := world.tool(program):
            yield action.problem(f"{key}: {reason}", hint=TOOLS_HINT, error_type="Infrastructure")
        if PurePath(program).name in PRIVILEGED:
            yield action.problem(
                f"{key}: {program} needs a privilege that no job's container has",
                hint="mtools, debugfs and dd write to the node itself",
                severity="warning",
            )


def run_lines(run: Run, lines: Sequence[str], key: str, values: Mapping[str, str]) -> None:
    """Run them in order. Raises JobError for a placeholder without a value, InfrastructureError."""
    for line in lines:
        run.log.info(f"{key}: {expand(line, values)}")
        argv = expand_line(line, values, key)
        proc.run(argv, deadline=run.deadline, log=run.log.output, error=InfrastructureError)

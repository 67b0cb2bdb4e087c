# SPDX-License-Identifier: Apache-2.0
"""The finalizer: a device is powered off by the host's side unless the journal proves that the runner did it.

Each command of the device runs in a small container of its own made from the job's stored spec, so it works
with the very tools and network that powered the device on, also when the runner is what broke (design §9,
Power).
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable
from typing import Any

from executor.container.engine import Engine
from executor.container.launch import finalizer_spec
from executor.container.request import Places
from executor.errors import InfrastructureError, LavaExecError
from executor.model.deadline import Deadline
from executor.model.launch import LaunchSpec

COMMAND_SECONDS = 60.0
ATTEMPTS = 3
_SAID = 20  # lines of a failed command that are kept

Note = Callable[[str], None]


def power_off_commands(device: dict[str, Any]) -> list[str]:
    """`commands.power_off` of a rendered device file as command lines, [] when it has none."""
    commands = device.get("commands")
    given = commands.get("power_off") if isinstance(commands, dict) else None
    lines = [given] if isinstance(given, str) else list(given or [])
    return [str(line) for line in lines if str(line).strip()]


def power_off(
    engine: Engine,
    spec: LaunchSpec,
    places: Places,
    commands: list[str],
    *,
    deadline: Deadline,
    note: Note,
) -> bool:
    """Run the commands one after another, all again up to ATTEMPTS times. True when all have worked."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            for line in commands:
                _run(engine, spec, places, line, deadline)
        except LavaExecError as error:
            note(f"power_off, attempt {attempt} of {ATTEMPTS}: {error.message}")
            if deadline.expired:
                return False
        else:
            note("the device was powered off by the host's side")
            return True
    return False


def _run(engine: Engine, spec: LaunchSpec, places: Places, line: str, deadline: Deadline) -> None:
    try:
        command = shlex.split(line)
    except ValueError as error:
        raise InfrastructureError(f"{line!r} cannot be split into words: {error}") from None
    name = f"lava-exec-{spec.job_id}-off-{secrets.token_hex(3)}"
    limit = deadline.within(COMMAND_SECONDS)
    container = engine.create(finalizer_spec(spec, command), places, name, limit)
    try:
        engine.start(container, limit)
        code = engine.wait(container, limit)
        if code is None:
            raise InfrastructureError(f"{line!r} did not end within {limit.limit:.0f} s")
        if code:
            said = engine.logs(container, _SAID, Deadline.after(5)).decode("utf-8", "replace").strip()
            raise InfrastructureError(f"{line!r} failed with code {code}: {said[-500:] or 'it said nothing'}")
    finally:
        engine.remove(container, Deadline.after(COMMAND_SECONDS))

# SPDX-License-Identifier: Apache-2.0
"""`lava-exec doctor`: all that a job needs on this machine, really tried, and how to mend what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
import msgspec

from executor.cli.app import App, app, write
from executor.cli.group import command
from executor.errors import ExitCode, LavaExecError

if TYPE_CHECKING:
    from executor.container.engine import Engine

OK, WARN, FAIL = "ok", "warn", "fail"


class Check(msgspec.Struct):
    """What one look came to. `mend`: what to do about it."""

    name: str
    status: str  # ok, warn, fail
    detail: str
    mend: str = ""


Checks = Iterator[Check]


@command(
    "doctor",
    help="""Say what is wrong here and how to mend it.

    Looks at the engine, the images, isolation as seen from inside a container, KVM (a guest is really
    started), state directory, keys, device-configs, the master and its port. Exit code 0 when jobs can run
    here, 3 when something is in their way.""",
    examples=("lava-exec doctor", "lava-exec doctor --format json | jq '.[] | select(.status != \"ok\")'"),
)
@click.option(
    "--no-containers", is_flag=True, help="Start no container; images, isolation and KVM stay untested."
)
def doctor(*, no_containers: bool) -> int:
    here = app()
    found: list[Check] = []
    for check in examine(here, containers=not no_containers):
        found.append(check)
        if not here.json:
            _show(here, check)
    if here.json:
        here.show_json(found)
    failed = sum(check.status == FAIL for check in found)
    if not here.json:
        here.say("jobs can run here" if not failed else f"{failed} of {len(found)} checks failed")
    return int(ExitCode.INFRASTRUCTURE if failed else ExitCode.OK)


def examine(here: App, *, containers: bool = True) -> Checks:
    """All checks, one after another; none of them raises."""
    from executor.cli import doctor_host, doctor_master

    yield from _guarded("state", lambda: doctor_host.state(here))
    yield from _guarded("secrets", doctor_host.secrets)
    engine: list[Engine] = []
    yield from _guarded("engine", lambda: doctor_host.engine(engine))
    if engine and containers:
        yield from _guarded("images", lambda: doctor_host.images(here, engine[0]))
        yield from _guarded("kvm", lambda: doctor_host.kvm(here, engine[0]))
    yield from _guarded("device-configs", lambda: doctor_master.device_configs(here))
    yield from _guarded("keys", lambda: doctor_master.keys(here))
    yield from _guarded("master", lambda: doctor_master.master(here))


def _guarded(name: str, look: Callable[[], Checks]) -> Checks:
    """A look that itself fails is a finding, and the others go on."""
    try:
        yield from look()
    except LavaExecError as error:
        yield Check(name, FAIL, error.message, error.hint)
    except OSError as error:
        yield Check(name, FAIL, f"{error.filename or ''} {error.strerror or error}".strip())


def _show(here: App, check: Check) -> None:
    style = here.out
    marks: dict[str, Any] = {
        OK: ("✓", "ok", "green"),
        WARN: ("!", "note", "yellow"),
        FAIL: ("✗", "FAIL", "red"),
    }
    mark, word, colour = marks[check.status]
    lead = style.paint(mark if style.unicode else word, colour)
    write(sys.stdout, f"{lead} {check.name:<15} {check.detail}\n")
    if check.mend:
        write(
            sys.stdout, f"  {'':<15} → {check.mend}\n" if style.unicode else f"  {'':<15} -> {check.mend}\n"
        )
    sys.stdout.flush()

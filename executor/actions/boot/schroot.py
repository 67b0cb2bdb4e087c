# SPDX-License-Identifier: Apache-2.0
"""`method: schroot`: from the shell of a host into one of its change roots (spec: job-format §6)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.shell import prompts_of
from executor.model.job import BootParameters
from executor.model.parameters import Text
from executor.model.problem import Path, Problem
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*\Z")


class SchrootParameters(BootParameters, kw_only=True):
    """`method: schroot`"""

    schroot: Annotated[Text, Meta(description="name of the change root")]
    os: Annotated[str | None, Meta(description="old, ignored: the deploy block says it")] = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        if not _NAME.match(data["schroot"]):
            yield Problem(
                f"schroot cannot be {data['schroot']!r}",
                path=(*path, "schroot"),
                expected="a name of letters, digits and ._+-",
            )


@method("boot")
class Schroot(Method):
    """Enter a change root."""

    name = "schroot"
    summary = "from the shell of a host into a change root"
    Parameters = SchrootParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return SchrootLogin(cast("SchrootParameters", request.typed), request.device)


class SchrootLogin(Action):
    """Start schroot in the shell that an earlier boot has reached."""

    name = "schroot-login"
    summary = "enter a change root"
    description = "start schroot in the shell of the host and wait for its prompt"

    def __init__(self, parameters: SchrootParameters, device: Device) -> None:
        self.parameters = parameters
        options = device.boot_methods.get("schroot")
        given: dict[str, Any] = options if isinstance(options, dict) else {}
        names = given.get("name")
        self.known = [str(n) for n in names] if isinstance(names, list) else [str(names)] if names else []
        self.program = str(given.get("command") or "schroot")

    def validate(self, world: World) -> Iterable[Problem]:
        if self.known and self.parameters.schroot not in self.known:
            text = f"the device has no change root {self.parameters.schroot!r}"
            yield self.problem(text, "schroot", hint=f"it has {', '.join(self.known)}")

    def run(self, run: Run) -> None:
        console = run.console
        prompts = prompts_of(self.parameters, run.context.device, run.context.job)
        run.tell_wait(prompts, run.operation)
        console.drain()
        console.send_line(f"{self.program} -c {shlex.quote(self.parameters.schroot)}")
        console.expect(prompts, run.operation)
        run.connection.prompts = prompts

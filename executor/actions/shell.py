# SPDX-License-Identifier: Apache-2.0
"""The tail that most boots share: log in, see a shell, get the overlay, export the environment (spec: action-pipeline §2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from executor.actions.deviceenv import ExportDeviceEnv
from executor.console.expect import check_patterns
from executor.console.login import Login, log_in
from executor.errors import JobError
from executor.model.job import BootParameters
from executor.model.problem import Problem
from executor.pipeline.action import Action, RetryAction

if TYPE_CHECKING:
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


def shell_tail(site: Site, parameters: BootParameters) -> Iterable[Action]:
    """auto-login-action if there are prompts; shell and environment if a test needs a shell."""
    if parameters.prompts:
        yield AutoLogin(parameters)
    if any(getattr(test.method, "needs_shell", False) for test in site.tests):
        yield ExpectShell()
        yield ExportDeviceEnv()


class AutoLogin(RetryAction):
    """Wait for the kernel, log in where the job says how, end at a prompt."""

    name = "auto-login-action"
    summary = "auto-login after boot, with a watch on kernel messages"
    description = "log in by the job's parameters while kernel faults are looked for"

    def __init__(self, parameters: BootParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        yield LoginAction(self.parameters)


class LoginAction(Action):
    """The dialogue itself."""

    name = "login-action"
    summary = "login after boot"
    description = "the login dialogue"

    def __init__(self, parameters: BootParameters) -> None:
        self.parameters = parameters

    def validate(self, world: World) -> Iterable[Problem]:
        for message in check_patterns(self.parameters.prompts):
            yield self.problem(message, hint="prompts are regular expressions; escape the characters ( ) [ ] * + ? .")
        login = self.parameters.auto_login
        if login is not None and bool(login.password_prompt) != bool(login.password):
            yield self.problem("auto_login needs both password_prompt and password, or neither")

    def run(self, run: Run) -> None:
        device, given = run.context.device, self.parameters
        options = given.parameters or {}
        auto = given.auto_login
        start = options.get("kernel-start-message", device.constant("kernel-start-message", default=""))
        console = run.console
        run.namespace.prompts = list(given.prompts)
        before = len(console.faults)
        matched = log_in(
            console,
            Login(
                prompts=list(given.prompts),
                kernel_start=str(start or ""),
                login_prompt=auto.login_prompt if auto else "",
                username=auto.username if auto else "",
                password_prompt=(auto.password_prompt or "") if auto else "",
                password=(auto.password or "") if auto else "",
                commands=list(auto.login_commands or []) if auto else [],
            ),
            run.deadline,
            log=run.log,
        )
        faults = console.faults[before:]
        run.log.result(
            definition="lava",
            case="kernel-messages",
            result="pass",
            namespace=run.action.namespace,
            extra=[{"kind": f.kind, "message": f.message} for f in faults] or None,
            level=run.action.level,
        )
        run.results["success"] = f"matched prompt {matched!r}"
        for fault in faults:
            run.results.setdefault(fault.kind, []).append(fault.message)


class ExpectShell(Action):
    """A prompt once more: what a test sends next lands in a shell."""

    name = "expect-shell-connection"
    summary = "expect a shell prompt"
    description = "see that a shell answers"

    def run(self, run: Run) -> None:
        prompts = run.namespace.prompts
        if not prompts:
            raise JobError("no prompts to expect", "give `prompts` in the boot block")
        run.log.debug(f"{self.name}: Wait for prompt. {self.connection_limit} seconds")
        run.console.send_line("#")
        run.console.expect_forced(prompts, run.deadline)

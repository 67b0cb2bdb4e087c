# SPDX-License-Identifier: Apache-2.0
"""The tail that most boots share: log in, see a shell, get the overlay, export the environment (spec:
action-pipeline §2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from executor.actions.deviceenv import ExportDeviceEnv
from executor.console.expect import PromptTimeout, check_patterns
from executor.console.faults import Fault, KernelFault
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
            yield self.problem(
                message, hint="prompts are regular expressions; escape the characters ( ) [ ] * + ? ."
            )
        login = self.parameters.auto_login
        if login is not None and bool(login.password_prompt) != bool(login.password):
            yield self.problem("auto_login needs both password_prompt and password, or neither")

    def run(self, run: Run) -> None:
        namespace, console = run.namespace, run.console
        namespace.prompts = list(self.parameters.prompts)
        seen = len(console.faults)
        try:
            matched = log_in(console, self._login(run), run.deadline, log=run.log)
        except KernelFault:
            self._book(run, console.faults[seen:], "fail")
            raise
        except PromptTimeout as timeout:
            raise self._explained(timeout) from timeout
        self._book(run, console.faults[seen:], "pass")
        run.results["success"] = f"matched prompt {matched!r}"

    def _login(self, run: Run) -> Login:
        given, auto = self.parameters, self.parameters.auto_login
        start = given.parameters.get("kernel-start-message")
        if start is None:
            start = run.context.device.constant("kernel-start-message", default="")
        return Login(
            prompts=list(given.prompts),
            kernel_start=str(start),
            login_prompt=auto.login_prompt if auto else "",
            username=auto.username if auto else "",
            password_prompt=(auto.password_prompt or "") if auto else "",
            password=(auto.password or "") if auto else "",
            commands=list(auto.login_commands or []) if auto else [],
            ignore_kernel_messages=given.ignore_kernel_messages,
            failure_message=given.failure_message or "",
        )

    def _explained(self, timeout: PromptTimeout) -> PromptTimeout:
        """A prompt that stands there unseen, because the kernel's first message was waited for, deserves a
        word.
        """
        auto = self.parameters.auto_login
        wanted = [*self.parameters.prompts, *([auto.login_prompt] if auto else [])]
        if set(timeout.waited_for) & set(wanted):
            return timeout
        if not any(re.search(pattern, timeout.last_text) for pattern in wanted):
            return timeout
        timeout.args = (
            f"{timeout}. A prompt is there, but not the message before it: does the kernel's command line say `quiet`? "
            "`parameters: {kernel-start-message: ''}` in the boot block does without it",
        )
        return timeout

    def _book(self, run: Run, faults: Sequence[Fault], result: str) -> None:
        """The record that tells what the kernel complained about (spec: action-pipeline §6)."""
        run.log.result(
            definition="lava",
            case="kernel-messages",
            result=result,
            level=self.level,
            namespace=self.namespace,
            extra=[{"kind": str(f.kind), "message": f.message} for f in faults] or None,
        )


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

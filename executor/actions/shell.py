# SPDX-License-Identifier: Apache-2.0
"""The tail that most boots share: log in, see a shell, get the overlay, export the environment (spec:
action-pipeline §2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from executor.actions.deviceenv import ExportDeviceEnv
from executor.actions.unpack import OverlayUnpack
from executor.console.expect import FLAGS, PromptTimeout, check_patterns
from executor.errors import JobError
from executor.model.job import BootParameters
from executor.model.problem import Problem
from executor.pipeline.action import Action, RetryAction

if TYPE_CHECKING:
    from executor.console.faults import Fault
    from executor.console.login import Login
    from executor.model.device import Device
    from executor.model.job import Job
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


# What shells ask with, for the seeds' jobs that name no prompt; tried after the device's own.
GENERIC_PROMPTS = (
    r"^\S*[\w\])~/] ?[#$] $",
    r"^\[\S+@\S+ [^\]\n]*\][#$] $",
    r"^/ # $",
    r"\(initramfs\) $",
)
_STATUS_TEXT = re.compile(r"[A-Za-z0-9 ]*[A-Za-z0-9]\Z")  # a prompt that any line of a log may hold


def shell_tail(site: Site, parameters: BootParameters) -> Iterable[Action]:
    """Log in where there are prompts or a test wants a shell; then shell and environment for the test."""
    wanted = site.needs_shell
    if parameters.prompts or wanted:
        yield AutoLogin(parameters)
    if wanted:
        yield ExpectShell()
        if parameters.transfer_overlay is not None:
            yield OverlayUnpack(parameters.transfer_overlay)
        yield ExportDeviceEnv()


def prompts_of(parameters: BootParameters, device: Device, job: Job) -> list[str]:
    """The block's prompts, else the device's own and the usual ones (spec: job-format §6, `prompts`)."""
    if parameters.prompts:
        return list(parameters.prompts)
    own = str(device.constant("default-shell-prompt", default="", context=job.context) or "")
    return [*([own] if own else []), *GENERIC_PROMPTS]


def kernel_start(parameters: object, run: Run) -> str:
    """The kernel's first message: from `parameters` of the block, else the device's; "" = not waited for."""
    own = parameters.get("kernel-start-message") if isinstance(parameters, dict) else None
    if own is None:
        context = run.context.job.context
        own = run.context.device.constant("kernel-start-message", default="", context=context)
    return str(own)


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
        given, auto = self.parameters, self.parameters.auto_login
        if not given.prompts:
            text = "no prompts: the device's own and the usual ones are waited for"
            yield self.problem(text, severity="warning", hint="name them, such as prompts: ['root@debian:']")
        places: list[tuple[str | None, tuple[str | int, ...]]] = [
            *((prompt, ("prompts", number)) for number, prompt in enumerate(given.prompts)),
            (auto.login_prompt if auto else None, ("auto_login", "login_prompt")),
            (auto.password_prompt if auto else None, ("auto_login", "password_prompt")),
            (given.failure_message, ("failure_message",)),
        ]
        for pattern, place in places:
            for message in check_patterns([pattern] if pattern else []):
                hint = "this is a regular expression; escape the characters ( ) [ ] * + ? ."
                yield self.problem(message, *place, hint=hint)
        for number, prompt in enumerate(given.prompts):
            if _STATUS_TEXT.fullmatch(prompt):
                text = f"the prompt {prompt!r} may be found in what the system prints while it starts"
                hint = "give more of it, such as its end '# '"
                yield self.problem(text, "prompts", number, severity="warning", hint=hint)

    def run(self, run: Run) -> None:
        from executor.console.faults import KernelFault
        from executor.console.login import log_in

        console = run.console
        run.connection.prompts = prompts_of(self.parameters, run.context.device, run.context.job)
        login = self._login(run)
        run.tell_wait([*login.prompts, *([login.login_prompt] if login.login_prompt else [])], run.deadline)
        seen = len(console.faults)
        try:
            matched = log_in(console, login, run.deadline, log=run.log)
        except KernelFault:
            self._book(run, console.faults[seen:], "fail")
            raise
        except PromptTimeout as timeout:
            self._explain(timeout, login)
            raise
        if not self.parameters.ignore_kernel_messages:
            self._book(run, console.faults[seen:], "pass")
        run.results["success"] = f"matched prompt {matched!r}"

    def _login(self, run: Run) -> Login:
        from executor.console.login import Login

        given, auto = self.parameters, self.parameters.auto_login
        return Login(
            prompts=run.connection.prompts,
            kernel_start=kernel_start(given.parameters, run),
            login_prompt=auto.login_prompt if auto else "",
            username=auto.username if auto else "",
            password_prompt=(auto.password_prompt or "") if auto else "",
            password=(auto.password or "") if auto else "",
            commands=list(auto.login_commands or []) if auto else [],
            ignore_kernel_messages=given.ignore_kernel_messages,
            failure_message=given.failure_message or "",
        )

    def _explain(self, timeout: PromptTimeout, login: Login) -> None:
        """A prompt that stands there unseen, because the kernel's first message was waited for, deserves a
        word.
        """
        wanted = [*login.prompts, *([login.login_prompt] if login.login_prompt else [])]
        if set(timeout.waited_for) & set(wanted):
            return
        if any(re.search(pattern, timeout.last_text, FLAGS) for pattern in wanted):
            timeout.args = (
                f"{timeout}. A prompt is there, but not the message before it: is `quiet` on the kernel's "
                "command line? `parameters: {kernel-start-message: ''}` in the boot block does without it",
            )

    def _book(self, run: Run, faults: Sequence[Fault], result: str) -> None:
        """The record that tells what the kernel complained about (spec: action-pipeline §6)."""
        run.log.result(
            definition="lava",
            case="kernel-messages",
            result=result,
            level=self.level,
            namespace=self.namespace,
            attempt=run.outer if run.outer > 1 else None,
            extra=[{"kind": str(f.kind), "message": f.message} for f in faults] or None,
        )


class ExpectShell(Action):
    """A prompt once more: what a test sends next lands in a shell."""

    name = "expect-shell-connection"
    summary = "expect a shell prompt"
    description = "see that a shell answers"

    def run(self, run: Run) -> None:
        prompts = run.connection.prompts
        if not prompts:
            raise JobError("no prompts to expect", "give `prompts` in the boot block")
        run.tell_wait(prompts, run.operation)
        run.console.send_line("#")
        run.console.expect_forced(prompts, run.deadline, limit=self.connection_limit)

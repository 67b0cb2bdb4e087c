# SPDX-License-Identifier: Apache-2.0
"""The login after boot, as one dialogue over a console (spec: job-format §6, Login sequence)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from executor.console.expect import Match, Patterns
from executor.console.reader import Console
from executor.console.watcher import Mode
from executor.errors import JobError
from executor.model.deadline import Deadline

REFUSED = "[Ll]ogin incorrect"
TOO_LATE = "[Ll]ogin timed out"


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """What the device asks and what it is answered. Prompts are regular expressions."""

    prompts: Sequence[str]  # of the shell; at least one
    kernel_start: str = ""  # "" = the kernel's first message is not waited for
    login_prompt: str = ""  # "" = no login
    username: str = ""
    password_prompt: str = ""  # "" = no password
    password: str = ""
    commands: Sequence[str] = ()  # sent after the login, a prompt is awaited after each
    ignore_kernel_messages: bool = False
    failure_message: str = ""  # a regular expression that ends the job when seen before the prompt
    fatal_faults: Sequence[str] = ()  # kinds of kernel faults that end the job beside panic and reset


class Notes(Protocol):
    """Where the steps are told."""

    def debug(self, text: str) -> int: ...


def log_in(
    console: Console,
    login: Login,
    deadline: Deadline,
    *,
    limit: float | None = None,
    log: Notes | None = None,
) -> str:
    """Wait for the kernel, log in, run the login commands; the shell prompt (as written) that was seen first.

    `limit`: seconds for each wait after the kernel's start, by default what the deadline leaves. Faults
    of the kernel are watched for by the rules of boot until the prompt, by those of tests afterwards;
    they are in `console.faults`. Raises JobError when the login is refused or a pattern is no regular
    expression, PromptTimeout, ConnectionClosed, KernelFault.
    """
    dialogue = _Dialogue(console, login, deadline, limit, log)
    if login.ignore_kernel_messages:
        console.watch(Mode.OFF)
    else:
        console.watch(
            Mode.BOOT,
            start=login.kernel_start,
            failure_message=login.failure_message,
            fatal=login.fatal_faults,
        )
    if login.kernel_start:
        dialogue.note(f"waiting for the kernel's first message: {login.kernel_start!r}")
        console.expect(login.kernel_start, deadline)
    match = dialogue.authenticate() if login.login_prompt else dialogue.shell()
    for line in login.commands:
        console.send_line(line)
        console.expect(login.prompts, dialogue.until())
    if not login.ignore_kernel_messages:
        console.watch(Mode.TEST, fatal=login.fatal_faults)
    return match.pattern


class _Dialogue:
    def __init__(
        self, console: Console, login: Login, deadline: Deadline, limit: float | None, log: Notes | None
    ) -> None:
        self.console, self.login, self.deadline, self.limit, self.log = console, login, deadline, limit, log

    def note(self, text: str) -> None:
        if self.log is not None:
            self.log.debug(text)

    def until(self) -> Deadline:
        return self.deadline if self.limit is None else self.deadline.within(self.limit)

    def shell(self) -> Match:
        """A prompt without a login."""
        return self._ask(self.login.prompts, "#")

    def authenticate(self) -> Match:
        """Name, password, prompt; a shell that is there already is fine too."""
        login, count = self.login, len(self.login.prompts)
        # Nothing but a newline at a login prompt: a `#` would be taken for the name.
        match = self._ask([*login.prompts, login.login_prompt], "")
        if match.index < count:
            self.note("a shell is there already, no login is needed")
            return match
        self.console.send_line(login.username)
        if login.password_prompt:
            match = self._answer([*login.prompts, login.password_prompt], "")
            if match.index < count:
                self.note("logged in without a password")
                return match
            self.console.send_line(login.password, masked=True)
        return self._answer(login.prompts, "#")

    def _answer(self, patterns: Sequence[str], poke: str) -> Match:
        """What follows our answer, unless the device refuses it."""
        match = self._ask([*patterns, REFUSED, TOO_LATE], poke)
        if match.index == len(patterns):
            raise JobError(
                f"the device refused the login of {self.login.username!r}: {match.text}",
                "username or password of `auto_login` are not those of the device's image",
            )
        if match.index == len(patterns) + 1:
            raise JobError(
                f"the device gave up waiting for the login: {match.text}",
                "do `login_prompt` and `password_prompt` fit what the device prints?",
            )
        return match

    def _ask(self, patterns: Patterns, poke: str) -> Match:
        return self.console.expect_forced(patterns, self.deadline, limit=self.limit, poke=poke)

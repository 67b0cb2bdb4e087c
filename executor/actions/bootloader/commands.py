# SPDX-License-Identifier: Apache-2.0
"""`bootloader-commands`: type the lines, see each answered, see the kernel start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from executor.actions.bootloader.complaints import await_one
from executor.actions.bootloader.settings import Bootloader
from executor.actions.bootloader.typist import Typist
from executor.actions.shell import kernel_start
from executor.console.expect import Match, PromptTimeout, check_patterns
from executor.errors import InfrastructureError
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.console.reader import Console
    from executor.model.deadline import Deadline
    from executor.model.problem import Problem
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

SILENT_SECONDS = 2.0  # that a prompt must stand alone, to say that nothing was started
_NEVER = "(?!)"


class BootloaderCommands(Action):
    """Type what `bootloader-overlay` has filled in; begins at the prompt.

    `stays`: the boot may end at the prompt. `hands_over`: the last line gives the board to somebody else who
    says nothing, such as USB mass storage.
    """

    name = "bootloader-commands"
    summary = "type the commands"
    description = "type the commands at the bootloader's prompt and see the kernel start"
    timeout_error = InfrastructureError
    default_timeout: ClassVar[int | None] = 90

    def __init__(self, bootloader: Bootloader, *, stays: bool = False, hands_over: bool = False) -> None:
        self.bootloader, self.stays, self.hands_over = bootloader, stays, hands_over

    def run(self, run: Run) -> None:
        with Typist(run.console, self.bootloader, run.log) as typist:
            self._type(run, typist, run.namespace.bootloader_commands)
        run.console.newline = "\n"

    def _type(self, run: Run, typist: Typist, lines: list[str]) -> None:
        wanted = self.bootloader
        for line in lines[:-1]:
            typist.type(line, run.deadline)
            run.tell_wait([wanted.prompt], run.operation)
            await_one(run.console, [wanted.prompt], wanted.error_messages, run.operation, during=line)
        for line in lines[-1:]:
            typist.type(line, run.deadline)
            if not self.hands_over:
                self._depart(run, line)

    def _depart(self, run: Run, line: str) -> None:
        """What the last line brought about: a kernel that starts, a complaint, or the prompt again."""
        final = self.bootloader.final_message if not self.stays else ""
        wanted = [final] if final else self._starts(run)
        run.tell_wait([final or "the kernel", self.bootloader.prompt], run.operation)
        # Nobody promised a message: whoever logs in waits on.
        deadline = run.operation if final else run.operation.within(run.deadline.remaining / 2)
        try:
            self._leave(run.console, wanted, line, deadline)
        except PromptTimeout:
            if final:
                raise
            run.log.debug(f"nothing more was said about {line!r}")

    def _leave(self, console: Console, wanted: list[str], line: str, deadline: Deadline) -> None:
        complaints, prompt = self.bootloader.error_messages, self.bootloader.prompt
        while True:
            match = await_one(console, [*wanted, prompt], complaints, deadline, during=line)
            if match.pattern != prompt or match.index < len(wanted) or self.stays:
                return
            try:
                await_one(
                    console, wanted or [_NEVER], complaints, deadline.within(SILENT_SECONDS), during=line
                )
            except PromptTimeout as silent:
                if silent.last_text.strip():
                    continue  # the prompt was a part of something longer
                raise _came_back(line, match) from None
            return

    def _starts(self, run: Run) -> list[str]:
        """The kernel's first message, looked at but left for whoever logs in."""
        block = run.action.block
        own = kernel_start(block.parameters.get("parameters") if block is not None else None, run)
        ahead = f"(?={own})"
        return [ahead] if own and not check_patterns([ahead]) else []


class AltbankCommands(Action):
    """Switch to the other bank of the flash, from which the bootloader starts anew."""

    name = "bootloader-commands-altbank"
    summary = "switch to the other bank"
    description = "type the command that starts the bootloader of the other bank"
    timeout_error = InfrastructureError
    default_timeout = 90

    def __init__(self, bootloader: Bootloader) -> None:
        self.bootloader = bootloader

    def validate(self, world: World) -> Iterable[Problem]:
        if not self.bootloader.text("uboot_altbank_cmd"):
            yield self.problem(
                "the device file has uboot_altbank, but no uboot_altbank_cmd", error_type="Configuration"
            )

    def run(self, run: Run) -> None:
        line = self.bootloader.text("uboot_altbank_cmd")
        with Typist(run.console, self.bootloader, run.log) as typist:
            typist.type(line, run.deadline)


def _came_back(line: str, match: Match) -> InfrastructureError:
    said = " | ".join(text.strip() for text in match.before.splitlines()[-3:] if text.strip())
    return InfrastructureError(
        f"the bootloader is back at its prompt after {line!r}, nothing was started"
        + (f": {said}" if said else ""),
        f"journal record {match.seq} is the prompt; what it says before that tells the cause",
    )

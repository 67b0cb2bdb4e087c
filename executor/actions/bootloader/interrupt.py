# SPDX-License-Identifier: Apache-2.0
"""From power-on to the bootloader's prompt (spec: device-config §2, §5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from executor.actions.bootloader.settings import Bootloader
from executor.console.expect import FLAGS, PromptTimeout
from executor.console.watcher import Mode
from executor.errors import InfrastructureError
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.console.reader import Console
    from executor.pipeline.run import Run


KEYS = 3  # times that the key is pressed at most
KEY_SECONDS = 1.0  # between two of them


class BootloaderInterrupt(Action):
    """Stop the countdown; ends at the prompt."""

    name = "bootloader-interrupt"
    summary = "interrupt the bootloader"
    description = "stop the countdown of the bootloader and see its prompt"
    timeout_error = InfrastructureError

    def __init__(self, bootloader: Bootloader) -> None:
        self.bootloader = bootloader

    def run(self, run: Run) -> None:
        console, wanted = run.console, self.bootloader
        console.watch(Mode.OFF)
        if not wanted.needs_interrupt:
            self._await_prompt(run, console)
        elif self._countdown(run, console):
            self._stop(run, console)
        else:
            run.log.warning("the bootloader waits at its prompt already: nothing is left to interrupt")
            console.send_line("")
            self._await_prompt(run, console)

    def _await_prompt(self, run: Run, console: Console) -> None:
        run.tell_wait([self.bootloader.prompt], run.operation)
        console.expect(self.bootloader.prompt, run.operation)

    def _countdown(self, run: Run, console: Console) -> bool:
        """True when the countdown is seen, False when it is over and the prompt is all there is.

        What was typed while the board was off may arrive when it starts and stop the countdown by itself.
        """
        wanted, limit = self.bootloader, run.operation
        run.tell_wait([wanted.interrupt_prompt], limit)
        try:
            console.expect(wanted.interrupt_prompt, limit.within(limit.remaining / 2))
        except PromptTimeout as timeout:
            if re.search(rf"(?:{wanted.prompt})\s*\Z", timeout.last_text, FLAGS):
                return False
            try:
                console.expect(wanted.interrupt_prompt, limit)
            except PromptTimeout as late:
                raise PromptTimeout(late.waited_for, limit.limit, late.last_text) from None
        return True

    def _stop(self, run: Run, console: Console) -> None:
        """Press the key. A bootloader that is busy with drawing a menu may miss it."""
        run.tell_wait([self.bootloader.prompt], run.operation)
        for pressed in range(1, KEYS + 1):
            self._press(console)
            limit = run.operation if pressed == KEYS else run.operation.within(KEY_SECONDS)
            try:
                console.expect(self.bootloader.prompt, limit)
                break
            except PromptTimeout:
                if pressed == KEYS:
                    raise
                run.log.debug("there is no prompt: the key is pressed again")
        if pressed > 1:
            console.send(self.bootloader.erase, logged=False)  # a key too many may have been typed there

    def _press(self, console: Console) -> None:
        wanted = self.bootloader
        for letter in wanted.interrupt_controls:
            console.send_control(letter)
        if not wanted.interrupt_controls:
            if wanted.interrupt_newline:
                console.send_line(wanted.interrupt)
            else:
                console.send(wanted.interrupt or " ")


class WaitFastbootInterrupt(Action):
    """Let a board that shows its fastboot menu go on to the system that is installed."""

    name = "wait-fastboot-interrupt"
    summary = "interrupt fastboot"
    description = "wait for the fastboot prompt and leave it"
    timeout_error = InfrastructureError

    def __init__(self, prompt: str, characters: str) -> None:
        self.prompt, self.characters = prompt, characters

    def run(self, run: Run) -> None:
        console = run.console
        console.watch(Mode.OFF)
        run.tell_wait([self.prompt], run.operation)
        console.expect(self.prompt, run.operation)
        console.send(self.characters)

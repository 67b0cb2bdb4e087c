# SPDX-License-Identifier: Apache-2.0
"""A board at the prompt of its bootloader, which edits the line it is typed, and may lose characters."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from executor.model.deadline import Deadline
from executor.testing.console import FakeClock, ScriptedPort, Step


class BootloaderPort(ScriptedPort):
    """A ScriptedPort whose serial line is not perfect.

    `lose`: numbers of the typed characters that never arrive, counted from 0. `erase` takes the line away.
    """

    def __init__(
        self,
        clock: FakeClock,
        script: Iterable[Step],
        *,
        lose: Collection[int] = (),
        erase: str = "\x15",
        echo: bool = True,
    ) -> None:
        super().__init__(clock, script, echo=echo)
        self.lose, self.erase = lose, erase
        self._count = 0

    def write(self, data: bytes, deadline: Deadline) -> None:
        for character in data.decode():
            number, self._count = self._count, self._count + 1
            if number in self.lose:
                continue
            if character == self.erase:
                self._take_away()
            else:
                super().write(character.encode(), deadline)

    def _take_away(self) -> None:
        kept, newline, line = self._heard.rpartition("\n")
        self._heard = kept + newline
        if line:
            self._output.append(b"\b \b" * len(line))

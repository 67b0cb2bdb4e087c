# SPDX-License-Identifier: Apache-2.0
"""Writes signals as the helpers on a device do, and answers as lava-signals does, without a device.

writer = SignalWriter("k1")
text = writer.start(0, "0_smoke", "1_1.1") + writer.case("boot", "pass") + writer.end() + writer.exit()
answer = writer.kept("2 4-")             # numbers as SignalStream.wanted() gives them
"""

from __future__ import annotations

import re

from executor.testshell.checksum import cksum
from executor.testshell.kept import MARK
from executor.testshell.signals import BEGIN

_NUMBER = re.compile(r":(\d+):\d+\s*\Z")


class SignalWriter:
    """One run of lava-test-runner. Every method gives the console line that it makes."""

    def __init__(self, run: str = "k1") -> None:
        self.run = run
        self.number = 0
        self.log: list[str] = []
        self._index = "-"
        self._context: dict[str, int] = {}
        self._name = ""

    def line(self, signal: str, *, index: str | None = None) -> str:
        """Any signal with its trailer."""
        self.number += 1
        owner = self._index if index is None else index
        body = f"{signal} #{self.run}.{owner}.{self._context.get(owner, 0)}:{self.number}:"
        line = f"{body}{cksum((body + chr(10)).encode())}\n"
        self.log.append(line)
        return line

    def start(self, index: int, name: str, uuid: str = "1_1.1") -> str:
        self._index, self._name = str(index), f"{name} {uuid}"
        return self.line(f"<LAVA_SIGNAL_STARTRUN {self._name}>")

    def end(self) -> str:
        return self.line(f"<LAVA_SIGNAL_ENDRUN {self._name}>")

    def case(self, case: str, result: str, more: str = "") -> str:
        return self.line(f"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID={case} RESULT={result}{more}>")

    def move(self, signal: str) -> str:
        """TESTSET or TESTSUITE: later signals refer to it."""
        line = self.line(f"<LAVA_SIGNAL_{signal}>")
        self._context[self._index] = self.number
        return line

    def exit(self) -> str:
        """Both lines that the runner prints at its end."""
        return self.line("<LAVA_TEST_RUNNER EXIT>", index="-") * 2

    def kept(self, wanted: str) -> str:
        """What lava-signals would print."""
        printed = "".join(MARK + line.removeprefix(BEGIN) for line in self.log)
        tail = f"{self.run} {self.number} {len(self.log)} 0"
        return answer(f"{printed}{MARK}end {tail} = {tail}\n", wanted)


def answer(everything: str, wanted: str) -> str:
    """What lava-signals would print for `wanted`, from what it prints when all is asked for."""
    *lines, end = [line for line in everything.split("\n") if line.startswith(MARK)]
    ranges = [_range(part) for part in wanted.split()]
    found = [line for line in lines if any(a <= _number(line) <= b for a, b in ranges)]
    run, last = end.removeprefix(MARK).split()[1:3]
    tail = f"{run} {last} {len(found)} 0"
    return "".join(f"{line}\n" for line in found) + f"{MARK}end {tail} = {tail}\n"


def _number(line: str) -> int:
    match = _NUMBER.search(line)
    return int(match[1]) if match is not None else 0


def _range(part: str) -> tuple[int, int]:
    first, dash, last = part.partition("-")
    return int(first), int(last or 1 << 30) if dash else int(first)

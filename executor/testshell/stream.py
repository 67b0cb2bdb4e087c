# SPDX-License-Identifier: Apache-2.0
"""Reads signals out of a console's text: incremental, pure, no I/O, no time (spec: test-shell §4, §6).

Our helpers number and checksum their signals and keep them in a file on the device. What arrives intact is passed on
at once; what was destroyed is brought back from that file; what cannot be known is said to be unknown. Plain signals
of other helpers are accepted as ever, unless one looks like a damaged signal of ours: then the file decides.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

import msgspec

MARK = "<LAVA_"
_SIGNAL = re.compile(r"<LAVA_SIGNAL_(\S+) ([^>]*)>(?: #(\d{1,9}):(\d{1,10}|-)(?!\d))?")
_KEPT = re.compile(r"<LAVA_KEPT_(\S+) ([^>]*)> #(\d{1,9}):(\d{1,10}|-)\s*\Z")
_KEPT_END = re.compile(r"<LAVA_KEPT_BEGIN (\d+)>")
_EXIT = re.compile(r"<LAVA_TEST_RUNNER EXIT>|<LAVA_TEST_RUNNER>: exiting")
_INSTALL_FAIL = "<LAVA_TEST_RUNNER INSTALL_FAIL>"
_MULTINODE = re.compile(r"<LAVA_MULTI_NODE> <LAVA_(\S+) ?([^>]*)>")
_TRACE = re.compile(r"\A\++ ")
_LONGEST_LINE = 1 << 20  # characters of an unfinished line that are kept
_ALIKE = 0.75  # how alike a plain signal and a lost one must be to doubt the plain one


class Signal(msgspec.Struct):
    """A signal and the run and test set it belongs to. `offset` is a place in the text that was fed last."""

    name: str
    params: str
    run: str = ""  # "<index>_<name>", "" before any STARTRUN
    set: str = ""
    offset: int = 0
    number: int = 0  # our sequence number, 0 for a plain signal
    restored: bool = False  # read back from the device's file


class Damaged(msgspec.Struct):
    """Something that was a signal once."""

    text: str
    reason: str
    run: str = ""
    set: str = ""
    offset: int = 0


class Lost(msgspec.Struct):
    """A test case that is known to have run, and whose result is not known."""

    case: str
    reason: str
    run: str = ""
    set: str = ""


class Found(msgspec.Struct):
    """A match of the running definition's parse pattern."""

    groups: dict[str, str]
    run: str = ""
    set: str = ""
    offset: int = 0


class Multinode(msgspec.Struct):
    """A call to the group: `SEND`, `WAIT`, `WAIT_ALL`, `SYNC` …"""

    api: str
    params: str
    offset: int = 0


class InstallFail(msgspec.Struct):
    """The install script of a definition failed; the runner goes on with the next."""

    offset: int = 0


class Exit(msgspec.Struct):
    """The runner has ended."""

    offset: int = 0


Event = Signal | Damaged | Lost | Found | Multinode | InstallFail | Exit


def checksum(text: str) -> int:
    """POSIX cksum of `text` and a line end, as the helpers compute it."""
    data = text.encode("utf-8", "surrogateescape") + b"\n"
    crc = 0
    for byte in data + _length(len(data)):
        crc = (crc << 8 & 0xFFFFFFFF) ^ _TABLE[crc >> 24 ^ byte]
    return crc ^ 0xFFFFFFFF


class SignalStream:
    """Feed it the console's text in pieces of any size; see `finish` for the end of a block."""

    def __init__(self) -> None:
        self.run = ""
        self.set = ""
        self.done = False
        self._pattern: re.Pattern[str] | None = None
        self._partial = ""
        self._ours = False  # our numbered signals have been seen
        self._seen: dict[int, tuple[str, str]] = {}  # number -> (name, params)
        self._doubtful: list[Signal] = []  # plain signals among ours, and signals without a run
        self._open: dict[tuple[str, str], str] = {}  # (run, case) -> set, for cases without a result yet
        self._damaged = 0

    def set_pattern(self, pattern: re.Pattern[str] | None) -> None:
        """The parse pattern of the definition that runs now."""
        self._pattern = pattern

    def feed(self, text: str) -> list[Event]:
        """Events in order. Text without signals costs next to nothing."""
        if not self._partial and self._pattern is None and MARK not in text:
            last = text[text.rfind("\n") + 1 :]
            self._partial = last if "<" in last else ""  # it may become a signal
            return []
        return list(self._lines(text))

    def _lines(self, text: str) -> Iterator[Event]:
        before = len(self._partial)
        whole = self._partial + text
        start = 0
        while (end := whole.find("\n", start)) >= 0:
            line = whole[start:end].rstrip("\r")
            yield from self._line(line, max(0, start - before))
            start = end + 1
        self._partial = whole[start:][-_LONGEST_LINE:]
        # The runner's last word may come without a line end when its shell has gone.
        if not self.done and _EXIT.search(self._partial):
            yield from self._line(self._partial, max(0, start - before))
            self._partial = ""

    def _line(self, line: str, offset: int) -> Iterator[Event]:
        if self._pattern is not None and MARK not in line:
            for match in self._pattern.finditer(line):
                groups = {k: v for k, v in match.groupdict().items() if v is not None}
                yield Found(groups, self.run, self.set, offset)
        if MARK not in line or _TRACE.match(line):
            return
        matched = 0
        for match in _SIGNAL.finditer(line):
            matched += 1
            yield from self._signal(match, offset)
        if line.count("<LAVA_SIGNAL_") > matched:
            self._damaged += 1
            yield Damaged(line[:300], "the line was cut or overwritten", self.run, self.set, offset)
        for match in _MULTINODE.finditer(line):
            yield Multinode(match[1], match[2], offset)
        if _INSTALL_FAIL in line:
            yield InstallFail(offset)
        if _EXIT.search(line):
            self.done = True
            self.set = ""
            yield Exit(offset)

    def _signal(self, match: re.Match[str], offset: int) -> Iterator[Event]:
        name, params, number, sum_ = match.groups()
        signal = Signal(name, params, self.run, self.set, offset, int(number or 0))
        if number is None:
            if self._ours:
                signal.run, signal.set = self.run, self.set
                self._doubtful.append(signal)
                return
            yield from self._accept(signal)
            return
        if sum_ != "-" and checksum(f"{number} {name} {params}") != int(sum_):
            self._damaged += 1
            yield Damaged(match[0], "its checksum does not fit", self.run, self.set, offset)
            return
        if self._seen.get(signal.number) == (name, params):
            return  # shown again
        self._ours = True
        self._seen[signal.number] = (name, params)
        if not self.run and name in ("TESTCASE", "TESTREFERENCE"):
            self._doubtful.append(signal)  # its STARTRUN was lost: the file knows where it belongs
            return
        yield from self._accept(signal)

    def _accept(self, signal: Signal) -> Iterator[Signal]:
        self._context(signal)
        signal.run, signal.set = self.run, self.set
        yield signal
        if signal.name == "ENDRUN":
            self.run = self.set = ""

    def _context(self, signal: Signal) -> None:
        """What a signal says about the signals after it."""
        words = signal.params.split()
        if signal.name == "STARTRUN" and words:
            self.run, self.set = words[0], ""
        elif signal.name == "TESTSET" and words[:1] == ["START"]:
            self.set = words[1] if len(words) > 1 else ""
        elif signal.name == "TESTSET":
            self.set = ""
        elif signal.name == "STARTTC" and words:
            self._open[(self.run, words[0])] = self.set
        elif signal.name == "TESTCASE":
            for word in words:
                key, _, value = word.partition("=")
                if key.lower() == "test_case_id":
                    self._open.pop((self.run, value), None)

    # -- the end of a block -------------------------------------------------------------------------------------

    @property
    def must_read_back(self) -> bool:
        """Is anything missing that the device's file could tell?"""
        if not self._ours:
            return self._damaged > 0
        gaps = bool(self._seen) and len(self._seen) < max(self._seen)
        return bool(gaps or self._damaged or self._doubtful or self._open or self.run)

    def finish(self, kept: str | None) -> list[Event]:
        """What else is known once the file was read back (`kept`), or could not be (None)."""
        entries = None if kept is None else read_kept(kept)
        events = self._without_file() if entries is None else self._with_file(*entries)
        self._doubtful = []
        return events

    def _with_file(self, entries: list[Signal], whole: bool) -> list[Event]:
        out: list[Event] = []
        missing: list[Signal] = []
        self.run = self.set = ""
        self._open.clear()
        plain = [s for s in self._doubtful if not s.number]
        for entry in entries:
            self._context(entry)
            entry.run, entry.set = self.run, self.set
            if entry.name == "ENDRUN":
                self.run = self.set = ""
            if self._seen.get(entry.number) == (entry.name, entry.params):
                held = next((s for s in self._doubtful if s.number == entry.number), None)
                if held is not None:
                    out.append(entry)
                continue
            missing.append(entry)
            out.append(entry)
            twin = next((s for s in plain if (s.name, s.params) == (entry.name, entry.params)), None)
            if twin is not None:
                plain.remove(twin)
        for signal in plain:
            if any(_alike(signal, entry) for entry in missing):
                continue  # a damaged form of what the file has told
            if whole or not self._damaged:
                out.append(signal)
            else:
                out += _unknown(signal, "the line may be damaged, and the device's file is not whole")
        if not whole:
            out += self._lost("its result was lost, and the device's file is not whole")
        return out

    def _without_file(self) -> list[Event]:
        out: list[Event] = []
        gaps = bool(self._seen) and len(self._seen) < max(self._seen)
        for signal in self._doubtful:
            if not signal.number and not gaps and not self._damaged:
                out.append(signal)
            else:
                out += _unknown(signal, "the console was damaged, and the device's file could not be read")
        return out + self._lost("its result was lost on the console, and the device's file could not be read")

    def _lost(self, reason: str) -> list[Event]:
        lost: list[Event] = [Lost(case, reason, run, set_) for (run, case), set_ in self._open.items()]
        self._open.clear()
        return lost


def read_kept(text: str) -> tuple[list[Signal], bool] | None:
    """The signals in what `lava-signals` printed, and whether they are all there; None when it is not that at all."""
    begin = _KEPT_END.search(text)
    if begin is None:
        return None
    entries: dict[int, Signal] = {}
    for line in text[begin.end() :].split("\n"):
        match = _KEPT.search(line.rstrip("\r"))
        if match is None:
            continue
        name, params, number, sum_ = match.groups()
        if sum_ != "-" and checksum(f"{number} {name} {params}") != int(sum_):
            continue
        entries[int(number)] = Signal(name, params, number=int(number), restored=True)
    whole = "<LAVA_KEPT_END>" in text and len(entries) == int(begin[1])
    return [entries[n] for n in sorted(entries)], whole


def _unknown(signal: Signal, reason: str) -> list[Event]:
    """A doubtful signal as far as it can be told: only a test case leaves a trace."""
    if signal.name != "TESTCASE":
        return []
    for word in signal.params.split():
        key, _, value = word.partition("=")
        if key.lower() == "test_case_id" and value:
            return [Lost(value, reason, signal.run, signal.set)]
    return []


def _alike(plain: Signal, entry: Signal) -> bool:
    one, other = f"{plain.name} {plain.params}", f"{entry.name} {entry.params}"
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio() >= _ALIKE


def _length(count: int) -> bytes:
    out = bytearray()
    while count:
        out.append(count & 0xFF)
        count >>= 8
    return bytes(out)


def _table() -> tuple[int, ...]:
    entries = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if crc & 0x80000000 else crc << 1 & 0xFFFFFFFF
        entries.append(crc)
    return tuple(entries)


_TABLE = _table()

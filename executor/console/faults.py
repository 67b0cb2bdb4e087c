# SPDX-License-Identifier: Apache-2.0
"""What a fault of the kernel looks like on a console (spec: action-pipeline §6).

Tests print words like "BUG:" too, and logs of older boots. A line counts as the kernel's when the trigger
follows a time stamp, or stands at the beginning of a line of a console on which no line has ever carried
a stamp. A stamp after a quotation mark or after `kernel: ` is part of a typed command or of a log file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from executor.errors import JobError


class Kind(StrEnum):
    """The names that results carry."""

    PANIC = "panic"
    RESET = "DUT_has_reset"
    CUSTOM = "custom-error"
    OOPS = "oops"
    BUG = "bug"
    WARNING = "warning"
    KASAN = "kasan"
    KCSAN = "kcsan"
    KFENCE = "kfence"
    INVALID_OPCODE = "invalid opcode"
    FAULT = "fault"
    UNKNOWN = "unknown"  # a "[ cut here ]" block that says nothing known


ALWAYS_FATAL = frozenset({Kind.PANIC, Kind.RESET, Kind.CUSTOM})


@dataclass(slots=True)
class Fault:
    """One fault. `message` spans from its first line to its end marker (one line for kinds that have
    none); `trace` is that and what the kernel printed next, up to the end of the trace.
    """

    kind: Kind
    message: str
    seq: int  # journal record of the first line
    fatal: bool
    trace: str = ""
    complete: bool = True  # False: the end marker did not come

    @property
    def headline(self) -> str:
        """The line that says what it is, without its time stamp: the first one, but for "[ cut here ]"
        blocks.
        """
        lines = self.message.split("\n")
        line = lines[0]
        if _CUT in line:
            words = next((pattern for pattern, kind in _IN_BLOCK if kind is self.kind), None)
            saying = (text for text in lines if words is not None and words.search(text))
            line = next(saying, lines[min(1, len(lines) - 1)])
        return LEAD.sub("", line).strip()


class KernelFault(JobError):
    """A fault that ends the job."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(describe(fault), f"the trace begins at journal record {fault.seq}")
        self.fault = fault


def describe(fault: Fault) -> str:
    """One sentence about a fault."""
    if fault.kind is Kind.RESET:
        return f"the device has reset unexpectedly: {fault.headline}"
    if fault.kind is Kind.CUSTOM:
        return f"the job's failure message was seen: {fault.headline}"
    if fault.kind is Kind.PANIC:
        return fault.headline
    return f"kernel {fault.kind}: {fault.headline}"


_CUT = "[ cut here ]"
_STAMP = r"\[ *\d+\.\d+\](?:\[ *[CT]\d+\])?"
_QUOTED = r"(?<![\"'])(?<!kernel: )"

LEAD = re.compile(rf"^(?:.*?{_STAMP} ?)?")
STAMPED_LINE = re.compile(r"(?:<\d+>)?\[ *\d+\.\d{3,}\] ")

# Where a fault begins. `stamp` tells a line of the kernel from words at the beginning of a line.
BEGIN = re.compile(
    rf"(?:^(?:<\d+>)?|{_QUOTED}(?P<stamp>{_STAMP}):? ?)"
    r"(?:"
    r"(?P<panic>(?:---\[ end )?Kernel panic - not syncing)"
    r"|(?P<cut>-+\[ cut here \]-+)"
    r"|BUG: (?P<sanitizer>KCSAN|KASAN|KFENCE):"
    r"|(?P<oops>(?:Internal error: )?Oops(?: -|:|\[))"
    r"|(?P<warning>WARNING:)"
    r"|(?P<bug>kernel BUG at |BUG:)"
    r"|(?P<opcode>invalid opcode:)"
    r"|(?P<fault>Unhandled fault)"
    r")"
)
# Without a stamp these are too common in what programs print.
_LOOSE = re.compile(
    r"WARNING:(?! CPU: \d+ PID: )|BUG:(?! (?:unable to handle|spinlock|soft lockup|workqueue|scheduling))"
)

# What must be in a text for BEGIN or RESET to match anywhere in it; `in` is far faster than any regular
# expression.
NEEDLES = (
    "Kernel panic",
    "cut here",
    "BUG",
    "WARNING:",
    "Oops",
    "invalid opcode:",
    "Unhandled fault",
    "U-Boot",
)

RESET = re.compile(r"^\s*U-Boot (?:SPL |TPL )?20\d\d\.\d\d")

END_OF_TRACE = re.compile(r"---\[ end trace ")
END_OF_PANIC = re.compile(
    rf"---\[ end Kernel panic|{_STAMP} ?Rebooting in \d+ seconds|^Rebooting in \d+ seconds"
)
END_OF_REPORT = re.compile(r"={20,}\s*$")  # KASAN and its kin


def begins(line: str, stamped_console: bool, loose: bool) -> re.Match[str] | None:
    """Does a fault begin on this line? `loose`: accept common words at the beginning of a line as well."""
    found = BEGIN.search(line)
    if found is None or found["stamp"]:
        return found
    if stamped_console or (not loose and _LOOSE.match(line)):
        return None
    return found


def kind_of(found: re.Match[str]) -> Kind:
    """The kind that a beginning announces; UNKNOWN for a block whose content decides."""
    group = found.lastgroup
    if group == "sanitizer":
        return Kind(found["sanitizer"].lower())
    return _BY_GROUP[group or ""]


def kind_of_block(text: str) -> Kind:
    """What a "[ cut here ]" block is about."""
    for pattern, kind in _IN_BLOCK:
        if pattern.search(text):
            return kind
    return Kind.UNKNOWN


_BY_GROUP = {
    "panic": Kind.PANIC,
    "cut": Kind.UNKNOWN,
    "oops": Kind.OOPS,
    "warning": Kind.WARNING,
    "bug": Kind.BUG,
    "opcode": Kind.INVALID_OPCODE,
    "fault": Kind.FAULT,
}
_IN_BLOCK = (
    (re.compile(r"Oops(?: -|:|\[)"), Kind.OOPS),
    (re.compile(r"kernel BUG at |\bBUG:"), Kind.BUG),
    (re.compile(r"WARNING:"), Kind.WARNING),
)
END_MARKS = {
    Kind.PANIC: END_OF_PANIC,
    Kind.UNKNOWN: END_OF_TRACE,
    Kind.WARNING: END_OF_TRACE,
    Kind.KASAN: END_OF_REPORT,
    Kind.KCSAN: END_OF_REPORT,
    Kind.KFENCE: END_OF_REPORT,
}

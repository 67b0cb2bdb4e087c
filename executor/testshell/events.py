# SPDX-License-Identifier: Apache-2.0
"""What can happen on the console of a test block, as plain typed data.

Every event bears `line`, the journal's number of the console line it came from (-1: none), and `restored`: it
was not seen on the console but read back from the device's file.
"""

from __future__ import annotations

import msgspec

PASS, FAIL, SKIP, UNKNOWN = "pass", "fail", "skip", "unknown"
VERDICTS = frozenset({PASS, FAIL, SKIP, UNKNOWN})


class Event(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Base of all events."""

    line: int = -1
    restored: bool = False


class RunStarted(Event):
    """A definition began. `inferred`: its STARTRUN was not seen, another signal of it was."""

    definition: str  # "<idx>_<name>"
    uuid: str
    inferred: bool = False


class RunEnded(Event):
    """A definition reached its end."""

    definition: str
    uuid: str


class RunSettled(Event):
    """No result of this definition can come any more.

    `accounted`: everything that the device reported is known, so what was not reported did not happen.
    `outcome`: pass when its ENDRUN was seen, fail when it certainly did not get there, unknown when that
    signal may be lost, "" when it did not begin.
    """

    definition: str
    accounted: bool
    outcome: str


class CaseStarted(Event):
    """STARTTC: marks the place in the log."""

    case: str


class CaseEnded(Event):
    """ENDTC: marks the place in the log."""

    case: str


class CaseResult(Event):
    """A result. `run` is the definition that it came from ("<idx>_<name>"), `definition` the suite it belongs
    to: the same, unless the suite was renamed. Both are "" when no definition had begun.
    """

    run: str
    definition: str
    case: str
    result: str  # one of VERDICTS
    set: str = ""
    measurement: float | None = None
    units: str = ""
    reference: str = ""
    reason: str = ""  # why it is `unknown`, when that was not the device's word
    seq: int = 0  # the device's number of the signal, 0 for a plain one


class SetStarted(Event):
    """A test set was opened."""

    definition: str
    name: str


class SetStopped(Event):
    """The open test set was closed."""

    definition: str


class SuiteRenamed(Event):
    """Later results of `definition` belong to suite `name`."""

    definition: str
    name: str


class Raised(Event):
    """lava-test-raise: the block ends as TestError with this message."""

    message: str


class Feedback(Event):
    """The console of another namespace is to be read for a moment."""

    namespace: str


class Announced(Event):
    """lava-test-event."""

    message: str


class Attached(Event):
    """A file was attached and waits on the device."""

    name: str
    size: int  # bytes


class MetadataStarted(Event):
    """A capture of metadata begins."""

    name: str


class MetadataEnded(Event):
    """A capture of metadata ends."""

    name: str


class InstallFailed(Event):
    """install.sh of a definition failed, it is skipped. `definition` is "" when the line does not tell."""

    definition: str


class Multinode(Event):
    """A call to the other members of the group: api is send, wait, wait_all or sync (spec: test-shell §7)."""

    api: str
    arguments: str


class Broken(Event):
    """A signal that ends the block: `error_type` is Test or Job (spec: test-shell §6)."""

    error_type: str
    message: str


class Malformed(Event):
    """Something that should have been a signal; nothing was made of it. For the log."""

    reason: str
    text: str


class Ignored(Event):
    """A signal of a name that is not known. For the debug log."""

    name: str
    parameters: str


class Exit(Event):
    """The runner ended. `complete`: every signal that the device made has arrived."""

    complete: bool

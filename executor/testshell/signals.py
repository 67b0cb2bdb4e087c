# SPDX-License-Identifier: Apache-2.0
"""How a signal looks on the console, and what it says (spec: test-shell §6; design §9, Signal trailer).

    <LAVA_SIGNAL_TESTCASE TEST_CASE_ID=boot RESULT=pass> #k7.0.4:12:3756835078

Up to the `>` it is what readers have always known. After it come the run (a word that the dispatcher made up
for this start of the runner), the definition's number, the number of the signal that said which set and suite
are current, the signal's own number, and the cksum of all that before it. Numbers count over all writers of a
run, so a missing one means a lost signal. A writer that could not take a number gives `p<pid>.<n>` instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from executor.testshell.checksum import cksum
from executor.testshell.events import VERDICTS

BEGIN = "<LAVA_"
_INSIDE = r"(?:(?!<LAVA_)[^>])*"
TOKEN = re.compile(
    r"<LAVA_(?:"
    rf"SIGNAL_(?P<name>[^\s<>]+)[ \t]+(?P<parameters>{_INSIDE})>"
    r"|TEST_RUNNER (?P<runner>EXIT|INSTALL_FAIL)>"
    r"|TEST_RUNNER>: (?P<chat>.*)"
    rf"|MULTI_NODE> <LAVA_(?P<api>SEND|WAIT_ALL|WAIT|SYNC)(?: (?P<arguments>{_INSIDE}))?>"
    r"|(?P<other>[A-Z_]+(?: [^<>]*)?)>"
    r")"
)
TRAILER = re.compile(
    r" ?#(?P<run>[0-9a-z]{1,16})\.(?P<index>\d{1,6}|-)\.(?P<context>\d{1,9})"
    r":(?P<seq>\d{1,9}|p\d{1,9}\.\d{1,9}):(?P<crc>\d{1,20})"
)
TRACE = re.compile(r"\s*\++ ")  # what `set -x` puts before a line
_SHORT_CRC = 8  # digits; a shorter checksum must be followed by no further digit

DEFAULT_FIXUPS = {
    word: verdict for verdict in sorted(VERDICTS) for word in (verdict, verdict.upper(), verdict.capitalize())
}
# The pattern of definitions without `parse` in the first years (spec: test-shell §1).
FIRST_PATTERN = r"(?P<test_case_id>\S+) : (?P<result>PASS|FAIL|SKIP|UNKNOWN|pass|fail|skip|unknown)\b"


class Trailer(msgspec.Struct, frozen=True):
    """What follows a signal. `index` is -1 outside of definitions; `seq` is 0 for an unnumbered writer."""

    run: str
    index: int
    context: int
    seq: int
    unnumbered: str  # "p<pid>.<n>", or ""
    crc: str  # digits as they stand there, maybe with digits of noise behind
    body: str  # from the `#` to the colon before the checksum

    def fits(self, signal: str) -> bool:
        """Is the checksum that of `signal` with this trailer?"""
        wanted = str(cksum(f"{signal} {self.body}\n".encode("utf-8", "replace")))
        return self.crc == wanted or (len(wanted) >= _SHORT_CRC and self.crc.startswith(wanted))


def trailer(match: re.Match[str]) -> Trailer:
    """The typed form of a match of TRAILER."""
    seq, crc, text = match["seq"], match["crc"], match.group()
    return Trailer(
        run=match["run"],
        index=-1 if match["index"] == "-" else int(match["index"]),
        context=int(match["context"]),
        seq=0 if seq.startswith("p") else int(seq),
        unnumbered=seq if seq.startswith("p") else "",
        crc=crc,
        body=text[text.index("#") : -len(crc)],
    )


class Result(msgspec.Struct, frozen=True):
    """The content of a TESTCASE signal or of a line that a parse pattern matched."""

    case: str
    result: str
    measurement: float | None = None
    units: str = ""
    reference: str = ""


def pairs(parameters: str) -> dict[str, str]:
    """Blank-separated KEY=VALUE, keys in lower case. Raises ValueError naming what is none."""
    found = {}
    for word in parameters.split():
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"parameter {word!r} has no '='")
        found[key.lower()] = value
    return found


def result_of(given: Mapping[str, str | None], fixups: Mapping[str, str]) -> Result:
    """A result from its parts. Raises ValueError saying what is wrong (spec: test-shell §6)."""
    case, raw = given.get("test_case_id") or "", given.get("result") or ""
    if not case:
        raise ValueError("no test_case_id")
    if not raw:
        raise ValueError("no result")
    verdict = fix(raw, fixups)
    if verdict not in VERDICTS:
        raise ValueError(f"{raw!r} is no result")
    measurement = given.get("measurement")
    if not measurement:
        return Result(case, verdict)
    return Result(case, verdict, number(measurement), given.get("units") or "")


def parse_result(name: str, parameters: str, fixups: Mapping[str, str]) -> Result:
    """The result in a TESTCASE or TESTREFERENCE signal. Raises ValueError saying what is wrong."""
    if name == "TESTCASE":
        return result_of(pairs(parameters), fixups)
    parts = parameters.split()
    if len(parts) != 3:
        raise ValueError(f"TESTREFERENCE has {len(parts)} parameters, not 3")
    result = result_of({"test_case_id": parts[0], "result": parts[1]}, fixups)
    return msgspec.structs.replace(result, reference=parts[2])


def fix(raw: str, fixups: Mapping[str, str]) -> str:
    """The definition's fix-up first, then the common one; so `fixupdict: {ok: PASS}` means pass."""
    word = fixups.get(raw, raw)
    return word if word in VERDICTS else DEFAULT_FIXUPS.get(word, word)


def number(text: str) -> float:
    """A measurement. Raises ValueError for what is no number."""
    try:
        if "_" in text:
            raise ValueError
        return float(text)
    except ValueError:
        raise ValueError(f"measurement {text!r} is no number") from None


_FRAGMENT_CASE = re.compile(r"<LAVA_SIGNAL_TESTCASE +TEST_CASE_ID=(\S+) R")


def case_of_fragment(text: str) -> str:
    """The case that a cut TESTCASE signal was about; "" when its name may be cut as well."""
    match = _FRAGMENT_CASE.match(text)
    return match[1] if match else ""

# SPDX-License-Identifier: Apache-2.0
"""`logs.yaml`: the field's log, one YAML list item a line (spec: results-and-logs §1)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from executor.model.journal import FEEDBACK, RESULTS, Record
from executor.report.reader import Lines

MAX_RECORD = 100_000  # characters; a longer one has its msg replaced
_TOO_LONG = "<this record is longer than 100000 characters, see the journal>"
# What JSON leaves as it is and YAML does not take, or takes for the end of a line.
_ESCAPE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_quote_bytes = msgspec.json.Encoder().encode


def quote(text: str) -> str:
    """`text` as a double-quoted YAML scalar on one line (a JSON string with a few more escapes)."""
    try:
        out = _quote_bytes(text).decode()
    except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot hold
        out = json.dumps(text)
    if not out.isascii() or "\x7f" in out:
        out = _ESCAPE.sub(_escape, out)
    return out


def scalar(value: Any) -> str:
    """Any value in flow style, every scalar quoted; what is not text carries its tag."""
    if isinstance(value, str):
        return quote(value)
    if value is None:
        return '!!null "null"'
    if isinstance(value, bool):
        return f'!!bool "{"true" if value else "false"}"'
    if isinstance(value, int):
        return f'!!int "{value}"'
    if isinstance(value, float):
        return f'!!float "{_float(value)}"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(str(k))}: {scalar(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(scalar, value)) + "]"
    return quote(str(value))


class LogsYaml:
    """Records in, lines of `logs.yaml` out. Feed every record of the journal, in order.

    `keep` (line number, record) chooses lines; they keep their numbers. `partial`: the records begin
    somewhere in the journal, so no line number is known and results carry none.
    """

    def __init__(self, keep: Callable[[int, Record], bool] | None = None, *, partial: bool = False) -> None:
        self._lines = Lines()
        self._keep = keep
        self._partial = partial

    def feed(self, batch: Iterable[Record]) -> str:
        """The lines for `batch`; levels of our own give none."""
        out: list[str] = []
        lines, keep = self._lines, self._keep
        for record in batch:
            if not lines.add(record) or (keep is not None and not keep(lines.count - 1, record)):
                continue
            msg = record.msg
            if record.lvl == RESULTS and isinstance(msg, dict):
                msg = self._renumbered(msg)
            text = quote(msg) if isinstance(msg, str) else scalar(msg)
            ns = f', "ns": {quote(record.ns)}' if record.lvl == FEEDBACK else ""
            line = f'- {{"dt": "{record.dt}", "lvl": "{record.lvl}", "msg": {text}{ns}}}\n'
            if len(line) > MAX_RECORD:
                line = f'- {{"dt": "{record.dt}", "lvl": "{record.lvl}", "msg": "{_TOO_LONG}"{ns}}}\n'
            out.append(line)
        return "".join(out)

    def _renumbered(self, msg: dict[str, Any]) -> dict[str, Any]:
        """`starttc` and `endtc` are record numbers in a journal and line numbers here; unknown ones go."""
        given = {key: msg[key] for key in ("starttc", "endtc") if isinstance(msg.get(key), int)}
        known = {} if self._partial else {key: self._lines.of(seq) for key, seq in given.items()}
        rest = {key: value for key, value in msg.items() if key not in given}
        return rest | {key: line for key, line in known.items() if line >= 0}


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _float(value: float) -> str:
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else (".inf" if value > 0 else "-.inf")
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    if e and "." not in mantissa:  # YAML 1.1 wants the point
        text = f"{mantissa}.0e{exponent}"
    if e and exponent[0] not in "+-":
        text = text.replace("e", "e+")
    return text

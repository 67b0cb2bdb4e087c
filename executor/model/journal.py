# SPDX-License-Identifier: Apache-2.0
"""The record of a job: one JSON object a line, of which everything else is a pure function (design §2)."""

from __future__ import annotations

from typing import Any

import msgspec

FORMAT = 1  # version of the journal format; the header record carries it
MAX_MESSAGE = 64 * 1024  # characters of `msg` in one record; longer lines are split and marked, never dropped

# Levels. The first group is what the field's log knows (spec: results-and-logs §1) …
DEBUG, INFO, WARNING, ERROR, EXCEPTION = "debug", "info", "warning", "error", "exception"
TARGET, INPUT, FEEDBACK, EVENT, RESULTS = "target", "input", "feedback", "event", "results"
# … the second is ours and does not appear in logs.yaml:
HEADER = "header"  # first record of each journal: see Header
PIPELINE = "pipeline"  # the plan, as `lava-exec validate --format json` prints it
ACTION = "action"  # start or end of an action: see ActionMark
PROGRESS = "progress"  # progress of a download or image work: {"what", "done", "total"} in bytes
END = "end"  # last record: see End
LOG_LEVELS = frozenset({DEBUG, INFO, WARNING, ERROR, EXCEPTION, TARGET, INPUT, FEEDBACK, EVENT, RESULTS})


class Record(msgspec.Struct, omit_defaults=True):
    """One line of a journal.

    `seq` counts from 0 without a gap; `dt` is UTC ISO 8601 with microseconds; `msg` is text for log levels
    and a map for `results` and the levels of our own. `act` and `level` name the action that wrote it.
    """

    seq: int
    dt: str
    lvl: str
    msg: Any
    ns: str = ""  # namespace, for feedback and namespaced actions
    act: str = ""  # action name, e.g. "login-action"
    level: str = ""  # pipeline level, e.g. "2.2.1"
    part: int = 0  # 1, 2, … when a long line was split; 0 = whole line
    more: bool = False  # True when the next record continues this line


class Header(msgspec.Struct, omit_defaults=True):
    """`msg` of the first record, so that every report is a function of the journal alone (design §9)."""

    format: int = FORMAT
    job_id: str = ""
    job_name: str = ""
    device: str = ""
    device_type: str = ""
    submitter: str = ""
    image: str = ""  # image reference
    image_digest: str = ""  # config digest of the image
    container: str = ""  # container id, short
    version: str = ""  # version of lava-exec that ran the job
    host: str = ""  # worker name
    metadata: dict[str, Any] = {}
    definitions: list[str] = []  # <idx>_<name> of every definition in the job
    priority: int = 50
    tags: list[str] = []
    group: str = ""  # multinode group id
    role: str = ""
    attempt_of: str = ""  # id of the job that this one reproduces
    pipeline_job: str = ""  # the job definition as submitted, secrets masked (YAML text)


class ActionMark(msgspec.Struct, omit_defaults=True):
    """`msg` of an `action` record: an action starts or ends."""

    what: str  # "start" or "end"
    name: str
    level: str
    attempt: int = 1
    max_attempts: int = 1
    timeout: float = 0.0  # seconds, at start
    duration: float = 0.0  # seconds, at end
    result: str = ""  # pass | fail, at end
    error_type: str = ""
    error_msg: str = ""
    section: str = ""
    namespace: str = "common"


class End(msgspec.Struct, omit_defaults=True):
    """`msg` of the last record: how the job ended (spec: results-and-logs §4)."""

    health: str  # Complete | Incomplete | Canceled
    exit_code: int
    error_type: str = ""
    error_msg: str = ""
    hint: str = ""
    who: str = ""
    action: str = ""  # name of the action in which the first cause arose
    level: str = ""
    seq: int = -1  # journal line that shows the cause, -1 when there is none
    cases: dict[str, int] = {}  # result -> count, of test cases outside suite `lava`
    seconds: float = 0.0
    powered_off: bool = False  # the runner's own power_off worked; the agent need not repeat it


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


def encode(records: list[Record]) -> bytes:
    """Records as newline-terminated JSON lines."""
    return _encoder.encode_lines(records)


def decode(line: bytes) -> Record:
    """One line back. Raises msgspec.DecodeError when it is not a record."""
    return _decoder.decode(line)


def decode_lines(data: bytes) -> list[Record]:
    """All complete lines in `data`. Raises msgspec.DecodeError."""
    return _decoder.decode_lines(data)

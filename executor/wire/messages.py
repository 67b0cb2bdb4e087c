# SPDX-License-Identifier: Apache-2.0
"""Every message of the wire as one typed class, so that both ends agree on shape, size and version.

A frame is a MessagePack map `{v, id, session, body}`. `v` is the protocol version, `id` the number of a
request within its session (0 for what the master pushes on its own), `session` a random word of the asking
process. The reply to a request carries the same id. Acting requests (`ACTING`) are remembered with their
reply, so that a repeat after a reconnect acts once (design §9). Job data travels as bytes, never decoded on
the way.

Times are seconds since the epoch (UTC) unless a field says otherwise; sizes and offsets are bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from executor.model.journal import End
from executor.model.launch import HostFacts
from executor.model.problem import Problem
from executor.model.worker import Limits

PROTOCOL = 1  # version of this protocol; both ends must speak the same
DEFAULT_ADDRESS = "tcp://127.0.0.1:5560"
MAX_MESSAGE = 16 << 20  # bytes of one frame; libzmq cuts the connection above it
MAX_JOB_TEXT = 1 << 20  # bytes of one job definition
MAX_BLOCK = 1 << 20  # bytes of one block of journal or file
MAX_WAIT = 60.0  # seconds a request may be parked at the master
MAX_PAGE = 1000  # rows of one reply


class Body(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t"):
    """Base of all messages."""


# ---- replies that any request can get ----------------------------------------------------------------------


class Done(Body, frozen=True, tag="done"):
    """It has been done; `note` is for people."""

    note: str = ""


class Failure(Body, frozen=True, tag="failure"):
    """It has not been done. `code` is for programs, `message` and `hint` are for people.

    Codes: version, malformed, not-allowed, too-large, unknown-job, unknown-device, unknown-worker,
    unknown-file, refused (see `problems`), limit, busy, mismatch, internal. `error_type` as in errors.py.
    """

    code: str
    message: str
    hint: str = ""
    error_type: str = "Infrastructure"
    problems: list[Problem] = []


# ---- client → master ---------------------------------------------------------------------------------------


class Ping(Body, frozen=True, tag="ping"):
    """Are you there, and who am I to you? Answered by Pong."""


class Pong(Body, frozen=True, tag="pong"):
    version: str  # of lava-exec at the master
    instance: str  # random word of this master's store
    time: float
    role: str  # what the asking key may do: agent, client or admin
    name: str  # the name under which the key is authorised
    idle: bool = True  # no job runs or waits


class Submit(Body, frozen=True, tag="submit"):
    """Put a job into the queue. Answered by Submitted, or Failure(refused) with every problem at once."""

    text: str  # YAML, at most MAX_JOB_TEXT bytes
    filename: str = "job.yaml"  # for the places in problems
    priority: int | None = None  # overrides the job's own, 0–100
    device: str = ""  # run on this device only
    secrets: dict[str, str] = {}  # name → value, added to the job's own; never stored in the clear definition
    attempt_of: str = ""  # id of the job that this one repeats
    dry_run: bool = False  # check only: nothing is stored, Submitted.jobs is empty
    strict: bool = False  # a timeout longer than the job's is refused as well
    lax: bool = False  # unknown keys are warnings


class Submitted(Body, frozen=True, tag="submitted"):
    jobs: list[str]  # ids; more than one for a multinode group
    group: str = ""
    warnings: list[Problem] = []
    waiting: str = ""  # why it cannot start at once, as far as it is known now


class JobRow(msgspec.Struct, omit_defaults=True):
    """One job in a list (spec: fleet §3)."""

    id: str
    name: str
    state: str  # Submitted Scheduling Scheduled Running Canceling Finished
    health: str  # Unknown Complete Incomplete Canceled
    device_type: str = ""
    device: str = ""  # once one is reserved
    worker: str = ""
    submitter: str = ""
    priority: int = 50
    submitted: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    exit_code: int = -1  # executor.errors.ExitCode, once finished
    error_type: str = ""
    error_msg: str = ""
    cases: dict[str, int] = {}  # result → number of test cases outside suite lava, live
    group: str = ""
    role: str = ""


class JobList(Body, frozen=True, tag="job-list"):
    """Jobs, newest first. Empty filters match everything. Answered by Jobs."""

    states: list[str] = []
    health: list[str] = []
    device_type: str = ""
    device: str = ""
    worker: str = ""
    submitter: str = ""
    group: str = ""
    before: str = ""  # only jobs older than this id: the next page
    limit: int = 50


class Jobs(Body, frozen=True, tag="jobs"):
    rows: list[JobRow]
    more: bool = False  # ask again with before=rows[-1].id


class JobShow(Body, frozen=True, tag="job-show"):
    """One job. With `wait_seconds` the answer comes when the job is finished or the time is over."""

    job: str
    wait_seconds: float = 0.0  # at most MAX_WAIT


class JobInfo(Body, frozen=True, tag="job-info"):
    row: JobRow
    waiting: str = ""  # why it has not started, in words
    tags: list[str] = []
    end: End | None = None
    journal_size: int = 0
    files: int = 0  # number of kept files
    context: dict[str, Any] = {}
    attempt_of: str = ""
    cancel_by: str = ""
    cancel_reason: str = ""
    history: list[str] = []  # "<ISO time> <what happened>", oldest first


class JobDefinition(Body, frozen=True, tag="job-definition"):
    """The text as submitted, secrets masked, and the device it got. Answered by Definition."""

    job: str


class Definition(Body, frozen=True, tag="definition"):
    text: str
    device: dict[str, Any] = {}  # as rendered for this job; empty before a device is reserved


class Cancel(Body, frozen=True, tag="cancel"):
    """End a job in an orderly way. Harmless when it has ended. Answered by JobInfo."""

    job: str
    reason: str = ""


class LogRead(Body, frozen=True, tag="log-read"):
    """Whole journal lines from `offset` on; parked until there are some, the job has ended, or the time is
    over.

    Only one block is under way for each request, so a slow follower costs the master nothing. `last_lines` >
    0 asks to begin that many lines before the end instead of at `offset`. Answered by LogBlock.
    """

    job: str
    offset: int = 0
    max_bytes: int = 256 << 10  # at most MAX_BLOCK; a single longer line still comes whole
    wait_seconds: float = 0.0
    last_lines: int = 0


class LogBlock(Body, frozen=True, tag="log-block"):
    job: str
    offset: int  # of data[0]
    data: bytes  # NDJSON, empty or ending with a newline
    next: int  # ask for this offset next
    ended: bool = False  # the job has finished and nothing comes after `next`
    size: int = 0  # of the journal now, for progress
    state: str = ""  # of the job


class ResultRow(msgspec.Struct, omit_defaults=True):
    """One test case, or one record of suite `lava`, as it arrived (spec: results-and-logs §2)."""

    suite: str
    case: str
    result: str
    set: str = ""
    measurement: float | None = None
    units: str = ""
    level: str = ""
    duration: str = ""
    seq: int = -1  # its journal line
    dt: str = ""
    starttc: int = -1
    endtc: int = -1
    metadata: dict[str, Any] = {}  # the whole record


class Results(Body, frozen=True, tag="results"):
    """Results of a job so far, in order of arrival. Answered by ResultPage."""

    job: str
    offset: int = 0  # rows to skip
    limit: int = MAX_PAGE
    suite: str = ""


class ResultPage(Body, frozen=True, tag="result-page"):
    rows: list[ResultRow]
    total: int


class DeviceRow(msgspec.Struct, omit_defaults=True):
    name: str
    device_type: str
    state: str  # Idle Reserved Running
    health: str  # Good Unknown Looping Bad Maintenance Retired
    worker: str = ""  # empty: any worker
    worker_online: bool = False
    tags: list[str] = []
    job: str = ""
    note: str = ""  # reason of the health
    changed: float = 0.0
    problem: str = ""  # what is wrong with its file


class DeviceList(Body, frozen=True, tag="device-list"):
    device_type: str = ""


class Devices(Body, frozen=True, tag="devices"):
    rows: list[DeviceRow]


class DeviceShow(Body, frozen=True, tag="device-show"):
    """One device with its configuration as rendered for `context`. Answered by DeviceInfo."""

    name: str
    context: dict[str, Any] = {}


class DeviceInfo(Body, frozen=True, tag="device-info"):
    row: DeviceRow
    config: dict[str, Any] = {}
    history: list[str] = []  # audit lines "<ISO time> <who>: old → new (reason)", oldest first


class DeviceSet(Body, frozen=True, tag="device-set"):
    """Set the health of a device: good, unknown, looping, bad, maintenance or retired. Answered by
    DeviceInfo.
    """

    name: str
    health: str
    reason: str = ""


class WorkerRow(msgspec.Struct, omit_defaults=True):
    name: str
    state: str  # Online Offline
    health: str = "Active"  # Active Maintenance Retired
    version: str = ""
    seen: float = 0.0
    clock_offset: float = 0.0  # seconds that its clock is ahead of the master's
    jobs: list[str] = []
    facts: HostFacts | None = None
    warning: str = ""


class WorkerList(Body, frozen=True, tag="worker-list"):
    pass


class Workers(Body, frozen=True, tag="workers"):
    rows: list[WorkerRow]


class WorkerSet(Body, frozen=True, tag="worker-set"):
    """Set the health of a worker: active, maintenance or retired. Answered by Workers with one row."""

    name: str
    health: str
    reason: str = ""


class FileRow(msgspec.Struct, omit_defaults=True):
    path: str
    size: int
    sha256: str = ""


class FileList(Body, frozen=True, tag="file-list"):
    """The files kept with a job: overlay tarballs, attachments, plan, launch spec. Answered by Files."""

    job: str


class Files(Body, frozen=True, tag="files"):
    rows: list[FileRow]


class FileRead(Body, frozen=True, tag="file-read"):
    job: str
    path: str
    offset: int = 0
    max_bytes: int = MAX_BLOCK


class FileBlock(Body, frozen=True, tag="file-block"):
    path: str
    offset: int
    data: bytes
    size: int  # of the whole file
    sha256: str = ""


class KeyRow(msgspec.Struct):
    role: str
    name: str
    public: str


class KeyList(Body, frozen=True, tag="key-list"):
    pass


class KeyRows(Body, frozen=True, tag="key-rows"):
    rows: list[KeyRow]


# ---- agent → master ----------------------------------------------------------------------------------------


class AgentJob(msgspec.Struct, omit_defaults=True):
    """A job that the agent holds: it appears in each hello and heartbeat until the master acknowledged its
    end.
    """

    id: str
    unique: str = ""  # StartJob.unique, so that a job of another store is not mistaken for this one
    state: str = (
        "accepted"  # accepted (not started yet), running, ending (container gone, journal being shipped)
    )
    journal: int = 0  # bytes acknowledged by the master as the agent knows it
    note: str = ""  # what it does now, for people


class Hello(Body, frozen=True, tag="hello"):
    """First message of each connection. Answered by Welcome; the master then also sends what is to be
    started.

    The worker's name is the name of its key; `worker` may repeat it, and a different one is refused
    (mismatch). `devices` is empty when the master's device-configs decide (the normal case).
    """

    worker: str = ""
    version: str = ""
    facts: HostFacts = msgspec.field(default_factory=HostFacts)
    jobs: list[AgentJob] = []
    devices: list[str] = []
    instance: str = ""  # Welcome.instance of the last time


class Welcome(Body, frozen=True, tag="welcome"):
    version: str
    instance: str  # jobs of another instance are not known here
    worker: str  # your name
    time: float
    heartbeat: float  # seconds between heartbeats
    file_urls: list[str] = []  # directories that file:// URLs may lie in
    limits: Limits = msgspec.field(default_factory=Limits)


class StartJob(msgspec.Struct, omit_defaults=True):
    """Everything a job needs, so that the agent has no configuration of its own."""

    id: str
    # id that no other master's job has: for names of containers and directories outside the job's own
    unique: str
    text: str  # the job definition, secrets inside as the author wrote them
    device: dict[str, Any]  # rendered
    device_name: str = ""
    secrets: dict[str, str] = {}  # given beside the definition
    submitter: str = ""
    priority: int = 50
    environment: dict[str, str] = {}  # env-dut: exported to the device's shell (spec: fleet §2)
    dispatcher: dict[str, Any] = {}  # worker settings (spec: device-config §7)
    limits: Limits = msgspec.field(default_factory=Limits)
    file_urls: list[str] = []
    attempt_of: str = ""
    group: str = ""
    role: str = ""
    lax: bool = False  # unknown keys in the job are warnings


class CancelJob(msgspec.Struct, omit_defaults=True):
    id: str
    reason: str = ""


class Heartbeat(Body, frozen=True, tag="heartbeat"):
    """Full state of the agent, every Welcome.heartbeat seconds. Answered by Orders, the master's."""

    jobs: list[AgentJob] = []
    time: float = 0.0  # the agent's clock when it was sent
    clock_offset: float = 0.0  # as measured at the last exchange: the agent's clock minus the master's
    draining: bool = False  # accepts no further jobs
    disk_free: int = 0  # bytes where jobs are kept


class Orders(Body, frozen=True, tag="orders"):
    """What the agent should be doing, the master's full state for this worker.

    Each order is repeated until the agent's own state shows that it was heard, so loss is harmless. A
    `cancel` of a job that the agent does not hold is answered by Finished(never_started). `unknown` names
    jobs that the agent reported and that nobody waits for any more (given up as lost, or of another master's
    store): end them, ship what there is, report Finished, and drop them when that is refused with
    unknown-job.
    """

    time: float
    start: list[StartJob] = []
    cancel: list[CancelJob] = []
    known: list[str] = []  # jobs that the master takes for being at this worker
    unknown: list[str] = []


class JobUpdate(Body, frozen=True, tag="job-update"):
    """A job's state has changed, told at once instead of with the next heartbeat. Answered by Done."""

    job: AgentJob


class JournalBlock(Body, frozen=True, tag="journal-block"):
    """Complete journal lines at `offset`. Resending is harmless. Answered by JournalAck."""

    job: str
    offset: int
    data: bytes  # at most MAX_BLOCK unless it is a single line


class JournalAck(Body, frozen=True, tag="journal-ack"):
    """All bytes before `next` are safe on the master's disk; go on there, wherever you were."""

    job: str
    next: int


class FileChunk(Body, frozen=True, tag="file-chunk"):
    """A piece of a file to keep with the job. `size` and `sha256` are of the whole. Answered by FileAck."""

    job: str
    path: str  # relative, "/" between parts, no ".."
    offset: int
    data: bytes
    size: int
    sha256: str


class FileAck(Body, frozen=True, tag="file-ack"):
    job: str
    path: str
    next: int  # go on there
    complete: bool = False


class Finished(Body, frozen=True, tag="finished"):
    """The job's container is gone, its device is off, its journal and files have been shipped. Answered by
    Done.

    `end` is the journal's last record, None when the runner died without one; then `error_type` and
    `error_msg` say what the agent saw (container's exit code, out of memory …). Failure(mismatch) when the
    master's journal is shorter than `journal`: ship the rest first.
    """

    job: str
    journal: int  # size of the journal
    end: End | None = None
    error_type: str = ""
    error_msg: str = ""
    never_started: bool = False


class Goodbye(Body, frozen=True, tag="goodbye"):
    """The agent stops in an orderly way; its jobs stay. Answered by Done."""


# ---- master → agent, without being asked -------------------------------------------------------------------


class Start(Body, frozen=True, tag="start"):
    job: StartJob


class Stop(Body, frozen=True, tag="stop"):
    """Cancel a job now."""

    job: CancelJob


class HelloAgain(Body, frozen=True, tag="hello-again"):
    """The master has restarted or lost track: say Hello."""


Request = (
    Ping
    | Submit
    | JobList
    | JobShow
    | JobDefinition
    | Cancel
    | LogRead
    | Results
    | DeviceList
    | DeviceShow
    | DeviceSet
    | WorkerList
    | WorkerSet
    | FileList
    | FileRead
    | KeyList
    | Hello
    | Heartbeat
    | JobUpdate
    | JournalBlock
    | FileChunk
    | Finished
    | Goodbye
)
Reply = (
    Done
    | Failure
    | Pong
    | Submitted
    | Jobs
    | JobInfo
    | Definition
    | LogBlock
    | ResultPage
    | Devices
    | DeviceInfo
    | Workers
    | Files
    | FileBlock
    | KeyRows
    | Welcome
    | Orders
    | JournalAck
    | FileAck
)
Push = Start | Stop | HelloAgain

READS = (
    Ping,
    JobList,
    JobShow,
    JobDefinition,
    LogRead,
    Results,
    DeviceList,
    DeviceShow,
    WorkerList,
    FileList,
    FileRead,
)
OF_AGENT = (Ping, Hello, Heartbeat, JobUpdate, JournalBlock, FileChunk, Finished, Goodbye)
OF_CLIENT = (*READS, Submit, Cancel)
OF_ADMIN = (*OF_CLIENT, DeviceSet, WorkerSet, KeyList)
ALLOWED: dict[str, tuple[type[Body], ...]] = {"agent": OF_AGENT, "client": OF_CLIENT, "admin": OF_ADMIN}
ACTING = (
    Submit,
    Cancel,
    DeviceSet,
    WorkerSet,
)  # remembered with their reply; the agent's are idempotent by content


class Envelope(msgspec.Struct):
    """One frame. `body` stays undecoded until version and size are known to be right."""

    v: int
    id: int
    session: str
    body: msgspec.Raw


class WireError(ValueError):
    """A frame that cannot be read. `id` and `session` are those of the frame where they could be made out."""

    def __init__(self, code: str, message: str, id: int = 0, session: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = id
        self.session = session
        self.hint = hint


_encoder = msgspec.msgpack.Encoder()
_envelope = msgspec.msgpack.Decoder(Envelope)
_requests = msgspec.msgpack.Decoder(Request)
_answers = msgspec.msgpack.Decoder(Reply | Push)


def encode(body: Body, id: int, session: str = "", version: int = PROTOCOL) -> bytes:
    """A frame. Raises WireError(too-large) when it would be refused by the other end."""
    frame = _encoder.encode({"v": version, "id": id, "session": session, "body": body})
    if len(frame) > MAX_MESSAGE:
        text = f"a message of {len(frame)} bytes is larger than the limit of {MAX_MESSAGE}"
        raise WireError("too-large", text, id, session)
    return frame


def open_envelope(frame: bytes | memoryview) -> Envelope:
    """The outer part of a frame, version checked. Raises WireError."""
    try:
        envelope = _envelope.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("malformed", f"not a message of lava-exec: {error}") from None
    if envelope.v != PROTOCOL:
        raise WireError(
            "version",
            f"protocol version {envelope.v} is spoken there, {PROTOCOL} here",
            envelope.id,
            envelope.session[:64],
            "Use the same version of lava-exec on master, agents and clients.",
        )
    if len(envelope.session) > 64 or not 0 <= envelope.id < 1 << 62:
        raise WireError("malformed", "session or id out of range")
    return envelope


def decode_request(envelope: Envelope) -> Request:
    """The body of a request. Raises WireError(malformed)."""
    try:
        request: Request = _requests.decode(envelope.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("malformed", f"not a request: {error}", envelope.id, envelope.session) from None
    return request


def decode_answer(frame: bytes | memoryview) -> tuple[int, str, Reply | Push]:
    """id, session and body of what a master sends. Raises WireError."""
    envelope = open_envelope(frame)
    try:
        return envelope.id, envelope.session, _answers.decode(envelope.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("malformed", f"not a reply: {error}", envelope.id, envelope.session) from None

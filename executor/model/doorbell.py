# SPDX-License-Identifier: Apache-2.0
"""What runner and agent say to each other over /run/lava-exec/agent.sock: one JSON object a line.

The journal file is the truth; this socket only wakes the reader and carries questions (design §2, §9). Each
question has an id and its answer is remembered, so asking again after a reconnect acts once.
"""

from __future__ import annotations

import msgspec

MAX_LINE = 1 << 20  # bytes of one message
SCHEMES = ("file", "http", "https", "rclone", "scp")  # of URLs that an agent fetches


class Bell(msgspec.Struct, tag="bell", frozen=True):
    """The journal has grown to `size` bytes."""

    size: int


class Fetch(msgspec.Struct, frozen=True, omit_defaults=True):
    """Get an artefact into the cache (spec: job-format §4)."""

    url: str
    label: str = ""
    compression: str = ""  # "", gz, bz2, xz, zstd, zip: decompress after the checksum was taken
    headers: dict[str, str] = {}
    md5sum: str = ""
    sha256sum: str = ""
    sha512sum: str = ""
    max_bytes: int = 0  # 0: the agent's own limit
    tree: bool = False  # a directory or file of the host, which comes as a tar archive


class Fetched(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where it lies. `path` is below /cache in the container; sizes in bytes."""

    path: str
    size: int  # of the file at `path`
    sha256: str  # of the bytes as downloaded
    transferred_size: int = 0  # size of the file as offered by the server
    downloaded: int = 0  # body bytes that travelled for this request: 0 when the cache had it
    decompressed: int = 0  # bytes that were decompressed for this request: 0 when the cache had it
    seconds: float = 0.0


class Probed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to `probe`, which has the arguments of `fetch`: why the artefact certainly cannot be had."""

    reason: str = ""  # "": nothing speaks against it


class Ask(msgspec.Struct, tag="ask", frozen=True, omit_defaults=True):
    """A question. `what` names it, `args` is its struct as builtins; `seconds` is the runner's deadline."""

    id: str
    what: str  # fetch or probe
    args: dict[str, object]
    seconds: float = 300.0


class Progress(msgspec.Struct, tag="progress", frozen=True, omit_defaults=True):
    """How far a question is: bytes done, bytes in all (0 = unknown)."""

    id: str
    done: int
    total: int = 0
    stage: str = "download"  # download or decompress


class Answer(msgspec.Struct, tag="answer", frozen=True, omit_defaults=True):
    """The end of a question: `ok` holds the reply struct as builtins, or the error fields are set."""

    id: str
    ok: dict[str, object] | None = None
    error_type: str = ""  # see errors.py
    message: str = ""
    hint: str = ""


Message = Bell | Ask | Progress | Answer
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """One line, newline included."""
    return _encoder.encode(message) + b"\n"


def decode(line: bytes) -> Message:
    """Raises msgspec.DecodeError for anything else."""
    return _decoder.decode(line)

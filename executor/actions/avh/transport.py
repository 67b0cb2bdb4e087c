# SPDX-License-Identifier: Apache-2.0
"""One request to a web service and its answer; files are sent as a form, piece by piece."""

from __future__ import annotations

import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from executor.errors import InfrastructureError

_PIECE = 1 << 20


@dataclass(frozen=True)
class Body:
    """What is sent: its type, its length, and its pieces."""

    kind: str
    size: int
    pieces: Iterator[bytes]


def text(content: bytes, kind: str = "application/json") -> Body:
    """A short body."""
    return Body(kind, len(content), iter([content]))


def form(fields: Mapping[str, str], name: str, file: Path) -> Body:
    """A form with fields and one file."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    head, tail = "".join(parts).encode(), f"\r\n--{boundary}--\r\n".encode()

    def pieces() -> Iterator[bytes]:
        yield head
        with file.open("rb") as source:
            while piece := source.read(_PIECE):
                yield piece
        yield tail

    size = len(head) + file.stat().st_size + len(tail)
    return Body(f"multipart/form-data; boundary={boundary}", size, pieces())


def exchange(
    verb: str, url: str, headers: Mapping[str, str], body: Body | None, seconds: float
) -> tuple[int, bytes]:
    """Status and content of the answer. Raises InfrastructureError when there is none."""
    every = dict(headers)
    if body is not None:
        every |= {"Content-Type": body.kind, "Content-Length": str(body.size)}
    data = None if body is None else body.pieces
    request = urllib.request.Request(url, data=data, headers=every, method=verb)  # noqa: S310 - see log_in
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310 - see log_in
            return answer.status, answer.read()
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, problem.read()
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "reason", problem)
        raise InfrastructureError(f"{url.split('/v1/', maxsplit=1)[0]} does not answer: {reason}") from None

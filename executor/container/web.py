# SPDX-License-Identifier: Apache-2.0
"""One file over http or https, as a stream that goes on by itself after the connection was cut. Bytes are
those that the server sent: nothing is decoded on the way.
"""

from __future__ import annotations

import re
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec

from executor.container.cancel import Cancellation
from executor.container.client import Client, display
from executor.errors import InfrastructureError, InfrastructureTimeout, LavaExecError
from executor.model.deadline import Deadline

if TYPE_CHECKING:
    import requests

RESUMES = 5  # cuts in a row without a byte between them
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)\Z")


class Validators(msgspec.Struct, omit_defaults=True):
    """By what a server knows a version of a file again."""

    etag: str = ""
    modified: str = ""

    @property
    def strong(self) -> str:
        """The one that may stand in If-Range, or ""."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.modified


class Download:
    """A GET under way; `unchanged` is True when the server says that `known` is still the newest version.

    Raises InfrastructureError when it cannot be had, InfrastructureTimeout at the deadline, JobError for a
    URL that is none, JobCanceled.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: dict[str, str],
        known: Validators | None,
        deadline: Deadline,
        cancellation: Cancellation,
        verify: str | bool = True,
    ) -> None:
        self.url = url
        self.received = 0  # body bytes that travelled, those of broken connections included
        self._deadline = deadline
        self._cancellation = cancellation
        self._client = Client(
            url, headers=headers, deadline=deadline, cancellation=cancellation, verify=verify
        )
        self._offset = 0
        self._skip = 0
        self._attempts = 0
        ask = {}
        if known is not None and known.etag:
            ask["If-None-Match"] = known.etag
        elif known is not None and known.modified:
            ask["If-Modified-Since"] = known.modified
        try:
            self._response = self._client.ask(ask)
            self.unchanged = bool(ask) and self._response.status_code == 304
            if not self.unchanged:
                self._check_status()
            self.validators = _validators(self._response)
            self.total = _length(self._response)  # bytes of the whole file, 0 = unknown
        except BaseException:
            self._client.close()
            raise

    def read(self, size: int = 1 << 18, /) -> bytes:
        """Up to `size` bytes, b"" at the end of the file."""
        while True:
            try:
                chunk = self._read(size)
            except LavaExecError:
                raise
            except Exception as error:  # what http.client, ssl and urllib3 call a cut connection
                self._resume(error)
                continue
            if chunk:
                self._attempts = 0
                self._offset += len(chunk)
                return chunk
            if self.total and self._offset < self.total:
                self._resume(ConnectionError(f"{self._offset} of {self.total} bytes had come"))
                continue
            return b""

    def close(self) -> None:
        """Let go of the connection; harmless when repeated."""
        self._response.close()
        self._client.close()

    def __enter__(self) -> Download:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, size: int) -> bytes:
        self._client.check_time()
        raw = self._response.raw
        with self._cancellation.hook(raw.shutdown):
            while True:
                chunk: bytes = raw.read(size, decode_content=False)
                self._cancellation.check()
                self.received += len(chunk)
                if not self._skip or not chunk:
                    return chunk
                dropped = min(self._skip, len(chunk))
                self._skip -= dropped
                if chunk[dropped:]:
                    return chunk[dropped:]

    def _resume(self, why: Exception) -> None:
        """Go on where the connection broke. Raises InfrastructureError when that cannot be done."""
        self._response.close()
        self._cancellation.check()
        cut = InfrastructureError(
            f"the download of {display(self.url)} was cut after {self._offset} of {self.total or '?'} bytes",
            f"Look at the server and the network when this stays so. It was: {why}"[:300],
        )
        while self._attempts < RESUMES:
            self._attempts += 1
            self._client.check_time()
            self._cancellation.wait(min(0.1 * 2**self._attempts, self._deadline.remaining))
            condition = self.validators.strong
            ask = {"Range": f"bytes={self._offset}-"} | ({"If-Range": condition} if condition else {})
            try:
                self._response = self._client.ask(ask if self._offset else {})
            except InfrastructureTimeout:
                raise
            except InfrastructureError:
                continue
            if self._goes_on():
                return
            break
        raise cut

    def _goes_on(self) -> bool:
        """Is the new response the rest of the same file? A whole one is read again up to where we were."""
        response = self._response
        found = _RANGE.match(response.headers.get("Content-Range", ""))
        if response.status_code == 206 and found is not None:
            same = found[2] == "*" or not self.total or int(found[2]) == self.total
            return int(found[1]) == self._offset and same
        if response.status_code == 200:
            again = _validators(response)
            same = again == self.validators and bool(again.strong or not self._offset)
            self._skip = self._offset
            return same and _length(response) == self.total
        return False

    def _check_status(self) -> None:
        response = self._response
        if response.status_code == 200:
            return
        reason = f"{response.status_code} {response.reason or ''}".strip()
        hint = {
            401: "The server wants credentials: see `headers` of the download.",
            403: "The server wants credentials: see `headers` of the download.",
            404: "Is the file still there?",
        }.get(response.status_code, "")
        raise InfrastructureError(f"{display(self.url)}: the server answered {reason}", hint)


def _validators(response: requests.Response) -> Validators:
    return Validators(response.headers.get("ETag", "")[:512], response.headers.get("Last-Modified", "")[:64])


def _length(response: requests.Response) -> int:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else 0

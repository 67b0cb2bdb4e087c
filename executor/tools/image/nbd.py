# SPDX-License-Identifier: Apache-2.0
"""Reading and writing inside a qcow2 without converting it: qemu-nbd serves the image to this one client.

All that qcow2 can be (backing files, compressed clusters, both versions) is thus left to QEMU. The server
gets an already listening socket in the abstract name space, so there is no socket file, no path limit and
nothing to poll for.
"""

from __future__ import annotations

import secrets
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from executor.errors import InfrastructureError, JobError
from executor.model.deadline import Deadline
from executor.tools.proc import end, has_ended, overdue, started

_MAGIC = b"NBDMAGIC"
_OPTION = b"IHAVEOPT"
_EXPORT_NAME = 1
_NO_ZEROES = 2
_REQUEST = struct.Struct(">IHHQQI")
_REPLY = struct.Struct(">IIQ")
_REQUEST_MAGIC = 0x25609513
_REPLY_MAGIC = 0x67446698
_READ, _WRITE, _DISCONNECT = 0, 1, 2
_PIECE = 8 << 20  # bytes in one request; the protocol's safe maximum is 32 MiB

# A constant script: it moves the socket to where socket activation looks for it, and names the process that
# may take it. Only a shell can tell its own process id before it becomes qemu-nbd.
_ACTIVATE = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&0 </dev/null'


class NbdBlocks:
    """A disk behind an NBD connection; made by `serve`. Raises JobError for what the image refuses."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._socket = connection
        self._deadline = deadline
        self._handle = 0
        self.size = self._greet()

    def pread(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        parts = []
        while length > 0:
            piece = min(length, _PIECE)
            self._request(_READ, offset, piece)
            parts.append(self._receive(piece))
            offset += piece
            length -= piece
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def pwrite(self, offset: int, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            self._request(_WRITE, offset, min(len(rest), _PIECE), rest[:_PIECE])
            offset += min(len(rest), _PIECE)
            rest = rest[_PIECE:]

    def disconnect(self) -> None:
        """Tell the server that we are done; it writes its tables and ends."""
        self._send(_REQUEST.pack(_REQUEST_MAGIC, 0, _DISCONNECT, 0, 0, 0))

    def _greet(self) -> int:
        if self._receive(16) != _MAGIC + _OPTION:
            raise InfrastructureError("qemu-nbd speaks an unknown protocol")
        flags = struct.unpack(">H", self._receive(2))[0] & 3
        self._send(struct.pack(">I", flags) + _OPTION + struct.pack(">II", _EXPORT_NAME, 0))
        size = int(struct.unpack(">Q", self._receive(10)[:8])[0])
        if not flags & _NO_ZEROES:
            self._receive(124)
        return size

    def _request(self, kind: int, offset: int, length: int, data: memoryview | None = None) -> None:
        self._handle += 1
        self._send(_REQUEST.pack(_REQUEST_MAGIC, 0, kind, self._handle, offset, length))
        if data is not None:
            self._send(data)
        magic, error, handle = _REPLY.unpack(self._receive(_REPLY.size))
        if magic != _REPLY_MAGIC or handle != self._handle:
            raise InfrastructureError("qemu-nbd lost the thread of the connection")
        if error:
            what = "read" if kind == _READ else "written"
            cause = (
                InfrastructureError if error == 28 else JobError
            )  # ENOSPC is ours, the rest is the image's
            raise cause(
                f"the image cannot be {what} at byte {offset} (error {error})", "run qemu-img check on it"
            )

    def _send(self, data: bytes | memoryview) -> None:
        self._arm()
        try:
            self._socket.sendall(data)
        except TimeoutError as problem:
            raise overdue("access to the image did not end", self._deadline) from problem
        except OSError as problem:
            raise InfrastructureError(f"qemu-nbd went away: {problem.strerror}") from problem

    def _receive(self, length: int) -> bytes:
        buffer = bytearray(length)
        view = memoryview(buffer)
        while view:
            self._arm()
            try:
                count = self._socket.recv_into(view)
            except TimeoutError as problem:
                raise overdue("access to the image did not end", self._deadline) from problem
            except OSError as problem:
                raise InfrastructureError(f"qemu-nbd went away: {problem.strerror}") from problem
            if not count:
                raise InfrastructureError("qemu-nbd ended before its time")
            view = view[count:]
        return bytes(buffer)

    def _arm(self) -> None:
        # At most an hour for one answer, even under a deadline that never passes.
        self._socket.settimeout(max(0.001, min(self._deadline.remaining, 3600.0)))


@contextmanager
def serve(image: Path, *, deadline: Deadline, writable: bool = False) -> Iterator[NbdBlocks]:
    """The inside of the qcow2 `image`. What was written is in the file when the context is left.

    Raises JobError when QEMU refuses the image, InfrastructureError when qemu-nbd is missing or fails.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(f"\0lava-exec-{secrets.token_hex(12)}")
        listener.listen(1)
        mode = ["--cache=unsafe"] if writable else ["--read-only"]
        argv = ["sh", "-c", _ACTIVATE, "sh", "qemu-nbd", "--format=qcow2", *mode, str(image.absolute())]
        with started(argv, stdin=listener.fileno(), stderr=subprocess.PIPE) as process:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.connect(listener.getsockname())
                listener.close()  # only the child holds it now: its end shows as the end of the connection
                try:
                    blocks = NbdBlocks(connection, deadline)
                except InfrastructureError as problem:
                    raise _refused(process, image) or problem from problem
                yield blocks
                blocks.disconnect()
            if not has_ended(process, deadline.remaining):
                raise overdue("closing the image did not end", deadline)
            end(process, grace=0)
            if process.returncode != 0:
                raise _refused(process, image) or InfrastructureError(
                    "qemu-nbd failed when it closed the image"
                )


def _refused(process: subprocess.Popen[bytes], image: Path) -> JobError | InfrastructureError | None:
    """What qemu-nbd said when it ended on its own."""
    if not has_ended(process, 1.0) or process.stderr is None:
        return None
    said = process.stderr.read(4096).decode("utf-8", "replace").strip()
    if "not found" in said:
        return InfrastructureError(
            "qemu-nbd is not installed", "add the Debian package qemu-utils to the image"
        )
    return JobError(f"QEMU cannot open {image.name}: {said}" if said else f"QEMU cannot open {image.name}")

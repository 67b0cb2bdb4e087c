# SPDX-License-Identifier: Apache-2.0
"""The inside of a qcow2 through qemu-nbd: what is written is there, and whatever goes wrong has a name."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from executor.errors import InfrastructureError, JobError, JobTimeout
from executor.model.deadline import Deadline
from executor.tools.image.nbd import NbdBlocks, serve

SIZE = 20 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, str(SIZE)], check=True)
    return path


def test_reading_and_writing(image: Path) -> None:
    data = os.urandom(9 << 20)  # more than one request takes
    with serve(image, deadline=Deadline.after(60), writable=True) as inside:
        assert inside.size == SIZE
        inside.pwrite(12345, data)
        assert inside.pread(12345, len(data)) == data
        assert inside.pread(SIZE - 10, 100) == bytes(10)
        assert inside.pread(SIZE + 10, 100) == b""
    with serve(image, deadline=Deadline.after(60)) as inside:
        assert inside.pread(12345, len(data)) == data
        with pytest.raises(JobError, match="cannot be written"):
            inside.pwrite(0, b"x")


def test_an_exception_inside_ends_the_server(image: Path) -> None:
    with pytest.raises(ZeroDivisionError), serve(image, deadline=Deadline.after(60), writable=True):
        _ = 1 // 0
    subprocess.run(["qemu-img", "check", "-q", image], check=True)  # nobody holds its lock


def test_what_qemu_refuses(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"QFI\xfb" + bytes(100))
    with (
        pytest.raises(JobError, match="QEMU cannot open bad: qemu-nbd: "),
        serve(bad, deadline=Deadline.after(60)),
    ):
        pass


def test_without_qemu_nbd(image: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with (
        pytest.raises(InfrastructureError, match="qemu-nbd is not installed"),
        serve(image, deadline=Deadline.after(60)),
    ):
        pass


GREETING = b"NBDMAGICIHAVEOPT" + (3).to_bytes(2, "big")
WELCOME = SIZE.to_bytes(8, "big") + bytes(2)


def against(script: Callable[[socket.socket], None], deadline: Deadline) -> None:
    """A client that reads one byte from a server that does as `script` says."""
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=script, args=(theirs,))
    thread.start()
    try:
        with ours:
            NbdBlocks(ours, deadline).pread(0, 1)
    finally:
        thread.join()
        theirs.close()


def answer(reply: bytes) -> Callable[[socket.socket], None]:
    def script(server: socket.socket) -> None:
        server.sendall(GREETING)
        server.recv(100)
        server.sendall(WELCOME)
        server.recv(100)
        server.sendall(reply)
        server.shutdown(socket.SHUT_WR)

    return script


def test_a_server_that_breaks_off() -> None:
    with pytest.raises(InfrastructureError, match="ended before its time"):
        against(answer(b"\x67\x44"), Deadline.after(60))
    with pytest.raises(InfrastructureError, match="unknown protocol"):
        against(lambda server: server.sendall(b"HTTP/1.1 400 Bad Request"), Deadline.after(60))
    with pytest.raises(InfrastructureError, match="lost the thread"):
        against(answer(b"\x67\x44\x66\x98" + bytes(12)), Deadline.after(60))


def test_errors_of_the_image_and_of_the_disk() -> None:
    head, handle = b"\x67\x44\x66\x98", (1).to_bytes(8, "big")
    with pytest.raises(JobError, match="cannot be read at byte 0 .error 5."):
        against(answer(head + (5).to_bytes(4, "big") + handle), Deadline.after(60))
    with pytest.raises(InfrastructureError, match="error 28"):
        against(answer(head + (28).to_bytes(4, "big") + handle), Deadline.after(60))


def test_a_server_that_says_nothing() -> None:
    gone = threading.Event()

    def silent(server: socket.socket) -> None:
        server.sendall(GREETING)
        server.recv(100)
        gone.wait(60)

    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=silent, args=(theirs,))
    thread.start()
    with ours, theirs:
        with pytest.raises(JobTimeout, match="access to the image did not end"):
            NbdBlocks(ours, Deadline.after(0.1))
        gone.set()
        thread.join()

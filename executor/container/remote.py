# SPDX-License-Identifier: Apache-2.0
"""Files that a program brings on its standard output: scp URLs by `ssh … cat`, rclone URLs by `rclone cat`.

Nothing of the account that the agent runs under is used: an admin puts a key and the known hosts into a
directory of the state, and the servers in `known_hosts` are those that jobs may read from. No prompt, no
agent, no forwarding; words of the job reach a program only behind its options, and the remote shell quoted.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from executor.container.cancel import Cancellation
from executor.container.client import display
from executor.container.web import Validators
from executor.errors import InfrastructureError, InfrastructureTimeout, JobError
from executor.model.deadline import Deadline

CONNECT_SECONDS = 15
SILENCE_SECONDS = 60.0
_FIRST_LINE = 4096  # bytes at most of the line that tells the state of a remote file
_HOST = re.compile(r"[A-Za-z0-9][\w.-]*|[0-9a-f:]+", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][\w.-]*", re.ASCII)
_REMOTE = re.compile(r"[A-Za-z0-9_][\w .+@-]*", re.ASCII)
# Says the file's state, and sends it unless that is the state which we know.
_SEND = 's=$(stat -Lc %s:%Y:%i -- "$1" 2>/dev/null); echo "${s:-?}"; [ "${s:-?}" = "$2" ] || exec cat -- "$1"'


class Program:
    """The output of a program as a download under way; see `web.Download`, of which it has the interface.

    Raises InfrastructureError when the file cannot be had, InfrastructureTimeout at the deadline,
    JobCanceled.
    """

    hint = ""  # for whoever has to act when the program fails

    def __init__(
        self, url: str, argv: Sequence[str], *, deadline: Deadline, cancellation: Cancellation
    ) -> None:
        self.url = url
        self.received = self.total = 0
        self.unchanged = False
        self.validators = Validators()
        self._deadline, self._cancellation = deadline, cancellation
        found = shutil.which(argv[0])
        if found is None:
            raise InfrastructureError(f"{argv[0]} is not installed on the worker, {display(url)} needs it")
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed with us
        try:
            self._process = subprocess.Popen(
                [found, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,
            )
        except OSError as error:
            self._said.close()
            raise InfrastructureError(f"{argv[0]} cannot be started: {error.strerror}") from None
        assert self._process.stdout is not None  # noqa: S101  # PIPE was asked for
        self._pipe = self._process.stdout
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)
        self._ended = False

    def read(self, size: int = 1 << 18, /) -> bytes:
        """Up to `size` bytes, b"" at the end of a file that came whole."""
        if self._ended:
            return b""
        with self._cancellation.hook(self._kill):
            self._wait()
            chunk = os.read(self._pipe.fileno(), size)
        self.received += len(chunk)
        if not chunk:
            self._ended = True
            self._finish()
        return chunk

    def close(self) -> None:
        """End the program; harmless when repeated."""
        self._kill()
        self._pipe.close()
        self._said.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self) -> None:
        seconds = min(self._deadline.remaining, SILENCE_SECONDS)
        if self._poll.poll(max(0.0, seconds) * 1000):
            return
        self._cancellation.check()
        if self._deadline.expired:
            raise InfrastructureTimeout(
                f"the download of {display(self.url)} did not end within {self._deadline.limit:.0f} s"
            )
        raise InfrastructureError(f"{display(self.url)}: nothing came for {SILENCE_SECONDS:.0f} s")

    def _finish(self) -> None:
        """What the end of the output means."""
        try:
            code = self._process.wait(max(1.0, min(self._deadline.remaining, SILENCE_SECONDS)))
        except subprocess.TimeoutExpired:
            raise InfrastructureError(f"{display(self.url)}: the transfer did not end") from None
        self._cancellation.check()
        if code:
            raise InfrastructureError(
                f"{display(self.url)} cannot be downloaded: {self.said(code)}", self.hint
            )
        if self.total and self.received != self.total:
            raise InfrastructureError(
                f"the download of {display(self.url)} was cut after {self.received} of {self.total} bytes"
            )

    def said(self, code: int) -> str:
        """The last line that the program complained with."""
        self._said.seek(0)
        lines = self._said.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else f"code {code}"

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class SshDownload(Program):
    """`scp://user@host:port/path`."""

    hint = "An admin puts the server's key into known_hosts and a key of the worker's beside it."

    def __init__(
        self,
        url: str,
        directory: Path | None,
        *,
        known: Validators | None,
        deadline: Deadline,
        cancellation: Cancellation,
    ) -> None:
        super().__init__(url, _ssh(url, directory, known), deadline=deadline, cancellation=cancellation)
        try:
            self._first_line(known)
        except BaseException:
            self.close()
            raise

    def _first_line(self, known: Validators | None) -> None:
        line = b""
        while not line.endswith(b"\n"):
            byte = self.read(1)
            if not byte or len(line) > _FIRST_LINE:
                raise InfrastructureError(
                    f"{display(self.url)}: the server's shell does not answer as expected"
                )
            line += byte
        self.received = 0
        state = line.decode("ascii", "replace").strip()
        size = state.partition(":")[0]
        if size.isdigit():
            self.total = int(size)
            self.validators = Validators(etag=state)
        self.unchanged = known is not None and known.etag == state


class RcloneDownload(Program):
    """`rclone://remote/path`, by the admin's configuration."""

    hint = "An admin keeps the remotes in rclone.conf of the state directory."

    def __init__(
        self, url: str, config: Path | None, *, deadline: Deadline, cancellation: Cancellation
    ) -> None:
        super().__init__(url, _rclone(url, config), deadline=deadline, cancellation=cancellation)


def _ssh(url: str, directory: Path | None, known: Validators | None) -> list[str]:
    parts = urlsplit(url)
    try:
        host, user, port = parts.hostname or "", parts.username, parts.port
    except ValueError as error:
        raise JobError(f"{display(url)} is no URL: {error}") from None
    path = unquote(parts.path)
    if parts.password or not _HOST.fullmatch(host) or (user is not None and not _USER.fullmatch(user)):
        raise JobError(f"{display(url)} is no scp URL", "write scp://user@host/path/to/file")
    if len(path) < 2 or "\0" in path or "\n" in path:
        raise JobError(f"{display(url)} names no file", "write scp://user@host/path/to/file")
    if directory is None or not (directory / "known_hosts").is_file():
        raise InfrastructureError(
            f"this worker reads from no server over ssh, so {display(url)} cannot be had",
            f"An admin puts known_hosts and a key (id_ed25519) into {directory or 'the ssh directory'}.",
        )
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": str(CONNECT_SECONDS),
        "ServerAliveInterval": "15",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": f'"{directory / "known_hosts"}"',
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "ClearAllForwardings": "yes",
        "LogLevel": "ERROR",
    }
    argv = ["ssh", "-T", "-F", "/dev/null"]
    for name, value in options.items():
        argv += ["-o", f"{name}={value}"]
    for key in sorted(directory.glob("id_*")):
        argv += [] if key.suffix == ".pub" else ["-i", str(key)]
    argv += ["-l", user] if user else []
    argv += ["-p", str(port)] if port else []
    words = ["sh", "-c", _SEND, "sh", path, known.etag if known is not None and known.etag else "-"]
    return [*argv, "--", host, shlex.join(words)]


def _rclone(url: str, config: Path | None) -> list[str]:
    parts = urlsplit(url)
    remote, path = unquote(parts.netloc), unquote(parts.path).lstrip("/")
    if not _REMOTE.fullmatch(remote) or not path or re.search(r"[\0-\x1f]", path):
        raise JobError(f"{display(url)} is no rclone URL", "write rclone://remote/path/to/file")
    if config is None or not config.is_file():
        raise InfrastructureError(
            f"this worker has no remotes for rclone, so {display(url)} cannot be had",
            f"An admin puts the configuration into {config or 'rclone.conf'}.",
        )
    return ["rclone", "cat", "--config", str(config), "--retries", "3", "--", f"{remote}:{path}"]

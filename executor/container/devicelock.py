# SPDX-License-Identifier: Apache-2.0
"""One job at a time on a device of this host, whoever starts it: an agent, `lava-exec run`, `reproduce`.

A flock ends with its process, a container does not. So the lock file also names the job that holds the
device, and is emptied only when that job has ended; who finds a name there asks whether it still runs
(design §9, Job ids).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from executor.errors import InfrastructureError

_PLAIN = re.compile(r"[A-Za-z0-9][-_.A-Za-z0-9]{0,99}\Z")


class Holder(msgspec.Struct, frozen=True):
    """Who has a device: the job's directory on this host and the process that serves it."""

    job: str
    directory: str
    pid: int


class DeviceLock:
    """Taken by `take_device`; `release` when the device is free again, `keep` when its job outlives us."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    def release(self) -> None:
        """The device is free. Harmless when repeated."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            self.keep()

    def keep(self) -> None:
        """Let go of the lock but leave the name in it: the job goes on without this process."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def take_device(
    directory: Path, device: str, holder: Holder, alive: Callable[[Holder], bool] = lambda holder: False
) -> DeviceLock:
    """Lock a device. `alive` is asked about a holder whose process is gone: does its container still run?

    Raises InfrastructureError naming who has it.
    """
    path = directory / (_plain(device) + ".lock")
    fd = _open(path)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(device, _read(fd)) from None
        before = _read(fd)
        if before is not None and before.directory != holder.directory and alive(before):
            raise _in_use(device, before)
        os.ftruncate(fd, 0)
        os.pwrite(fd, msgspec.json.encode(holder), 0)
    except BaseException:
        os.close(fd)
        raise
    return DeviceLock(path, fd)


def lock_name(device: Mapping[str, object]) -> str:
    """The name to lock a rendered device by; "" for one of software, which may run many times at once."""
    commands = device.get("commands")
    real = bool(device.get("device_info")) or (isinstance(commands, dict) and bool(commands))
    return str(device.get("hostname") or "") if real else ""


def lock_directory(state: Path) -> Path:
    """/run/lava-exec/devices where this user may use it, else a directory of the state."""
    given = os.environ.get("LAVA_EXEC_LOCKS")
    for path in (*([Path(given)] if given else []), Path("/run/lava-exec/devices"), state / "devices"):
        with contextlib.suppress(OSError):
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
        if os.access(path, os.W_OK | os.X_OK):
            return path
    raise InfrastructureError(f"no directory for the locks of devices can be made below {state}")


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise InfrastructureError(f"the lock {path} cannot be used: {error.strerror}") from None


def _plain(device: str) -> str:
    """A file name for any device name."""
    if _PLAIN.match(device):
        return device
    return "device-" + hashlib.sha256(device.encode("utf-8", "replace")).hexdigest()[:32]


def _read(fd: int) -> Holder | None:
    try:
        return msgspec.json.decode(os.pread(fd, 8192, 0), type=Holder)
    except msgspec.DecodeError:
        return None


def _in_use(device: str, holder: Holder | None) -> InfrastructureError:
    who = (
        f"job {holder.job} (process {holder.pid}, {holder.directory})"
        if holder is not None
        else "another job"
    )
    return InfrastructureError(
        f"the device {device} is in use on this host by {who}", "Wait for its end, or cancel that job."
    )

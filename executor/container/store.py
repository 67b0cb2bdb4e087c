# SPDX-License-Identifier: Apache-2.0
"""The artefact cache on disk: content-addressed objects, what is known about URLs and files, pins, eviction.

    objects/<sha256>            bytes as downloaded
    objects/<sha256>-<method>   the same decompressed, named by what it was made from
    index/<key>.json            Meta of an object; its time of change is the last use
    urls/ files/                what a URL or local file held when it was last looked at
    pins/<job>.json             objects that a job needs; never evicted before the time in it
    incoming/                   downloads under way, each locked by its process

Plain files, so that several processes (an agent, `lava-exec run`) share one cache and nothing is lost when
one of them is killed: objects appear by rename, all else is replaced whole. After a loss of power a file
may be shorter than it was; its size is compared before it is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from executor.container.cancel import Cancellation
from executor.errors import InfrastructureError, InfrastructureTimeout
from executor.model.deadline import Deadline

KEEP_FREE = 1 << 30  # bytes of the file system that the cache never takes
S = TypeVar("S")


class Meta(msgspec.Struct, omit_defaults=True):
    """About one object. `linked`: the identity of the user's file that it is another name of, else ""."""

    key: str
    sha256: str
    size: int
    transferred: int = 0  # size of the downloaded form
    linked: str = ""
    md5: str = ""
    sha512: str = ""


class UrlEntry(msgspec.Struct, omit_defaults=True):
    """What a URL held: the object's hash, and by what the server knows this version again."""

    sha256: str
    etag: str = ""
    modified: str = ""


class FileEntry(msgspec.Struct):
    """What a local file held while its identity was `identity`."""

    identity: str
    sha256: str


class Pins(msgspec.Struct):
    """Objects a job needs, until a moment in seconds since the epoch."""

    keys: list[str]
    until: float


class Store:
    """`max_bytes` 0: bounded by the disk alone. Thread-safe, and safe beside other processes."""

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int = 0,
        keep_free: int = KEEP_FREE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.root = root
        self._max_bytes = max_bytes
        self._keep_free = keep_free
        self._clock = clock
        for name in ("objects", "index", "urls", "files", "pins", "incoming", "locks"):
            (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.clean()

    # -- objects

    def path(self, key: str) -> Path:
        """Where an object lies, or would."""
        return self.root / "objects" / key

    def meta(self, key: str) -> Meta | None:
        """What is known about an object, None when the cache does not have it (in good order)."""
        meta = _read(self.root / "index" / f"{key}.json", Meta)
        if meta is None or meta.key != key:
            return None
        try:
            seen = self.path(key).stat()
        except OSError:
            return None
        if seen.st_size != meta.size or (meta.linked and meta.linked != identity(seen)):
            self.drop(key)  # a linked file was changed by its owner, or a disk lost what it had promised
            return None
        return meta

    def add(self, part: Path, meta: Meta) -> None:
        """A finished file becomes an object; readable to all, writable to nobody."""
        if not meta.linked:
            part.chmod(0o444)
        part.replace(self.path(meta.key))
        self.save(meta)

    def save(self, meta: Meta) -> None:
        """Keep what is known about an object; counts as a use."""
        _write(self.root / "index" / f"{meta.key}.json", meta)

    def touch(self, key: str) -> None:
        """It was used now."""
        now = self._clock()
        with contextlib.suppress(OSError):
            os.utime(self.root / "index" / f"{key}.json", (now, now))

    def drop(self, key: str) -> None:
        """Forget an object. Jobs that have it already keep their own link."""
        self.path(key).unlink(missing_ok=True)
        (self.root / "index" / f"{key}.json").unlink(missing_ok=True)

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """A name for a file that is being made; gone at the end unless it became an object."""
        path = self.root / "incoming" / f"{os.getpid()}-{secrets.token_hex(6)}"
        lock = path.with_suffix(".lock")
        with _locked(lock, Deadline.after(5)):
            try:
                yield path
            finally:
                path.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)

    # -- what URLs and files held

    def url(self, url: str) -> UrlEntry | None:
        return _read(self._url_path(url), UrlEntry)

    def set_url(self, url: str, entry: UrlEntry) -> None:
        _write(self._url_path(url), entry)

    def file(self, path: Path, seen: os.stat_result) -> str:
        """The hash of an unchanged local file, "" when it was never read in this state."""
        entry = _read(self.root / "files" / f"{_digest(str(path))}.json", FileEntry)
        return entry.sha256 if entry is not None and entry.identity == identity(seen) else ""

    def set_file(self, path: Path, seen: os.stat_result, sha256: str) -> None:
        _write(self.root / "files" / f"{_digest(str(path))}.json", FileEntry(identity(seen), sha256))

    def lock(
        self, name: str, deadline: Deadline, cancellation: Cancellation
    ) -> contextlib.AbstractContextManager[None]:
        """Only one at a time, over all processes, so that two jobs download the same once."""
        return _locked(self.root / "locks" / _digest(name), deadline, cancellation)

    # -- pins and room

    def pin(self, job: str, keys: list[str], until: float) -> None:
        """Objects of a job stay until then. An empty list unpins."""
        path = self.root / "pins" / f"{job}.json"
        if keys:
            _write(path, Pins(keys, until))
        else:
            path.unlink(missing_ok=True)

    def make_room(self, size: int) -> None:
        """Evict until `size` more bytes fit. Raises InfrastructureError when the disk cannot hold them."""
        rows = self._objects()
        total = sum(stored for _, stored, _ in rows)
        pinned = self._pinned()
        for _, stored, key in sorted(rows):
            over = self._max_bytes and total + size > self._max_bytes
            if not over and self._free() >= size + self._keep_free:
                return
            if key in pinned or not stored:
                continue
            self.drop(key)
            total -= stored
        free = self._free()
        if free < size:
            raise InfrastructureError(
                f"no room for {size} bytes in {self.root}: {free} bytes are free",
                "Free some space on the worker, or give the cache another disk.",
            )

    def clean(self) -> None:
        """Remove what dead processes left: downloads that tore, pins that are over, locks, orphaned rows."""
        for lock in (self.root / "incoming").glob("*.lock"):
            with contextlib.suppress(InfrastructureError), _locked(lock, Deadline.after(0)):
                lock.with_suffix("").unlink(missing_ok=True)
                lock.with_suffix("").with_name(f"{lock.stem}.part").unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
        for lock in (self.root / "locks").iterdir():
            with contextlib.suppress(InfrastructureError), _locked(lock, Deadline.after(0)):
                lock.unlink(missing_ok=True)
        for path in (self.root / "pins").glob("*.json"):
            pins = _read(path, Pins)
            if pins is None or pins.until < self._clock():
                path.unlink(missing_ok=True)
        for folder, depth in (("urls", 4096), ("files", 4096)):
            paths = sorted((self.root / folder).iterdir(), key=_changed, reverse=True)
            for path in paths[depth:]:
                path.unlink(missing_ok=True)

    def size(self) -> int:
        """Bytes that the objects take; users' own files that are only linked count for nothing."""
        return sum(stored for _, stored, _ in self._objects())

    def _objects(self) -> list[tuple[float, int, str]]:
        """(last use, bytes, key) of each object."""
        rows = []
        for entry in os.scandir(self.root / "objects"):
            index = self.root / "index" / f"{entry.name}.json"
            meta = _read(index, Meta)
            try:
                stored = 0 if meta is not None and meta.linked else entry.stat().st_blocks * 512
            except OSError:
                continue
            rows.append((_changed(index), stored, entry.name))
        return rows

    def _pinned(self) -> set[str]:
        now = self._clock()
        found: set[str] = set()
        for path in (self.root / "pins").glob("*.json"):
            pins = _read(path, Pins)
            if pins is not None and pins.until >= now:
                found.update(pins.keys)
        return found

    def _free(self) -> int:
        seen = os.statvfs(self.root)
        return seen.f_bavail * seen.f_frsize

    def _url_path(self, url: str) -> Path:
        return self.root / "urls" / f"{_digest(url)}.json"


def identity(seen: os.stat_result) -> str:
    """By what a file in a certain state is known again."""
    return f"{seen.st_dev}:{seen.st_ino}:{seen.st_size}:{seen.st_mtime_ns}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path, kind: type[S]) -> S | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def _write(path: Path, value: msgspec.Struct) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(msgspec.json.encode(value))
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InfrastructureError(
            f"the cache cannot be written: {error.strerror} ({path.parent})", "Is its disk full?"
        ) from None


@contextlib.contextmanager
def _locked(path: Path, deadline: Deadline, cancellation: Cancellation | None = None) -> Iterator[None]:
    """Hold `path` exclusively. The file may be removed by its holder, so a lock on a removed one is none."""
    pause = 0.01
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same(fd, path):
                break
        except BlockingIOError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        if deadline.expired:
            raise InfrastructureTimeout(f"{path.name} is in use by another download")
        if cancellation is not None:
            cancellation.wait(pause)
        else:
            time.sleep(pause)
        pause = min(pause * 2, 0.2)
    try:
        yield
    finally:
        os.close(fd)


def _same(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False

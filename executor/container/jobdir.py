# SPDX-License-Identifier: Apache-2.0
"""The directory of one job on the worker host: what is in it, who may use it, what stays.

spec.json                    the launch spec
job/{job,device,worker}.yaml mounted read-only at /job; ca.crt beside them when the host has a CA bundle
out/                         /out, kept
artefacts.json               what was fetched
session.json, owner.lock     while the job is alive: what a session needs to be taken up again, and who has it
session.log                  what the host's side did
work/ run/ cache/ dev/       scratch, removed at the end
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from executor import __version__
from executor.container.beneath import disk_usage
from executor.errors import ConfigurationError, InfrastructureError, LavaExecError
from executor.model.journal import Header
from executor.model.launch import LaunchSpec
from executor.model.worker import Worker

_SCRATCH = ("work", "run", "cache", "dev")
S = TypeVar("S")


class Artefact(msgspec.Struct, omit_defaults=True):
    """One thing that was fetched. `keys`: its objects in the cache, the one used first."""

    url: str
    sha256: str
    label: str = ""
    compression: str = ""
    keys: list[str] = []
    size: int = 0
    transferred_size: int = 0


class SessionRecord(msgspec.Struct, omit_defaults=True):
    """What another process needs to go on with this job."""

    job_id: str
    device_name: str = ""
    container: str = ""  # full id, "" before it was made
    container_name: str = ""
    state: str = ""  # the state directory in the labels of its containers
    started: bool = False
    secrets: str = ""  # path of the file in memory
    directories: list[str] = []  # that file:// URLs may lie in
    files: list[str] = []
    max_bytes: int = 0  # of one download; 0: no limit
    until: float = 0.0  # seconds since the epoch after which the runner is taken for hung; 0: never
    canceled: str = ""  # the reason, once somebody asked for the end


class JobDirectory:
    """Paths and files of one job. `uid` and `gid` are the container user's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.out = path / "out"
        self.journal = path / "out" / "journal.ndjson"
        self.run = path / "run"
        self.work = path / "work"
        self.cache = path / "cache"
        self.inputs = path / "job"
        self._owner = -1

    # -- making it

    def create(self, uid: int, gid: int) -> None:
        """Make the tree; 0700 for the host, the container's own parts belong to its user.

        Raises InfrastructureError.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            self.inputs.mkdir(mode=0o755, exist_ok=True)
            self.cache.mkdir(mode=0o755, exist_ok=True)
            for path in (self.out, self.work, self.run, self.path / "dev"):
                path.mkdir(mode=0o755, exist_ok=True)
                if os.geteuid() == 0:
                    os.chown(path, uid, gid)
        except OSError as error:
            raise InfrastructureError(
                f"the job directory {self.path} cannot be made: {error.strerror}",
                "Check the disk and the permissions of the state directory.",
            ) from None

    def write_inputs(self, text: str, device: dict[str, Any], *, secrets: bool, ca_bundle: str = "") -> None:
        """What is mounted at /job, worker.yaml excepted. `text` must be without secrets."""
        (self.inputs / "job.yaml").write_text(text, encoding="utf-8")
        (self.inputs / "device.yaml").write_text(_yaml(device), encoding="utf-8")
        if secrets:
            (self.inputs / "secrets").touch()  # where the file in memory is mounted
        if ca_bundle:
            with contextlib.suppress(OSError):
                shutil.copyfile(ca_bundle, self.inputs / "ca.crt")

    def write_worker(self, worker: Worker) -> None:
        (self.inputs / "worker.yaml").write_text(_yaml(msgspec.to_builtins(worker)), encoding="utf-8")

    def write_spec(self, spec: LaunchSpec) -> None:
        _write(self.path / "spec.json", spec)

    # -- reading it

    def read_spec(self) -> LaunchSpec:
        """Raises InfrastructureError when this is no directory of a job that was started."""
        spec = _read(self.path / "spec.json", LaunchSpec)
        if spec is None:
            raise InfrastructureError(f"{self.path} holds no launch spec of a job")
        return spec

    def read_device(self) -> dict[str, Any]:
        return _read_yaml(self.inputs / "device.yaml")

    def read_worker(self) -> Worker:
        return msgspec.convert(_read_yaml(self.inputs / "worker.yaml"), Worker)

    def header(self) -> Header:
        """The first record for a journal that the runner never began, as far as these files tell it."""
        header = Header(version=__version__)
        with contextlib.suppress(LavaExecError, msgspec.ValidationError):
            worker = self.read_worker()
            header.job_id, header.submitter, header.host = worker.job_id, worker.submitter, worker.worker
            header.image, header.image_digest = worker.image, worker.image_digest
            header.container, header.attempt_of = worker.container, worker.attempt_of
        with contextlib.suppress(LavaExecError):
            device = self.read_device()
            header.device = str(device.get("hostname") or "")
            header.device_type = str(device.get("device_type") or device.get("devicetype") or "")
        with contextlib.suppress(LavaExecError, OSError):
            header.job_name = str(_read_yaml(self.inputs / "job.yaml").get("job_name") or "")
            header.pipeline_job = (self.inputs / "job.yaml").read_text(encoding="utf-8")
        return header

    def artefacts(self) -> list[Artefact]:
        return _read(self.path / "artefacts.json", list[Artefact]) or []

    def write_artefacts(self, artefacts: list[Artefact]) -> None:
        _write(self.path / "artefacts.json", artefacts)

    def session(self) -> SessionRecord | None:
        """None when the job has ended, or was never begun."""
        return _read(self.path / "session.json", SessionRecord)

    def write_session(self, record: SessionRecord) -> None:
        _write(self.path / "session.json", record)

    def check_nodes(self) -> None:
        """Device nodes must work where /dev/lava comes from. Raises ConfigurationError."""
        if os.statvfs(self.path / "dev").f_flag & os.ST_NODEV:
            raise ConfigurationError(
                f"{self.path} lies on a file system that is mounted with nodev: no device can be used there",
                "Put the state directory on another one, or mount it without nodev.",
            )

    def usage(self) -> int:
        """Bytes that the job has written to /work and /out."""
        return disk_usage(self.work, self.out)

    def note(self, text: str) -> None:
        """A line for session.log; never fails."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with contextlib.suppress(OSError), (self.path / "session.log").open("a", encoding="utf-8") as file:
            file.write(f"{now} {text}\n")

    # -- owning and ending it

    def own(self) -> bool:
        """Become the one process that serves this job; False when another one does."""
        if self._owner >= 0:
            return True
        fd = os.open(self.path / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._owner = fd
        return True

    def disown(self) -> None:
        """Let another process have it."""
        if self._owner >= 0:
            os.close(self._owner)
            self._owner = -1

    def end(self) -> None:
        """Remove all that was only needed while the job ran."""
        for name in _SCRATCH:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in ("session.json", "owner.lock"):
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (self.inputs / "secrets").unlink(missing_ok=True)
        self.disown()

    def remove(self) -> None:
        """All of it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.disown()


def _yaml(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return text


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_bytes(), yaml.CSafeLoader)  # noqa: S506  # a safe loader
    except (OSError, yaml.YAMLError) as error:
        raise InfrastructureError(f"{path} cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise InfrastructureError(f"{path} holds no map")
    return data


def _read(path: Path, kind: type[S]) -> S | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def _write(path: Path, value: Any) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1))
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InfrastructureError(f"{path} cannot be written: {error.strerror}") from None

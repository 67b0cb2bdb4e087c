# SPDX-License-Identifier: Apache-2.0
"""A job that has come from the master: where it is kept, what its runner and its journal are told of it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
import yaml

from executor import __version__
from executor.agent.record import AgentRecord, write_record
from executor.container.jobdir import JobDirectory
from executor.container.secretplace import memory_directory, split_secrets
from executor.errors import Bug, LavaExecError
from executor.model.journal import Header
from executor.model.launch import HostFacts
from executor.model.worker import Worker
from executor.wire.messages import StartJob


def accept(jobs: Path, start: StartJob) -> tuple[JobDirectory, AgentRecord]:
    """The directory and the record of a job that has come; what was sent is kept in memory until it runs.

    Raises InfrastructureError.
    """
    directory = JobDirectory(jobs / directory_name(start))
    directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = memory_directory() / f"start-{directory.path.name}"
    record = AgentRecord(start.id, start.unique, submitter=start.submitter, device=start.device_name)
    record.start = str(kept)
    kept.unlink(missing_ok=True)
    with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(msgspec.msgpack.encode(start))
    write_record(directory.path, record)
    return directory, record


def kept_start(record: AgentRecord) -> StartJob | None:
    """What `accept` has put into memory, for a job whose agent died before it began."""
    try:
        return msgspec.msgpack.decode(Path(record.start).read_bytes(), type=StartJob)
    except (OSError, msgspec.DecodeError):
        return None


def directory_name(start: StartJob) -> str:
    """Unique over masters. Raises Bug for an id that is no file name."""
    name = start.unique or start.id
    if not name or name.startswith(".") or not all(c.isalnum() or c in "-_." for c in name + start.id):
        raise Bug(f"the master sent a job whose id is no name: {name[:80]!r}")
    return name


def worker_facts(start: StartJob, facts: HostFacts, *, kvm: bool) -> Worker:
    """What the runner is told; image and container are filled in when they are known."""
    own = start.dispatcher

    def setting(name: str) -> str:
        return str(own.get(name) or "")

    return Worker(
        job_id=start.id,
        worker=facts.worker,
        submitter=start.submitter,
        dispatcher_ip=setting("dispatcher_ip") or facts.dispatcher_ip,
        http_ip=setting("dispatcher_http_ip"),
        nfs_ip=setting("dispatcher_nfs_ip"),
        tftp_ip=setting("dispatcher_tftp_ip"),
        prefix=setting("prefix"),
        http_cache=setting("http_url_format_string"),
        accelerator="kvm" if kvm else "tcg",
        accelerator_reason=facts.kvm_reason,
        attempt_of=start.attempt_of,
        environment=start.environment,
        limits=start.limits,
        strict=not start.lax,
    )


def first_record(start: StartJob, worker: str) -> Header:
    """For a journal of a job that got no container."""
    header = Header(
        job_id=start.id,
        device=start.device_name,
        submitter=start.submitter,
        version=__version__,
        host=worker,
        priority=start.priority,
        group=start.group,
        role=start.role,
        attempt_of=start.attempt_of,
    )
    with contextlib.suppress(yaml.YAMLError, LavaExecError, msgspec.MsgspecError):
        text, _ = split_secrets(start.text)
        data = yaml.load(text, yaml.CSafeLoader)  # noqa: S506  # a safe loader
        if isinstance(data, dict):
            header.job_name = str(data.get("job_name") or "")
            header.device_type = str(data.get("device_type") or "")
            header.pipeline_job = text
    return header

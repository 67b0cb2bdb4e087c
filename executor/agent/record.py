# SPDX-License-Identifier: Apache-2.0
"""What the agent must not forget about a job, in one small file of the job's directory."""

from __future__ import annotations

from pathlib import Path

import msgspec

from executor.container.jobdir import JobDirectory
from executor.errors import InfrastructureError
from executor.model.journal import End

NAME = "agent.json"
ACCEPTED, RUNNING, ENDING, DONE = "accepted", "running", "ending", "done"


class AgentRecord(msgspec.Struct, omit_defaults=True):
    """`state` as in AgentJob, and `done` when the master has everything (or does not want it)."""

    id: str
    unique: str
    state: str = ACCEPTED
    submitter: str = ""
    device: str = ""
    journal: int = 0  # bytes, known when it has ended
    acknowledged: int = 0  # bytes that the master has
    end: End | None = None
    never_started: bool = False
    start: str = ""  # path of the StartJob in memory, until it has been started
    uploaded: dict[str, str] = {}  # path of a file that the master keeps -> its state when it was sent


def read_record(directory: Path) -> AgentRecord | None:
    """None for a directory that is not an agent's job."""
    try:
        return msgspec.json.decode((directory / NAME).read_bytes(), type=AgentRecord)
    except (OSError, msgspec.DecodeError):
        return None


def write_record(directory: Path, record: AgentRecord) -> None:
    """Whole or not at all. Raises InfrastructureError."""
    temporary = directory / f".{NAME}.new"
    try:
        temporary.write_bytes(msgspec.json.encode(record))
        temporary.replace(directory / NAME)
    except OSError as error:
        raise InfrastructureError(f"{directory / NAME} cannot be written: {error.strerror}") from None


def known_jobs(jobs: Path) -> list[tuple[JobDirectory, AgentRecord]]:
    """All directories of jobs below `jobs`, the oldest first."""
    found = []
    for path in jobs.iterdir() if jobs.is_dir() else ():
        record = read_record(path)
        if record is not None:
            found.append((path.stat().st_mtime, JobDirectory(path), record))
    return [(directory, record) for _, directory, record in sorted(found, key=lambda row: row[0])]

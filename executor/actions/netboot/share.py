# SPDX-License-Identifier: Apache-2.0
"""Files at the TFTP server and trees at the NFS server: directories of this job below /srv (design §3).

TFTP knows no passwords, so the name of a directory is the only secret that a file there has (design §9).
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from executor.errors import InfrastructureError, JobError

if TYPE_CHECKING:
    from executor.pipeline.context import Artifact, JobContext, Namespace
    from executor.pipeline.run import Run

_FILE_MODE = 0o644  # servers run as users of their own
_DIRECTORY_MODE = 0o755


def new_directory(root: Path, job_id: str, kind: str) -> Path:
    """`<root>/<job id>/<kind>-<random>`, which nobody can guess. Raises InfrastructureError."""
    path = root / job_id / f"{kind}-{secrets.token_hex(6)}"
    try:
        path.mkdir(parents=True)
        path.chmod(_DIRECTORY_MODE)
    except OSError as problem:
        raise InfrastructureError(
            f"{path} cannot be made: {problem.strerror}",
            "the directories below /srv/tftp and /srv/nfs are made by the agent; may it write there?",
        ) from problem
    return path


def serve_files(run: Run, kind: str) -> Path:
    """Begin a deployment whose files lie at the TFTP server; forgets the one before it."""
    run.namespace.deploy_anew()
    context = run.context
    run.namespace.served = new_directory(context.tftp, context.worker.job_id, kind)
    return run.namespace.served


def served_directory(namespace: Namespace, key: str) -> Path:
    """Where the files of one key go."""
    if namespace.served is None:
        raise JobError("there is no directory at the TFTP server", "the deploy block has not begun")
    path = namespace.served / key
    path.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    return path


def publish(run: Run, artifact: Artifact, key: str) -> None:
    """Bring an artefact to the TFTP server, unless it was made there; it gets the name to ask for.

    Raises JobError for a file that TFTP servers do not transfer (spec: job-format §5, tftp).
    """
    target = artifact.path
    if not target.is_relative_to(run.context.tftp):
        # A directory is what `archive: tar` has made.
        name = target.name if target.is_dir() else artifact.file_name
        target = served_directory(run.namespace, key) / name
    for source in _files(artifact.path):
        _serve(run, source, target / source.relative_to(artifact.path), artifact.label)
    artifact.path, artifact.shared = target, False
    artifact.served = str(target.relative_to(run.context.tftp))
    run.log.debug(f"{artifact.label}: served as {artifact.served}")


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [found for found in sorted(path.rglob("*")) if found.is_file()]


def _serve(run: Run, source: Path, target: Path, label: str) -> None:
    """A file at its place, which the server may read and TFTP can transfer."""
    from executor.tools.image.copy import private_copy

    size, most = source.stat().st_size, run.context.worker.limits.tftp_file_bytes
    if size >= most:
        raise JobError(
            f"{label} has {size} bytes, beyond what is served by TFTP",
            f"the limit of this worker is {most} bytes",
        )
    if source != target:
        target.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        private_copy(source, target, deadline=run.deadline)
    target.chmod(_FILE_MODE)


def nfs_server(context: JobContext) -> str:
    """The address that boards mount from."""
    return context.worker.nfs_ip or context.worker.dispatcher_ip

# SPDX-License-Identifier: Apache-2.0
"""Files at the TFTP server and trees at the NFS server: directories of this job below /srv (design §3).

TFTP knows no passwords, so the name of a directory is the only secret that a file there has (design §9).
"""

from __future__ import annotations

import os
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
    from executor.actions.image.copy import private_copy

    context = run.context
    size = artifact.path.stat().st_size
    if size >= context.worker.limits.tftp_file_bytes:
        raise JobError(
            f"{artifact.label} has {size} bytes, beyond what is served by TFTP",
            f"the limit of this worker is {context.worker.limits.tftp_file_bytes} bytes",
        )
    target = artifact.path
    if not is_served(context, target):
        target = served_directory(run.namespace, key) / artifact.file_name
        private_copy(artifact.path, target, deadline=run.deadline)
    os.chmod(target, _FILE_MODE)  # noqa: PTH101
    artifact.path, artifact.shared, artifact.size = target, False, size
    artifact.served = str(target.relative_to(context.tftp))
    run.log.debug(f"{artifact.label}: served as {artifact.served}, {size} bytes")


def is_served(context: JobContext, path: Path) -> bool:
    """Does the file lie at the TFTP server already?"""
    return path.is_relative_to(context.tftp)


def tftp_server(context: JobContext) -> str:
    """The address that boards ask."""
    return context.worker.tftp_ip or context.worker.dispatcher_ip


def nfs_server(context: JobContext) -> str:
    """The address that boards mount from."""
    return context.worker.nfs_ip or context.worker.dispatcher_ip

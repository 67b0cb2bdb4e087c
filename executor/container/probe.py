# SPDX-License-Identifier: Apache-2.0
"""Is an artefact there? Asked while a job is validated, before any device has power (spec: job-format §4).

Only what the job's author has to correct is told. A server that is silent or in trouble may be well again
when the download comes, which is tried again: that is left to it.
"""

from __future__ import annotations

from pathlib import Path

from executor.container import local
from executor.container.cancel import Cancellation
from executor.container.client import SCHEMES, Client, display
from executor.errors import InfrastructureError, InfrastructureTimeout, JobError
from executor.model.deadline import Deadline

_NOT_THERE = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    410: "Gone",
    451: "Unavailable For Legal Reasons",
}
_NO_HEAD = (400, 403, 405, 500, 501)  # what servers say that answer GET only


def probe_file(url: str, directories: tuple[Path, ...], files: tuple[Path, ...], *, tree: bool) -> str:
    """Why a local file cannot be had, "" when it can."""
    try:
        path = local.resolve(url, directories, files)
    except (JobError, InfrastructureError) as error:
        return error.message
    if path.is_file() or (tree and path.is_dir()):
        return ""
    return f"{path} is a directory, not a file" if path.is_dir() else f"there is no file {path}"


def probe_web(
    url: str,
    headers: dict[str, str],
    *,
    deadline: Deadline,
    cancellation: Cancellation,
    verify: str | bool,
) -> str:
    """Ask with HEAD, and with GET where a server does not take that. Raises JobCanceled."""
    if url.partition(":")[0].lower() not in SCHEMES:
        return ""
    client = Client(url, headers=headers, deadline=deadline, cancellation=cancellation, verify=verify)
    try:
        response = client.ask({}, "HEAD")
        response.close()
        if response.status_code in _NO_HEAD:
            response = client.ask({})
            response.close()
    except JobError as error:
        return error.message
    except (InfrastructureError, InfrastructureTimeout):
        return ""
    finally:
        client.close()
    word = _NOT_THERE.get(response.status_code)
    return f"{display(url)}: the server answered {response.status_code} {word}" if word else ""

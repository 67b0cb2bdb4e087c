# SPDX-License-Identifier: Apache-2.0
"""Secrets of a job: taken out of its definition, put into a file in memory that only its container reads.

The file is a JSON map of names to values, mounted at /job/secrets; the job directory on disk never holds it
(design §9, Secrets).
"""

from __future__ import annotations

import os
import secrets as random
import stat
from pathlib import Path

import msgspec
import yaml

from executor.errors import InfrastructureError, JobError

MASK = "[MASKED]"
_MEMORY = ("tmpfs", "ramfs")


def split_secrets(text: str) -> tuple[str, dict[str, str]]:
    """The definition with the values of its `secrets` masked, and these values by name.

    Everything else keeps its line and column, so that errors still point to the right place.
    Raises JobError when the text is no YAML.
    """
    try:
        data = yaml.load(text, yaml.CSafeLoader)  # noqa: S506  # a safe loader
    except (yaml.YAMLError, RecursionError) as error:
        raise JobError(f"the job is not YAML: {error}") from None
    found = data.get("secrets") if isinstance(data, dict) else None
    if not isinstance(found, dict) or not found:
        return text, {}
    values = {str(name): str(value) for name, value in found.items() if value is not None}
    expected = {**data, "secrets": dict.fromkeys(found, MASK)}
    masked = _masked_in_place(text)
    try:
        same = yaml.load(masked, yaml.CSafeLoader) == expected  # noqa: S506  # a safe loader
    except yaml.YAMLError:
        same = False
    if not same:  # anchors, merge keys: written anew, the places in messages are lost
        masked = yaml.dump(expected, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return masked, values


def _masked_in_place(text: str) -> str:
    root = yaml.compose(text, yaml.CSafeLoader)
    pieces: list[tuple[int, int]] = []
    for key, value in root.value if isinstance(root, yaml.MappingNode) else []:
        if key.value == "secrets" and isinstance(value, yaml.MappingNode):
            pieces = [(v.start_mark.index, v.end_mark.index) for _, v in value.value]
    for start, end in sorted(pieces, reverse=True):
        old = text[start:end]
        new = f'"{MASK}"' + "\n" * old.count("\n")
        text = text[:start] + new + text[end:]
    return text


def memory_directory(candidates: list[Path] | None = None) -> Path:
    """A private directory of this user that is never written to a disk. Raises InfrastructureError."""
    uid = os.geteuid()
    for base in candidates or _candidates():
        try:
            if not _in_memory(base.parent if not base.exists() else base):
                continue
            base.mkdir(mode=0o700, exist_ok=True)
            seen = base.lstat()
        except OSError:
            continue
        if stat.S_ISDIR(seen.st_mode) and seen.st_uid == uid and not seen.st_mode & 0o022:
            return base
    raise InfrastructureError(
        "this host has no memory-backed directory for the job's secrets",
        "Mount a tmpfs at /run/lava-exec; in a container, bind the host's /dev/shm to /dev/shm.",
    )


def _candidates() -> list[Path]:
    given = os.environ.get("LAVA_EXEC_SECRETS")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    found = [Path(given)] if given else []
    found += [Path("/run/lava-exec"), *([Path(runtime) / "lava-exec"] if runtime else [])]
    return [*found, Path(f"/dev/shm/lava-exec-{os.geteuid()}")]  # noqa: S108


def _in_memory(path: Path) -> bool:
    """Is the file system that `path` lies on held in memory?"""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split()
        if len(fields) > 6 and fields[2] == wanted:
            return fields[fields.index("-", 6) + 1] in _MEMORY
    return False


def store(values: dict[str, str], uid: int) -> Path:
    """Write them for the user of the container; the file's path. Raises InfrastructureError."""
    path = memory_directory() / f"secrets-{random.token_hex(8)}.json"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(values))
            if os.geteuid() == 0:
                os.fchown(file.fileno(), uid, -1)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise InfrastructureError(f"the job's secrets cannot be stored: {error.strerror}") from None
    return path


def load(path: Path | None) -> dict[str, str]:
    """The values again, {} when they are gone."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str]) if path is not None else {}
    except (OSError, msgspec.DecodeError):
        return {}


def masked(text: str, values: dict[str, str]) -> str:
    """`text` without the values, longest first."""
    for value in sorted({v for v in values.values() if v}, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text

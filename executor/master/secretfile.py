# SPDX-License-Identifier: Apache-2.0
"""A job's text with its secret values, kept in a file of its own only until the job has ended (design §9)."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from executor.errors import ConfigurationError

_NAME = "submission.json"


class Secrets(msgspec.Struct):
    """The text as submitted, and the values given beside it."""

    text: str
    values: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Secrets({len(self.text)} characters, {len(self.values)} values)"


def write_secrets(directory: Path, secrets: Secrets) -> None:
    """Store with mode 0600, on the disk when this returns."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = directory / f".{_NAME}"
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(secrets))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / _NAME)


def read_secrets(directory: Path) -> Secrets:
    """Raises ConfigurationError when the file is gone or broken."""
    try:
        return msgspec.json.decode((directory / _NAME).read_bytes(), type=Secrets)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(
            f"the job's text is gone from the master: {error}", f"Has somebody removed {directory / _NAME}?"
        ) from None


def remove_secrets(directory: Path) -> None:
    """The job has ended. Harmless when repeated."""
    (directory / _NAME).unlink(missing_ok=True)

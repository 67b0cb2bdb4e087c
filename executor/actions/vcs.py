# SPDX-License-Identifier: Apache-2.0
"""What git and bzr have in common: words that are no options, passwords that nobody sees, patience."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from executor.errors import InfrastructureError, JobError
from executor.tools.proc import redact

if TYPE_CHECKING:
    from pathlib import Path

    from executor.pipeline.run import Run

ATTEMPTS, PAUSE = 6, 5.0  # of a clone, and seconds between them (spec: job-format §7)
_BAD_WORD = re.compile(r"-|.*[\s\0-\x1f~^:?*\[\\]")


def check_word(word: str, what: str) -> None:
    """Refuse a branch or revision that is taken for an option, or that cannot be one. Raises JobError."""
    if _BAD_WORD.match(word):
        raise JobError(f"{word!r} is no {what}")


def persist(what: str, url: str, target: Path, run: Run, act: Callable[[], object]) -> None:
    """Do `act`, which fills `target`, again while the network fails it. Raises InfrastructureError."""
    shown = without_password(url)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            act()
            return
        except InfrastructureError as error:
            if attempt == ATTEMPTS or run.deadline.remaining <= PAUSE:
                raise InfrastructureError(
                    f"cannot {what} {shown}: {error.message}",
                    "does the URL answer from the worker? is the branch there?",
                ) from error
            run.log.warning(f"{what} failed, attempt {attempt} of {ATTEMPTS}: {error.message}")
            shutil.rmtree(target, ignore_errors=True)
            time.sleep(PAUSE)


def password_of(url: str) -> str:
    """As it stands in the URL, empty without one."""
    try:
        return urlsplit(url).password or ""
    except ValueError:  # no URL
        return ""


def without_password(url: str) -> str:
    """The URL for logs and command lines: the user stays, the password goes."""
    password = password_of(url)
    return redact(url.replace(f":{password}@", "@", 1), [password]) if password else url

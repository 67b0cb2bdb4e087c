# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a piece of input: data, so that all problems can be shown at once."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

Path = tuple[str | int, ...]  # ("actions", 0, "deploy", "images", "rootfs", "url")


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fault in a job, device or definition file.

    `error_type` is the class by who must act: Job, Configuration, Infrastructure, Test (spec: job-format
    §12).
    `line` and `column` count from 1; 0 means unknown. `severity` is "error" or "warning".
    """

    message: str
    error_type: str = "Job"
    path: Path = ()
    expected: str = ""
    near: str = ""  # the nearest known word, for "did you mean"
    file: str = ""
    line: int = 0
    column: int = 0
    severity: str = "error"
    action: str = ""  # "<level> <name>" when an action of the plan found it
    hint: str = ""

    @property
    def where(self) -> str:
        """`job.yaml:12:7: actions[0].deploy.images`, as far as it is known."""
        place = self.file
        if self.line:
            place += f":{self.line}" + (f":{self.column}" if self.column else "")
        path = dotted(self.path)
        return ": ".join(part for part in (place, path) if part)


def dotted(path: Sequence[str | int]) -> str:
    """`("actions", 0, "deploy")` as `actions[0].deploy`."""
    out = ""
    for step in path:
        out += f"[{step}]" if isinstance(step, int) else (f".{step}" if out else str(step))
    return out

# SPDX-License-Identifier: Apache-2.0
"""What validation may look at. The ideal world answers yes to everything: `--offline`, golden plans,
planning.
"""

from __future__ import annotations

import shutil
from typing import Protocol


class World(Protocol):
    """Questions that change nothing. Each answers "" for yes, or the reason why not."""

    def url(self, url: str, headers: dict[str, str]) -> str:
        """Does this URL answer?"""

    def tool(self, name: str) -> str:
        """Is this program installed where the job runs?"""

    def containers(self) -> str:
        """Can a job have further containers beside its own (design §9, Docker-using tests)?"""

    def group(self) -> str:
        """Is there a coordinator that carries messages between the jobs of a group?"""


class IdealWorld:
    """Every URL answers, every tool is installed, every container can be started."""

    def url(self, url: str, headers: dict[str, str]) -> str:
        return ""

    def tool(self, name: str) -> str:
        return ""

    def containers(self) -> str:
        return ""

    def group(self) -> str:
        return ""


class FarmWorld(IdealWorld):
    """What is known of workers without asking one: URLs and tools are for them to judge."""

    def containers(self) -> str:
        return "workers cannot start containers for jobs yet"

    def group(self) -> str:
        return "a job of a group cannot run by itself: nothing here carries messages to the other jobs"


class LocalWorld(FarmWorld):
    """The machine that this process runs on: tools are looked up in PATH, URLs are left to the download
    itself.
    """

    def tool(self, name: str) -> str:
        return "" if shutil.which(name) else f"{name} is not installed in the job's container"

# SPDX-License-Identifier: Apache-2.0
"""A scene whose namespace has a console, behind which a board plays a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from executor.model.device import Device
from executor.model.job import Job
from executor.pipeline.action import Action
from executor.pipeline.run import Run
from executor.testing.console import FakeClock, ScriptedConsole, ScriptedPort, Step
from executor.testing.pipeline import Scene, placed


class Board:
    """`run` lets an action of `section` do its work against the script; `keys` of a run are its block's."""

    def __init__(
        self,
        directory: Path,
        *script: Step,
        section: str = "boot",
        job: Job | None = None,
        device: Device | None = None,
        echo: bool = True,
        **worker: Any,
    ) -> None:
        self.clock = FakeClock()
        self.scene = Scene(directory, job=job, device=device, clock=self.clock, **worker)
        self.port = ScriptedPort(self.clock, script, echo=echo)
        self.console = ScriptedConsole(self.port, self.scene.journal)  # type: ignore[arg-type]
        self.scene.namespace.console = self.console
        self._section = section

    def run(self, action: Action, **keys: Any) -> Run:
        return self.scene.run(placed(action, section=self._section, **keys))

    def cases(self, suite: str) -> dict[str, str]:
        """Case → result of one suite; a case that was recorded twice is an error of the test."""
        found = [r for r in self.scene.journal.results() if r["definition"] == suite]
        assert len({r["case"] for r in found}) == len(found), found  # noqa: S101
        return {r["case"]: r["result"] for r in found}

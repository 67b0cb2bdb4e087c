# SPDX-License-Identifier: Apache-2.0
"""`interactive`: scripts that are typed on the console, such as a bootloader's (spec: job-format §7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.test.flavours import other_than
from executor.errors import TestError
from executor.model.job import BlockParameters
from executor.model.testblocks import Script
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method
from executor.pipeline.planner import Request
from executor.testshell.events import FAIL, PASS

if TYPE_CHECKING:
    from executor.model.problem import Problem
    from executor.model.testblocks import ScriptItem
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


class InteractiveParameters(BlockParameters, kw_only=True):
    """`interactive`"""

    interactive: Annotated[list[Script], Meta(min_length=1, description="played one after the other")]


@method("test")
class Interactive(Method):
    """Type scripts on the console and judge what comes back."""

    name = "interactive"
    summary = "dialogues with the console"
    Parameters = InteractiveParameters

    @classmethod
    def accepts(cls, request: Request) -> str:
        return other_than("interactive", request.parameters)

    @classmethod
    def action(cls, request: Request) -> Action:
        return InteractiveRetry(cast("InteractiveParameters", request.typed))


class InteractiveRetry(RetryAction):
    """The block, tried again as a whole."""

    name = "lava-test-interactive-retry"
    summary = "interactive test with retry"
    description = "play the block's scripts, with retry"

    def __init__(self, parameters: InteractiveParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        scripts = self.parameters.interactive
        yield PlayScripts(list(zip(_suites(site, scripts), scripts, strict=True)))


class PlayScripts(Action):
    """Play one script after the other; each is a suite."""

    name = "lava-test-interactive"
    summary = "interactive test"
    description = "type scripts on the console and judge the answers"
    timeout_error = TestError

    def __init__(self, scripts: list[tuple[str, Script]]) -> None:
        self.scripts = scripts  # by the name of their suite
        self.grouped = False

    def plan(self, site: Site) -> Iterable[Action]:
        self.grouped = site.job.member is not None
        return ()

    def validate(self, world: World) -> Iterable[Problem]:
        for number, (_, script) in enumerate(self.scripts):
            for step, item in enumerate(script.script):
                if item.api:
                    yield from self._objections(world, item, "interactive", number, "script", step)

    def _objections(self, world: World, item: ScriptItem, *place: str | int) -> Iterator[Problem]:
        """Why this call to other members cannot be made."""
        if not self.grouped:
            hint = "only jobs of a group, `protocols: lava-multinode`, can wait for each other"
            yield self.problem(f"lava-{item.api} in a job that is not part of a group", *place, hint=hint)
        elif reason := world.group():
            yield self.problem(reason, *place, error_type="Infrastructure")

    def run(self, run: Run) -> None:
        run.console.character_delay = self.character_delay / 1000
        for name, script in self.scripts:
            self._play(run, name, script)

    def _play(self, run: Run, name: str, script: Script) -> None:
        from executor.actions.testrun.dialogue import Dialogue
        from executor.actions.testrun.suite import Suite

        run.log.info(f"script {name} begins")
        suite, began = Suite(run, name, script.expected), run.console.clock()
        verdict = FAIL
        try:
            Dialogue(run, script, suite).play()
            verdict = PASS
        finally:
            suite.close()
            run.log.result(
                definition="lava",
                case=name,
                result=verdict,
                duration=f"{run.console.clock() - began:.2f}",
                namespace=self.namespace,
                level=self.level,
                attempt=run.outer if run.outer > 1 else None,
            )


def _suites(site: Site, scripts: list[Script]) -> list[str]:
    """`<stage>_<name>`: the stage is the number of blocks with an overlay before this one. Scripts that would
    share a suite, as in the copies of a repeat block, take the next number that is free.
    """
    used: set[str] = set()
    stage = 0
    for test in site.tests:
        if test.block is site.block:
            break
        if test.block.namespace == site.action.namespace:
            _free(stage, [str(s["name"]) for s in test.block.parameters.get("interactive") or ()], used)
            stage += test.stage >= 0
    return _free(stage, [script.name for script in scripts], used)


def _free(stage: int, names: list[str], used: set[str]) -> list[str]:
    """Names of suites that are not used yet; from now on they are."""
    found = []
    for name in names:
        number = stage
        while f"{number}_{name}" in used:
            number += 1
        found.append(f"{number}_{name}")
        used.add(found[-1])
    return found

# SPDX-License-Identifier: Apache-2.0
"""From job and device to the whole tree of actions, without touching disk or network.

Order matters in one place: an action's own limit and attempts are fixed before its children are made, because
a parent that may be tried N times gives each child an Nth of its limit (spec: job-format §3).
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from executor.errors import Bug, ConfigurationError, JobError, LavaExecError
from executor.model.launch import Needs
from executor.model.problem import Path, Problem
from executor.model.timeouts import parse_skip
from executor.pipeline.limits import action_limit, attempts, connection_limit
from executor.pipeline.method import Method, Registry, builtin_registry
from executor.pipeline.unknown import unknown_names
from executor.pipeline.world import IdealWorld, World
from executor.schema.check import check, convert

if TYPE_CHECKING:
    import msgspec

    from executor.model.device import Device
    from executor.model.job import Block, Job
    from executor.pipeline.action import Action


# Data of another shape than a method expected ends in one of these.
_STUMBLES = (TypeError, ValueError, LookupError, AttributeError)


class PlanError(JobError):
    """A JobError that knows its place in the job, which need not be the block that is being planned."""

    def __init__(self, message: str, path: Path, hint: str = "") -> None:
        super().__init__(message, hint)
        self.path = path


@dataclass(frozen=True)
class TestBlock:
    """A test block as other blocks may see it (spec: action-pipeline §1, the only cross-block input)."""

    __test__ = False
    block: Block
    method: type[Method]
    stage: int  # its directory in every overlay that holds it, from 0; -1 when it needs none
    first_definition: int  # number of its first definition in every overlay that holds it
    first_suite: int  # number of the same over all blocks of its own namespace, which suites are called by

    @property
    def definitions(self) -> list[dict[str, object]]:
        return list(self.block.parameters.get("definitions") or [])


@dataclass(frozen=True)
class Request:
    """What a method is asked with: one block and the device."""

    job: Job
    device: Device
    block: Block
    parameters: dict[str, object]
    tests: tuple[TestBlock, ...] = ()  # of the block's namespace
    typed: msgspec.Struct | None = None  # the method's Parameters, present when `action` is called


@dataclass
class Site:
    """The place of an action while its children are made."""

    job: Job
    device: Device
    block: Block | None
    action: Action
    tests: tuple[TestBlock, ...]

    @property
    def needs_overlay(self) -> bool:
        """Does a test of the namespace need what `lava-overlay` makes?"""
        return any(test.stage >= 0 for test in self.tests)

    @property
    def needs_shell(self) -> bool:
        """Does one of them need a shell?"""
        return any(getattr(test.method, "needs_shell", False) for test in self.tests)


@dataclass(frozen=True)
class _Place:
    """What all actions of one block have in common."""

    section: str
    block: Block | None = None
    tests: tuple[TestBlock, ...] = ()


@dataclass
class Plan:
    """The tree, and what was wrong with it. `actions` is empty when no tree could be built."""

    job: Job
    device: Device
    actions: list[Action] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def walk(self) -> Iterator[Action]:
        for action in self.actions:
            yield from action.walk()

    @property
    def needs(self) -> Needs:
        total = Needs()
        for action in self.walk():
            total |= action.needs()
        return total

    @property
    def errors(self) -> list[Problem]:
        return [p for p in self.problems if p.severity == "error"]


def plan(job: Job, device: Device, registry: Registry | None = None) -> Plan:
    """Build the tree. A block that cannot be planned adds a Problem; the others are planned all the same."""
    return _Planner(job, device, registry or builtin_registry()).plan()


def validate(planned: Plan, world: World | None = None) -> list[Problem]:
    """What each action of the tree objects to, depth first, as it would be logged."""
    world = world or IdealWorld()
    return [problem for action in planned.walk() for problem in action.validate(world)]


class _Planner:
    def __init__(self, job: Job, device: Device, registry: Registry) -> None:
        self.job, self.device, self.registry = job, device, registry
        self.result = Plan(job, device)

    def plan(self) -> Plan:
        tests = self._tests()
        for number, block in enumerate(self.job.blocks, 1):
            try:
                self._block(number, block, tests)
            except LavaExecError as error:
                self._object(block, error)
            except _STUMBLES as error:
                self._object(block, _stumbled(block, error))
        self._place(self.registry.finalize(), str(len(self.job.blocks) + 1), _Place("finalize"))
        if self.result.errors:
            self.result.actions = []
        else:
            self.result.problems += unknown_names(job=self.job, actions=list(self.result.walk()))
        return self.result

    def _block(self, number: int, block: Block, tests: dict[str, list[TestBlock]]) -> None:
        mine = tuple(tests.get(block.namespace, ()))
        request = Request(self.job, self.device, block, block.parameters, mine)
        chosen = self._select(request)
        problems = check(chosen.Parameters, block.parameters, block.path, strict=self.job.strict)
        self.result.problems.extend(problems)
        if any(p.severity == "error" for p in problems):
            return
        typed = convert(chosen.Parameters, block.parameters)
        request = Request(self.job, self.device, block, block.parameters, mine, typed)
        self._place(chosen.action(request), str(number), _Place(block.section, block, mine))

    def _select(self, request: Request) -> type[Method]:
        block = request.block
        _base_check(request)
        named = block.parameters.get("to") or block.parameters.get("method")
        likely = self.registry.called(block.section, named) if isinstance(named, str) else []
        accepted = [method for method in likely if not method.accepts(request)]
        if not accepted:
            reasons = {method: method.accepts(request) for method in self.registry.of(block.section)}
            accepted = [method for method, reason in reasons.items() if not reason]
            if not accepted:
                raise _refusal(block, {method.name: reason for method, reason in reasons.items()})
        return max(accepted, key=lambda method: method.priority)

    def _tests(self) -> dict[str, list[TestBlock]]:
        """Test blocks by namespace: their own, and the one whose console they use (spec: job-format §8).

        Such a block lies in the overlays of both, so its numbers there must be free in both.
        """
        found: dict[str, list[TestBlock]] = {}
        stages: Counter[str] = Counter()
        definitions: Counter[str] = Counter()
        suites: Counter[str] = Counter()
        for block in self.job.blocks:
            if block.section != "test":
                continue
            try:
                chosen = self._select(Request(self.job, self.device, block, block.parameters))
            except (LavaExecError, *_STUMBLES):
                continue  # reported when the block itself is planned
            needs_overlay = getattr(chosen, "needs_overlay", False)
            namespaces = {block.namespace, block.connection_namespace}
            stage = max(stages[name] for name in namespaces) if needs_overlay else -1
            first = max(definitions[name] for name in namespaces)
            test = TestBlock(block, chosen, stage, first, suites[block.namespace])
            if needs_overlay:
                suites[block.namespace] += len(test.definitions)
            for name in namespaces:
                found.setdefault(name, []).append(test)
                if needs_overlay:
                    stages[name] = stage + 1
                    definitions[name] = first + len(test.definitions)
        return found

    def _place(self, action: Action, level: str, place: _Place, parent: Action | None = None) -> Action:
        """Fix what the engine needs to know of an action, then of those below it."""
        block, job, device = place.block, self.job, self.device
        given = block.parameters if block is not None else {}
        action.level, action.section, action.block = level, place.section, block
        action.namespace = block.namespace if block is not None else "common"
        action.max_attempts, action.repeat = attempts(action, block, device)
        action.retry_interval = int(given.get("failure_retry_interval") or 1)
        action.limit = action_limit(action, parent, block, job, device)
        action.connection_limit = connection_limit(action, block, job, device)
        action.skip_timeout = place.section == "test" and parse_skip(given.get("timeout"))
        action.character_delay = device.character_delay(place.section)
        if parent is None:
            self.result.actions.append(action)
        site = Site(job, device, block, action, place.tests)
        action.children = tuple(
            self._place(child, f"{level}.{n}", place, action) for n, child in enumerate(action.plan(site), 1)
        )
        return action

    def _object(self, block: Block, error: LavaExecError) -> None:
        path = error.path if isinstance(error, PlanError) else block.path
        self.result.problems.append(
            Problem(error.message, error_type=error.error_type, path=path, hint=error.hint)
        )


def _base_check(request: Request) -> None:
    """What must hold before any method is asked (spec: action-pipeline §1)."""
    section, block, device = request.block.section, request.block, request.device
    if section == "deploy":
        if not device.deploy_methods:
            raise ConfigurationError("the device file has no actions.deploy.methods")
        if "to" not in block.parameters:
            raise ConfigurationError(
                "deploy block without 'to'", "say where to deploy, for example `to: tmpfs`"
            )
    elif section == "boot":
        if not device.boot_methods:
            raise ConfigurationError("the device file has no actions.boot.methods")
        if "method" not in block.parameters:
            raise ConfigurationError(
                "boot block without 'method'", "say how to boot, for example `method: qemu`"
            )


def _stumbled(block: Block, error: Exception) -> LavaExecError:
    """A method met data of a shape that it did not expect; planning must not end with a traceback."""
    what = block.parameters.get("to") or block.parameters.get("method") or block.section
    return Bug(
        f"planning {block.section} {what} failed: {type(error).__name__}: {error}",
        "a value of the job or of the device file has another form than expected; please report this",
    )


def _refusal(block: Block, reasons: dict[str, str]) -> JobError:
    """Every method with its reason, the likeliest first."""
    wanted = str(block.parameters.get("to") or block.parameters.get("method") or "")
    near = difflib.get_close_matches(wanted, reasons, 1) if wanted else []
    ordered = sorted(reasons, key=lambda name: (name != wanted, name not in near, name))
    lines = "".join(f"\n  {name}: {reasons[name]}" for name in ordered)
    hint = f"did you mean {near[0]!r}?" if near and near[0] != wanted else ""
    return JobError(f"no {block.section} method accepts this block:{lines}", hint)

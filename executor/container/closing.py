# SPDX-License-Identifier: Apache-2.0
"""What is done when a job's container has ended: the device off, the journal complete, the container gone."""

from __future__ import annotations

import time

import msgspec

from executor.container import secretplace
from executor.container.ending import Ending, explain
from executor.container.engine import Container, Engine, EngineGone
from executor.container.jobdir import JobDirectory
from executor.container.journalfile import Tail, read_tail, seal
from executor.container.power import power_off, power_off_commands
from executor.container.request import Places
from executor.errors import InfrastructureError, LavaExecError
from executor.model import journal
from executor.model.deadline import Deadline
from executor.model.journal import End
from executor.model.launch import LaunchSpec

REMOVE_SECONDS = 120.0
POWER_SECONDS = 300.0
LOOK_SECONDS = 30.0
TAIL_LINES = 100
KILLED = 137  # exit code of a process that SIGKILL ended
OOM_LOOKS, OOM_PAUSE = 5, 0.1  # how often, and seconds between


class Outcome(msgspec.Struct):
    """How a job ended. `end` is the journal's last record, or what stands in for it."""

    end: End
    written_by_runner: bool
    journal: int  # bytes
    exit_code: int | None = None  # of the container
    out_of_memory: bool = False  # something in it was killed for want of memory
    power: str = ""  # "" nothing to do, "off" the runner did it, "repeated" by us, "failed"
    leftover: bool = False  # the engine could not be made to remove the container
    downloaded: int = 0  # bytes
    decompressed: int = 0


class Closing:
    """One container that has ended, whatever the way."""

    def __init__(
        self, engine: Engine, directory: JobDirectory, spec: LaunchSpec, places: Places, container: str
    ) -> None:
        self._engine = engine
        self._directory = directory
        self._spec = spec
        self._places = places
        self._container = container

    def conclude(self, ending: Ending, secrets: dict[str, str]) -> Outcome:
        """Never raises for what the engine or the disk does; it is noted and told in the outcome."""
        tail = read_tail(self._directory.journal)
        if not ending.vanished and not ending.engine_lost:
            self._look(ending, with_output=tail.end is None)
        power = self._power_off(tail.end)
        end, written = tail.end, tail.end is not None
        if end is None:
            end = explain(ending, memory_mib=self._spec.memory_mib, disk_mib=self._spec.disk_mib)
            end.powered_off = power != "failed"
            tail = self._seal(end, _last_words(ending, power, secrets), tail)
        return Outcome(
            end=end,
            written_by_runner=written,
            journal=tail.complete,
            exit_code=ending.exit_code,
            out_of_memory=ending.out_of_memory,
            power=power,
            leftover=not remove(self._engine, self._container, self._directory),
        )

    def _look(self, ending: Ending, *, with_output: bool) -> None:
        try:
            seen = self._engine.inspect(self._container, Deadline.after(LOOK_SECONDS))
            if with_output and ending.exit_code == KILLED and not ending.killed:
                seen = self._look_again(seen)
            ending.out_of_memory, ending.error = seen.oom, seen.error
            if with_output:
                ending.said = self._engine.logs(self._container, TAIL_LINES, Deadline.after(LOOK_SECONDS))
        except InfrastructureError as error:
            self._directory.note(f"the ended container cannot be looked at: {error.message}")

    def _look_again(self, seen: Container) -> Container:
        """The engine hears of a kill for want of memory by another way than of the end, maybe later."""
        for _ in range(OOM_LOOKS):
            if seen.oom:
                break
            time.sleep(OOM_PAUSE)
            seen = self._engine.inspect(self._container, Deadline.after(LOOK_SECONDS))
        return seen

    def _power_off(self, end: End | None) -> str:
        """Unless it is proven that the device is off. Returns a word for Outcome.power."""
        try:
            commands = power_off_commands(self._directory.read_device())
        except LavaExecError as error:
            self._directory.note(f"power_off: {error.message}")
            return "failed"
        if not commands:
            return ""
        if end is not None and end.powered_off:
            return "off"
        done = power_off(
            self._engine,
            self._spec,
            self._places,
            commands,
            deadline=Deadline.after(POWER_SECONDS),
            note=self._directory.note,
        )
        return "repeated" if done else "failed"

    def _seal(self, end: End, words: list[tuple[str, str]], tail: Tail) -> Tail:
        try:
            header = self._directory.header()
            return seal(self._directory.journal, end, notes=words, tail=tail, header=header)
        except OSError as error:
            self._directory.note(f"the journal cannot be completed: {error}")
            return tail


def remove(engine: Engine, container: str, directory: JobDirectory) -> bool:
    """Remove a container, waiting for an engine that is gone. False when that did not succeed in time."""
    deadline = Deadline.after(REMOVE_SECONDS)
    while container:
        try:
            engine.remove(container, deadline)
            break
        except EngineGone as error:
            directory.note(f"the container cannot be removed yet: {error.message}")
            if deadline.expired:
                return False
            time.sleep(min(1.0, deadline.remaining))
        except InfrastructureError as error:
            directory.note(f"the container cannot be removed: {error.message}")
            return False
    return True


def _last_words(ending: Ending, power: str, secrets: dict[str, str]) -> list[tuple[str, str]]:
    """(level, text) for the journal of a runner that could not write them itself."""
    said = secretplace.masked(ending.said.decode("utf-8", "replace"), secrets)
    lines = [line for line in said.splitlines()[-TAIL_LINES:] if line.strip()]
    words = [(journal.DEBUG, f"container: {line}") for line in lines]
    if power == "repeated":
        words.append((journal.INFO, "the device was powered off by the host's side"))
    elif power == "failed":
        words.append((journal.ERROR, "power_off failed: the device may still be on"))
    return words

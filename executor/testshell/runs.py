# SPDX-License-Identifier: Apache-2.0
"""What is known of one definition while its console output is read: above all, where results belong."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec


class StreamDefinition(msgspec.Struct, frozen=True):
    """What the reader needs to know of a definition of the stage."""

    index: int
    name: str  # "<idx>_<name>"
    uuid: str = ""
    pattern: str = ""  # regex with groups test_case_id, result, measurement, units
    fixups: Mapping[str, str] = {}


class Place(msgspec.Struct, frozen=True):
    """Suite and set of a result."""

    suite: str
    set: str = ""


class Move(msgspec.Struct, frozen=True):
    """A signal that changed the place: `kind` is suite, start or stop; `before` is the signal that changed it
    last.
    """

    before: int
    kind: str
    name: str = ""

    def apply(self, place: Place) -> Place:
        if self.kind == "suite":
            return Place(self.name, place.set)
        return Place(place.suite, self.name if self.kind == "start" else "")


class DefinitionRun:
    """One definition. `index` is -1 and `name` "" for one whose STARTRUN was destroyed beyond recognition."""

    def __init__(self, definition: StreamDefinition) -> None:
        self.index = definition.index
        self.name = definition.name
        self.uuid = definition.uuid
        self.fixups = definition.fixups
        self.pattern = re.compile(definition.pattern, re.MULTILINE) if definition.pattern else None
        self.started = self.announced = self.ended = self.settled = False
        self.hurt = False  # something of it was destroyed that nothing can restore
        self.cut_cases: dict[str, int] = {}  # cases whose plain signal was cut -> line
        self._context = 0
        self._places = {0: Place(self.name)}
        self._moves: dict[int, Move] = {}

    @property
    def place(self) -> Place | None:
        """Where plain results belong now."""
        return self.at(self._context)

    def rename(self, name: str, uuid: str) -> None:
        """The name became known late."""
        self.name, self.uuid = name, uuid
        self._places = {0: Place(name)}

    def at(self, context: int) -> Place | None:
        """Where results with this context belong; None while the signal that would tell has not arrived."""
        chain = []
        while context not in self._places:
            move = self._moves.get(context)
            if move is None or move.before >= context:
                return None
            chain.append((context, move))
            context = move.before
        place = self._places[context]
        for number, move in reversed(chain):
            place = self._places[number] = move.apply(place)
        return place

    def moved(self, seq: int, move: Move) -> None:
        """A numbered signal changed the place."""
        self._moves[seq] = move
        self._context = max(self._context, seq)

    def moved_plainly(self, kind: str, name: str = "") -> None:
        """A plain one did: it holds from now on, for all that refer to the same context."""
        place = self.place
        if place is not None:
            self._places[self._context] = Move(0, kind, name).apply(place)

    def suite_name(self, given: str) -> str:
        """Suite for lava-test-suite-name: the number stays, so that two definitions cannot collide."""
        return f"{self.index}_{given}" if self.index >= 0 else given

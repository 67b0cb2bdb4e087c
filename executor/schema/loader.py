# SPDX-License-Identifier: Apache-2.0
"""YAML with positions: plain data, the place of every node, and every fault as a Problem, never an exception.

libyaml parses; the tree is built here from its events, without recursion, so that neither deep nesting nor
aliases that multiply can hurt. Plain words resolve as in YAML 1.1, which is the field's habit (`yes` is true,
`010` is 8), with one exception: dates stay text, since no job means a calendar object.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from executor.model.problem import Path, Problem
from executor.schema.yamlfaults import bad_character, cut, fault_at, syntax_fault

MAX_CHARACTERS = 4 << 20
MAX_DEPTH = 100
MAX_NODES = 400_000  # after aliases are spelled out

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {_TAG + "timestamp", _TAG + "value", _TAG + "str", "!"}
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?\Z")


class Document:
    """A parsed file. `data` must not be changed: positions are found through it."""

    def __init__(self, text: str, filename: str) -> None:
        self.filename = filename
        self.data: Any = None
        self.problems: list[Problem] = []
        self.failed = False  # could not be read at all: `data` is None
        self._text = text
        self._root: Any = None
        self._marks: dict[int, dict[Any, Any]] = {}  # id of a container -> key or index -> mark

    def fail(self, problem: Problem) -> None:
        """The text is no YAML document, or one that we do not take."""
        self.problems.append(problem)
        self.data, self.failed = None, True

    def mark(self, path: Path) -> tuple[int, int]:
        """(line, column) from 1 of the node at `path` or of its nearest existing ancestor, else (0, 0)."""
        found, node = self._root, self.data
        for step in path:
            marks = self._marks.get(id(node))
            if marks is None or step not in marks:
                break
            found, node = marks[step], node[step]
        return (0, 0) if found is None else (found.line + 1, found.column + 1)

    def locate(self, problem: Problem) -> Problem:
        """The same problem with this file's name, line and column."""
        import msgspec

        if problem.file and problem.line:
            return problem
        line, column = self.mark(problem.path)
        return msgspec.structs.replace(problem, file=problem.file or self.filename, line=line, column=column)


def load_yaml(text: str, filename: str) -> Document:
    """Read one YAML document. Never raises: what is wrong stands in `problems`."""
    document = Document(text, filename)
    if len(text) > MAX_CHARACTERS:
        document.fail(Problem(f"larger than {MAX_CHARACTERS >> 20} MiB", file=filename, line=1, column=1))
        return document
    try:
        _Builder(document).build()
    except _Refused as refused:
        document.fail(fault_at(refused.mark, str(refused), filename, hint=refused.hint))
    except yaml.MarkedYAMLError as error:
        document.fail(syntax_fault(error, text, filename))
    except (yaml.YAMLError, UnicodeError) as error:
        document.fail(bad_character(error, text, filename))
    document.problems.sort(key=lambda p: (p.line, p.column))
    return document


class _Refused(Exception):
    def __init__(self, message: str, mark: Any, hint: str = "") -> None:
        super().__init__(message)
        self.mark, self.hint = mark, hint


class _Frame:
    """A container that is being filled."""

    __slots__ = ("anchor", "explicit", "key", "key_mark", "marks", "merges", "nodes", "value")

    def __init__(self, value: dict[Any, Any] | list[Any], anchor: str | None) -> None:
        self.value, self.anchor = value, anchor
        self.marks: dict[Any, Any] = {}
        self.key: Any = _NONE
        self.key_mark: Any = None
        self.merges: list[tuple[Any, Any]] = []
        self.nodes = 1


class _Merge:
    """Stands for the key `<<` until its value is there."""


_NONE = object()
_MERGE = _Merge()
_OPEN = object()  # an anchor whose container is not complete yet


class _Builder:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.loader = yaml.CSafeLoader(document._text)
        self.anchors: dict[str, Any] = {}
        self.sizes: dict[int, int] = {}  # id of a container -> nodes with aliases spelled out
        self.stack: list[_Frame] = []
        self.keep: list[Any] = []  # so that ids stay unique

    def build(self) -> None:
        loader = self.loader
        documents = 0
        try:
            while (event := loader.get_event()) is not None:
                if isinstance(event, yaml.ScalarEvent):
                    mark = event.start_mark
                    value = self._scalar(event)
                    if event.anchor is not None:
                        self.anchors[event.anchor] = value
                    self._add(value, mark)
                elif isinstance(event, yaml.AliasEvent):
                    self._alias(event)
                elif isinstance(event, yaml.MappingStartEvent):
                    self._open({}, event, "map")
                elif isinstance(event, yaml.SequenceStartEvent):
                    self._open([], event, "seq")
                elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                    self._close()
                elif isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        raise _Refused(
                            "a second document begins here", event.start_mark, "a file holds one document"
                        )
        finally:
            loader.dispose()

    def _open(self, value: dict[Any, Any] | list[Any], event: Any, kind: str) -> None:
        if event.tag not in (None, "!", _TAG + kind):
            raise _no_tag(event)
        if len(self.stack) >= MAX_DEPTH:
            raise _Refused(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        if self.stack and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is _NONE:
            raise _Refused(
                "a map or a list cannot be a key",
                event.start_mark,
                "text that begins with { or [ must stand in quotes",
            )
        frame = _Frame(value, event.anchor)
        if event.anchor is not None:
            self.anchors[event.anchor] = _OPEN
        self._place(value, event.start_mark)
        self.stack.append(frame)

    def _close(self) -> None:
        frame = self.stack.pop()
        if frame.merges:
            self._merge(frame)
        self.document._marks[id(frame.value)] = frame.marks
        self.keep.append(frame.value)
        self.sizes[id(frame.value)] = frame.nodes
        if frame.anchor is not None:
            self.anchors[frame.anchor] = frame.value
        self._count(frame.nodes, self.document._root)
        if self.stack and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is _MERGE:
            self.stack[-1].merges.append((frame.value, self.stack[-1].key_mark))
            self.stack[-1].key = _NONE
        elif self.stack and isinstance(self.stack[-1].value, dict):
            self.stack[-1].key = _NONE

    def _alias(self, event: Any) -> None:
        if event.anchor not in self.anchors:
            raise _Refused(
                f"the alias *{event.anchor} has no anchor &{event.anchor} before it",
                event.start_mark,
                "text that begins with * must stand in quotes",
            )
        value = self.anchors[event.anchor]
        if value is _OPEN:
            raise _Refused(f"the alias *{event.anchor} refers to itself", event.start_mark)
        frame = self.stack[-1] if self.stack else None
        if frame is not None and isinstance(frame.value, dict):
            if frame.key is _NONE:
                if isinstance(value, (dict, list)):
                    raise _Refused("a map or a list cannot be a key", event.start_mark)
            elif frame.key is _MERGE:
                self._count(self.sizes.get(id(value), 1), event.start_mark)
                frame.merges.append((value, event.start_mark))
                frame.key = _NONE
                return
        if isinstance(value, (dict, list)):
            self._place(value, event.start_mark)
            if frame is not None and isinstance(frame.value, dict):
                frame.key = _NONE
            self._count(self.sizes[id(value)], event.start_mark)
        else:
            self._add(value, event.start_mark)

    def _count(self, nodes: int, mark: Any) -> None:
        if self.stack:
            self.stack[-1].nodes += nodes
            nodes = self.stack[-1].nodes
        if nodes > MAX_NODES:
            raise _Refused(f"more than {MAX_NODES} nodes, counting aliases", mark or self.document._root)

    def _add(self, value: Any, mark: Any) -> None:
        """A scalar: a key, a value, an item, or the document."""
        if self.stack:
            frame = self.stack[-1]
            if isinstance(frame.value, dict):
                if frame.key is _NONE:
                    self._key(frame, value, mark)
                    return
                if frame.key is _MERGE:
                    raise _Refused("<< takes a map or a list of maps", mark)
                self._place(value, mark)
                frame.key = _NONE
                self._count(1, mark)
                return
            self._count(1, mark)
        self._place(value, mark)

    def _key(self, frame: _Frame, key: Any, mark: Any) -> None:
        if key is not _MERGE and key in frame.marks:
            first = frame.marks[key]
            message = f"the key {key!r} stands twice in this map, first in line {first.line + 1}"
            self.document.problems.append(fault_at(mark, message, self.document.filename))
        frame.key, frame.key_mark = key, mark
        if key is not _MERGE:
            frame.marks[key] = mark

    def _place(self, value: Any, mark: Any) -> None:
        if not self.stack:
            self.document.data, self.document._root = value, mark
            return
        frame = self.stack[-1]
        if isinstance(frame.value, list):
            frame.marks[len(frame.value)] = mark
            frame.value.append(value)
        elif frame.key is not _MERGE:
            frame.value[frame.key] = value

    def _merge(self, frame: _Frame) -> None:
        """`<<`: own keys win, then the earlier of several maps."""
        own = frame.value
        assert isinstance(own, dict)  # noqa: S101
        merged: dict[Any, Any] = {}
        for source, mark in frame.merges:
            parts = source if isinstance(source, list) else [source]
            for part in parts:
                if not isinstance(part, dict):
                    raise _Refused("<< takes a map or a list of maps", mark)
                marks = self.document._marks[id(part)]
                for key, value in part.items():
                    if key not in own and key not in merged:
                        merged[key] = value
                        frame.marks[key] = marks.get(key, mark)
        kept = dict(own)
        own.clear()
        own.update(merged)
        own.update(kept)

    def _scalar(self, event: Any) -> Any:
        tag: str | None = event.tag
        text: str = event.value
        if tag is None or tag == "!":
            if tag is None and event.implicit[0]:
                tag = self.loader.resolve(  # type: ignore[no-untyped-call]
                    yaml.ScalarNode, text, event.implicit
                )
            else:
                return text
        if tag in _PLAIN_TAGS:
            return text
        if tag == _TAG + "merge":
            frame = self.stack[-1] if self.stack else None
            return (
                _MERGE if frame is not None and isinstance(frame.value, dict) and frame.key is _NONE else text
            )
        construct = _CONSTRUCT.get(tag)
        if construct is None:
            raise _no_tag(event)
        try:
            value = construct(self.loader, yaml.ScalarNode(tag, text))
        except (ValueError, KeyError, ArithmeticError, yaml.YAMLError):
            raise _Refused(f"{cut(text)!r} does not fit the tag {tag}", event.start_mark) from None
        if ":" in text and _SEXAGESIMAL.match(text):
            hint = "YAML takes digits with colons for base 60: put it in quotes if text is meant"
            message = f"{text} is read as the number {value}"
            self.document.problems.append(
                fault_at(event.start_mark, message, self.document.filename, hint=hint, severity="warning")
            )
        return value


_safe = yaml.constructor.SafeConstructor
_CONSTRUCT: dict[str, Callable[[Any, Any], Any]] = {
    _TAG + "null": _safe.construct_yaml_null,
    _TAG + "bool": _safe.construct_yaml_bool,
    _TAG + "int": _safe.construct_yaml_int,
    _TAG + "float": _safe.construct_yaml_float,
}


def _no_tag(event: Any) -> _Refused:
    hint = "use plain maps, lists and text; text that begins with ! must stand in quotes"
    return _Refused(f"the tag {event.tag} is not supported", event.start_mark, hint)

# SPDX-License-Identifier: Apache-2.0
"""What stands in a test block, typed: definitions, monitors, scripts, services (spec: job-format §7).

None of it depends on the device, so it is checked as soon as the job is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from executor.model.parameters import Text
from executor.model.problem import Path, Problem

FORMATS = ("Lava-Test Test Definition 1.0", "Lava-Test-Shell Test Definition 1.0")
SuiteName = Annotated[
    str, Meta(pattern=r"^[-_a-zA-Z0-9.]+$", extra={"expected": "letters, digits, '-', '_' and '.'"})
]
VERDICTS = ("pass", "fail", "skip", "unknown")
Fixups = Annotated[dict[str, str], Meta(description="raw result → pass, fail, skip or unknown")]
Expression = Annotated[str, Meta(min_length=1, extra={"expected": "a regular expression"})]
Step = str | None


class _Closed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base: other keys are refused."""


class _Open(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Base: other keys are allowed."""


def bad_expression(text: str) -> str:
    """Why `text` is no regular expression, "" when it is one."""
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return ""


def _fixups(data: dict[str, Any], path: Path) -> Iterator[Problem]:
    """A fix-up to something that is no result is of no use, but jobs of the field have it."""
    for raw, result in data.get("fixupdict", {}).items():
        if result not in VERDICTS:
            yield Problem(
                f"{result!r} is no result",
                path=(*path, "fixupdict", raw),
                expected="pass, fail, skip or unknown",
                severity="warning",
            )


class Metadata(_Open):
    """`metadata` of a test definition."""

    format: str
    name: Text
    description: str | None = None


class Steps(_Open):
    """`run` of a test definition."""

    steps: list[Step]


class Install(_Open):
    """`install` of a test definition."""

    keys: list[Text] = []
    sources: list[Text] = []
    deps: list[Text] = []
    git_repos: list[str | dict[str, Any]] = msgspec.field(default_factory=list, name="git-repos")
    bzr_repos: list[str | dict[str, Any]] = msgspec.field(default_factory=list, name="bzr-repos")
    steps: list[Step] = []


class Parse(_Open):
    """`parse` of a test definition: results from plain output."""

    pattern: Expression | None = None
    fixupdict: Fixups = {}

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        if reason := bad_expression(data.get("pattern") or ""):
            yield Problem(f"pattern is no regular expression: {reason}", path=(*path, "pattern"))
        yield from _fixups(data, path)


class InlineDefinition(_Open):
    """A test definition that stands in the job (spec: test-shell §1)."""

    metadata: Metadata
    run: Steps
    install: Install | None = None
    parse: Parse | None = None
    params: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None
    expected: list[Text] = []

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        given = data["metadata"]["format"]
        if given not in FORMATS:
            yield Problem(
                f"format cannot be {given!r}",
                path=(*path, "metadata", "format"),
                expected=FORMATS[0],
                near=FORMATS[0],
            )


class Definition(_Closed):
    """One entry of `definitions`."""

    repository: Annotated[
        Text | InlineDefinition, Meta(description="URL or path; the definition itself if inline")
    ]
    from_: Annotated[
        Literal["git", "inline", "url", "bzr", "file", "tar"], Meta(description="never guessed")
    ] = msgspec.field(name="from")
    path: Annotated[Text | None, Meta(description="YAML file inside the repository")] = None
    name: Annotated[
        SuiteName | None, Meta(description="unique in the job; the metadata's name if absent")
    ] = None
    parameters: Annotated[dict[str, Any], Meta(description="shell variables")] = {}
    params: Annotated[dict[str, Any], Meta(description="shell variables; win over parameters")] = {}
    skip_install: Annotated[
        list[Literal["keys", "sources", "deps", "steps", "git-repos", "all"]],
        Meta(description="parts to leave out"),
    ] = []
    lava_signal: Literal["stdout", "kmsg"] = msgspec.field(default="stdout", name="lava-signal")
    expected: Annotated[list[Text], Meta(description="test cases that must occur, and no others")] = []
    branch: Text | None = None
    revision: Annotated[Text | int | None, Meta(description="commit to check out")] = None
    shallow: Annotated[bool | None, Meta(description="only the last commit; true unless revision is set")] = (
        None
    )
    depth: Annotated[int | None, Meta(description="number of commits to get")] = None
    history: Annotated[bool, Meta(description="false removes .git")] = True
    recursive: Annotated[bool, Meta(description="with submodules")] = False
    compression: Literal["gz", "bz2", "xz", "zstd"] | None = None
    strip_components: Annotated[
        int | None, Meta(description="directories to cut off names in the archive")
    ] = msgspec.field(default=None, name="strip-components")
    headers: dict[str, str] = {}

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        inline = isinstance(data["repository"], dict)
        if inline != (data["from"] == "inline"):
            wanted = "a map with metadata and run" if data["from"] == "inline" else "a URL or path"
            yield Problem(
                f"repository does not fit from: {data['from']}", path=(*path, "repository"), expected=wanted
            )
        for key in ("depth", "strip-components"):
            if data.get(key, 1) < 1:
                yield Problem(
                    f"{key} cannot be {data[key]}", path=(*path, key), expected="a whole number from 1"
                )


class Monitor(_Closed):
    """One entry of `monitors`: results from what the device prints by itself."""

    name: Annotated[
        str,
        Meta(pattern=r"^[-_a-zA-Z0-9. ]+$", extra={"expected": "letters, digits, '-', '_', '.' and blanks"}),
    ]
    start: Expression
    end: Expression
    pattern: Annotated[Expression, Meta(description="groups test_case_id, result, measurement, units")]
    fixupdict: Fixups = {}
    expected: list[Text] = []

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        for key in ("start", "end", "pattern"):
            if reason := bad_expression(data[key]):
                yield Problem(f"{key} is no regular expression: {reason}", path=(*path, key))
        yield from _fixups(data, path)


class Success(_Closed):
    """Text that makes a command pass."""

    message: Expression


class Failure(_Closed):
    """Text that makes a command fail, and the job too when it names an exception."""

    message: Expression
    exception: Literal["InfrastructureError", "JobError", "TestError"] | None = None
    error: str | None = None


class ScriptItem(_Closed):
    """One step of an interactive script: a command, or a call to the other members of the group."""

    command: Annotated[str | None, Meta(description="null sends nothing, '' a newline")] = ""
    name: Annotated[Text | None, Meta(description="makes it a test case")] = None
    successes: list[Success] = []
    failures: list[Failure] = []
    wait_for_prompt: bool = True
    delay: Annotated[int | float | None, Meta(description="seconds to wait")] = None
    send: str | None = msgspec.field(default=None, name="lava-send")
    wait: str | None = msgspec.field(default=None, name="lava-wait")
    wait_all: str | None = msgspec.field(default=None, name="lava-wait-all")
    sync: str | None = msgspec.field(default=None, name="lava-sync")

    @property
    def api(self) -> str:
        """send, wait, wait-all or sync for a call to the other members of the group, else empty."""
        calls = {"send": self.send, "wait": self.wait, "wait-all": self.wait_all, "sync": self.sync}
        return next((name for name, value in calls.items() if value is not None), "")

    @property
    def arguments(self) -> tuple[str, str]:
        """Of such a call: the message id, and what follows it."""
        text = self.send or self.wait or self.wait_all or self.sync or ""
        message, _, rest = text.strip().partition(" ")
        return message, rest.strip()

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        kinds = [
            k
            for k in ("command", "delay", "lava-send", "lava-wait", "lava-wait-all", "lava-sync")
            if k in data
        ]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "nothing to do"
            yield Problem(
                f"a step with {found}", path=path, expected="one of command, delay and the lava- calls"
            )
        for group in ("successes", "failures"):
            for number, item in enumerate(data.get(group, ())):
                if reason := bad_expression(item["message"]):
                    yield Problem(
                        f"message is no regular expression: {reason}", path=(*path, group, number, "message")
                    )


class Script(_Closed):
    """One entry of `interactive`: a dialogue with the console."""

    name: SuiteName
    prompts: Annotated[list[Expression], Meta(min_length=1)]
    script: Annotated[list[ScriptItem], Meta(min_length=1)]
    echo: Annotated[Literal["discard"] | None, Meta(description="the console repeats what is typed")] = None
    expected: list[Text] = []

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        for number, text in enumerate(data["prompts"]):
            if reason := bad_expression(text):
                yield Problem(f"a prompt is no regular expression: {reason}", path=(*path, "prompts", number))


class Service(_Closed):
    """One entry of `services`: compose files that the worker starts beside the job."""

    name: Text
    from_: Literal["git", "url"] = msgspec.field(name="from")
    repository: Text
    path: Text
    service: Text | None = None
    branch: Text | None = None
    revision: Text | int | None = None
    compression: Literal["gz", "bz2", "xz", "zstd"] | None = None
    strip_components: int | None = msgspec.field(default=None, name="strip-components")
    headers: dict[str, str] = {}


class TestItems(_Open):
    """The lists of a test block; which of them may stand together is for the methods to say."""

    __test__ = False

    definitions: Annotated[list[Definition] | None, Meta(description="run in the device's shell")] = None
    monitors: Annotated[list[Monitor] | None, Meta(description="read from the console")] = None
    interactive: Annotated[list[Script] | None, Meta(description="dialogues with the console")] = None
    services: Annotated[list[Service] | None, Meta(description="compose files on the worker")] = None

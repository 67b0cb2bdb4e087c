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

    format: Annotated[str, Meta(description="Lava-Test Test Definition 1.0")]
    name: Annotated[Text, Meta(description="name of the definition")]
    description: Annotated[str | None, Meta(description="for people")] = None


class Steps(_Open):
    """`run` of a test definition."""

    steps: Annotated[
        list[Step],
        Meta(description="shell commands, run one after the other; a failing one ends the definition"),
    ]


class Install(_Open):
    """`install` of a test definition."""

    keys: Annotated[list[Text], Meta(description="keys of package archives")] = []
    sources: Annotated[list[Text], Meta(description="package archives to add")] = []
    deps: Annotated[list[Text], Meta(description="packages; deps-DISTRIBUTION for one distribution")] = []
    git_repos: Annotated[list[str | dict[str, Any]], Meta(description="repositories to bring along")] = (
        msgspec.field(default_factory=list, name="git-repos")
    )
    bzr_repos: Annotated[list[str | dict[str, Any]], Meta(description="repositories to bring along")] = (
        msgspec.field(default_factory=list, name="bzr-repos")
    )
    steps: Annotated[list[Step], Meta(description="shell commands that prepare the device")] = []


class Parse(_Open):
    """`parse` of a test definition: results from plain output."""

    pattern: Annotated[
        Expression | None, Meta(description="groups test_case_id, result, measurement, units")
    ] = None
    fixupdict: Fixups = {}

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        if reason := bad_expression(data.get("pattern") or ""):
            yield Problem(f"pattern is no regular expression: {reason}", path=(*path, "pattern"))
        yield from _fixups(data, path)


class InlineDefinition(_Open):
    """A test definition that stands in the job (spec: test-shell §1)."""

    metadata: Annotated[Metadata, Meta(description="what it is")]
    run: Annotated[Steps, Meta(description="what it does")]
    install: Annotated[Install | None, Meta(description="what it needs on the device")] = None
    parse: Annotated[Parse | None, Meta(description="results from plain output")] = None
    params: Annotated[
        dict[str, Any] | None, Meta(description="defaults of shell variables; win over parameters")
    ] = None
    parameters: Annotated[dict[str, Any] | None, Meta(description="defaults of shell variables")] = None
    expected: Annotated[list[Text], Meta(description="test cases that must occur, and no others")] = []

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
    lava_signal: Annotated[
        Literal["stdout", "kmsg"], Meta(description="where the device writes its signals")
    ] = msgspec.field(default="stdout", name="lava-signal")
    expected: Annotated[list[Text], Meta(description="test cases that must occur, and no others")] = []
    branch: Annotated[Text | None, Meta(description="of the repository")] = None
    revision: Annotated[Text | int | None, Meta(description="commit to check out")] = None
    shallow: Annotated[bool | None, Meta(description="only the last commit; true unless revision is set")] = (
        None
    )
    depth: Annotated[int | None, Meta(description="number of commits to get")] = None
    history: Annotated[bool, Meta(description="false removes .git")] = True
    recursive: Annotated[bool, Meta(description="with submodules")] = False
    compression: Annotated[
        Literal["gz", "bz2", "xz", "zstd"] | None,
        Meta(description="of a tar archive; never guessed from the name"),
    ] = None
    strip_components: Annotated[
        int | None, Meta(description="directories to cut off names in the archive")
    ] = msgspec.field(default=None, name="strip-components")
    headers: Annotated[dict[str, str], Meta(description="HTTP headers")] = {}

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
        Annotated[
            str,
            Meta(
                pattern=r"^[-_a-zA-Z0-9. ]+$", extra={"expected": "letters, digits, '-', '_', '.' and blanks"}
            ),
        ],
        Meta(description="the suite"),
    ]
    start: Annotated[Expression, Meta(description="begins it")]
    end: Annotated[Expression, Meta(description="ends it")]
    pattern: Annotated[Expression, Meta(description="groups test_case_id, result, measurement, units")]
    fixupdict: Fixups = {}
    expected: Annotated[list[Text], Meta(description="test cases that must occur, and no others")] = []

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        for key in ("start", "end", "pattern"):
            if reason := bad_expression(data[key]):
                yield Problem(f"{key} is no regular expression: {reason}", path=(*path, key))
        yield from _fixups(data, path)


class Success(_Closed):
    """Text that makes a command pass."""

    message: Annotated[Expression, Meta(description="looked for in the output, beside the prompts")]


class Failure(_Closed):
    """Text that makes a command fail, and the job too when it names an exception."""

    message: Annotated[Expression, Meta(description="looked for in the output, beside the prompts")]
    exception: Annotated[
        Literal["InfrastructureError", "JobError", "TestError"] | None,
        Meta(description="ends the job with this error"),
    ] = None
    error: Annotated[str | None, Meta(description="message of that error")] = None


class ScriptItem(_Closed):
    """One step of an interactive script: a command, or a call to the other members of the group."""

    command: Annotated[str | None, Meta(description="null sends nothing, '' a newline")] = ""
    name: Annotated[Text | None, Meta(description="makes it a test case")] = None
    successes: Annotated[list[Success], Meta(description="texts that make it pass")] = []
    failures: Annotated[list[Failure], Meta(description="texts that make it fail")] = []
    wait_for_prompt: Annotated[bool, Meta(description="false goes on at once")] = True
    delay: Annotated[int | float | None, Meta(description="seconds to wait")] = None
    send: Annotated[str | None, Meta(description="message id, then KEY=VALUE words: tell the group")] = (
        msgspec.field(default=None, name="lava-send")
    )
    wait: Annotated[str | None, Meta(description="message id: wait until one member sent it")] = (
        msgspec.field(default=None, name="lava-wait")
    )
    wait_all: Annotated[str | None, Meta(description="message id, maybe a role: wait until all sent it")] = (
        msgspec.field(default=None, name="lava-wait-all")
    )
    sync: Annotated[str | None, Meta(description="message id: wait until all are here")] = msgspec.field(
        default=None, name="lava-sync"
    )

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

    name: Annotated[SuiteName, Meta(description="the suite")]
    prompts: Annotated[
        list[Expression],
        Meta(min_length=1, description="what the console shows when it takes a command"),
    ]
    script: Annotated[list[ScriptItem], Meta(min_length=1, description="what is done, in order")]
    echo: Annotated[Literal["discard"] | None, Meta(description="the console repeats what is typed")] = None
    expected: Annotated[list[Text], Meta(description="test cases that must occur, and no others")] = []

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        for number, text in enumerate(data["prompts"]):
            if reason := bad_expression(text):
                yield Problem(f"a prompt is no regular expression: {reason}", path=(*path, "prompts", number))


class Service(_Closed):
    """One entry of `services`: compose files that the worker starts beside the job."""

    name: Annotated[Text, Meta(description="for the log")]
    from_: Annotated[Literal["git", "url"], Meta(description="where the compose file comes from")] = (
        msgspec.field(name="from")
    )
    repository: Annotated[Text, Meta(description="URL")]
    path: Annotated[Text, Meta(description="compose file inside it")]
    service: Annotated[Text | None, Meta(description="only this one of the file")] = None
    branch: Annotated[Text | None, Meta(description="of the repository")] = None
    revision: Annotated[Text | int | None, Meta(description="commit to check out")] = None
    compression: Annotated[Literal["gz", "bz2", "xz", "zstd"] | None, Meta(description="of an archive")] = (
        None
    )
    strip_components: Annotated[
        int | None, Meta(description="directories to cut off names in the archive")
    ] = msgspec.field(default=None, name="strip-components")
    headers: Annotated[dict[str, str], Meta(description="HTTP headers")] = {}


class TestItems(_Open):
    """The lists of a test block; which of them may stand together is for the methods to say."""

    __test__ = False

    definitions: Annotated[list[Definition] | None, Meta(description="run in the device's shell")] = None
    monitors: Annotated[list[Monitor] | None, Meta(description="read from the console")] = None
    interactive: Annotated[list[Script] | None, Meta(description="dialogues with the console")] = None
    services: Annotated[list[Service] | None, Meta(description="compose files on the worker")] = None

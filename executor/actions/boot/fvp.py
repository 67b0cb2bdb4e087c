# SPDX-License-Identifier: Apache-2.0
"""`method: fvp`: start one of Arm's models (spec: job-format §6).

The model is a program that the job names and the lab provides; it runs in the job's own container. Its serial
port is a TCP port that it tells on its output, or (`use_telnet: false`) that output itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.commands import TOOLS_HINT
from executor.actions.connect import close_console
from executor.actions.containers import NamedImage
from executor.actions.finalize import ReadFeedback
from executor.actions.hosttool import (
    close_program,
    expand,
    named_images,
    open_program,
    placeholders,
)
from executor.actions.shell import shell_tail
from executor.console.expect import check_patterns
from executor.errors import InfrastructureError, JobError
from executor.model.job import BootParameters
from executor.model.launch import Needs
from executor.model.parameters import Text
from executor.model.problem import Problem
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method
from executor.tools import proc

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_MODEL_MIB = 4096  # what a model takes that simulates a few GiB, touched sparsely
_LICENSE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_VERSION_SECONDS = 60.0


class FvpParameters(BootParameters, kw_only=True):
    """`method: fvp`"""

    image: Annotated[Text, Meta(description="program of the model")]
    arguments: Annotated[list[Text], Meta(description="its arguments; `{LABEL}` is an image's path")]
    version_string: Annotated[Text, Meta(description="regular expression for what --version must print")]
    console_string: Annotated[
        Text, Meta(description="regular expression with a group PORT: where the model's serial port is")
    ]
    use_telnet: Annotated[bool, Meta(description="false: the model's own output is the serial port")] = True
    docker: Annotated[
        NamedImage | None,
        Meta(description="an image that brings the model; it runs in the job's own container instead"),
    ] = None
    license_variable: Annotated[Text | None, Meta(description="NAME=value for the model's environment")] = (
        None
    )
    ubl_license: Annotated[Text | None, Meta(description="code that `armlm activate` is given")] = None
    feedbacks: Annotated[
        list[Text], Meta(description="old, ignored: every line of the model is in the log")
    ] = []


@method("boot")
class Fvp(Method):
    """Start a model."""

    name = "fvp"
    summary = "one of Arm's models, in the job's container"
    Parameters = FvpParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootFvp(cast("FvpParameters", request.typed))


class BootFvp(RetryAction):
    """The model, then its shell."""

    name = "boot-fvp"
    summary = "boot a model"
    description = "start the model and reach its shell, with retry"

    def __init__(self, parameters: FvpParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        yield BootFvpMain(self.parameters)
        yield ReadFeedback()
        # The environment for devices is none of a model's: its image brings its own.
        yield from (
            action for action in shell_tail(site, self.parameters) if action.name != "export-device-env"
        )


class BootFvpMain(Action):
    """Which model it is, then the model."""

    name = "boot-fvp-main"
    summary = "start a model"
    description = "check the model's version and start it"

    def __init__(self, parameters: FvpParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        yield CheckFvpVersion(self.parameters)
        if self.parameters.use_telnet:
            yield StartFvp(self.parameters)
            yield GetFvpSerial(self.parameters)
        else:
            yield RunFvp(self.parameters)

    def validate(self, world: World) -> Iterable[Problem]:
        given = self.parameters
        for key in ("version_string", "console_string"):
            for text in check_patterns([getattr(given, key)]):
                yield self.problem(text, key, hint="this is a regular expression")
        if given.use_telnet and "(?P<PORT>" not in given.console_string:
            yield self.problem(
                "console_string has no group PORT", "console_string", hint=r"such as port (?P<PORT>\d+)"
            )
        if given.docker is not None:
            text = "the model runs in the job's own container, `docker` is not used"
            yield self.problem(text, "docker", severity="warning", hint=TOOLS_HINT)


class CheckFvpVersion(Action):
    """The right model, or none."""

    name = "check-fvp-version"
    summary = "check the model's version"
    description = "ask the model for its version"

    def __init__(self, parameters: FvpParameters) -> None:
        self.parameters = parameters

    def needs(self) -> Needs:
        return Needs(tools=frozenset({self.parameters.image}))

    def validate(self, world: World) -> Iterable[Problem]:
        if reason := world.tool(self.parameters.image):
            yield self.problem(reason, "image", error_type="Infrastructure", hint=TOOLS_HINT)

    def run(self, run: Run) -> None:
        argv = [self.parameters.image, "--version"]
        done = proc.run(argv, deadline=run.deadline.within(_VERSION_SECONDS), log=run.log.output, check=False)
        found = re.search(self.parameters.version_string, "\n".join(done.lines_tail))
        if found is None:
            said = done.lines_tail[0] if done.lines_tail else "nothing"
            raise JobError(f"the model says {said!r}", f"the job wants {self.parameters.version_string!r}")
        run.results["fvp-version"] = found.group(0)


class _Model(Action):
    """Starts the model; its output is a console."""

    restarts_device = True

    def __init__(self, parameters: FvpParameters) -> None:
        self.parameters = parameters

    def needs(self) -> Needs:
        licensed = self.parameters.license_variable or self.parameters.ubl_license
        return Needs(
            mounts=frozenset({"cache", "work"}),
            network="bridge" if licensed else "none",
            tools=frozenset({self.parameters.image}),
            memory=_MODEL_MIB,
        )

    def validate(self, world: World) -> Iterable[Problem]:
        variable = self.parameters.license_variable
        if variable and not _LICENSE.match(variable):
            yield self.problem(f"{variable!r} is no NAME=value", "license_variable")
        if self.parameters.ubl_license and (reason := world.tool("armlm")):
            yield self.problem(reason, "ubl_license", error_type="Infrastructure", hint=TOOLS_HINT)

    @property
    def console_name(self) -> str:
        return f"model-{self.level}"

    def start(self, run: Run) -> str:
        """Start it and wait until it tells its serial port: the number, or "" where there is no group."""
        given = self.parameters
        if given.ubl_license:
            code = given.ubl_license
            argv = ["armlm", "activate", "--code", code]
            proc.run(argv, deadline=run.deadline, log=run.log.output, secrets=[code])
        values = placeholders(named_images(run))
        argv = [given.image, *(expand(word, values) for word in given.arguments)]
        name, _, value = (given.license_variable or "").partition("=")
        console = open_program(run, argv, self.console_name, {name: value} if name else None)
        run.tell_wait([given.console_string], run.operation)
        found = console.expect(given.console_string, run.operation)
        return found.named.get("PORT", "")

    def cleanup(self, run: Run) -> None:
        close_program(run, self.console_name)


class RunFvp(_Model):
    """What the model prints is what its serial port says."""

    name = "run-fvp"
    summary = "run the model"
    description = "start the model, whose output is the console"

    def run(self, run: Run) -> None:
        close_console(run)
        self.start(run)
        run.connection.console = next(c for c in run.context.consoles if c.name == self.console_name)

    def cleanup(self, run: Run) -> None:
        super().cleanup(run)
        if run.connected is not None and run.connected.name == self.console_name:
            run.connection.console = None


class StartFvp(_Model):
    """The model tells where its serial port is."""

    name = "start-fvp"
    summary = "start the model"
    description = "start the model and see where its serial port is"

    def run(self, run: Run) -> None:
        close_console(run)
        port = self.start(run)
        if not port.isdigit():
            raise InfrastructureError("the model did not tell the port of its console")
        run.namespace.console_port = int(port)
        run.results["port"] = port


class GetFvpSerial(Action):
    """Connect to it."""

    name = "get-fvp-serial"
    summary = "connect to the model"
    description = "connect to the model's serial port"
    timeout_error = InfrastructureError

    def __init__(self, parameters: FvpParameters) -> None:
        self.parameters = parameters

    def needs(self) -> Needs:
        return Needs(tools=frozenset({"telnet"}))

    def run(self, run: Run) -> None:
        argv = ["telnet", "localhost", str(run.namespace.console_port)]
        run.connection.console = open_program(run, argv, self._console_name)

    @property
    def _console_name(self) -> str:
        return f"serial-{self.level}"

    def cleanup(self, run: Run) -> None:
        close_program(run, self._console_name)
        if run.connected is not None and run.connected.name == self._console_name:
            run.connection.console = None

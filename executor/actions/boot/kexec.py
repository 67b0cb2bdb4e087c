# SPDX-License-Identifier: Apache-2.0
"""`method: kexec`: the running system starts another kernel (spec: job-format §6, action-pipeline §2)."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
from msgspec import Meta

from executor.actions.shell import AutoLogin, shell_tail
from executor.console.expect import check_patterns
from executor.console.watcher import Mode
from executor.errors import JobError
from executor.model.job import BootParameters
from executor.model.parameters import Text
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.problem import Problem
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_CRASH = "echo c > /proc/sysrq-trigger"


class KexecParameters(BootParameters, kw_only=True):
    """`method: kexec`"""

    boot_message: Annotated[Text, Meta(description="regular expression: the other kernel has begun")]
    command: Annotated[Text, Meta(description="kexec on the device")] = "/sbin/kexec"
    kernel: Annotated[Text, Meta(description="path on the device")] = "/home/vmlinux"
    dtb: Annotated[str | None, Meta(description="path on the device")] = None
    initrd: Annotated[str | None, Meta(description="path on the device")] = None
    options: Annotated[list[str], Meta(description="further options of kexec, one an item")] = []
    kernel_config: Annotated[
        str | None, Meta(description="path of the running kernel's configuration, shown in the log")
    ] = msgspec.field(default=None, name="kernel-config")
    deploy: Annotated[dict[str, str], Meta(description="old: dtb and others as a map of paths")] = {}
    on_panic: Annotated[bool, Meta(description="load the kernel for a crash, then crash")] = False

    @property
    def load(self) -> list[str]:
        """The command that loads the kernel."""
        words = [self.command, "--load-panic" if self.on_panic else "--load", self.kernel]
        for option in ("dtb", "initrd"):
            path = getattr(self, option) or self.deploy.get(option)
            if path:
                words += [f"--{option}", path]
        return [*words, *(word for line in self.options for word in shlex.split(line))]


@method("boot")
class Kexec(Method):
    """Start a kernel from a running system."""

    name = "kexec"
    summary = "the running system starts another kernel"
    Parameters = KexecParameters

    @classmethod
    def supported(cls, request: Request) -> str:
        """The running system does it all: nothing of it stands in the device file."""
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        return KexecBoot(cast("KexecParameters", request.typed))


class KexecBoot(RetryAction):
    """Start the other kernel and reach its shell."""

    name = "kexec-boot"
    summary = "boot by kexec"
    description = "load a kernel in the running system, start it, reach its shell"

    def __init__(self, parameters: KexecParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        yield CallKexec(self.parameters)
        tail = list(shell_tail(site, self.parameters))
        if not tail:
            yield AutoLogin(self.parameters)
        yield from tail


class CallKexec(Action):
    """Load and start."""

    name = "call-kexec"
    summary = "call kexec"
    description = "load the other kernel with kexec and start it"
    restarts_device = True

    def __init__(self, parameters: KexecParameters) -> None:
        self.parameters = parameters

    def validate(self, world: World) -> Iterable[Problem]:
        for message in check_patterns([self.parameters.boot_message]):
            yield self.problem(message, "boot_message")

    def run(self, run: Run) -> None:
        given, console, prompts = self.parameters, run.console, run.connection.prompts
        if not prompts:
            raise JobError("no shell to call kexec in", "a boot block with prompts must come before")
        if given.kernel_config:
            line = f"zcat -f {shlex.quote(given.kernel_config)} | grep -i kexec"
            console.command(line, prompts, run.deadline, limit=self.connection_limit)
        load = shlex.join(given.load)
        done = console.command(load, prompts, run.deadline, limit=self.connection_limit)
        if done.rc != 0:
            raise JobError(
                f"kexec could not load the kernel, it returned {done.rc}: {done.output.strip()[-200:]}"
            )
        console.expect_reset()
        if given.on_panic:
            console.watch(Mode.OFF)  # the panic is what is wanted
        console.send_line(_CRASH if given.on_panic else f"{given.command} -e")
        run.tell_wait([given.boot_message], run.operation)
        console.expect(given.boot_message, run.operation)
        run.results["success"] = f"matched {given.boot_message!r}"

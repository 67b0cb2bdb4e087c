# SPDX-License-Identifier: Apache-2.0
"""`method: qemu`: a guest in the job's own container (spec: job-format §6, device-config §2).

The command line is the device's; only the accelerator is decided when the guest starts, because it depends on
what a probe of this worker has shown (design §8).
"""

from __future__ import annotations

import contextlib
import platform
import re
import shlex
from collections.abc import Iterable
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

from msgspec import Meta

from executor.actions.drives import arguments
from executor.actions.qemuoptions import Accelerator, accelerate, accelerator, memory_mib, uses_network
from executor.actions.shell import shell_tail
from executor.errors import ConfigurationError, InfrastructureError
from executor.model.job import BootParameters
from executor.model.launch import Needs
from executor.model.problem import Problem
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method
from executor.pipeline.planner import Request
from executor.tools import proc

if TYPE_CHECKING:
    from executor.model.deadline import Deadline
    from executor.model.device import Device
    from executor.model.worker import Worker
    from executor.pipeline.context import Artifact
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_RUNNER_MIB = 256  # what QEMU itself takes beyond the guest's memory, with room
_END_SECONDS = 10.0  # for QEMU to end


class QemuParameters(BootParameters, kw_only=True):
    """`method: qemu`"""

    docker: Annotated[
        dict[str, Any] | None,
        Meta(description="old: an image that brings QEMU; the guest runs in the job's own image instead"),
    ] = None


@method("boot")
class Qemu(Method):
    """Boot images from `to: tmpfs` in QEMU."""

    name = "qemu"
    values = ("qemu", "monitor")
    summary = "a QEMU guest in the job's container"
    Parameters = QemuParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootImageRetry(cast("QemuParameters", request.typed), ExecuteQemu)


class BootImageRetry(RetryAction):
    """Boot and reach the shell, tried again as a whole."""

    name = "boot-image-retry"
    summary = "boot with retry"
    description = "boot the image and reach its shell, with retry"

    def __init__(self, parameters: QemuParameters, execute: type[ExecuteQemu]) -> None:
        self.parameters, self.execute = parameters, execute

    def plan(self, site: Site) -> Iterable[Action]:
        yield BootQemuImage(self.execute)
        yield from shell_tail(site, self.parameters)

    def validate(self, world: World) -> Iterable[Problem]:
        if self.parameters.docker is not None:
            text = "the guest runs in QEMU of the job's own image, `docker` is not used"
            yield self.problem(text, severity="warning")


class BootQemuImage(RetryAction):
    """Start QEMU, tried again on its own."""

    name = "boot-qemu-image"
    summary = "boot QEMU image"
    description = "start QEMU with the device's command line"

    def __init__(self, execute: type[ExecuteQemu]) -> None:
        self.execute = execute

    def plan(self, site: Site) -> Iterable[Action]:
        yield self.execute(site.device, site.job.context, _image_options(site))


class ExecuteQemu(Action):
    """Start the process; its serial console becomes the namespace's connection.

    `extra` are the options that the job's images bring, as far as they are known before they are there.
    """

    name = "execute-qemu"
    summary = "execute QEMU"
    description = "run QEMU on a pty of its own"
    restarts_device = True
    method: ClassVar[str] = "qemu"  # of the device file, whose parameters are taken

    def __init__(self, device: Device, context: dict[str, Any], extra: list[str] | None = None) -> None:
        method_ = device.boot_methods.get(self.method)
        given = method_.get("parameters") if isinstance(method_, dict) else None
        self.parameters: dict[str, Any] = given if isinstance(given, dict) else {}
        self.context = context
        self.program = str(self.parameters.get("command") or "")  # as the device file names it
        self.options = _words(self.parameters)
        self.extra = extra or []
        self.architectures = device.available_architectures

    def needs(self) -> Needs:
        every = [*self.options, *self.extra]
        choice = accelerator(self.program, self.context, "kvm", "")
        return Needs(
            image="qemu",
            mounts=frozenset({"cache", "work"}),
            devices=frozenset({"kvm"} if choice.kvm else ()),
            network="bridge" if uses_network(every) else "none",
            tools=frozenset({self.program}),
            memory=memory_mib(every) + _RUNNER_MIB,
        )

    def validate(self, world: World) -> Iterable[Problem]:
        if not self.program:
            yield self.problem("the device file names no QEMU command", error_type="Configuration")
        elif reason := world.tool(self.program):
            yield self.problem(reason, error_type="Infrastructure", hint="is this the image lava-exec/qemu?")
        wanted = str(self.context.get("arch", ""))
        if self.architectures and wanted and wanted not in self.architectures:
            yield self.problem(
                f"the device cannot run context.arch {wanted!r}",
                hint=f"it can: {', '.join(self.architectures)}",
            )

    def run(self, run: Run) -> None:
        from executor.console.ports import ProcessPort
        from executor.console.reader import Console

        self._end(run, run.deadline)
        namespace, device = run.namespace, run.context.device
        choice = self.accelerator(run.context.worker)
        run.log.info(f"accelerator: {choice}")
        version = _version(self.program, run)
        argv = self.command_line(run, choice)
        run.log.info(f"command: {shlex.join(argv)}")
        console = Console(
            ProcessPort(argv),
            run.context.journal,
            name="qemu",
            namespace=namespace.name,
            recording=run.context.out / f"console-{namespace.safe_name}-{namespace.boots}.raw",
            search_window=int(device.constant("spawn_maxread", default=4092)) * 2,
        )
        console.character_delay = device.character_delay("boot") / 1000
        run.context.consoles.append(console)
        namespace.console = console
        namespace.boots += 1
        console.start()
        run.results |= {
            "qemu_version": version,
            "host_arch": platform.machine(),
            "job_arch": str(self.context.get("arch", "")) or _architecture(self.program),
            "accelerator": "kvm" if choice.kvm else "tcg",
        }

    def cleanup(self, run: Run) -> None:
        self._end(run, run.deadline.within(_END_SECONDS))

    def _end(self, run: Run, deadline: Deadline) -> None:
        """End the guest that runs in this namespace, if there is one."""
        console = run.namespace.console
        if console is not None and console in run.context.consoles:
            console.close(deadline)
            run.context.consoles.remove(console)
        run.namespace.console = None

    def accelerator(self, worker: Worker) -> Accelerator:
        """What runs the guest on this worker, and why."""
        return accelerator(self.program, self.context, worker.accelerator, worker.accelerator_reason)

    def command_line(self, run: Run, choice: Accelerator) -> list[str]:
        """Command, options, each image's arguments, the overlay disk; fitted to the accelerator."""
        words = self.image_words(run)
        if run.namespace.overlay_disk is not None:
            words += run.namespace.overlay_disk.arguments
        return [self.program, *accelerate(words, choice)]

    def image_words(self, run: Run) -> list[str]:
        """The device's options, and each image's arguments."""
        artifacts = run.namespace.artifacts
        words = list(self.options)
        for artifact in artifacts.values():
            if artifact.image_arg:
                words += arguments(artifact.image_arg, artifacts)
            elif _is_firmware(artifact):
                words += ["-L", str(artifact.path)]
        return words


def _words(parameters: dict[str, Any]) -> list[str]:
    """The device's options and extras, one argument an item. Raises ConfigurationError."""
    words: list[str] = []
    for text in [*(parameters.get("options") or []), *(parameters.get("extra") or [])]:
        try:
            words += shlex.split(str(text))
        except ValueError as error:
            raise ConfigurationError(
                f"QEMU options {str(text)!r} cannot be split into words: {error}", "are all quotes closed?"
            ) from None
    return words


def _image_options(site: Site) -> list[str]:
    """Words of `image_arg` in the namespace's deploy blocks: they may ask for memory or a network too."""
    words: list[str] = []
    for block in site.job.blocks:
        images = block.parameters.get("images")
        if site.block is None or block.namespace != site.block.namespace or not isinstance(images, dict):
            continue
        for resource in images.values():
            given = resource.get("image_arg") if isinstance(resource, dict) else None
            with contextlib.suppress(ValueError):  # validation tells of quotes that are not closed
                words += shlex.split(str(given or ""))
    return words


def _is_firmware(artifact: Artifact) -> bool:
    return artifact.label == "uefi"


def _architecture(program: str) -> str:
    name = PurePath(program).name.rsplit("-", 1)[-1]
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(name, name)


def _version(program: str, run: Run) -> str:
    try:
        done = proc.run([program, "--version"], deadline=run.deadline.within(10))
    except InfrastructureError as error:
        raise InfrastructureError(f"QEMU does not start: {error.message}", error.hint) from error
    match = re.search(r"version (\S+)", "\n".join(done.lines_tail))
    return match.group(1) if match else ""

# SPDX-License-Identifier: Apache-2.0
"""`method: qemu`: a guest in the job's own container (spec: job-format §6, device-config §2).

The command line is the device's; only the accelerator is decided here, because it depends on what a probe of
this worker has shown (design §8).
"""

from __future__ import annotations

import platform
import re
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from executor.actions import proc
from executor.actions.image.copy import drive_file
from executor.actions.shell import shell_tail
from executor.console.ports import ProcessPort
from executor.console.reader import Console
from executor.errors import InfrastructureError
from executor.model.job import BootParameters
from executor.model.launch import Needs
from executor.model.problem import Problem
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method
from executor.pipeline.planner import Request

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.context import Artifact
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

# What the guest's QEMU program emulates, by the end of its name; kvm works only where that is the host's own.
_HOST_PROGRAMS = {"x86_64": {"x86_64", "i386"}, "aarch64": {"aarch64", "arm"}}
_MEMORY = re.compile(r"^(?:size=)?(\d+)([MmGg]?)")
_RUNNER_MIB = 256  # what QEMU itself takes beyond the guest's memory, with room


class QemuParameters(BootParameters, kw_only=True):
    """`method: qemu`"""

    docker: dict[str, Any] | None = None


@method("boot")
class Qemu(Method):
    """Boot images from `to: tmpfs` in QEMU."""

    name = "qemu"
    summary = "a QEMU guest in the job's container"
    Parameters = QemuParameters

    @classmethod
    def accepts(cls, request: Request) -> str:
        wanted = request.parameters.get("method")
        if wanted not in ("qemu", "monitor"):
            return f"'method' is {wanted!r}, not 'qemu'"
        if "qemu" not in request.device.boot_methods:
            return "the device file has no boot method 'qemu'"
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootImageRetry(cast("QemuParameters", request.typed), request.device)


class BootImageRetry(RetryAction):
    """Boot and reach the shell, tried again as a whole."""

    name = "boot-image-retry"
    summary = "boot with retry"
    description = "boot the image and reach its shell, with retry"

    def __init__(self, parameters: QemuParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        yield BootQemuImage(self.device)
        yield from shell_tail(site, self.parameters)


class BootQemuImage(RetryAction):
    """Start QEMU, tried again on its own."""

    name = "boot-qemu-image"
    summary = "boot QEMU image"
    description = "start QEMU with the device's command line"

    def __init__(self, device: Device) -> None:
        self.device = device

    def plan(self, site: Site) -> Iterable[Action]:
        yield ExecuteQemu(self.device, site.job.context)


class ExecuteQemu(Action):
    """Start the process; its serial console becomes the namespace's connection."""

    name = "execute-qemu"
    summary = "execute QEMU"
    description = "run QEMU on a pty of its own"

    def __init__(self, device: Device, context: dict[str, Any]) -> None:
        method = device.boot_methods.get("qemu") or {}
        self.parameters: dict[str, Any] = method.get("parameters") or {}
        self.context = context
        self.arch = str(context.get("arch", "")) or _arch_of(str(self.parameters.get("command", "")))
        self.architectures = device.available_architectures

    @property
    def program(self) -> str:
        """The QEMU program that the device file names."""
        return str(self.parameters.get("command") or "")

    @property
    def options(self) -> list[str]:
        """The device's options and extras, one argument an item."""
        words: list[str] = []
        for text in [*(self.parameters.get("options") or []), *(self.parameters.get("extra") or [])]:
            words += shlex.split(str(text))
        return words

    def needs(self) -> Needs:
        own = {"kvm"} if self._kvm_possible() else set()
        return Needs(
            image="qemu",
            mounts=frozenset({"cache", "work"}),
            devices=frozenset(own),
            network="bridge" if _uses_network(self.options) else "none",
            tools=frozenset({self.program}),
            memory=memory_mib(self.options) + _RUNNER_MIB,
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
        namespace = run.namespace
        if namespace.console is not None:
            namespace.console.close(run.deadline)
            run.context.consoles.remove(namespace.console)
            namespace.console = None
        argv = self.command_line(run)
        version = _version(self.program, run)
        run.log.info(f"command: {shlex.join(argv)}")
        console = Console(
            ProcessPort(argv),
            run.context.journal,
            name="qemu",
            namespace=namespace.name,
            recording=run.context.out / f"console-{namespace.name}-{namespace.boots}.raw",
            search_window=int(run.context.device.constant("spawn_maxread", default=4092)) * 2,
        )
        console.character_delay = run.context.device.character_delay("boot") / 1000
        console.start()
        namespace.console = console
        namespace.boots += 1
        run.context.consoles.append(console)
        run.results |= {
            "qemu_version": version,
            "host_arch": platform.machine(),
            "job_arch": self.arch,
            "accelerator": run.context.worker.accelerator if "kvm" in argv else "tcg",
        }

    def cleanup(self, run: Run) -> None:
        namespace = run.namespace
        if namespace.console is not None and namespace.console in run.context.consoles:
            namespace.console.close(run.deadline.within(10))
            run.context.consoles.remove(namespace.console)
            namespace.console = None

    def command_line(self, run: Run) -> list[str]:
        """Command, options, each image's arguments, the overlay disk, the accelerator."""
        argv = [self.program, *self._options(run)]
        for artifact in run.namespace.artifacts.values():
            if artifact.image_arg:
                argv += image_arguments(artifact, run.namespace.artifacts)
            elif artifact.label == "uefi":
                argv += ["-L", str(artifact.path)]
            else:
                run.log.warning(f"{artifact.label}: no image_arg, so it is not on QEMU's command line")
        if run.namespace.overlay_disk is not None:
            argv += run.namespace.overlay_disk.arguments
        return argv

    def _options(self, run: Run) -> list[str]:
        worker = run.context.worker
        words = self.options
        given = any(w in ("-accel", "-enable-kvm", "--enable-kvm") or "accel=" in w for w in words)
        kvm = worker.accelerator == "kvm" and self._kvm_possible()
        if kvm:
            run.log.info("accelerator: kvm")
        else:
            reason = worker.accelerator_reason or "the guest's architecture is not the host's"
            run.log.info(f"accelerator: tcg ({reason})")
        if not kvm:
            words = _without_kvm(words)
            given = any(w == "-accel" or "accel=" in w for w in words)
        if not given:
            words += ["-accel", "kvm" if kvm else "tcg"]
        return words

    def _kvm_possible(self) -> bool:
        if self.context.get("no_kvm"):
            return False
        emulated = self.program.rsplit("-", 1)[-1]
        return emulated in _HOST_PROGRAMS.get(platform.machine(), set())


def image_arguments(artifact: Artifact, artifacts: dict[str, Artifact]) -> list[str]:
    """`image_arg` with each `{label}` replaced by its path; what stands after `file=` fits the drive's
    format.
    """
    words = []
    for word in shlex.split(artifact.image_arg):
        for label, other in artifacts.items():
            token = f"{{{label}}}"
            if f"file={token}" in word:
                wanted = "raw" if "format=raw" in word else other.format
                word = word.replace(
                    f"file={token}", "file=" + drive_file(other.path, other.format or "raw", wanted)
                )
            word = word.replace(token, str(other.path))
        words.append(word)
    return words


def memory_mib(options: list[str]) -> int:
    """What `-m` asks for, in MiB; QEMU's own default is 128."""
    for flag, value in zip(options, options[1:], strict=False):
        if flag == "-m" and (match := _MEMORY.match(value)):
            return int(match.group(1)) * (1024 if match.group(2) in "Gg" and match.group(2) else 1)
    return 128


def _uses_network(options: list[str]) -> bool:
    joined = " ".join(options)
    return "user" in joined and ("-net" in joined or "-nic" in joined)


def _without_kvm(words: list[str]) -> list[str]:
    """The same command line for TCG: no kvm, and no CPU that only kvm can give."""
    out: list[str] = []
    for word in words:
        if word in ("-enable-kvm", "--enable-kvm"):
            continue
        if out and out[-1] == "-accel" and word.startswith("kvm"):
            word = "tcg"
        if out and out[-1] == "-cpu" and word.split(",")[0] == "host":
            word = "max"
        out.append(word.replace("accel=kvm:tcg", "accel=tcg").replace("accel=kvm", "accel=tcg"))
    return out


def _arch_of(program: str) -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(program.rsplit("-", 1)[-1], program.rsplit("-", 1)[-1])


def _version(program: str, run: Run) -> str:
    try:
        done = proc.run([program, "--version"], deadline=run.deadline.within(10))
    except InfrastructureError as error:
        raise InfrastructureError(f"QEMU does not start: {error.message}", error.hint) from error
    match = re.search(r"version (\S+)", "\n".join(done.lines_tail))
    return match.group(1) if match else ""

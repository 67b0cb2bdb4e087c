# SPDX-License-Identifier: Apache-2.0
"""The kernel in the form that the device's bootloader starts (spec: job-format §6, U-Boot boot type)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.actions.netboot.share import served_directory
from executor.errors import InfrastructureError
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.schema.normalise import KERNEL_COMMANDS
from executor.tools import proc
from executor.tools.image import uimage

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.job import Resource
    from executor.model.problem import Problem
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_XIP_OFFSET = 64  # bytes of header before a kernel that runs in place


def prepare_kernel(kernel: Resource | None, device: Device) -> Iterable[Action]:
    """The action for a kernel whose type is said; one with a FIT image comes last (see `fit_image`)."""
    if kernel is not None and kernel.type is not None and not makes_fit(device):
        yield PrepareKernel(kernel)


def fit_image(kernel: Resource | None, device: Device) -> Iterable[Action]:
    """The action for a device that boots kernel, device tree and ramdisk as one file: all must be there."""
    if kernel is not None and makes_fit(device):
        yield PrepareKernel(kernel)


def makes_fit(device: Device) -> bool:
    """Does the device's bootloader want a FIT image?"""
    return "depthcharge" in device.boot_methods


class PrepareKernel(Action):
    """What the bootloaders of this device need."""

    name = "prepare-kernel"
    summary = "prepare the kernel"
    description = "bring the kernel into the form that the bootloader starts"

    def __init__(self, kernel: Resource) -> None:
        self.kernel = kernel

    def plan(self, site: Site) -> Iterable[Action]:
        if makes_fit(site.device):
            yield PrepareFit()
        elif "u-boot" in site.device.boot_methods:
            yield UBootPrepareKernel(self.kernel)

    def run(self, run: Run) -> None:
        run.namespace.kernel_type = self.kernel.type or ""


class UBootPrepareKernel(Action):
    """A device without addresses for the kernel's type boots it by `bootm`, as an image with a header."""

    name = "uboot-prepare-kernel"
    summary = "prepare the kernel for U-Boot"
    description = "append the device tree and add a U-Boot header where the device wants that"
    timeout_error = InfrastructureError

    def __init__(self, kernel: Resource) -> None:
        self.kind = kernel.type or ""
        self.parameters: dict[str, Any] = {}
        self.options: dict[str, Any] = {}

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"tftp", "work"}))

    def plan(self, site: Site) -> Iterable[Action]:
        self.parameters = site.device.parameters
        self.options = site.device.deploy_parameters
        return ()

    @property
    def converted(self) -> bool:
        """Is there a header to be made?"""
        return self.kind != "uimage" and not addresses(self.parameters, self.kind)

    def validate(self, world: World) -> Iterable[Problem]:
        kind = "uimage" if self.converted else self.kind
        if not addresses(self.parameters, kind):
            wanted = " or ".join(dict.fromkeys(KERNEL_COMMANDS[name] for name in (self.kind, "uimage")))
            yield self.problem(
                f"the device has no load addresses for {wanted}",
                "kernel",
                "type",
                hint="parameters.bootz, booti or bootm in the device file hold them",
            )
        elif self.converted:
            yield from self._check_conversion()

    def _check_conversion(self) -> Iterable[Problem]:
        arch = str(self.options.get("mkimage_arch") or "")
        if arch not in uimage.ARCHES:
            yield self.problem(
                f"the device file has the mkimage_arch {arch!r}",
                error_type="Configuration",
                hint=f"actions.deploy.parameters.mkimage_arch is one of {', '.join(sorted(uimage.ARCHES))}",
            )
        if _number(self._load_address) is None:
            yield self.problem(
                f"the kernel's load address is {self._load_address!r}",
                error_type="Configuration",
                hint="parameters.text_offset or parameters.bootm.kernel is a number such as 0x82000000",
            )

    def run(self, run: Run) -> None:
        artifact = run.namespace.artifacts["kernel"]
        tree = run.namespace.artifacts.get("dtb")
        if self.options.get("append_dtb") and tree is not None:
            joined = run.context.work / f"kernel-{self.level}"
            _join(joined, [artifact.path, tree.path], run)
            artifact.path, artifact.shared = joined, False
            run.results["dtb"] = "appended"
        if self.converted:
            self._convert(run)

    def _convert(self, run: Run) -> None:
        artifact = run.namespace.artifacts["kernel"]
        load = _number(self._load_address) or 0
        entry = load + (_XIP_OFFSET if self.options.get("use_xip") else 0)
        header = uimage.Header(
            0,
            0,
            load=load,
            entry=entry,
            arch=uimage.ARCHES[str(self.options.get("mkimage_arch"))],
            type=uimage.TYPE_KERNEL,
            name=b"kernel",
        )
        target = served_directory(run.namespace, "kernel") / f"{artifact.file_name}.uimage"
        uimage.wrap(artifact.path, target, header, deadline=run.deadline)
        artifact.path, artifact.shared = target, False
        run.namespace.kernel_type = "uimage"
        run.log.info(f"kernel: the device has no addresses for {self.kind}, made a uimage for {load:#x}")
        run.results |= {"kernel_type": "uimage", "load": f"{load:#x}", "entry": f"{entry:#x}"}

    @property
    def _load_address(self) -> Any:
        table = addresses(self.parameters, "uimage")
        return self.parameters.get("text_offset") or table.get("kernel")


def addresses(parameters: dict[str, Any], kind: str) -> dict[str, Any]:
    """The device's load addresses for a kernel type, by the name of the command or of the type."""
    for name in (KERNEL_COMMANDS.get(kind, ""), kind):
        table = parameters.get(name)
        if isinstance(table, dict) and table:
            return table
    return {}


def _number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(str(value), 0)
    except ValueError:
        return None


def _join(target: Path, parts: list[Path], run: Run) -> None:
    """The files one behind the other."""
    from executor.tools.image.copy import copy_range
    from executor.tools.image.sparse import new_file

    position = 0
    with new_file(target) as output:
        for path in parts:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                copy_range(file.fileno(), output, 0, position, size, deadline=run.deadline)
            position += size


class PrepareFit(Action):
    """Kernel, device tree and ramdisk as one file, for bootloaders that load only one."""

    name = "prepare-fit"
    summary = "make a FIT image"
    description = "pack kernel, device tree and ramdisk into one FIT image"
    timeout_error = InfrastructureError

    def __init__(self) -> None:
        self.arch = ""
        self.load = ""

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"tftp", "work"}), tools=frozenset({"mkimage", "dtc"}))

    def plan(self, site: Site) -> Iterable[Action]:
        self.arch = str(site.device.deploy_parameters.get("mkimage_arch") or "")
        self.load = str(site.device.parameters.get("load_address") or "")
        return ()

    def validate(self, world: World) -> Iterable[Problem]:
        for value, place in (
            (self.arch, "actions.deploy.parameters.mkimage_arch"),
            (self.load, "parameters.load_address"),
        ):
            if not value:
                text = f"the device file has no {place}, which a FIT image needs"
                yield self.problem(text, error_type="Configuration")
        for tool in ("mkimage", "dtc"):
            if reason := world.tool(tool):
                yield self.problem(reason, error_type="Infrastructure")

    def run(self, run: Run) -> None:
        artifacts = run.namespace.artifacts
        target = served_directory(run.namespace, "kernel") / "image.itb"
        argv = ["mkimage", "-f", "auto", "-A", self.arch, "-O", "linux", "-T", "kernel", "-C", "none"]
        argv += ["-a", self.load, "-d", str(artifacts["kernel"].path)]
        for label in sorted(label for label in artifacts if label == "dtb"):
            argv += ["-b", str(artifacts[label].path)]
        if "ramdisk" in artifacts:
            argv += ["-i", str(artifacts["ramdisk"].path)]
        proc.run([*argv, str(target)], deadline=run.deadline, log=run.log.output)
        artifacts["kernel"] = replace(artifacts["kernel"], path=target, shared=False)
        run.results["fit"] = target.name

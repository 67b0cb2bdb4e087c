# SPDX-License-Identifier: Apache-2.0
"""`method: grub` (spec: job-format §6, action-pipeline §2); GRUB on UEFI firmware is in grub_efi.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.bootloader.commands import BootloaderCommands
from executor.actions.bootloader.interrupt import BootloaderInterrupt, WaitFastbootInterrupt
from executor.actions.bootloader.media import BootloaderFromMedia, MediaParameters
from executor.actions.bootloader.menu import GrubMenuSelector, MenuInterrupt, menu_of, menu_set
from executor.actions.bootloader.overlay import BootloaderOverlay
from executor.actions.bootloader.script import GRUB
from executor.actions.bootloader.settings import Bootloader, bootloader
from executor.actions.connect import ConnectDevice, ResetDevice
from executor.actions.deviceenv import ExportDeviceEnv
from executor.actions.finalize import PowerOff
from executor.actions.shell import AutoLogin, ExpectShell, shell_tail
from executor.errors import ConfigurationError
from executor.model.problem import Problem
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

FASTBOOT, LOGIN, SHELL, ENVIRONMENT = "wait-fastboot-interrupt", "auto-login", "shell-session", "export-env"


class GrubParameters(MediaParameters, kw_only=True):
    """`method: grub`, `method: grub-efi`"""

    boot_finished: Annotated[
        str | list[str] | None,
        Meta(description="installers: what the system says when it is done; the power goes off then"),
    ] = None
    expect_shell: Annotated[bool, Meta(description="false where no shell is reached")] = True
    docker: Annotated[
        dict[str, Any] | None,
        Meta(description="old: an image with fastboot; the tools of the job's own image are used"),
    ] = None


def sequence_of(request: Request) -> list[str]:
    """The device's own order of steps, which needs no dialogue with GRUB; [] when it has none."""
    options = request.device.boot_methods.get("grub")
    found = options.get("sequence") if isinstance(options, Mapping) else None
    return [str(step) for step in found] if isinstance(found, list) else []


@method("boot")
class Grub(Method):
    """Reach GRUB's command line, type a command set, boot."""

    name = "grub"
    summary = "commands typed at GRUB's prompt"
    Parameters = GrubParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        parameters = cast("GrubParameters", request.typed)
        sequence = sequence_of(request)
        return GrubSequence(parameters, sequence) if sequence else GrubMain(parameters, "grub")


class GrubMain(RetryAction):
    """The whole boot, tried again as a whole."""

    name = "grub-main-action"
    summary = "boot with GRUB"
    description = "boot with commands at the prompt of GRUB"

    def __init__(self, parameters: GrubParameters, method_: str) -> None:
        self.parameters, self.method = parameters, method_

    def plan(self, site: Site) -> Iterable[Action]:
        given = self.parameters
        loader = bootloader(site.device, self.method, site.job, given.parameters)
        yield BootloaderFromMedia(given)
        yield BootloaderOverlay(loader, given, script=GRUB if given.use_bootscript else None)
        yield ConnectDevice(site.device)
        if given.reset is not False and loader.options.get("reset_device") is not False:
            yield ResetDevice(given.soft_reboot)
        if self.method == "grub-efi":
            yield from _firmware(loader, given, site)
        yield BootloaderInterrupt(loader)
        yield BootloaderCommands(loader)
        if given.boot_finished:
            yield InstallerWait(given.boot_finished)
            yield PowerOff()
        elif given.expect_shell:
            yield from shell_tail(site, given)

    def validate(self, world: World) -> Iterable[Problem]:
        if self.parameters.docker is not None:
            text = "tools of the job's own image are used, `docker` is not"
            yield self.problem(text, "docker", severity="warning")


def _firmware(loader: Bootloader, given: GrubParameters, site: Site) -> Iterable[Action]:
    """From the firmware's menu to GRUB, by the menu set that `menu_options` of grub-efi names."""
    menus = site.device.boot_methods.get("uefi-menu")
    menus = menus if isinstance(menus, Mapping) else {}
    chosen = loader.options.get(str(given.commands))
    own = chosen.get("parameters") if isinstance(chosen, Mapping) else None
    common = menus.get("parameters")
    parameters = {
        **(common if isinstance(common, Mapping) else {}),
        **(own if isinstance(own, Mapping) else {}),
    }
    name = str(loader.options.get("menu_options") or "")
    menu = menu_of(parameters, str(loader.options.get("line_separator") or ""))
    yield MenuInterrupt(menu)
    yield GrubMenuSelector(menu, menu_set(menus, name), name)


class GrubSequence(RetryAction):
    """The device's own steps."""

    name = "grub-sequence-action"
    summary = "boot in the device's own order"
    description = "follow the sequence of the device file"

    def __init__(self, parameters: GrubParameters, sequence: list[str]) -> None:
        self.parameters, self.sequence = parameters, sequence

    def plan(self, site: Site) -> Iterable[Action]:
        for step in self.sequence:
            yield self._step(step, site)
        if self.parameters.prompts and LOGIN not in self.sequence:
            yield AutoLogin(self.parameters)

    def _step(self, step: str, site: Site) -> Action:
        if step == FASTBOOT:
            options = site.device.deploy_methods.get("fastboot")
            options = options if isinstance(options, Mapping) else {}
            prompt = str(options.get("interrupt_prompt") or "")
            if not prompt:
                raise ConfigurationError(
                    f"{FASTBOOT} in the device's sequence, but no interrupt_prompt",
                    "it belongs to actions.deploy.methods.fastboot of the device file",
                )
            return WaitFastbootInterrupt(prompt, str(options.get("interrupt_string") or " "))
        if step == LOGIN:
            return AutoLogin(self.parameters)
        if step == SHELL:
            return ExpectShell()
        if step == ENVIRONMENT:
            return ExportDeviceEnv()
        raise ConfigurationError(
            f"the device file has {step!r} in the sequence of grub",
            f"known are {FASTBOOT}, {LOGIN}, {SHELL} and {ENVIRONMENT}",
        )


class InstallerWait(Action):
    """An installer works by itself; how long, the block's timeout says."""

    name = "installer-wait"
    summary = "wait for the installer"
    description = "wait until the installer has finished"

    def __init__(self, finished: str | list[str]) -> None:
        self.finished = [finished] if isinstance(finished, str) else list(finished)

    def run(self, run: Run) -> None:
        run.tell_wait(self.finished, run.deadline)
        match = run.console.expect(self.finished, run.deadline)
        run.results["matched"] = match.text

# SPDX-License-Identifier: Apache-2.0
"""`method: qemu-iso`: let an installer do its work in QEMU, then boot what it has installed (spec: job-format
§6).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal, cast

from msgspec import Meta

from executor.actions.boot.qemu import ExecuteQemu
from executor.actions.deploy.iso_installer import empty
from executor.actions.qemuoptions import Accelerator, accelerate
from executor.actions.shell import shell_tail
from executor.console.watcher import Mode
from executor.errors import ConnectionClosed, InfrastructureError, JobError
from executor.model.job import BootParameters
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.context import Installer
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run

# What the installer says when it stops to ask, which nobody will answer.
_STUCK = (
    r"[Ii]nstallation step failed",
    r"No root file system is defined",
    r"The installer cannot proceed",
)
_CLEAN_END = "exited with code 0"  # what a console says of a program that ended well


class QemuIsoParameters(BootParameters, kw_only=True):
    """`method: qemu-iso`"""

    media: Annotated[Literal["img"], Meta(description="the disk that is installed to")]


@method("boot")
class QemuIso(Method):
    """Install from `to: iso-installer`, then boot the result."""

    name = "qemu-iso"
    needs_of_device = "qemu"
    summary = "an installation in QEMU, and its first boot"
    Parameters = QemuIsoParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootInstallerIso(cast("QemuIsoParameters", request.typed))


class BootInstallerIso(RetryAction):
    """Install, reboot, log in; tried again from the empty disk's first byte."""

    name = "boot-installer-iso"
    summary = "install and boot"
    description = "run the installer, then boot what it installed, with retry"

    def __init__(self, parameters: QemuIsoParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        yield ExecuteInstaller(site.device, site.job.context)
        yield MonitorInstaller()
        yield RebootIntoInstalled(site.device, site.job.context)
        yield from shell_tail(site, self.parameters)


class ExecuteInstaller(ExecuteQemu):
    """Start the installer. QEMU ends when the guest wants to reboot: that is how its end is known."""

    name = "execute-installer-command"
    summary = "start the installer"
    description = "run QEMU with the installer's kernel"

    def run(self, run: Run) -> None:
        if run.outer > 1:
            empty(installer_of(run), run)  # what is half installed makes the installer ask
        super().run(run)

    def command_line(self, run: Run, choice: Accelerator) -> list[str]:
        installer = installer_of(run)
        words = [*self.image_words(run), *installer.drive, *installer.arguments, "-no-reboot"]
        return [self.program, *accelerate(words, choice)]


class MonitorInstaller(Action):
    """Wait until the installer is done, or asks something."""

    name = "monitor-installer-connection"
    summary = "watch the installer"
    description = "wait for the end of the installation"

    def run(self, run: Run) -> None:
        console = run.console
        console.watch(Mode.BOOT)
        try:
            match = console.expect(_STUCK, run.deadline)
        except ConnectionClosed as end:
            if _CLEAN_END not in end.message:
                raise InfrastructureError(f"QEMU ended during the installation: {end.message}") from end
            run.log.info("the installer is done")
            return
        raise JobError(
            f"the installer stopped: {match.text}",
            f"journal record {match.seq}; does the preseed file answer all questions?",
        )


class RebootIntoInstalled(ExecuteQemu):
    """Start QEMU again, from the disk, with the one that brings the tests."""

    name = "reboot-into-installed"
    summary = "boot what was installed"
    description = "run QEMU with the disk that was installed to"

    def command_line(self, run: Run, choice: Accelerator) -> list[str]:
        overlay = run.namespace.overlay_disk
        words = [*self.options, *installer_of(run).drive, *(overlay.arguments if overlay else ())]
        return [self.program, *accelerate(words, choice)]


def installer_of(run: Run) -> Installer:
    """What the deploy block has made. Raises JobError when there was none."""
    installer = run.namespace.installer
    if installer is None:
        raise JobError(
            "there is no installer to boot", "a deploy block with `to: iso-installer` must come first"
        )
    return installer

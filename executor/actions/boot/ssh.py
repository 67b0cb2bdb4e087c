# SPDX-License-Identifier: Apache-2.0
"""`method: ssh`: log in to a device that runs already; nothing is reset (spec: job-format §6)."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from executor.actions.connect import close_console, open_console
from executor.actions.deploy.ssh import FILES, UNPACKED, waiting_calls
from executor.actions.deviceenv import ExportDeviceEnv
from executor.actions.netboot.contents import overlays
from executor.actions.shell import AutoLogin, ExpectShell
from executor.actions.sshclient import POWER_COMMANDS, reachable, ssh_target
from executor.errors import InfrastructureError, JobError
from executor.model.device import Connection, Device
from executor.model.job import BootParameters
from executor.model.launch import Needs
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method
from executor.tools import proc

if TYPE_CHECKING:
    from executor.model.problem import Problem
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_UNPACK_SECONDS = 300.0
_GZ = b"\x1f\x8b"


class SshBootParameters(BootParameters, kw_only=True):
    """`method: ssh`; `parameters` names message (hostID) and key (host_key) of a secondary connection."""


@method("boot")
class SshBoot(Method):
    """Log in by ssh."""

    name = "ssh"
    summary = "log in to a device that runs already"
    Parameters = SshBootParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return LoginSsh(cast("SshBootParameters", request.typed), request.device)


class LoginSsh(RetryAction):
    """Copy the overlay, log in, unpack it."""

    name = "login-ssh"
    summary = "log in by ssh"
    description = "copy the overlay to the device, log in by ssh, unpack it"

    def __init__(self, parameters: SshBootParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device
        self.announced = False  # an earlier block waits for the message with the address

    def plan(self, site: Site) -> Iterable[Action]:
        self.announced = any(
            call.get("messageID") == self.parameters.parameters.get("hostID")
            for block in site.job.blocks
            if site.block is not None and block.namespace == site.block.namespace
            for call in waiting_calls(block.parameters)
        )
        # No kernel starts here: its first message is not waited for, its faults are not looked for.
        quiet = msgspec.structs.replace(
            self.parameters,
            parameters={**self.parameters.parameters, "kernel-start-message": ""},
            ignore_kernel_messages=True,
        )
        yield ScpDeploy()
        yield PrepareSsh()
        yield SshConnection()
        yield AutoLogin(quiet)
        yield ExpectShell()
        yield ExportDeviceEnv()
        yield ScpOverlayUnpack()

    def validate(self, world: World) -> Iterable[Problem]:
        target = ssh_target(self.device)
        if target.port and not target.port.isdigit():
            text = f"the device file has the ssh port {target.port!r}"
            yield self.problem(text, error_type="Configuration", hint="a number such as 22")
        if target.host:
            power = [name for name in POWER_COMMANDS if self.device.command(name)]
            if power:
                text = f"the device file has {', '.join(power)} for a host that jobs share"
                hint = (
                    "a device with actions.deploy.methods.ssh.host is never switched: take the commands away"
                )
                yield self.problem(text, error_type="Configuration", hint=hint)
        elif not self.announced:
            text = "the device file has no ssh host, and no message brings one"
            hint = (
                "parameters: hostID is the messageID that the deploy block waits for in prepare-scp-overlay"
            )
            yield self.problem(text, "parameters", hint=hint)
        for tool in ("ssh", "scp"):
            if reason := world.tool(tool):
                yield self.problem(reason, error_type="Infrastructure")


class ScpDeploy(Action):
    """Copy what the deploy block has made."""

    name = "scp-deploy"
    summary = "copy files to the device"
    description = "copy the overlay and what was downloaded to the device with scp"
    timeout_error = InfrastructureError

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"}), network="bridge", tools=frozenset({"scp"}))

    def run(self, run: Run) -> None:
        target = reachable(run)
        for path, remote in deliveries(run):
            run.log.info(f"scp {path.name} to {target.host}:{remote}")
            proc.run(target.scp([path], remote), deadline=run.deadline, log=run.log.output)


class PrepareSsh(Action):
    """See that the device lets us in before a dialogue begins: a refused key is told better here."""

    name = "prepare-ssh"
    summary = "try the connection"
    description = "run a command on the device by ssh"
    timeout_error = InfrastructureError

    def needs(self) -> Needs:
        return Needs(network="bridge", tools=frozenset({"ssh"}))

    def run(self, run: Run) -> None:
        target = reachable(run)
        try:
            proc.run(target.ssh("true"), deadline=run.deadline, log=run.log.output)
        except InfrastructureError as error:
            raise InfrastructureError(
                f"no login at {target.host} by ssh: {error.message}",
                "does sshd run there, and is the key of the device file authorised?",
            ) from error
        run.results |= {"host": target.host, "user": target.user}


class SshConnection(Action):
    """Open the shell that the tests will use."""

    name = "ssh-connection"
    summary = "open a shell by ssh"
    description = "start ssh on a pty of its own"
    timeout_error = InfrastructureError
    restarts_device = True

    def run(self, run: Run) -> None:
        argv = reachable(run).ssh()
        run.namespace.console = open_console(run, Connection("ssh", shlex.join(argv), ["ssh"]))

    def cleanup(self, run: Run) -> None:
        close_console(run)


class ScpOverlayUnpack(Action):
    """Unpack what was copied, in the shell of the device."""

    name = "scp-overlay-unpack"
    summary = "unpack the overlay"
    description = "unpack the overlay that was copied to the device"
    timeout_error = InfrastructureError

    def run(self, run: Run) -> None:
        for path, remote in deliveries(run, unpacked=True):
            with path.open("rb") as file:
                packed = "z" if file.read(len(_GZ)) == _GZ else ""
            name = shlex.quote(remote)
            line = f"tar -C / -x{packed}f {name} && rm -f {name}"
            done = run.console.command(line, run.connection.prompts, run.deadline, limit=_UNPACK_SECONDS)
            if done.rc != 0:
                raise JobError(
                    f"tar on the device returned {done.rc} for {remote}",
                    "is there tar with gzip on the device, and room at its root?",
                )
        run.namespace.overlay_applied = True


def deliveries(run: Run, *, unpacked: bool = False) -> Iterator[tuple[Path, str]]:
    """(file here, path on the device) of all that is copied, or only of what is unpacked there."""
    namespace = run.namespace
    base = namespace.results_dir or f"/lava-{run.context.worker.job_id}"
    for path in overlays(namespace):
        yield path, f"{base}-{path.name}"
    for key in UNPACKED if unpacked else FILES:
        artifact = namespace.artifacts.get(key)
        if artifact is not None:
            yield artifact.path, f"{base}-{artifact.file_name}"

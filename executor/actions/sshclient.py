# SPDX-License-Identifier: Apache-2.0
"""A device that is reached by ssh: where it is, and the command lines of `ssh` and `scp` for it.

Spec: device-config §2 (deploy method ssh), job-format §5 and §6. The key is named by a file, never passed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.errors import ConfigurationError, InfrastructureError, JobError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from executor.model.device import Device
    from executor.pipeline.run import Run

# A device is made anew by each deployment, so that its host key says nothing; no question may block the job.
_QUIET = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes")
POWER_COMMANDS = ("power_on", "power_off", "hard_reset")


@dataclass(frozen=True)
class SshTarget:
    """Host, port and user of a device. A host that is empty comes by a message of the group."""

    host: str = ""
    port: str = ""
    user: str = "root"
    identity: str = ""
    options: tuple[str, ...] = ()

    def ssh(self, *command: str) -> list[str]:
        """`ssh` to the device, for a shell where no command is given."""
        terminal = [] if command else ["-tt"]
        port = ["-p", self.port] if self.port else []
        return [
            "ssh",
            *_QUIET,
            *self.options,
            *self._key,
            *port,
            *terminal,
            f"{self.user}@{self.host}",
            *command,
        ]

    def scp(self, sources: Sequence[Path], destination: str) -> list[str]:
        """`scp` of files to a path of the device."""
        port = ["-P", self.port] if self.port else []
        host = f"[{self.host}]" if ":" in self.host else self.host
        names = [str(path) for path in sources]
        return ["scp", *_QUIET, *self.options, *self._key, *port, *names, f"{self.user}@{host}:{destination}"]

    @property
    def _key(self) -> list[str]:
        return ["-i", self.identity] if self.identity else []


def ssh_target(device: Device) -> SshTarget:
    """What the device file says."""
    given = device.deploy_methods.get("ssh")
    found: dict[str, Any] = given if isinstance(given, dict) else {}
    options = found.get("options")
    return SshTarget(
        host=str(found.get("host") or ""),
        port=str(found.get("port") or ""),
        user=str(found.get("user") or "root"),
        identity=str(found.get("identity_file") or ""),
        options=tuple(str(word) for word in options) if isinstance(options, list) else (),
    )


def public_key(device: Device) -> bytes:
    """The line that lets the device's key in. Raises ConfigurationError and InfrastructureError."""
    name = ssh_target(device).identity
    if not name:
        raise ConfigurationError(
            "the device file names no ssh key to authorise", "actions.deploy.methods.ssh.identity_file does"
        )
    path = identity_file(device, f"{name}.pub")
    try:
        return path.read_bytes()
    except OSError as problem:
        raise InfrastructureError(f"{path} cannot be read as a public key: {problem}") from problem


def reachable(run: Run) -> SshTarget:
    """The device with host and key as they are here. Raises JobError and InfrastructureError."""
    target = ssh_target(run.context.device)
    host = target.host or _announced(run)
    if host.startswith("-") or any(c.isspace() for c in host):
        raise JobError(f"{host!r} is no host name or address")
    key = str(identity_file(run.context.device, target.identity)) if target.identity else ""
    return replace(target, host=host, identity=key)


def _announced(run: Run) -> str:
    """The address that another job of the group has sent (spec: multinode §7)."""
    given = run.action.block.parameters.get("parameters") if run.action.block is not None else None
    names = given if isinstance(given, dict) else {}
    message, key = str(names.get("hostID") or ""), str(names.get("host_key") or "")
    found = run.context.received.get(message, {}).get(key)
    if not found:
        raise JobError(
            f"no message {message!r} has brought the host's address as {key!r}",
            "the deploy block waits for it: protocols, lava-multinode, action prepare-scp-overlay",
        )
    return found


def identity_file(device: Device, name: str) -> Path:
    """The key file of the device; a relative name lies in the directories of the admin's tools.

    Raises InfrastructureError when it is not there.
    """
    container = device.raw.get("container")
    given = container.get("tools") if isinstance(container, dict) else None
    folders = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    for path in [Path(str(folder)) / name for folder in folders] or [Path(name)]:
        if path.is_file():
            return path
    raise InfrastructureError(
        f"the ssh key {name} of the device is not in the job's container",
        "container.tools in the device file names a directory of the worker that holds it",
    )

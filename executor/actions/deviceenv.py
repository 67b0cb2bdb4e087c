# SPDX-License-Identifier: Apache-2.0
"""Variables that the admin sets for the shells of devices (env-dut; spec: device-config §7, fleet §2)."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.pipeline.run import Run


class DeployDeviceEnv(Action):
    """Check early that the variables can be exported at all."""

    name = "deploy-device-env"
    summary = "deploy device environment"
    description = "take the worker's environment for devices"

    def run(self, run: Run) -> None:
        names = sorted(run.context.worker.environment)
        run.log.debug(f"environment for the device: {', '.join(names) if names else 'nothing'}")


class ExportDeviceEnv(Action):
    """Export them in the shell that was just reached, and in the file that later shells read."""

    name = "export-device-env"
    summary = "export device environment"
    description = "export the worker's environment for devices in the device's shell"

    def run(self, run: Run) -> None:
        variables = {**run.context.worker.environment, **_of_deployment(run)}
        if not variables:
            return
        console = run.console
        for name, value in variables.items():
            line = f"export {name}={shlex.quote(value)}"
            console.send_line(line)
            console.expect(run.connection.prompts, run.operation)
            if run.namespace.shell_file:
                console.send_line(f"echo {shlex.quote(line)} >> {run.namespace.shell_file}")
                console.expect(run.connection.prompts, run.operation)


def _of_deployment(run: Run) -> dict[str, str]:
    """What the deployment found out, such as where the root is mounted from (spec: device-config §1)."""
    root = run.namespace.nfs_root
    return {"NFS_ROOTFS": root.path, "NFS_SERVER_IP": root.server} if root is not None else {}

# SPDX-License-Identifier: Apache-2.0
"""A root file system as a network block device (spec: job-format §9, lava-xnbd)."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from executor.actions.netboot.contents import fetches_overlay, overlays
from executor.errors import InfrastructureError, JobError
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.tools import proc

if TYPE_CHECKING:
    import subprocess

    from executor.model.deadline import Deadline
    from executor.model.problem import Problem
    from executor.pipeline.context import Artifact
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

PORTS = (55000, 56000)  # out of which a free one is taken
_PAUSE = 0.05  # seconds between two looks whether the server answers
_CLIENTS = "8"  # boards connect once more while the old connection still hangs


class XnbdServerDeploy(Action):
    """Serve the root file system until the job ends.

    The image is not copied: what the device writes goes into an overlay of its own.
    """

    name = "xnbd-server-deploy"
    summary = "serve the root file system"
    description = "start a server for the network block device"
    timeout_error = InfrastructureError

    def __init__(self) -> None:
        self.port: Any = "auto"
        self.tested = self.fetched = False

    def needs(self) -> Needs:
        # The device connects to a port of this process, so it must be one of the host's.
        return Needs(
            mounts=frozenset({"cache", "work"}), network="host", tools=frozenset({"qemu-nbd", "qemu-img"})
        )

    def plan(self, site: Site) -> Iterable[Action]:
        protocol = site.job.protocols.get("lava-xnbd")
        self.port = protocol.get("port", "auto") if isinstance(protocol, dict) else "auto"
        self.tested = site.needs_overlay
        self.fetched = fetches_overlay(site)
        return ()

    def validate(self, world: World) -> Iterable[Problem]:
        if reason := world.tool("qemu-nbd"):
            yield self.problem(reason, error_type="Infrastructure")

    def run(self, run: Run) -> None:
        context, artifact = run.context, run.namespace.artifacts["nbdroot"]
        if self.tested and not self.fetched:
            self._apply_overlay(run, artifact)
        path, format_ = self._own(run, artifact)
        port = self.port if isinstance(self.port, int) else free_port()
        argv = ["qemu-nbd", "--persistent", "--shared", _CLIENTS, "-f", format_, "-p", str(port), path]
        server = context.closing.enter_context(proc.started(argv))
        _wait_until_served(server, port, run.deadline)
        address = context.worker.dispatcher_ip
        run.namespace.substitutions |= {"{NBDSERVERIP}": address, "{NBDSERVERPORT}": str(port)}
        run.log.info(f"nbdroot: served at {address}, port {port}")
        run.results["port"] = port

    def _apply_overlay(self, run: Run, artifact: Artifact) -> None:
        from executor.tools.image.inject import inject

        try:
            done = inject(
                artifact.path,
                overlays(run.namespace),
                workdir=run.context.work / f"nbdroot-{self.level}",
                shared=artifact.shared,
                as_overlay=True,
                compression=artifact.compression,
                deadline=run.deadline,
                log=run.log.output,
            )
        except JobError as error:
            raise JobError(
                f"the overlay cannot be put into nbdroot: {error.message}",
                "`transfer_overlay` in the boot block lets the device fetch it",
            ) from error
        artifact.path, artifact.format, artifact.shared = done.path, done.format, False
        run.namespace.overlay_applied = True

    def _own(self, run: Run, artifact: Artifact) -> tuple[str, str]:
        """A file that the device may write to, and its format."""
        from executor.tools.image.copy import overlay
        from executor.tools.image.identify import Kind, identify

        if not artifact.shared:
            return str(artifact.path), artifact.format
        format_ = "qcow2" if identify(artifact.path).kind is Kind.QCOW2 else "raw"
        target = run.context.work / f"nbdroot-{self.level}.qcow2"
        overlay(artifact.path, format_, target, deadline=run.deadline, log=run.log.output)
        artifact.path, artifact.format, artifact.shared = target, "qcow2", False
        return str(target), "qcow2"


def free_port() -> int:
    """One of the range at which nothing listens now. Raises InfrastructureError."""
    for port in random.sample(range(*PORTS), 50):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise InfrastructureError(
        f"no free port between {PORTS[0]} and {PORTS[1]}", "what else listens on this worker?"
    )


def _wait_until_served(server: subprocess.Popen[bytes], port: int, deadline: Deadline) -> None:
    while not deadline.expired:
        if proc.has_ended(server, 0):
            raise InfrastructureError(
                f"qemu-nbd ended at once, it cannot serve port {port}", "is the port taken on this worker?"
            )
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(_PAUSE)
    raise proc.overdue("qemu-nbd did not answer", deadline, InfrastructureError)

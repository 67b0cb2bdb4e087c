# SPDX-License-Identifier: Apache-2.0
"""`method: qemu-nfs`: a guest in the job's own container whose root file system comes by NFS.

Spec: job-format §6, device-config §2 (`append`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from executor.actions.boot.qemu import BootImageRetry, ExecuteQemu, QemuParameters
from executor.errors import JobError
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.problem import Problem
    from executor.pipeline.context import NfsRoot
    from executor.pipeline.planner import Request
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_APPEND = (
    "console",
    "root",
    "nfsrootargs",
    "ipargs",
)  # keys of the device, in the order of the kernel's line


class QemuNfsParameters(QemuParameters, kw_only=True):
    """`method: qemu-nfs`"""


@method("boot")
class QemuNfs(Method):
    """Boot a kernel in QEMU that mounts its root by NFS."""

    name = "qemu-nfs"
    summary = "a QEMU guest with an NFS root"
    Parameters = QemuNfsParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootImageRetry(cast("QemuNfsParameters", request.typed), ExecuteQemuNfs)


class ExecuteQemuNfs(ExecuteQemu):
    """The guest's kernel is told where its root is."""

    method = "qemu-nfs"

    def needs(self) -> Needs:
        return super().needs() | Needs(network="bridge")

    def validate(self, world: World) -> Iterable[Problem]:
        yield from super().validate(world)
        if not self._append:
            yield self.problem(
                "the device file has no actions.boot.methods.qemu-nfs.parameters.append",
                error_type="Configuration",
                hint=f"a map of {', '.join(_APPEND)}, which make the kernel's command line",
            )

    @property
    def _append(self) -> dict[str, object]:
        given = self.parameters.get("append")
        return given if isinstance(given, dict) else {}

    def image_words(self, run: Run) -> list[str]:
        root = run.namespace.nfs_root
        if root is None:
            raise JobError(
                "there is no NFS root to boot from", "a block `to: nfs` with images must come before"
            )
        return [*super().image_words(run), "-append", self._kernel_line(root)]

    def _kernel_line(self, root: NfsRoot) -> str:
        """The device's arguments; what the job says of the root takes the place of what the device says."""
        given = {key: str(self._append[key]) for key in _APPEND if self._append.get(key)}
        if root.arguments:
            given["nfsrootargs"] = root.arguments
        line = " ".join(
            f"{key}={value}" if key in ("console", "root") else value for key, value in given.items()
        )
        names = {"{NFS_SERVER_IP}": root.server, "{NFSROOTFS}": root.path, "{nfsrootfs}": root.path}
        for name, value in names.items():
            line = line.replace(name, value)
        return line

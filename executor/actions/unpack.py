# SPDX-License-Identifier: Apache-2.0
"""`overlay-unpack`: the device fetches the overlay itself (spec: job-format §6, `transfer_overlay`).

For systems that no deploy can write into. What is run on the device are commands whose exit code is checked
(spec: action-pipeline §3). What only one of the ways needs is imported there: every plan of a boot imports
this module.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from executor.actions.connect import close_console, open_console
from executor.errors import ConfigurationError, InfrastructureError, JobError
from executor.model.launch import Needs
from executor.model.problem import Problem
from executor.pipeline.action import Action
from executor.tools import proc

if TYPE_CHECKING:
    from executor.model.job import TransferOverlay
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

HTTP, NFS, ZMODEM = "http", "nfs", "zmodem"
MOUNT_POINT = "/tmp/lava-overlay"  # noqa: S108  # on the device
RECEIVER = "rz -b -y"
RECEIVING = "B0100"  # what a receiver of zmodem begins with


class OverlayUnpack(Action):
    """Bring the overlay over and unpack it; the secrets come as an archive of their own."""

    name = "overlay-unpack"
    summary = "fetch the overlay"
    description = "make the device fetch and unpack the overlay"
    timeout_error = InfrastructureError

    def __init__(self, transfer: TransferOverlay) -> None:
        self.transfer = transfer
        self.uart = ""

    def plan(self, site: Site) -> Iterable[Action]:
        uarts = [str(entry["uart"]) for entry in site.device.device_info if entry.get("uart")]
        self.uart = uarts[0] if uarts else ""
        return ()

    def needs(self) -> Needs:
        if self.transfer.transfer_method == NFS:
            return Needs(mounts=frozenset({"nfs"}))
        if self.transfer.transfer_method == ZMODEM:
            return Needs(devices=frozenset({"serial"}), tools=frozenset({"sz"}))
        return Needs(network="host")  # the device connects to us: only the worker's own address is reached

    def validate(self, world: World) -> Iterable[Problem]:
        if self.transfer.transfer_method != ZMODEM:
            return
        if not self.uart:
            yield self.problem(
                "the device file names no serial port for zmodem",
                "transfer_overlay",
                error_type="Configuration",
                hint="add `uart` to its device_info",
            )
        if reason := world.tool("sz"):
            yield self.problem(reason, "transfer_overlay", error_type="Infrastructure")

    def run(self, run: Run) -> None:
        from executor.actions.netboot.contents import overlays

        namespace, way = run.namespace, self.transfer.transfer_method
        archives = overlays(namespace)
        if not archives:
            raise JobError("there is no overlay to transfer", "a deploy block must come before this block")
        if way == NFS:
            self._mount(run, archives)
        for archive in archives if way != NFS else ():
            name = shlex.quote(archive.name)
            self._command(run, f"rm -f {name}")
            if way == ZMODEM:
                self._by_serial(run, archive)
            else:
                self._by_http(run, archive)
            self._command(run, f"{self.transfer.unpack_command} {name}")
        run.results["transfer_method"] = way

    def _by_http(self, run: Run, archive: Path) -> None:
        from executor.actions.fileserver import serve_file

        worker = run.context.worker
        with serve_file(archive, worker.http_ip or worker.dispatcher_ip) as url:
            self._command(run, f"{self.transfer.download_command} {url}")

    def _mount(self, run: Run, archives: list[Path]) -> None:
        """`download_command` mounts a directory that holds the unpacked overlay, `unpack_command` copies."""
        import shutil

        from executor.actions.netboot.nfsroot import unpack_into
        from executor.actions.netboot.share import new_directory, nfs_server

        context, there = run.context, shlex.quote(MOUNT_POINT)
        tree = new_directory(context.nfs, context.worker.job_id, self.name)
        try:
            unpack_into(run, tree, archives, "overlay", "gz")
            self._command(run, f"mkdir -p {there}")
            self._command(run, f"{self.transfer.download_command} {nfs_server(context)}:{tree} {there}")
            self._command(run, f"{self.transfer.unpack_command} {there}/* /")
            self._command(run, f"umount {there}")
        finally:
            shutil.rmtree(tree, ignore_errors=True)

    def _by_serial(self, run: Run, archive: Path) -> None:
        """The receiver is started over the console, which then makes room for the sender on the port."""
        from executor.actions.usb import local

        connection = run.context.device.primary
        if connection is None:
            raise ConfigurationError("the device file has no console to connect to")
        run.console.send_line(RECEIVER)
        run.console.expect(RECEIVING, run.operation)
        close_console(run)
        port = _open_port(local(run.context.dev, self.uart))
        try:
            argv = ["sz", "-b", "-q", str(archive)]
            proc.run(argv, deadline=run.deadline, log=run.log.output, stdin=port, stdout=port)
        finally:
            os.close(port)
            run.connection.console = open_console(run, connection)
        run.console.send_line("")
        run.console.expect(run.connection.prompts, run.operation)

    def _command(self, run: Run, line: str) -> None:
        """One line on the device. Raises JobError when it fails."""
        deadline = run.operation
        done = run.console.command(line, run.connection.prompts, deadline, limit=deadline.remaining)
        if done.rc:
            last = done.output.strip().rsplit("\n", 1)[-1]
            raise JobError(
                f"{line!r} failed on the device with code {done.rc}" + (f": {last}" if last else ""),
                "`transfer_overlay` names the commands; has the device a network by now?",
            )


def _open_port(path: Path) -> int:
    """The serial port, without line discipline. Raises InfrastructureError."""
    import termios
    import tty
    from contextlib import suppress

    try:
        port = os.open(path, os.O_RDWR | os.O_NOCTTY)
    except OSError as error:
        raise InfrastructureError(
            f"the serial port {path} cannot be opened: {error.strerror}",
            "`uart` in device_info of the device file names it as the worker sees it",
        ) from error
    with suppress(termios.error):
        tty.setraw(port)
    return port

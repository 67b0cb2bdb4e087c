# SPDX-License-Identifier: Apache-2.0
"""A device that fetches its overlay by HTTP, NFS or over its serial port."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from executor.actions import unpack
from executor.actions.unpack import OverlayUnpack
from executor.console.reader import Console
from executor.errors import InfrastructureError, JobError
from executor.model.device import Connection, Device
from executor.model.job import TransferOverlay
from executor.pipeline.run import Run
from executor.pipeline.world import IdealWorld
from executor.testing import jobs
from executor.testing.console import FakeClock, ScriptedConsole, ScriptedPort, Shell
from executor.testing.pipeline import Scene, placed, planned
from executor.testing.tarballs import Item, write_tar

COMMAND = re.compile(r"; (?P<line>.*); printf '<%s:(?P<mark>[-\w]+):%d>")


def archive(path: Path) -> Path:
    return write_tar(path, [Item(f"lava-42/{path.name}", content=b"x")], "gz")


class Board:
    """A device with a shell; `fails` is a pattern of lines that end with code 1."""

    def __init__(self, path: Path, fails: str = "(?!)", **device: Any) -> None:
        clock = FakeClock()
        self.lines: list[str] = []
        self.fails = fails
        answers = {COMMAND.pattern: self._answer, "^rz": "rz waiting to receive.**B0100000023be50\n"}
        self.port = ScriptedPort(clock, [Shell("/ # ", answers)])
        self.scene = Scene(
            path, clock=clock, device=Device(**device), dispatcher_ip="127.0.0.1", nfs_ip="10.0.0.2"
        )
        self.scene.context.nfs = path / "nfs"
        self.scene.context.dev = path / "dev"
        namespace = self.scene.namespace
        namespace.console = ScriptedConsole(self.port, self.scene.journal)  # type: ignore[arg-type]
        namespace.prompts = ["/ # "]
        namespace.overlay = archive(path / "overlay-1.tar.gz")

    def _answer(self, found: re.Match[str]) -> str:
        line, mark = found["line"], found["mark"]
        self.lines.append(line)
        code = 1 if re.search(self.fails, line) else 0
        return f"<begin:{mark}>\n{'no route to host' if code else 'done'}\n<end:{mark}:{code}>\n"

    def run(self, **given: Any) -> Run:
        transfer = TransferOverlay(unpack_command="tar -C / -xzf", **given)
        action = placed(OverlayUnpack(transfer), section="boot")
        assert isinstance(action, OverlayUnpack)
        action.uart = "/dev/ttyS1"
        return self.scene.run(action)


def test_by_http(tmp_path: Path) -> None:
    board = Board(tmp_path)
    run = board.run(download_command="cd /tmp ; wget")
    first, fetch, last = board.lines
    assert first == "rm -f overlay-1.tar.gz"
    assert re.fullmatch(r"cd /tmp ; wget http://127\.0\.0\.1:\d+/[-\w]+/overlay-1\.tar\.gz", fetch)
    assert last == "tar -C / -xzf overlay-1.tar.gz"
    assert run.results == {"transfer_method": "http"}


def test_secrets_come_as_an_archive_of_their_own(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.scene.namespace.overlay_secrets = archive(tmp_path / "secrets.tar.gz")
    board.run(download_command="wget")
    assert board.lines[-1] == "tar -C / -xzf secrets.tar.gz"
    assert len(board.lines) == 6


@pytest.mark.parametrize("step", ["wget", "tar"])
def test_a_command_that_fails_ends_the_boot(tmp_path: Path, step: str) -> None:
    with pytest.raises(JobError, match=rf"'{step}.* failed on the device with code 1: no route to host"):
        Board(tmp_path, fails=f"^{step}").run(download_command="wget")


def test_by_nfs(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.run(transfer_method="nfs", download_command="mount -t nfs -o nolock")
    make, mount, copy, leave = board.lines
    assert make == "mkdir -p /tmp/lava-overlay"
    found = re.fullmatch(r"mount -t nfs -o nolock 10\.0\.0\.2:(\S+) /tmp/lava-overlay", mount)
    assert found is not None
    assert Path(found[1]).is_relative_to(tmp_path / "nfs" / "42")
    assert not Path(found[1]).exists()  # nothing stays at the server
    assert copy == "tar -C / -xzf /tmp/lava-overlay/* /"
    assert leave == "umount /tmp/lava-overlay"


def test_over_the_serial_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = tmp_path / "bin" / "sz"
    sender.parent.mkdir()
    sender.write_text('#!/bin/sh\ncat "$3"\n')
    sender.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sender.parent}:{os.environ['PATH']}")
    board = Board(tmp_path, connections={"main": Connection("main", "true", ["primary"])})
    port = board.scene.context.dev / "ttyS1"
    port.parent.mkdir()
    port.write_bytes(b"")
    opened: list[str] = []

    def again(run: Run, connection: Connection) -> Console:
        opened.append(connection.name)
        answers = {COMMAND.pattern: board._answer}
        return ScriptedConsole(ScriptedPort(FakeClock(), [Shell("/ # ", answers)]))

    monkeypatch.setattr(unpack, "open_console", again)
    board.run(transfer_method="zmodem")
    assert board.port.typed.endswith("rz -b -y\n")
    assert not board.port.alive  # the console had let go of the port
    assert board.scene.namespace.overlay is not None
    assert port.read_bytes() == board.scene.namespace.overlay.read_bytes()
    assert opened == ["main"]
    assert board.lines[-1] == "tar -C / -xzf overlay-1.tar.gz"


def test_a_serial_port_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(tmp_path, connections={"main": Connection("main", "true", ["primary"])})
    with pytest.raises(InfrastructureError, match="ttyS1 cannot be opened"):
        board.run(transfer_method="zmodem")


def test_without_an_overlay_there_is_nothing_to_fetch(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.scene.namespace.overlay = None
    with pytest.raises(JobError, match="no overlay"):
        board.run(download_command="wget")


def overlay(**given: Any) -> OverlayUnpack:
    action = placed(OverlayUnpack(TransferOverlay(unpack_command="tar", **given)), section="boot")
    assert isinstance(action, OverlayUnpack)
    return action


def test_what_each_way_needs() -> None:
    assert overlay(download_command="wget").needs().network == "host"
    assert overlay(transfer_method="nfs", download_command="mount").needs().mounts == {"nfs"}
    assert overlay(transfer_method="zmodem").needs().tools == {"sz"}


def test_zmodem_needs_a_port() -> None:
    (problem,) = overlay(transfer_method="zmodem").validate(IdealWorld())
    assert problem.error_type == "Configuration"
    assert list(overlay(download_command="wget").validate(IdealWorld())) == []


def test_it_is_planned_where_a_test_wants_a_shell() -> None:
    boot = jobs.boot(transfer_overlay={"download_command": "wget", "unpack_command": "tar"})
    with_test = planned(jobs.job(jobs.deploy(), boot, jobs.shell_test()), jobs.device())
    assert [a.name for a in with_test.walk()].count("overlay-unpack") == 1
    without = planned(jobs.job(jobs.deploy(), boot), jobs.device())
    assert "overlay-unpack" not in [a.name for a in without.walk()]

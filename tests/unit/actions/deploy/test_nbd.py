# SPDX-License-Identifier: Apache-2.0
"""`to: nbd`: what is served by TFTP, and a stand-in for the server of the block device."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from executor.actions.netboot import nbd
from executor.actions.netboot.nbd import XnbdServerDeploy
from executor.errors import InfrastructureError
from executor.pipeline.check import check_job
from executor.testing import jobs
from executor.testing.netboot import board
from executor.testing.pipeline import Scene, placed, planned
from executor.testing.tools import StandIns
from executor.tools.image import copy

URL = "http://h/"
BLOCK = {
    "to": "nbd",
    "os": "debian",
    "kernel": {"url": URL + "zImage", "type": "zimage"},
    "initrd": URL + "initrd",
    "nbdroot": URL + "root.ext4",
}
LISTEN = """\
for last; do :; done
while [ "$1" != -p ]; do shift; done
exec python3 -c 'import socket, sys
server = socket.create_server(("", int(sys.argv[1])))
for _ in range(9): server.accept()' $2
"""


def job(port: Any = "auto", *blocks: dict[str, Any], **keys: Any) -> str:
    return jobs.job(
        {"deploy": {**BLOCK, **keys}}, *blocks, device_type="board", protocols={"lava-xnbd": {"port": port}}
    )


def test_the_order_of_the_deployment() -> None:
    found = planned(job(), board())
    assert [a.name for a in found.actions[0].walk() if a.name != "http-download"] == [
        "nbd-deploy",
        *["download-retry"] * 3,
        "lava-overlay",
        "prepare-kernel",
        "uboot-prepare-kernel",
        "xnbd-server-deploy",
    ]
    assert found.needs.network == "host"


def test_a_port_is_a_port() -> None:
    assert check_job(job("any"), board()).errors != []
    assert check_job(job(55001), board()).errors == []


def test_what_it_has_no_use_for_is_refused() -> None:
    (error,) = check_job(job(ramdisk=URL + "r"), board()).errors
    assert "ramdisk" in error.message


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Scene, StandIns]:
    def overlay(original: Path, format_: str, target: Path, **_: Any) -> None:
        target.write_text(f"{format_} {original.name}")

    monkeypatch.setattr(copy, "overlay", overlay)
    scene = Scene(tmp_path, clock=time.monotonic, dispatcher_ip="192.0.2.1")
    scene.artifact("nbdroot", bytes(4096))
    return scene, StandIns(tmp_path, monkeypatch)


def test_a_device_is_told_server_and_port(served: tuple[Scene, StandIns]) -> None:
    scene, tools = served
    tools.make("qemu-nbd", does=LISTEN)
    run = scene.run(placed(XnbdServerDeploy()))
    names = scene.namespace.substitutions
    assert names["{NBDSERVERIP}"] == "192.0.2.1"
    assert 55000 <= int(names["{NBDSERVERPORT}"]) < 56000
    assert run.results == {"port": int(names["{NBDSERVERPORT}"])}
    (argv,) = tools.calls("qemu-nbd")
    assert argv[argv.index("-f") + 1] == "qcow2"
    assert Path(argv[-1]).read_text() == "raw nbdroot.img"
    scene.context.closing.close()


def test_a_server_that_does_not_start_is_told(served: tuple[Scene, StandIns]) -> None:
    scene, tools = served
    tools.make("qemu-nbd", code=1)
    with pytest.raises(InfrastructureError, match="qemu-nbd ended at once"):
        scene.run(placed(XnbdServerDeploy()))
    scene.context.closing.close()


def test_no_port_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    class Taken:
        def __enter__(self) -> Taken:
            return self

        def __exit__(self, *_: object) -> None: ...

        def bind(self, _: object) -> None:
            raise OSError

    monkeypatch.setattr(nbd.socket, "socket", Taken)
    with pytest.raises(InfrastructureError, match="no free port between 55000 and 56000"):
        nbd.free_port()

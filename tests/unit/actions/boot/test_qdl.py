# SPDX-License-Identifier: Apache-2.0
"""qdl: how it is called, and the board in emergency download mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions import usb
from executor.actions.boot.qdl import FlashQdl, QdlParameters, WaitQdlDevice
from executor.errors import InfrastructureError, JobError
from executor.schema.device import parse_device
from executor.testing.boards import board, names, problems
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

KEYS: dict[str, Any] = {
    "firehose_program": "prog_firehose.elf",
    "rawprogram": "rawprogram*.xml",
    "patch": ["patch0.xml"],
}
BOOT = {"boot": {"method": "qdl", **KEYS}}


def device(**keys: Any) -> dict[str, Any]:
    return board("boot", "qdl", {"parameters": {"options": ["--include ."]}}, board_qdl_id="1A2B3C", **keys)


def flash(**keys: Any) -> FlashQdl:
    parsed = parse_device(device()).device
    assert parsed is not None
    action = FlashQdl(QdlParameters(method="qdl", **{**KEYS, **keys}), parsed)
    placed(action, section="boot")
    return action


@pytest.fixture
def files(tmp_path: Path) -> Path:
    directory = tmp_path / "files" / "image"
    directory.mkdir(parents=True)
    for name in ("prog_firehose.elf", "rawprogram0.xml", "rawprogram1.xml", "patch0.xml", "rootfs.img"):
        (directory / name).touch()
    return tmp_path / "files"


def test_the_plan() -> None:
    assert names(device(), BOOT) == [
        *("boot-qdl-retry", "  reset-device", "    pdu-reboot", "  wait-qdl-device", "  flash-qdl"),
        *("  connect-device", "  reset-device", "    pdu-reboot"),
    ]
    made = device()
    made["commands"] |= {"recovery_mode": "relay on", "recovery_exit": "relay off"}
    assert names(made, BOOT)[1:6] == [
        *("  switch-recovery", "  reset-device", "    pdu-reboot", "  wait-qdl-device", "  flash-qdl")
    ]
    assert names(made, BOOT)[6] == "  switch-recovery"


def test_the_files_are_found_and_given_in_order(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("qdl", says='Waiting for EDL device\nflashed "rootfs" successfully at 51200kB/s')
    scene = Scene(tmp_path)
    scene.artifact("qcomflash").path = files
    scene.run(flash())
    [argv] = tools.calls("qdl")
    assert argv[:6] == ["--storage", "ufs", "--serial", "1A2B3C", "--include", "."]
    assert [Path(word).name for word in argv[6:]] == [
        *("prog_firehose.elf", "rawprogram0.xml", "rawprogram1.xml", "patch0.xml")
    ]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"patch": "patch9.xml"}, "holds no 'patch9.xml'"),
        ({"rawprogram": "../x.xml"}, "leads out of qcomflash"),
    ],
)
def test_files_that_are_not_there_are_named(files: Path, keys: dict[str, Any], text: str) -> None:
    with pytest.raises(JobError, match=text):
        flash(**keys).command_line(files)


def test_a_failure_has_the_programs_words(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    StandIns(tmp_path, monkeypatch).make("qdl", says="failed to write program", code=1)
    scene = Scene(tmp_path)
    with pytest.raises(JobError, match="there is no qcomflash"):
        scene.run(flash())
    scene.artifact("qcomflash").path = files
    with pytest.raises(InfrastructureError, match="failed to write program"):
        scene.run(flash())


def test_the_board_is_told_from_its_like_by_the_name_of_its_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usb, "SYSFS", tmp_path / "sys")
    for number, serial in ((3, "FFFF"), (4, "1A2B3C")):
        entry = tmp_path / "sys" / f"1-{number}"
        entry.mkdir(parents=True)
        product = f"QUSB_BULK_CID:0420_SN:{serial}"
        values = {"idVendor": "05c6", "idProduct": "9008", "product": product, "busnum": 1, "devnum": number}
        for name, value in values.items():
            (entry / name).write_text(f"{value}\n")
        node = tmp_path / f"dev/bus/usb/001/00{number}"
        node.parent.mkdir(parents=True, exist_ok=True)
        node.touch()
    parsed = parse_device(device()).device
    assert parsed is not None
    found = WaitQdlDevice(parsed).look(tmp_path / "dev")
    assert found is not None
    assert found.name == "004"


def test_a_device_file_without_its_number_is_refused() -> None:
    found = problems(board("boot", "qdl"), BOOT)
    assert found == ["the device file has no board_qdl_id"]

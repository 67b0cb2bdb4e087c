# SPDX-License-Identifier: Apache-2.0
"""Plans of boards that are flashed and started by fastboot, and the tests in their images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.fastboot import overlay
from executor.actions.fastboot.overlay import ApplyOverlaySparseImage
from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.model.job import Resource
from executor.pipeline.planner import plan, validate
from executor.schema.device import parse_device
from executor.schema.job import parse_job
from executor.testing import jobs
from executor.testing.boards import board as any_board
from executor.testing.boards import names, problems
from executor.testing.pipeline import Scene
from executor.tools.image.android import is_sparse, to_plain, to_sparse

UBOOT = {"parameters": {"fastboot": {"commands": ["mmc dev 0", "fastboot 0"]}}}


def board(*sequence: str, power: bool = True, **keys: Any) -> dict[str, Any]:
    """A board with fastboot for both sections."""
    known = {"fastboot_serial_number": "FB1", "adb_serial_number": "ADB1", "fastboot_options": [], **keys}
    device = any_board("boot", "fastboot", list(sequence), power=power, **known)
    device["actions"]["deploy"]["methods"] |= {"fastboot": None, "u-boot": UBOOT}
    uboot = {"parameters": {"bootloader_prompt": "=>", "interrupt_prompt": "Hit any key"}}
    device["actions"]["boot"]["methods"]["u-boot"] = uboot
    return device


def deploy(**images: Any) -> dict[str, Any]:
    given = {label: {"url": f"http://h/{label}.img", **(more or {})} for label, more in images.items()}
    return {"deploy": {"to": "fastboot", "images": given}}


def boot(**keys: Any) -> dict[str, Any]:
    return {"boot": {"method": "fastboot", "prompts": ["hikey:/"], **keys}}


FLASH = [
    "  fastboot-flash-order-action",
    "    read-feedback",
    "    wait-device-boardid",
    "    fastboot-flash-action",
]
DOWNLOAD = ["  download-retry", "    http-download"]


def test_a_board_with_a_power_switch() -> None:
    assert names(board("boot"), deploy(boot=None), boot()) == [
        "fastboot-deploy", *DOWNLOAD,
        "  connect-device", "  pre-power-command", "  reset-device", "    pdu-reboot", *FLASH,
        "fastboot-boot", "  connect-device", "  reset-device", "    pdu-reboot",
        "  wait-device-boardid", "  boot-fastboot", "  pre-os-command",
        "  auto-login-action", "    login-action",
    ]  # fmt: skip


def test_a_board_on_a_cable_only() -> None:
    device = board("reboot", power=False)
    del device["commands"]
    tests = jobs.shell_test()
    assert "  enter-fastboot-action" in names(device, deploy(boot=None))
    assert names(device, boot(), tests) == [
        "fastboot-boot", "  wait-device-boardid", "  enter-fastboot-action",
        "  wait-device-boardid", "  fastboot-reboot", "  connect-adb", "  adb-overlay-unpack",
        "lava-test-retry", "  lava-test-shell",
    ]  # fmt: skip
    assert "  connect-adb" not in names(device, boot(docker={"image": "x"}), tests)


def test_a_board_with_u_boot() -> None:
    found = names(board("reboot", fastboot_via_uboot=True), deploy(boot=None), boot())
    entered = [
        "  connect-device",
        "  uboot-enter-fastboot",
        "    reset-device",
        "      pdu-reboot",
        "    bootloader-interrupt",
    ]
    assert found[3:8] == entered
    assert found[-10:-5] == entered


def test_images_in_the_devices_order_with_their_reboots() -> None:
    device = board("boot", flash_cmds_order=["ptable", "boot"], fastboot_auto_detection=True)
    images = {
        "system": {"reboot": "fastboot-reboot-fastboot"},
        "boot": None,
        "ptable": {"reboot": "hard-reset"},
    }
    parsed = parse_device(device).device
    assert parsed is not None
    text = jobs.job(deploy(**images))
    job = parse_job(text).job
    assert job is not None
    flashing = [a for a in plan(job, parsed).walk() if a.name == "fastboot-flash-order-action"][0]
    assert [f"{a.name} {a.label}".strip() for a in flashing.children] == [
        "read-feedback",
        "wait-device-boardid", "fastboot-flash-action ptable", "pdu-reboot", "read-feedback",
        "wait-device-boardid", "fastboot-flash-action boot",
        "wait-device-boardid", "fastboot-flash-action system", "fastboot-reboot-fastboot", "read-feedback",
    ]  # fmt: skip
    assert "  detect-fastboot-device" in names(device, deploy(boot=None))


def test_the_tests_go_into_the_image_that_asks_for_them() -> None:
    images = {
        "boot": None,
        "system": {"apply-overlay": True},
        "vendor": {"apply-overlay": True, "sparse": False},
    }
    found = names(board("boot"), deploy(**images), boot(), jobs.shell_test())
    assert [name.strip() for name in found if "apply" in name or name == "  deploy-device-env"] == [
        "deploy-device-env", "apply-overlay-sparse-image", "deploy-device-env",
        "apply-overlay-image", "deploy-device-env",
    ]  # fmt: skip
    assert found[1] == "  lava-overlay"
    untested = names(board("boot"), deploy(**images), boot())
    assert not [name for name in untested if "overlay" in name]


def test_a_device_may_go_its_own_way_to_the_shell() -> None:
    found = names(board("reboot", "auto-login", "overlay-unpack", "shell-session", "export-env"), boot())
    assert found[4:] == [
        "  wait-device-boardid", "  fastboot-reboot", "  auto-login-action", "    login-action",
        "  adb-overlay-unpack", "  expect-shell-connection", "  export-device-env", "  pre-os-command",
        "  auto-login-action", "    login-action",
    ]  # fmt: skip


def test_commands_of_the_block_come_first() -> None:
    assert names(board("boot"), boot(commands=["oem unlock"]))[1] == "  fastboot-boot-commands"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"fastboot_serial_number": "0000000000"}, "no fastboot_serial_number"),
        ({"fastboot_options": None}, "no fastboot_options"),
    ],
)
def test_what_the_device_file_must_say(keys: dict[str, Any], words: str) -> None:
    for block in (deploy(boot=None), boot()):
        assert any(words in text for text in problems(board("boot", **keys), block))
    assert (
        problems(board("boot", fastboot_serial_number="0000000000", fastboot_auto_detection=True), boot())
        == []
    )


def test_what_is_told_of_the_job() -> None:
    assert any(
        "no partition is called '-w'" in text for text in problems(board("boot"), deploy(**{"-w": None}))
    )
    assert any("sequence of steps" in text for text in problems(board(), boot()))
    assert any("split into words" in text for text in problems(board("boot"), boot(commands=["oem 'x"])))
    docker = {"docker": {"image": "adb-fastboot"}}
    assert any("docker" in text for text in problems(board("boot"), boot(**docker)))
    cable = board("boot", power=False)
    assert any("no hard_reset" in text for text in problems(cable, deploy(boot={"reboot": "hard-reset"})))


def test_the_older_form_of_downloads_brings_the_device_with_it() -> None:
    block = {"deploy": {"to": "download", "images": {"tool": {"url": "http://h/tool"}}}}
    later = {"deploy": {"to": "fastboot", "images": {"boot": {"url": "downloads://tool"}}}}
    assert names(board("boot"), block)[1:] == [
        "  connect-device",
        "  reset-device",
        "    pdu-reboot",
        *DOWNLOAD,
    ]
    cable = board("boot", power=False)
    assert names(cable, block)[1] == "  enter-fastboot-action"
    assert "    pre-downloaded" in names(cable, block, later)


# -- the overlay in an image


def test_a_sparse_image_is_made_plain_and_sparse_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apply(run: Any, artifact: Any, resource: Any, image_args: Any) -> None:
        assert not artifact.shared
        with artifact.path.open("r+b") as file:
            file.write(b"tests")

    monkeypatch.setattr(overlay, "apply_overlay", apply)
    scene = Scene(tmp_path)
    plain = tmp_path / "plain"
    plain.write_bytes(b"....." + bytes(8187))
    to_sparse(plain, scene.artifact("system").path, deadline=Deadline.after(60))
    original = scene.namespace.artifacts["system"].path
    before = original.read_bytes()
    run = scene.run(ApplyOverlaySparseImage("system", Resource(url="http://h/system.img")))
    made = scene.namespace.artifacts["system"]
    assert is_sparse(made.path)
    assert run.results == {"size": made.size}
    to_plain(made.path, plain, deadline=Deadline.after(60))
    assert plain.read_bytes() == b"tests" + bytes(8187)
    assert original.read_bytes() == before
    assert [path.name for path in scene.context.work.iterdir()] == [made.path.name]


def test_a_plain_image_is_not_taken_for_a_sparse_one(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.artifact("system", bytes(8192))
    with pytest.raises(JobError, match="not an Android sparse image") as caught:
        scene.run(ApplyOverlaySparseImage("system", Resource(url="http://h/system.img")))
    assert caught.value.hint == "say `sparse: false` for a plain one"


def test_nothing_is_objected_to_a_whole_job() -> None:
    parsed = parse_device(board("boot")).device
    assert parsed is not None
    job = parse_job(jobs.job(deploy(boot=None), boot(), jobs.shell_test())).job
    assert job is not None
    found = plan(job, parsed)
    assert found.problems == []
    assert [p.message for p in validate(found) if p.severity == "error"] == []
    assert found.needs.devices == {"usb"}
    assert found.needs.tools >= {"fastboot"}

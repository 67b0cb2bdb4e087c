# SPDX-License-Identifier: Apache-2.0
"""How the overlay reaches a guest: a disk of its own, or the image itself, and which part of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from executor.actions.guest import AppendOverlays, ApplyOverlayGuest
from executor.errors import ConfigurationError, JobError
from executor.model.device import Device
from executor.model.job import OverlaySource, Resource
from executor.pipeline.check import check_job
from executor.testing import jobs
from executor.testing.pipeline import Scene
from executor.tools.image import disk, identify, inject, ramdisk

GUEST = {"guest": {"size": 64, "interface": "virtio", "driveid": "lavatest"}}


class Tools:
    """Stand-ins for the image tools; `calls` are (tool, its keywords)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        monkeypatch.setattr(disk, "make_disk", self._make_disk)
        monkeypatch.setattr(inject, "inject", self._inject)
        monkeypatch.setattr(ramdisk, "append", self._append)

    def _make_disk(self, path: Path, archives: list[Path], **keys: Any) -> None:
        self.calls.append(("disk", {"archives": [p.name for p in archives], **keys}))

    def _inject(self, image: Path, archives: list[Path], **keys: Any) -> Any:
        self.calls.append(("inject", {"archives": [p.name for p in archives], **keys}))
        return SimpleNamespace(path=keys["workdir"] / "made", format="qcow2" if keys["as_overlay"] else "raw")

    def _append(self, image: Path, archives: list[Path], target: Path, **keys: Any) -> Any:
        self.calls.append(("append", {"archives": [p.name for p in archives], **keys}))
        return SimpleNamespace(path=target)


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    return Tools(monkeypatch)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path, device=Device(deploy_methods={"image": {"parameters": GUEST}}))
    made.namespace.overlay = tmp_path / "overlay.tar.gz"
    made.namespace.results_dir = "/lava-42"
    return made


def resource(**keys: Any) -> Resource:
    return Resource(url="http://h/x", **{"image_arg": "-drive format=raw,file={rootfs}", **keys})


def test_todays_form_is_a_disk_of_its_own(scene: Scene, tools: Tools) -> None:
    run = scene.run(ApplyOverlayGuest({"rootfs": resource()}))
    ((tool, keys),) = tools.calls
    assert (tool, keys["archives"], keys["size_mib"], keys["strip"]) == (
        "disk",
        ["overlay.tar.gz"],
        64,
        "/lava-42",
    )
    made = scene.namespace.overlay_disk
    assert made is not None
    assert made.uuid == keys["uuid"] == run.results["uuid"]
    assert made.arguments[0] == "-drive"
    assert made.arguments[1].split(",")[2:5] == ["media=disk", "if=virtio", "id=lavatest"]
    assert made.arguments[1].startswith(f"format=raw,file={made.path}")


def test_secrets_come_from_their_own_archive(scene: Scene, tools: Tools, tmp_path: Path) -> None:
    scene.namespace.overlay_secrets = tmp_path / "secrets.tar.gz"
    scene.run(ApplyOverlayGuest({"rootfs": resource()}))
    assert tools.calls[0][1]["archives"] == ["overlay.tar.gz", "secrets.tar.gz"]


@pytest.mark.parametrize("parameters", [None, {}, {"guest": {}}, {"guest": "big"}])
def test_a_device_without_such_a_disk_is_the_admins_fault(
    scene: Scene, tools: Tools, parameters: object
) -> None:
    scene.context.device.deploy_methods["image"] = {"parameters": parameters}
    with pytest.raises(ConfigurationError, match="guest"):
        scene.run(ApplyOverlayGuest({"rootfs": resource()}))


# -- into the image


@pytest.mark.parametrize(
    ("keys", "partition"),
    [
        ({}, None),
        ({"partition": 2}, 2),
        ({"root_partition": 1}, 1),
        ({"partition": 0, "root_partition": 1}, 0),
    ],
)
def test_the_seeds_form_puts_it_into_the_image(
    scene: Scene, tools: Tools, keys: dict[str, Any], partition: int | None
) -> None:
    scene.artifact("rootfs", bytes(8192))
    run = scene.run(ApplyOverlayGuest({"rootfs": resource(overlay=True, **keys)}))
    ((tool, asked),) = tools.calls
    assert (tool, asked["partition"], asked["number"], asked["shared"]) == ("inject", partition, None, True)
    artifact = scene.namespace.artifacts["rootfs"]
    assert (artifact.format, artifact.shared, scene.namespace.overlay_applied) == ("qcow2", False, True)
    assert scene.namespace.overlay_disk is None
    assert run.results == {"rootfs": "made"}


def test_the_devices_partition_holds_where_there_are_partitions(
    scene: Scene, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.context.device.raw["root_part"] = 2
    scene.artifact("rootfs", bytes(8192))
    scene.run(ApplyOverlayGuest({"rootfs": resource(overlay=True)}))
    found = SimpleNamespace(kind=identify.Kind.PARTITIONED)
    monkeypatch.setattr(identify, "identify", lambda path: found)
    scene.artifact("rootfs", bytes(8192))
    scene.run(ApplyOverlayGuest({"rootfs": resource(overlay=True)}))
    assert [keys["number"] for _, keys in tools.calls] == [None, 2]


@pytest.mark.parametrize(
    ("image_arg", "as_overlay"),
    [
        ("-drive format=raw,file={rootfs}", True),
        ("-drive readonly=on,file={rootfs}", True),
        ("-initrd {rootfs}", False),
        ("-blockdev driver=file,filename={rootfs}", False),
        (None, False),
    ],
)
def test_only_a_disk_may_become_a_qcow2(
    scene: Scene, tools: Tools, image_arg: str | None, as_overlay: bool
) -> None:
    scene.artifact("rootfs", bytes(8192))
    given = resource(image_arg=image_arg, overlays={"lava": True}, format="ext4")
    scene.run(AppendOverlays("rootfs", given, {}, lava=True))
    assert tools.calls[0][1]["as_overlay"] is as_overlay


@pytest.mark.parametrize(("header", "expected"), [(None, False), ("u-boot", True)])
def test_a_ramdisk_is_extended(scene: Scene, tools: Tools, header: str | None, expected: bool) -> None:
    scene.artifact("ramdisk", compression="gz")
    given = resource(image_arg="-initrd {ramdisk}", format="cpio.newc", header=header)
    scene.run(AppendOverlays("ramdisk", given, {}, lava=True))
    ((tool, keys),) = tools.calls
    assert (tool, keys["compression"], keys["header"]) == ("append", "gz", expected)
    assert scene.namespace.artifacts["ramdisk"].path.name == "ramdisk"


def test_a_packed_image_is_named_before_it_is_opened(scene: Scene, tools: Tools) -> None:
    scene.artifact("rootfs", b"\x1f\x8b" + bytes(100))
    with pytest.raises(JobError, match="packed with gz"):
        scene.run(ApplyOverlayGuest({"rootfs": resource(overlay=True)}))
    assert tools.calls == []


# -- who decides


def names(deploy: dict[str, Any]) -> list[str]:
    checked = check_job(jobs.job(deploy, jobs.boot(), jobs.shell_test()), jobs.device())
    assert checked.planned is not None
    assert checked.errors == []
    return [action.name for action in checked.planned.walk()]


def test_overlays_lava_appends_below_the_download_and_makes_no_disk() -> None:
    image = {"url": "http://h/x", "image_arg": "-hda {r}", "format": "ext4", "overlays": {"lava": True}}
    found = names(jobs.deploy(images={"r": image}))
    assert found[found.index("http-download") + 1] == "append-overlays"
    assert "apply-overlay-guest" not in found


def test_the_seeds_image_is_applied_by_apply_overlay_guest() -> None:
    found = names({"deploy": {"to": "tmpfs", "image": "http://h/x", "os": "debian", "root_partition": 1}})
    assert "apply-overlay-guest" in found
    assert "append-overlays" not in found


def test_further_overlays_come_before_the_lava_overlay_which_wins(scene: Scene, tools: Tools) -> None:
    scene.artifact("rootfs.key", b"secret")
    extras = {"key": OverlaySource(url="http://h/key", format="file", path="/etc/key")}
    for lava, more in ((True, ["overlay.tar.gz"]), (False, [])):
        scene.artifact("rootfs", bytes(8192))
        scene.namespace.overlay_applied = False
        scene.run(AppendOverlays("rootfs", resource(format="ext4"), extras, lava=lava))
        assert tools.calls[-1][1]["archives"] == ["overlay-1-0.tar", *more]
        assert scene.namespace.overlay_applied is lava
    assert not list(scene.context.work.glob("overlay-*"))

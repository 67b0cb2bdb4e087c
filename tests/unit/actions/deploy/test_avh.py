# SPDX-License-Identifier: Apache-2.0
"""Firmware for Arm Virtual Hardware: packed, uploaded, taken away."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from executor.actions.avh.api import Service
from executor.actions.deploy.avh import AvhOptions, AvhParameters, DeployAvh
from executor.errors import InfrastructureError
from executor.model.job import Resource
from executor.schema.device import parse_device
from executor.testing import jobs
from executor.testing.boards import board, names, problems
from executor.testing.pipeline import Scene, placed

OPTIONS = {"options": {"api_endpoint": "https://h/api", "project_name": "Default Project", "model": None}}
IMAGES = {"rootfs": {"url": "http://h/nand", "root_partition": 1}, "kernel": {"url": "http://h/k"}}


def deploy(**keys: Any) -> dict[str, Any]:
    return {"deploy": {"to": "avh", "options": {"model": "rpi4b"}, "images": IMAGES, **keys}}


def test_the_overlay_goes_into_the_root_file_system() -> None:
    device = board("deploy", "avh", OPTIONS)
    boot = {"boot": {"method": "minimal", "prompts": ["# "]}}
    found = names(device, deploy(os="debian"), boot, jobs.shell_test())
    top = [n for n in found[: found.index("minimal-boot")] if n.startswith("    ") and n[4] != " "]
    assert top == ["    lava-overlay", "    download-retry", "    download-retry", "    apply-overlay-image"]
    assert found[:2] == ["deploy-avh-retry", "  deploy-avh"]


def test_it_is_packed_uploaded_and_taken_away_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def upload(self: Service, project: str, name: str, package: Path) -> str:
        with zipfile.ZipFile(package) as archive:
            done.append(f"{project} {' '.join(archive.namelist())}")
        return "i1"

    monkeypatch.setattr(Service, "log_in", lambda self, token: done.append(f"log in as {token}"))
    monkeypatch.setattr(Service, "project", lambda self, name: name)
    monkeypatch.setattr(Service, "upload", upload)
    monkeypatch.setattr(Service, "remove", lambda self, kind, image: done.append(f"remove {kind} {image}"))
    device = parse_device(board("deploy", "avh", OPTIONS)).device
    assert device is not None
    scene = Scene(tmp_path, secrets={"avh_api_token": "mine"})
    scene.artifact("kernel", b"k")
    parameters = AvhParameters(
        to="avh", options=AvhOptions(model="rpi4b"), images={"kernel": Resource(url="http://h/k")}
    )
    action = DeployAvh(parameters, device)
    run = scene.attempt(placed(action))
    action.after(run)
    assert scene.namespace.virtual_firmware == "i1"
    action.cleanup(run)
    action.cleanup(run)
    assert done == [
        *("log in as mine", "Default Project Info.plist kernel", "log in as mine", "remove images i1"),
    ]


def test_an_image_that_stays_at_the_service_is_told(tmp_path: Path) -> None:
    device = parse_device(board("deploy", "avh", OPTIONS)).device
    assert device is not None
    scene = Scene(tmp_path)
    scene.namespace.virtual_firmware = "i1"
    action = DeployAvh(AvhParameters(to="avh"), device)
    with pytest.raises(InfrastructureError, match="the uploaded image i1 was not removed"):
        action.cleanup(scene.attempt(placed(action)))


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (deploy(options={}), "neither device file nor job has model"),
        (deploy(images={}), "nothing to deploy, or too much"),
        (deploy(fw_package={"url": "http://h/f.zip"}), "nothing to deploy, or too much"),
        (
            deploy(images={}, os="debian", fw_package={"url": "http://h/f.zip"}),
            "the overlay with the tests is not in it",
        ),
    ],
)
def test_what_cannot_work_is_told(block: dict[str, Any], text: str) -> None:
    assert text in " ".join(problems(board("deploy", "avh", OPTIONS), block))

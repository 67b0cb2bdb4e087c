# SPDX-License-Identifier: Apache-2.0
"""A board that boots over the network, and its deploy block carried out with files in the hands of a test.

made = deployed(tmp_path, {"to": "tftp", "kernel": {"url": "http://h/zImage", "type": "zimage"}},
                {"http://h/zImage": b"kernel"})
made.file("kernel").read_bytes()
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executor.model.worker import Limits
from executor.pipeline.context import Namespace
from executor.pipeline.engine import Engine, Outcome
from executor.pipeline.planner import Plan
from executor.testing import jobs
from executor.testing.pipeline import Scene, planned

_BOARD: dict[str, Any] = {
    "hostname": "board-01",
    "device_type": "board",
    "commands": {
        "connect": "telnet serial 7001",
        "hard_reset": "pdu reset 1",
        "power_on": "pdu on 1",
        "power_off": "true",
    },
    "parameters": {
        "bootz": {"kernel": "0x82000000", "ramdisk": "0x83000000", "dtb": "0x88000000"},
        "bootm": {"kernel": "0x80200000", "ramdisk": "0x81600000", "dtb": "0x815f0000"},
        "media": {"usb": {"stick": {"uuid": "usb-Demo_Stick_01-0:0", "device_id": 0}}},
    },
    "actions": {
        "deploy": {
            "parameters": {"add_header": "u-boot", "mkimage_arch": "arm"},
            "methods": {"tftp": None, "nfs": None, "nbd": None, "usb": None, "overlay": None},
        },
        "boot": {"methods": {"minimal": None, "u-boot": {"parameters": {"bootloader_prompt": "=>"}}}},
    },
    "constants": {},
}


def board(**deploy_parameters: Any) -> dict[str, Any]:
    """A rendered device with U-Boot; `deploy_parameters` replace those of its deploy section."""
    made = copy.deepcopy(_BOARD)
    made["actions"]["deploy"]["parameters"] |= deploy_parameters
    return made


@dataclass
class Deployed:
    """What a deploy block has left."""

    plan: Plan
    scene: Scene
    outcome: Outcome

    @property
    def namespace(self) -> Namespace:
        return self.scene.namespace

    def file(self, label: str) -> Path:
        """The file of an artefact that a bootloader gets when it asks for it."""
        served = self.namespace.artifacts[label].served
        assert served, f"{label} is not served"  # noqa: S101
        return self.scene.context.tftp / served

    @property
    def root(self) -> Path:
        """The root file system that the device mounts."""
        root = self.namespace.nfs_root
        assert root is not None, "there is no NFS root"  # noqa: S101
        assert root.directory is not None, "the NFS root is not here"  # noqa: S101
        return root.directory


def deployed(
    directory: Path,
    block: dict[str, Any],
    files: dict[str, bytes],
    *,
    device: dict[str, Any] | None = None,
    tested: bool = False,
    secrets: dict[str, str] | None = None,
    limits: Limits | None = None,
) -> Deployed:
    """Carry out the deploy block; `tested` adds a test block with an inline definition, for the overlay."""
    blocks = [{"deploy": block}, *([jobs.shell_test()] if tested else [])]
    plan = planned(jobs.job(*blocks, device_type="board"), device or board())
    assert plan.errors == [], plan.errors  # noqa: S101
    scene = Scene(
        directory,
        job=plan.job,
        device=plan.device,
        secrets=secrets,
        dispatcher_ip="192.0.2.1",
        limits=limits or Limits(),
    )
    scene.agent.files |= files
    only = Plan(plan.job, plan.device, [plan.actions[0], plan.actions[-1]])
    return Deployed(plan, scene, Engine(only, scene.context).run())

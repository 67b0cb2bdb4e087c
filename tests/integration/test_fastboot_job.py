# SPDX-License-Identifier: Apache-2.0
"""A whole job on a phone that is a few scripts: power, console, fastboot and what it was flashed with.

The engine, its limits and retries, the console's process and the tools' calls are those of a real job.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from executor.actions import usb
from executor.errors import InfrastructureError
from executor.model import journal
from executor.pipeline.engine import Engine, Outcome
from executor.testing import jobs
from executor.testing.pipeline import Scene, planned
from executor.testing.tools import StandIns

SERIAL = "FB4221"
# The console: tells what the phone does whenever that changes.
CONSOLE = """
import pathlib, sys, time
state, seen, said = pathlib.Path(sys.argv[1]), "", {
    "fastboot": "Android Fastboot mode - version 0.6\\r\\n",
    "system": "[    0.0] Linux version 6.1.0\\r\\n[    1.0] Run /init\\r\\nhikey:/ $ ",
    "panic": "[    0.0] Linux version 6.1.0\\r\\n"
    "Kernel panic - not syncing: no init\\r\\n---[ end Kernel panic\\r\\n",
}
while True:
    now = state.read_text().strip()
    if now != seen:
        print(said.get(now.split(" ")[0], ""), end="", flush=True)
        seen = now
    time.sleep(0.02)
"""


class Phone:
    """Its state lies in a file: off, fastboot, system or panic."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, *, boots: tuple[str, ...]) -> None:
        self.directory, self.state, self.flashed = directory, directory / "state", directory / "flashed"
        self.flashed.mkdir()
        self.state.write_text("off\n")
        self.tools = StandIns(directory, monkeypatch)
        self.tools.make("pdu", does=f'echo "fastboot $(date +%N)" > "{self.state}"')
        queue = directory / "boots"
        queue.write_text("".join(f"{state}\n" for state in boots))
        start = f'head -n1 "{queue}" > "{self.state}"; sed -i 1d "{queue}"'
        self.tools.make(
            "fastboot",
            does=f"""case "$*" in
              devices) grep -q fastboot "{self.state}" && printf '{SERIAL}\\tfastboot\\n'; exit 0;;
              *" flash "*) for last; do :; done; cp "$last" "{self.flashed}/$5"; echo "Writing '$5'  OKAY";;
              *" reboot"*) echo "fastboot $(date +%N)" > "{self.state}";;
              *" boot "*) {start};;
            esac""",
        )
        (directory / "console.py").write_text(CONSOLE)
        self._on_the_bus(monkeypatch)

    def _on_the_bus(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sysfs = self.directory / "sys"
        monkeypatch.setattr(usb, "SYSFS", sysfs)
        (sysfs / "1-1").mkdir(parents=True)
        for name, value in (("serial", SERIAL), ("busnum", "1"), ("devnum", "2")):
            (sysfs / "1-1" / name).write_text(value)
        (self.directory / "dev/bus/usb/001").mkdir(parents=True)
        (self.directory / "dev/bus/usb/001/002").touch()

    @property
    def device(self) -> dict[str, Any]:
        console = f"{sys.executable} {self.directory / 'console.py'} {self.state}"
        device = jobs.device(
            fastboot_serial_number=SERIAL,
            fastboot_options=["-u"],
            flash_cmds_order=["ptable", "boot"],
            commands={
                "connections": {"uart0": {"connect": console, "tags": ["primary", "shell"]}},
                "hard_reset": "pdu reset 7",
                "power_off": "pdu off 7",
            },
        )
        device["actions"]["deploy"]["methods"]["fastboot"] = None
        device["actions"]["boot"]["methods"]["fastboot"] = ["no-flash-boot"]
        return device

    def run(self, **boot: Any) -> tuple[Scene, Outcome]:
        urls = {label: f"http://h/{label}.img" for label in ("system", "boot", "ptable")}
        images: dict[str, Any] = {label: {"url": url} for label, url in urls.items()}
        images["ptable"]["reboot"] = "fastboot-reboot-bootloader"
        deploy = {"to": "fastboot", "images": images, "timeout": {"minutes": 1}}
        given = {"method": "fastboot", "prompts": [r"hikey:/ \$"], "timeout": {"minutes": 1}, **boot}
        plan = planned(jobs.job({"deploy": deploy}, {"boot": given}), self.device)
        assert plan.errors == []
        scene = Scene(self.directory / "job", job=plan.job, device=plan.device, clock=time.monotonic)
        scene.context.dev = self.directory / "dev"
        for label, url in urls.items():
            scene.agent.files[url] = label.encode()
        return scene, Engine(plan, scene.context).run()


def test_a_phone_is_flashed_and_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = Phone(tmp_path, monkeypatch, boots=("system",))
    scene, outcome = phone.run()
    assert outcome.error is None
    assert {path.name: path.read_text() for path in phone.flashed.iterdir()} == {
        "ptable": "ptable", "system": "system"
    }  # fmt: skip
    verbs = [call[3] for call in phone.tools.calls("fastboot")]
    assert verbs == ["flash", "reboot", "flash", "boot"]
    assert phone.tools.calls("pdu") == [["reset", "7"], ["reset", "7"], ["off", "7"]]
    assert any("Android Fastboot mode" in text for text in scene.journal.messages(journal.TARGET))


def test_a_kernel_that_panics_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = Phone(tmp_path, monkeypatch, boots=("panic", "system"))
    _, outcome = phone.run(failure_retry=2)
    assert outcome.error is None
    assert [call[3] for call in phone.tools.calls("fastboot")][-2:] == ["boot", "boot"]


def test_a_phone_that_refuses_an_image_is_the_labs_fault_and_powered_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = Phone(tmp_path, monkeypatch, boots=())
    phone.tools.make("fastboot", says="FAILED (remote: 'no such partition')", code=1)
    _, outcome = phone.run()
    assert isinstance(outcome.error, InfrastructureError)
    assert "no such partition" in outcome.error.message
    assert outcome.action == "fastboot-flash-action"
    assert phone.tools.calls("pdu")[-1] == ["off", "7"]

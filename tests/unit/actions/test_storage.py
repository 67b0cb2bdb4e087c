# SPDX-License-Identifier: Apache-2.0
"""`to: usb`, `sata`, `sd`: what is typed on the board, and how its end is seen."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from executor.actions.deploy.usb import UsbParameters
from executor.actions.storage import Completion, DdImage, StorageDeploy, Tool, command_line
from executor.console.expect import PromptTimeout
from executor.errors import InfrastructureError, JobError
from executor.model.device import Device
from executor.model.job import Resource
from executor.pipeline.check import check_job
from executor.pipeline.planner import Plan
from executor.testing import jobs
from executor.testing.board import Board
from executor.testing.console import Shell
from executor.testing.netboot import board
from executor.testing.pipeline import planned

URL = "http://h/disk.img"
WGET = {"tool": "/usr/bin/wget", "options": "-O - {DOWNLOAD_URL}", "prompt": "sent, awaiting"}
BLOCK: dict[str, Any] = {"to": "usb", "os": "debian", "device": "stick", "image": URL, "download": WGET}
MEDIA = {"usb": {"stick": {"uuid": "usb-Demo-0:0", "device_id": 0}}}
NODE = "/dev/disk/by-id/usb-Demo-0:0"
FIRST = {"boot": {"method": "minimal", "prompts": ["# "]}}


def job(*before: dict[str, Any], **keys: Any) -> str:
    return jobs.job(*before, {"deploy": {**BLOCK, **keys}}, device_type="board")


def messages(text: str, known: dict[str, Any] | None = None) -> list[str]:
    return [p.message for p in check_job(text, known or board()).errors]


def parameters(**keys: Any) -> UsbParameters:
    given = {"to": "usb", "device": "stick", "image": Resource(url=URL), "download": Tool(**WGET), **keys}
    return UsbParameters(**given)


# -- the plan


def test_the_overlay_goes_into_the_image_before_it_is_written() -> None:
    text = jobs.job(FIRST, {"deploy": BLOCK}, jobs.shell_test(), device_type="board")
    top = planned(text, board()).actions[1]
    assert [a.name for a in top.children] == [
        "lava-overlay",
        "download-retry",
        "apply-overlay-image",
        "dd-image",
        "deploy-device-env",
    ]


def test_without_a_test_the_image_is_written_as_it_is() -> None:
    top = planned(job(FIRST), board()).actions[1]
    assert [(a.name, a.limit) for a in top.children] == [("download-retry", 30), ("dd-image", 600)]


def test_further_files_lie_beside_the_image() -> None:
    images = {"image": {"url": URL}, "bmap": {"url": "http://h/disk.bmap"}}
    text = jobs.job(FIRST, {"deploy": {**BLOCK, "image": None, "images": images}}, device_type="board")
    text = text.replace("    image: null\n", "")
    top = planned(text, board()).actions[1]
    assert [a.label for a in top.children if a.name == "download-retry"] == ["bmap", "image"]


@pytest.mark.parametrize("kind", ["sata", "sd"])
def test_the_other_media(kind: str) -> None:
    known = board()
    known["actions"]["deploy"]["methods"][kind] = None
    known["parameters"]["media"] = {kind: {"stick": {"uuid": "x"}}}
    found: Plan = planned(job(FIRST, to=kind), known)
    action = found.actions[1]
    assert isinstance(action, StorageDeploy)
    assert action.kind == kind
    assert found.errors == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"device": "disk"}, "the device has no usb medium 'disk'"),
        ({"images": {"image": URL}}, "one image is to be written"),
        ({"image": {"url": URL, "archive": "tar"}}, "image cannot be an archive"),
        ({"download": {"tool": "wget"}}, "tool cannot be 'wget'"),
        ({"download": {**WGET, "prompt": "("}}, "'(' is not a regular expression"),
        ({"tool": {"prompts": []}}, ""),
    ],
)
def test_what_is_refused(keys: dict[str, Any], message: str) -> None:
    given = {key: value for key, value in {**BLOCK, **keys}.items() if value is not None}
    found = messages(jobs.job(FIRST, {"deploy": given}, device_type="board"))
    assert [text for text in found if text.startswith(message[:12])], found


def test_a_medium_without_a_name_is_the_admins_fault() -> None:
    known = board()
    known["parameters"]["media"] = {"usb": {"stick": {"device_id": 0}}}
    (error,) = check_job(job(FIRST), known).errors
    assert error.error_type == "Configuration"


def test_the_first_v2_jobs_named_neither_tool_nor_medium() -> None:
    given = {"to": "usb", "os": "debian", "image": URL}
    text = jobs.job(FIRST, {"deploy": given}, device_type="board")
    found = check_job(text, board())
    assert found.errors == []
    assert any("the image is fetched with /usr/bin/wget" in p.message for p in found.warnings)
    known = board()
    known["parameters"]["media"]["usb"]["other"] = {"uuid": "y"}
    assert messages(text, known) == ["no medium is named"]


def test_something_must_be_booted_before() -> None:
    warnings = [p.message for p in check_job(job(), board()).warnings]
    assert any("nothing is booted before this block" in text for text in warnings)


# -- the command line


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({}, f"/usr/bin/wget -O - http://s/i | dd of={NODE} bs=4M"),
        ({"download": None}, f"/usr/bin/wget -q -O - http://s/i | dd of={NODE} bs=4M"),
        (
            {"writer": Tool(tool="/bin/dd", options="of={DEVICE}")},
            f"/usr/bin/wget -O - http://s/i | /bin/dd of={NODE}",
        ),
        (
            {
                "download": None,
                "writer": Tool(tool="/usr/bin/bmaptool", options="copy {DOWNLOAD_URL} {DEVICE}"),
            },
            f"/usr/bin/bmaptool copy http://s/i {NODE}",
        ),
    ],
)
def test_tools_are_piped_into_each_other(keys: dict[str, Any], line: str) -> None:
    assert command_line(parameters(**keys), "http://s/i", NODE) == line


# -- the dialogue


def first_stage(tmp_path: Path, says: str | Callable[[re.Match[str]], str], *, sync: int = 0) -> Board:
    """A booted system that says this when the image is to be written."""

    def synced(found: re.Match[str]) -> str:
        return f"<begin:{found[1]}>\n<end:{found[1]}:{sync}>\n"

    answers = {r"^/usr/bin/wget -O - (\S+)": says, r"printf '<%s:(lava-exec-\d+)>": synced}
    device = Device(parameters={"media": MEDIA})
    made = Board(tmp_path, Shell("# ", answers), section="deploy", device=device, dispatcher_ip="127.0.0.1")
    made.scene.namespace.prompts = ["# "]
    made.scene.artifact("image", b"disk", url=URL)
    made.scene.artifact("bmap", b"map", url="http://h/disk.bmap")
    return made


def write(made: Board, **keys: Any) -> Any:
    action = DdImage("usb", parameters(**keys))
    action.medium = MEDIA["usb"]["stick"]
    return made.run(action)


def test_the_board_fetches_the_image_from_the_worker(tmp_path: Path) -> None:
    got: list[bytes] = []

    def fetch(found: re.Match[str]) -> str:
        for url in (found[1], found[1].replace(".img", ".bmap")):
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own server
                got.append(answer.read())
        return "HTTP request sent, awaiting response\n5+1 records out\n"

    made = first_stage(tmp_path, fetch)
    run = write(made)
    assert got == [b"disk", b"map"]
    assert f"/disk.img | dd of={NODE} bs=4M\n" in made.port.typed
    assert "sync" in made.port.typed
    assert run.results == {"device": NODE}


def test_the_job_may_say_how_the_end_looks(tmp_path: Path) -> None:
    made = first_stage(tmp_path, "sent, awaiting\nall copied\n")
    write(made, tool=Completion(prompts=["all copied"]))
    assert made.port.finished


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("wget: bad address\n", "the transfer did not begin"),
        ("sent, awaiting\ndd: No space left on device\n", "the image was not written"),
    ],
)
def test_a_prompt_that_comes_first_tells_of_a_failure(tmp_path: Path, says: str, message: str) -> None:
    with pytest.raises(InfrastructureError, match=message):
        write(first_stage(tmp_path, says))


def test_a_medium_that_does_not_take_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="sync on the board returned 1"):
        write(first_stage(tmp_path, "sent, awaiting\n5+1 records out\n", sync=1))


def test_silence_is_a_timeout(tmp_path: Path) -> None:
    made = first_stage(tmp_path, "")
    made.scene.namespace.prompts = ["never"]
    with pytest.raises(PromptTimeout):
        write(made)


def test_the_first_stage_may_have_another_namespace(tmp_path: Path) -> None:
    made = first_stage(tmp_path, "sent, awaiting\n5+1 records out\n")
    first = made.scene.context.namespace("first")
    first.console, first.prompts = made.scene.namespace.console, ["# "]
    made.scene.namespace.console, made.scene.namespace.prompts = None, []
    action = DdImage("usb", parameters())
    action.medium, action.first_stage = MEDIA["usb"]["stick"], "first"
    made.run(action)
    assert made.port.finished


def test_without_a_console_nobody_can_write(tmp_path: Path) -> None:
    made = first_stage(tmp_path, "")
    made.scene.namespace.console = None
    with pytest.raises(JobError, match="nothing is booted that could write the image"):
        write(made)

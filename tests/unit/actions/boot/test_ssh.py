# SPDX-License-Identifier: Apache-2.0
"""`to: ssh` and `method: ssh`: stand-ins for ssh and scp, a board for the shell behind them."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.ssh import PrepareSsh, ScpDeploy, ScpOverlayUnpack, SshConnection, deliveries
from executor.errors import InfrastructureError, JobError
from executor.model import journal
from executor.model.device import Device
from executor.pipeline.action import Action
from executor.pipeline.check import check_job
from executor.testing import jobs
from executor.testing.board import Board
from executor.testing.console import Shell
from executor.testing.pipeline import Scene, placed, planned
from executor.testing.tools import StandIns

OPTIONS = {"host": "board", "port": 2222, "user": "tester", "options": ["-o", "LogLevel=ERROR"]}
DEPLOY = {"to": "ssh", "os": "debian"}
BOOT = {"method": "ssh", "prompts": ["# "]}


def device(**options: Any) -> dict[str, Any]:
    methods = {"deploy": {"methods": {"ssh": {**OPTIONS, **options}}}, "boot": {"methods": {"ssh": None}}}
    return jobs.device(actions=methods, commands={})


def job(deploy: dict[str, Any] | None = None, boot: dict[str, Any] | None = None) -> str:
    return jobs.job(
        {"deploy": {**DEPLOY, **(deploy or {})}}, {"boot": {**BOOT, **(boot or {})}}, jobs.shell_test()
    )


def errors(text: str, known: dict[str, Any]) -> list[tuple[str, str]]:
    return [(p.error_type, p.message) for p in check_job(text, known).errors]


def scene(tmp_path: Path, **options: Any) -> Scene:
    made = Scene(
        tmp_path, device=Device(deploy_methods={"ssh": {**OPTIONS, **options}}), clock=time.monotonic
    )
    made.namespace.results_dir = "/lava-42"
    made.namespace.overlay = tmp_path / "overlay-1.tar.gz"
    made.namespace.overlay.touch()
    return made


def booted(action: Action, **keys: Any) -> Action:
    return placed(action, section="boot", **keys)


def test_the_order_of_the_boot(tmp_path: Path) -> None:
    (deploy, boot, *_) = planned(job(), device()).actions
    assert [a.name for a in deploy.children] == ["lava-overlay", "prepare-scp-overlay", "deploy-device-env"]
    assert [a.name for a in boot.children] == [
        "scp-deploy",
        "prepare-ssh",
        "ssh-connection",
        "auto-login-action",
        "expect-shell-connection",
        "export-device-env",
        "scp-overlay-unpack",
    ]
    login = boot.children[3].children[0]
    assert login.parameters.parameters["kernel-start-message"] == ""  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "boot", "expected"),
    [
        ({"port": "ssh"}, {}, ("Configuration", "the device file has the ssh port 'ssh'")),
        ({"host": ""}, {}, ("Job", "the device file has no ssh host, and no message brings one")),
    ],
)
def test_what_is_refused(options: dict[str, Any], boot: dict[str, Any], expected: tuple[str, str]) -> None:
    assert errors(job(boot=boot), device(**options)) == [expected]


def test_a_host_that_jobs_share_is_never_switched() -> None:
    known = {**device(), "commands": {"power_off": "pdu off 1"}}
    assert errors(job(), known) == [
        ("Configuration", "the device file has power_off for a host that jobs share")
    ]


WAIT = {
    "action": "prepare-scp-overlay",
    "request": "lava-wait",
    "messageID": "ipv4",
    "message": {"ipaddr": "$ipaddr"},
}
NAMES = {"hostID": "ipv4", "host_key": "ipaddr"}


def test_the_address_of_a_secondary_connection_comes_by_a_message(tmp_path: Path) -> None:
    text = job({"protocols": {"lava-multinode": [WAIT]}}, {"parameters": NAMES})
    assert errors(text, device(host="")) == []
    twice = job({"protocols": {"lava-multinode": [WAIT, WAIT]}}, {"parameters": NAMES})
    assert "2 calls for prepare-scp-overlay, one brings the address" in errors(twice, device(host=""))[0][1]


def test_the_overlay_is_copied_to_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools, made = StandIns(tmp_path, monkeypatch), scene(tmp_path)
    tools.make("scp")
    made.artifact("kernel", b"k", url="http://h/Image")
    made.run(booted(ScpDeploy()))
    overlay, kernel = tools.calls("scp")
    assert overlay[-2:] == [str(tmp_path / "overlay-1.tar.gz"), "tester@board:/lava-42-overlay-1.tar.gz"]
    assert kernel[-1] == "tester@board:/lava-42-Image"
    assert overlay[overlay.index("-P") :][:2] == ["-P", "2222"]
    assert "LogLevel=ERROR" in overlay
    assert "BatchMode=yes" in overlay


def test_the_announced_host_is_the_one_that_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools, made = StandIns(tmp_path, monkeypatch), scene(tmp_path, host="")
    tools.make("ssh")
    with pytest.raises(JobError, match="no message 'ipv4' has brought the host's address as 'ipaddr'"):
        made.run(booted(PrepareSsh(), parameters=NAMES))
    made.context.received["ipv4"] = {"ipaddr": "2001:db8::7"}
    made.run(booted(PrepareSsh(), parameters=NAMES))
    assert tools.calls("ssh")[0][-2:] == ["tester@2001:db8::7", "true"]


def test_an_announced_host_cannot_be_an_option(tmp_path: Path) -> None:
    made = scene(tmp_path, host="")
    made.context.received["ipv4"] = {"ipaddr": "-oProxyCommand=id"}
    with pytest.raises(JobError, match="is no host name or address"):
        made.run(booted(PrepareSsh(), parameters=NAMES))


def test_a_refused_key_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIns(tmp_path, monkeypatch).make("ssh", "Permission denied (publickey).", 255)
    with pytest.raises(InfrastructureError, match="no login at board by ssh: .*Permission denied"):
        scene(tmp_path).run(booted(PrepareSsh()))


def test_the_key_lies_with_the_tools_of_the_admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools, made = StandIns(tmp_path, monkeypatch), scene(tmp_path, identity_file="keys/lab")
    tools.make("ssh")
    made.context.device.raw = {"container": {"tools": str(tmp_path / "lab")}}
    with pytest.raises(InfrastructureError, match="keys/lab of the device is not in the job's container"):
        made.run(booted(PrepareSsh()))
    key = tmp_path / "lab" / "keys" / "lab"
    key.parent.mkdir(parents=True)
    key.touch()
    made.run(booted(PrepareSsh()))
    assert ["-i", str(key)] == tools.calls("ssh")[0][tools.calls("ssh")[0].index("-i") :][:2]


def test_the_shell_is_the_console_until_the_cleanup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIns(tmp_path, monkeypatch).make("ssh", "welcome", does="cat >/dev/null &")
    made, action = scene(tmp_path), booted(SshConnection())
    run = made.run(action)
    console = made.namespace.console
    assert console is not None
    console.expect("welcome", run.deadline)
    action.cleanup(run)
    assert made.namespace.console is None
    assert made.context.consoles == []


def board(tmp_path: Path, code: int) -> Board:
    def answer(found: re.Match[str]) -> str:
        return f"<begin:{found[1]}>\n<end:{found[1]}:{code}>\n"

    made = Board(tmp_path, Shell("# ", {r"printf '<%s:(lava-exec-\d+)>": answer}))
    namespace = made.scene.namespace
    namespace.results_dir, namespace.prompts = "/lava-42", ["# "]
    namespace.overlay = tmp_path / "overlay-1.tar.gz"
    namespace.overlay.write_bytes(b"\x1f\x8b...")
    made.scene.artifact("modules", b"tar", url="http://h/modules.tar.gz", unpacked="gz")
    made.scene.artifact("kernel", b"k", url="http://h/Image")
    return made


def test_tarballs_are_unpacked_and_removed(tmp_path: Path) -> None:
    made = board(tmp_path, 0)
    made.run(ScpOverlayUnpack())
    assert "tar -C / -xzf /lava-42-overlay-1.tar.gz && rm -f /lava-42-overlay-1.tar.gz" in made.port.typed
    assert "tar -C / -xf /lava-42-modules.tar && rm" in made.port.typed
    assert "Image" not in made.port.typed
    assert made.scene.namespace.overlay_applied


def test_a_tar_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"tar on the device returned 2 for /lava-42-overlay-1\.tar\.gz"):
        board(tmp_path, 2).run(ScpOverlayUnpack())


def test_nothing_of_the_secrets_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIns(tmp_path, monkeypatch).make("scp")
    made = scene(tmp_path)
    made.namespace.overlay_secrets = tmp_path / "overlay-secrets-1.tar.gz"
    made.namespace.overlay_secrets.write_bytes(b"s3cret")
    run = made.run(booted(ScpDeploy()))
    assert [remote for _, remote in deliveries(run)][1] == "/lava-42-overlay-secrets-1.tar.gz"
    assert "s3cret" not in str(made.journal.messages(journal.INFO))

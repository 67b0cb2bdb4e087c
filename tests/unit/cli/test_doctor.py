# SPDX-License-Identifier: Apache-2.0
"""The doctor finds what is wrong, says how to mend it, and never falls over what it finds."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from executor import __version__
from executor.testing.engine import FakeEngine, Stage

from .conftest import Cli

Inside = Callable[[Stage], int]
Checks = Callable[..., dict[str, list[dict[str, str]]]]


def inside(words: str, *, nonce: str = "") -> Inside:
    """A container that says these words, then what the bind mount holds."""

    def program(stage: Stage) -> int:
        path = stage.places.job / "nonce"
        if not path.exists():
            return 1  # the probe of KVM: not on this host
        mounted = path.read_text()
        if stage.spec.command[0] == "cat":  # the question whether paths mean the same to the engine
            stage.output = mounted.encode()
        else:
            stage.output = f"{words}\n{nonce or mounted}\n".encode()
        return 0

    return program


GOOD = f"2 1 0000000000000000 {__version__}"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    made = FakeEngine({"probe": inside(GOOD)})
    monkeypatch.setattr("executor.container.engine.connect", lambda environment=None: made)
    return made


@pytest.fixture
def checks(cli: Cli, env: dict[str, str]) -> Checks:
    """Checks by name, and the exit code under ""."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        env["LAVA_EXEC_MASTER"] = f"tcp://127.0.0.1:{free.getsockname()[1]}"

    def run(*args: str) -> dict[str, list[dict[str, str]]]:
        result = cli("doctor", "--format", "json", *args)
        found: dict[str, list[dict[str, str]]] = {"": [{"code": str(result.exit_code)}]}
        for check in json.loads(result.stdout):
            found.setdefault(check["name"], []).append(check)
        return found

    return run


def statuses(found: dict[str, list[dict[str, str]]], name: str) -> list[str]:
    return [check["status"] for check in found.get(name, [])]


def test_a_good_host(engine: FakeEngine, checks: Checks) -> None:
    found = checks()
    assert statuses(found, "state") == ["ok"]
    assert statuses(found, "engine") == ["ok"]
    assert statuses(found, "image") == ["ok", "ok"]
    assert statuses(found, "isolation") == ["ok"]
    assert statuses(found, "device-configs") == ["ok"]
    assert all("mend" in c for cs in found.values() for c in cs if c.get("status") == "fail")


def test_no_engine(engine: FakeEngine, checks: Checks) -> None:
    engine.down = True
    found = checks()
    assert found[""] == [{"code": "3"}]
    assert statuses(found, "engine") == ["fail"]
    assert "image" not in found
    assert statuses(found, "device-configs") == ["ok"]


def test_no_images(engine: FakeEngine, checks: Checks) -> None:
    engine.images.clear()
    found = checks()
    assert statuses(found, "image") == ["fail", "fail"]
    assert "make images" in found["image"][0]["mend"]


@pytest.mark.parametrize(
    ("program", "name", "text"),
    [
        (inside(f"2 1 0000000000000000 {__version__}-old"), "image", "-old"),
        (inside(f"0 1 0000000000000000 {__version__}"), "isolation", "no seccomp profile"),
        (inside(f"2 0 0000000000000000 {__version__}"), "isolation", "privileges"),
        (inside(f"2 1 00000000a80425fb {__version__}"), "isolation", "a80425fb"),
        (inside(GOOD, nonce="other"), "image", "bind mounts"),
        (inside("nonsense"), "image", "does not do its work"),
    ],
)
def test_what_is_seen_from_inside(
    engine: FakeEngine,
    checks: Checks,
    program: Inside,
    name: str,
    text: str,
) -> None:
    engine.programs["probe"] = program
    found = checks()
    assert found[name][0]["status"] == ("fail" if name == "image" else "warn")
    assert text in found[name][0]["detail"]


def test_a_directory_that_others_can_write(engine: FakeEngine, checks: Checks, env: dict[str, str]) -> None:
    state = Path(env["LAVA_EXEC_STATE"])
    state.mkdir(parents=True)
    state.chmod(0o777)
    found = checks("--no-containers")
    assert found["state"][0]["status"] == "fail"
    assert found["state"][0]["mend"] == f"chmod go-w {state}"


def test_keys_that_others_can_read(engine: FakeEngine, checks: Checks, env: dict[str, str], cli: Cli) -> None:
    assert cli("keys", "init").exit_code == 0
    secret = Path(env["LAVA_EXEC_STATE"]) / "keys" / "client.secret"
    secret.chmod(0o644)
    found = checks("--no-containers")
    assert found["keys"][0]["status"] == "fail"
    assert found["keys"][0]["mend"] == f"chmod 600 {secret}"


def test_device_files_that_make_no_sense(
    engine: FakeEngine,
    checks: Checks,
    env: dict[str, str],
    tmp_path: Path,
) -> None:
    configs = tmp_path / "configs"
    (configs / "types").mkdir(parents=True)
    (configs / "devices").mkdir()
    (configs / "devices" / "one.yaml").write_text("extends: nothing\n")
    env["LAVA_EXEC_DEVICE_CONFIGS"] = str(configs)
    found = checks("--no-containers")
    assert found["device-configs"][0]["status"] == "fail"
    assert "one.yaml:1" in found["device-configs"][0]["detail"]


def test_a_port_that_somebody_has(engine: FakeEngine, checks: Checks, env: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        env["LAVA_EXEC_MASTER"] = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        env["LAVA_EXEC_MASTER_KEY"] = "ab" * 32
        found = checks("--no-containers")
    assert statuses(found, "port") == ["warn"]
    assert found["port"][0]["mend"].startswith("See who has it")
    assert found["master"][0]["status"] == "fail"


def test_for_people(engine: FakeEngine, cli: Cli, env: dict[str, str]) -> None:
    result = cli("doctor", "--no-containers")
    assert "✓ engine" in result.stdout
    assert "→" in result.stdout

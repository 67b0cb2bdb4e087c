# SPDX-License-Identifier: Apache-2.0
"""The service's interface, with a service that is a table of answers."""

from __future__ import annotations

import json
import plistlib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from executor.actions.avh.api import Service, log_in
from executor.actions.avh.package import make_package
from executor.actions.avh.transport import Body, exchange
from executor.errors import ConfigurationError, InfrastructureError, JobError, JobTimeout
from executor.model.deadline import Deadline
from executor.testing.clock import FakeClock
from executor.testing.pipeline import Scene
from executor.testing.web import WebServer

URL = "https://avh.example.org/api"


class Cloud:
    """`answers`: "GET projects" → one answer, or a list of them in turn; `asked` is what it was asked."""

    def __init__(self, **more: Any) -> None:
        self.answers: dict[str, Any] = {
            "POST auth/login": {"token": "session"},
            "GET projects": [{"id": "p1", "name": "Default Project"}],
            "GET models": [{"model": "rpi4b", "flavor": "rpi4b-flavor"}],
            "POST images": {"id": "i1"},
            "POST instances": {"id": "b1"},
            "GET instances/b1": [{"state": "creating"}, {"state": "on"}],
            "GET instances/b1/console": {"url": "wss://avh.example.org/console/key"},
            "DELETE instances/b1": {},
            "DELETE images/i1": {},
            **more,
        }
        self.asked: list[tuple[str, dict[str, str], bytes]] = []

    def exchange(
        self, verb: str, url: str, headers: dict[str, str], body: Body | None, seconds: float
    ) -> tuple[int, bytes]:
        name = f"{verb} {url.removeprefix(URL + '/v1/')}"
        sent = b"" if body is None else b"".join(body.pieces)
        assert body is None or body.size == len(sent)
        self.asked.append((name, headers, sent))
        answer = self.answers.get(name, 404)
        if isinstance(answer, list) and name.startswith("GET instances"):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return (answer, b"") if isinstance(answer, int) else (200, json.dumps(answer).encode())


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud()
    monkeypatch.setattr("executor.actions.avh.api.exchange", made.exchange)
    monkeypatch.setattr("executor.actions.avh.api._POLL_SECONDS", 0.0)
    return made


def service(tmp_path: Path) -> Service:
    return log_in(Scene(tmp_path, secrets={"avh_api_token": "mine"}).context, URL, Deadline.after(60))


def test_the_users_token_is_sent_once_and_the_sessions_from_then_on(tmp_path: Path, cloud: Cloud) -> None:
    session = service(tmp_path)
    assert session.project("Default Project") == "p1"
    assert session.flavor("rpi4b") == "rpi4b-flavor"
    (_, _, login), (_, projects, _), _ = cloud.asked
    assert json.loads(login) == {"apiToken": "mine"}
    assert projects == {"Authorization": "Bearer session"}
    assert "mine" not in str(cloud.asked[1:])


def test_a_board_is_started_waited_for_and_taken_away(tmp_path: Path, cloud: Cloud) -> None:
    session, told = service(tmp_path), []
    (tmp_path / "f.zip").write_bytes(b"zip")
    assert session.upload("p1", "lava-42", tmp_path / "f.zip") == "i1"
    assert session.start("p1", "lava-42", "flavor", "i1", {"bootArgs": "console=ttyS0"}) == "b1"
    session.wait_for("b1", told.append)
    assert told == ["creating", "on"]
    assert session.console("b1").endswith("/key")
    session.remove("instances", "b1")
    sent = {name: body for name, _, body in cloud.asked}
    assert b'name="project"\r\n\r\np1\r\n' in sent["POST images"]
    assert b'filename="f.zip"' in sent["POST images"]
    assert b"\r\n\r\nzip\r\n--" in sent["POST images"]
    started = json.loads(sent["POST instances"])
    assert (started["fwpackage"], started["bootOptions"]) == ("i1", {"bootArgs": "console=ttyS0"})


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (401, JobError, "refuses the secret avh_api_token"),
        (500, InfrastructureError, "the service answers 500"),
        ({}, InfrastructureError, "gave no token"),
    ],
)
def test_a_login_that_fails_is_told(
    tmp_path: Path, cloud: Cloud, answer: Any, error: type[Exception], text: str
) -> None:
    cloud.answers["POST auth/login"] = answer
    with pytest.raises(error, match=text):
        service(tmp_path)


def test_names_that_the_service_does_not_have_are_told_with_those_it_has(
    tmp_path: Path, cloud: Cloud
) -> None:
    with pytest.raises(JobError, match="no model 'rpi5'") as failure:
        service(tmp_path).flavor("rpi5")
    assert "rpi4b" in failure.value.hint


def test_a_board_that_fails_or_never_starts_is_told(tmp_path: Path, cloud: Cloud) -> None:
    cloud.answers["GET instances/b1"] = {"state": "error"}
    with pytest.raises(InfrastructureError, match="could not start the board"):
        service(tmp_path).wait_for("b1", print)
    cloud.answers["GET instances/b1"] = {"state": "creating"}
    session = service(tmp_path)
    session.deadline = Deadline.after(0)
    with pytest.raises(InfrastructureError, match="'creating' and does not start"):
        session.wait_for("b1", print)


def test_without_a_secret_or_an_address_nothing_is_asked(tmp_path: Path, cloud: Cloud) -> None:
    with pytest.raises(JobError, match="no secret avh_api_token"):
        log_in(Scene(tmp_path).context, URL, Deadline.after(60))
    with pytest.raises(ConfigurationError, match="no api_endpoint"):
        log_in(Scene(tmp_path).context, "", Deadline.after(60))
    assert cloud.asked == []


def test_a_package_has_the_parts_under_the_services_names(tmp_path: Path) -> None:
    parts = {}
    for label in ("kernel", "dtb", "rootfs"):
        parts[label] = tmp_path / label
        parts[label].write_text(label)
    make_package(tmp_path / "out/f.zip", "rpi4b", "42", parts, deadline=Deadline.after(60))
    with zipfile.ZipFile(tmp_path / "out/f.zip") as archive:
        assert archive.namelist() == ["Info.plist", "kernel", "devicetree", "nand"]
        assert archive.read("nand") == b"rootfs"
        assert plistlib.loads(archive.read("Info.plist"))["DeviceIdentifier"] == "rpi4b"
    clock = FakeClock()
    late = Deadline.after(1, clock)
    clock.advance(2)
    with pytest.raises(JobTimeout):
        make_package(tmp_path / "late.zip", "rpi4b", "42", parts, deadline=late)


def test_a_service_is_asked_over_http() -> None:
    with WebServer() as web:
        url = web.put("/v1/projects", b"[]")
        assert exchange("GET", url, {"Authorization": "Bearer s"}, None, 10) == (200, b"[]")
        assert web.requests[0][1]["authorization"] == "Bearer s"
        assert exchange("GET", f"{web.address}/v1/none", {}, None, 10)[0] == 404
        address = web.address
    with pytest.raises(InfrastructureError, match="does not answer"):
        exchange("GET", f"{address}/v1/projects", {}, None, 1)

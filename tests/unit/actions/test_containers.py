# SPDX-License-Identifier: Apache-2.0
"""Blocks that ask for containers: planned and checked everywhere, refused where they would have to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.docker import DockerParameters, DockerRun
from executor.errors import ConfigurationError, ExitCode
from executor.pipeline.check import Checked, check_job
from executor.pipeline.world import FarmWorld, LocalWorld, World
from executor.testing import jobs
from executor.testing.pipeline import Scene


def device(**keys: Any) -> dict[str, Any]:
    """A device that is a container, on a worker that may start services."""
    methods = {"methods": {"docker": {"options": {}}}}
    return jobs.device(
        actions={"deploy": methods, "boot": methods}, parameters={"allow_test_services": True}, **keys
    )


DEPLOY: dict[str, Any] = {"deploy": {"to": "docker", "os": "debian", "image": "debian:bookworm"}}
BOOT: dict[str, Any] = {"boot": {"method": "docker", "command": "bash", "prompts": ["root@lava:/"]}}


def docker_test(**keys: Any) -> dict[str, Any]:
    return jobs.shell_test(docker={"image": "adb-fastboot"}, **keys)


def services(*given: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"test": {"services": list(given), **keys}}


URL = {
    "name": "web",
    "from": "url",
    "repository": "https://h/web.tar.gz",
    "path": "compose.yaml",
    "compression": "gz",
}
GIT = {"name": "db", "from": "git", "repository": "https://h/db.git", "path": "compose.yaml"}


def checked(*blocks: dict[str, Any], world: World | None = None, **keys: Any) -> Checked:
    return check_job(jobs.job(*blocks), device(**keys), world=world)


def names(done: Checked) -> list[str]:
    assert done.errors == []
    assert done.planned is not None
    return [a.name for a in done.planned.walk()][:-3]  # without finalize


OVERLAY = [
    "test-definition",
    "inline-repo-action",
    "test-overlay",
    "test-install-overlay",
    "test-runscript-overlay",
]


def test_a_container_as_the_device() -> None:
    assert names(checked(DEPLOY, BOOT, jobs.shell_test())) == [
        "deploy-docker", "deploy-device-env", "lava-overlay", "lava-multinode-overlay", *OVERLAY,
        "boot-docker", "docker-run", "expect-shell-connection", "export-device-env",
        "lava-test-retry", "lava-test-shell",
    ]  # fmt: skip


def test_a_container_without_tests_has_no_overlay_and_no_shell() -> None:
    assert names(checked(DEPLOY, BOOT)) == ["deploy-docker", "boot-docker", "docker-run"]


def test_tests_in_a_container_have_an_overlay_of_their_own() -> None:
    assert names(checked(docker_test())) == [
        "lava-docker-test", "lava-docker-test-set-environment", "lava-create-overlay",
        "lava-multinode-overlay",
        *OVERLAY, "lava-docker-test-shell", "read-feedback",
    ]  # fmt: skip


def test_a_member_of_a_group_gets_the_shell_that_talks_to_the_others() -> None:
    member = {"lava-multinode": {"role": "server", "target_group": "g", "group_size": 1, "sub_id": 0}}
    text = jobs.job({"test": {**docker_test()["test"], "role": "server"}}, protocols=member)
    assert "lava-multinode-docker-test-shell" in names(check_job(text, device(), scheduled=True))


@pytest.mark.parametrize(("tags", "errors"), [(["primary", "telnet"], 0), (["primary"], 1)])
def test_a_console_that_tests_want_for_themselves_must_be_one_that_can_be_let_go(
    tags: list[str], errors: int
) -> None:
    commands = {"connections": {"uart0": {"connect": "telnet h 7001", "tags": tags}}}
    done = checked(docker_test(disconnect_connection=True), commands=commands)
    assert len(done.errors) == errors
    assert done.planned is not None
    assert [a.name for a in done.planned.walk()][-6:-3] == [
        "disconnect-device", "lava-docker-test-shell", "read-feedback"
    ]  # fmt: skip


def test_services_one_by_one_with_their_downloads() -> None:
    assert names(checked(services(URL, GIT, failure_retry=2))) == [
        "lava-test-services", "lava-test-service-retry", "lava-test-service", "download-retry",
        "http-download",
        "lava-test-service-retry", "lava-test-service",
    ]  # fmt: skip


def test_services_are_the_admins_to_allow() -> None:
    (problem,) = check_job(jobs.job(services(GIT)), jobs.device()).errors
    assert "does not allow services" in problem.message
    assert "allow_test_services" in problem.hint


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"repository": "ext::sh -c id"}, "not a repository URL"),
        ({"branch": "--upload-pack=id"}, "is no branch"),
        ({"path": "../../etc/compose.yaml"}, "leads out of the repository"),
    ],
)
def test_what_a_service_names_is_not_trusted(keys: dict[str, str], words: str) -> None:
    (problem,) = checked(services({**GIT, **keys})).errors
    assert words in problem.message


@pytest.mark.parametrize("image", ["--privileged", "-v/:/host", "a b", "$(id)"])
def test_an_image_cannot_be_an_option(image: str) -> None:
    (problem,) = checked(jobs.shell_test(docker={"image": image})).errors
    assert problem.path[-1] == "image"


@pytest.mark.parametrize("world", [FarmWorld(), LocalWorld()])
@pytest.mark.parametrize("block", [DEPLOY, BOOT, docker_test(), services(GIT)])
def test_where_it_would_run_it_is_refused_as_the_farms_affair(world: World, block: dict[str, Any]) -> None:
    done = checked(block, world=world)
    assert {p.error_type for p in done.errors} == {"Configuration"}
    assert "workers cannot start containers for jobs yet" in done.errors[0].message
    assert done.exit_code is ExitCode.INFRASTRUCTURE


def test_nothing_of_it_runs_by_accident(tmp_path: Path) -> None:
    action = DockerRun(DockerParameters(method="docker", command="bash"))
    with pytest.raises(ConfigurationError, match="docker-run"):
        Scene(tmp_path).run(action)

# SPDX-License-Identifier: Apache-2.0
"""From definitions to the tarball: what the actions of `lava-overlay` hand to each other."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from executor.actions.definition import Definition
from executor.actions.origin import InlineRepo
from executor.actions.overlay import (
    DefinitionInstall,
    DefinitionOverlay,
    DefinitionRunscript,
    LavaOverlay,
)
from executor.errors import JobError, LavaExecError
from executor.model import journal
from executor.model.device import Device
from executor.model.job import Block, Job
from executor.pipeline.run import Run
from executor.pipeline.world import IdealWorld
from executor.testing import jobs
from executor.testing.pipeline import Scene, placed, planned

BLOCK = Block(section="test", index=2, parameters={}, path=("actions", 2, "test"))


def definition(**keys: Any) -> Definition:
    return Definition(0, jobs.definition(**keys), BLOCK)


def read(scene: Scene, **keys: Any) -> Run:
    """The definition, extracted and read."""
    wanted = definition(**keys)
    scene.run(InlineRepo(wanted))
    return scene.run(DefinitionOverlay(wanted))


# -- shell and directories


@pytest.mark.parametrize(
    ("os", "constants", "expected"),
    [
        ("debian", {}, ("/lava-42", "/bin/bash", "~/.bashrc")),
        ("android", {}, ("/data/local/tmp/lava-42", "/system/bin/sh", "")),
        (None, {}, ("/lava-42", "/bin/sh", "~/.bashrc")),
        (None, {"posix": {"lava_test_results_dir": "/opt/t-%s"}}, ("/opt/t-42", "/bin/sh", "~/.bashrc")),
    ],
)
def test_the_operating_system_decides_shell_and_directories(
    tmp_path: Path, os: str | None, constants: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    scene = Scene(tmp_path, device=Device(constants=constants))
    scene.run(LavaOverlay(os))
    namespace = scene.namespace
    assert (namespace.results_dir, namespace.shell, namespace.shell_file) == expected


def test_a_directory_without_the_jobs_number_is_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path, job=Job(job_name="t", context={"lava_test_results_dir": "/lava"}))
    with pytest.raises(JobError, match="%s"):
        scene.run(LavaOverlay("debian"))


@pytest.mark.parametrize(
    ("os", "severity", "near"),
    [("debian", [], []), (None, ["warning"], [""]), ("debain", ["warning"], ["debian"])],
)
def test_what_is_not_said_or_not_known_is_warned_about(
    os: str | None, severity: list[str], near: list[str]
) -> None:
    found = list(placed(LavaOverlay(os)).validate(IdealWorld()))
    assert ([p.severity for p in found], [p.near for p in found]) == (severity, near)


# -- one definition


def test_a_definition_is_read_and_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    run = read(scene, params={"A": 1}, expected=["case-1"])
    made = scene.namespace.definitions[0]
    assert (made.index, made.name, made.uuid, made.parameters) == (0, "smoke", "42_1", {"A": 1})
    assert made.expected_cases == ["case-1"]
    assert run.results == {
        "uuid": "42_1",
        "name": "smoke",
        "path": "inline/smoke.yaml",
        "from": "inline",
    }


def source_with(scene: Scene, **files: str) -> Definition:
    wanted = definition(path="smoke.yaml")
    scene.run(InlineRepo(wanted))
    directory = scene.namespace.sources[0].directory
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text)
    return wanted


def test_a_file_that_is_not_there_is_the_jobs_fault(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    wanted = source_with(scene)
    (scene.namespace.sources[0].directory / "smoke.yaml").unlink()
    with pytest.raises(JobError, match="no file"):
        scene.run(DefinitionOverlay(wanted))


def test_a_link_out_of_the_repository_is_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    wanted = source_with(scene)
    file = scene.namespace.sources[0].directory / "smoke.yaml"
    file.unlink()
    (tmp_path / "secret.yaml").write_text("x")
    file.symlink_to(tmp_path / "secret.yaml")
    with pytest.raises(JobError, match="leads out"):
        scene.run(DefinitionOverlay(wanted))


@pytest.mark.parametrize("text", ["", "a: [", "- x", "metadata: {name: x}\n", "\x00"])
def test_what_is_no_definition_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    scene = Scene(tmp_path)
    wanted = source_with(scene, smoke=text)
    with pytest.raises(LavaExecError, match="smoke"):
        scene.run(DefinitionOverlay(wanted))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"metadata: {name: \xe4}\n", r":1: not UTF-8: byte 0xe4"),
        (b"# " + bytes(2 << 20), "larger than 1 MiB"),
        (b"&a [*a]", "refers to itself"),
    ],
    ids=["not UTF-8", "huge", "loop"],
)
def test_hostile_files_are_refused(tmp_path: Path, data: bytes, words: str) -> None:
    scene = Scene(tmp_path)
    wanted = source_with(scene)
    (scene.namespace.sources[0].directory / "smoke.yaml").write_bytes(data)
    with pytest.raises(JobError, match=words):
        scene.run(DefinitionOverlay(wanted))


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    scene = Scene(tmp_path)
    wanted = source_with(scene, smoke="\n".join(lines))
    with pytest.raises(JobError, match="counting aliases"):
        scene.run(DefinitionOverlay(wanted))


def test_only_what_may_clone_has_a_network() -> None:
    repository = jobs.definition()["repository"]
    cloning = {**repository, "install": {"git-repos": ["https://h/t.git"]}}
    fetched = definition(repository="http://h/t.tar", **{"from": "url"})
    assert DefinitionInstall(definition()).needs().network == "none"
    assert DefinitionInstall(definition(repository=cloning)).needs().network == "bridge"
    assert DefinitionInstall(definition(repository=cloning, skip_install=["all"])).needs().network == "none"
    assert DefinitionInstall(fetched).needs().network == "bridge"


def test_a_definition_without_steps_is_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    repository = jobs.definition()["repository"]
    repository["run"]["steps"] = []
    read(scene, repository=repository)
    with pytest.raises(LavaExecError, match="no run steps"):
        scene.run(DefinitionRunscript(definition()))


def test_without_repositories_there_is_nothing_to_install(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    read(scene)
    scene.run(DefinitionInstall(definition()))


# -- the tarball


def whole(tmp_path: Path, **scene_keys: Any) -> Scene:
    """All actions of `lava-overlay`, as the plan has them."""
    job = jobs.job(jobs.deploy(), jobs.boot(), jobs.shell_test("a", "b"), jobs.shell_test("c"))
    top = next(action for action in planned(job, jobs.device()).walk() if action.name == "lava-overlay")
    scene = Scene(tmp_path, **scene_keys)
    for action in top.walk():
        scene.run(action)
    return scene


def test_each_block_has_its_own_stage_and_its_own_definitions(tmp_path: Path) -> None:
    scene = whole(tmp_path)
    assert scene.namespace.overlay is not None
    with tarfile.open(scene.namespace.overlay) as tar:
        names = {name.lstrip("./") for name in tar.getnames()}
    assert {"lava-42/0/tests/0_a/run.sh", "lava-42/0/tests/1_b/run.sh", "lava-42/1/tests/2_c/run.sh"} <= names
    assert "lava-42/bin/lava-test-runner" in names
    assert scene.namespace.overlay.parent == scene.context.out, "it is kept with the job"
    assert scene.namespace.overlay_secrets is None


def test_the_workers_variables_stand_beside_the_secrets_which_win(tmp_path: Path) -> None:
    scene = whole(tmp_path, secrets={"TOKEN": "mine"}, environment={"TOKEN": "lab", "PROXY": "http://p"})
    assert scene.namespace.overlay_secrets is not None
    with tarfile.open(scene.namespace.overlay_secrets) as tar:
        content = tar.extractfile("lava-42/secrets")
        assert content is not None
        assert content.read() == b"TOKEN=mine\nPROXY=http://p\n"


def test_secrets_are_in_an_archive_that_is_not_kept(tmp_path: Path) -> None:
    scene = whole(tmp_path, secrets={"TOKEN": "s3cret"})
    assert scene.namespace.overlay is not None
    assert scene.namespace.overlay_secrets is not None
    assert scene.namespace.overlay_secrets.parent == scene.context.work
    with tarfile.open(scene.namespace.overlay_secrets) as tar:
        text = b"".join(tar.extractfile(m).read() for m in tar if m.isfile())  # type: ignore[union-attr]
    assert b"s3cret" in text
    with tarfile.open(scene.namespace.overlay) as tar:
        kept = b"".join(tar.extractfile(m).read() for m in tar if m.isfile())  # type: ignore[union-attr]
    assert b"s3cret" not in kept
    assert not any("s3cret" in str(r.msg) for r in scene.journal.records)


def test_the_devices_addresses_reach_the_helpers(tmp_path: Path) -> None:
    device = Device(
        parameters={"interfaces": {"target": {"ip": "10.0.0.9", "mac": "00:11:22:33:44:55"}}},
        storage_info=[{"SATA": "/dev/disk/by-id/x"}],
        environment={"BOARD_REV": "C"},
    )
    scene = whole(tmp_path, device=device)
    assert scene.namespace.overlay is not None
    with tarfile.open(scene.namespace.overlay) as tar:
        text = b"".join(tar.extractfile(m).read() for m in tar if m.isfile())  # type: ignore[union-attr]
    for word in (b"10.0.0.9", b"00:11:22:33:44:55", b"/dev/disk/by-id/x", b"BOARD_REV=C"):
        assert word in text


def test_what_was_made_is_told(tmp_path: Path) -> None:
    scene = whole(tmp_path)
    assert any(text.startswith("overlay: overlay-") for text in scene.journal.messages(journal.INFO))

# SPDX-License-Identifier: Apache-2.0
"""The overlay: layout, owners, secrets apart, and nothing from outside of a repository."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from executor.errors import JobError
from executor.testing.hostdevice import define
from executor.testshell.archive import Archive
from executor.testshell.overlay import OverlayInput, PlacedDefinition, Stage, build_overlay


def built(tmp_path: Path, **given: object) -> tuple[dict[str, tarfile.TarInfo], dict[str, bytes]]:
    """(members, contents) of the overlay."""
    fields: dict[str, object] = {"job_id": "42", "results_dir": "/lava-42", **given}
    build_overlay(OverlayInput(**fields), tmp_path / "o.tar.gz", tmp_path / "s.tar.gz")  # type: ignore[arg-type]
    return opened(tmp_path / "o.tar.gz")


def opened(path: Path) -> tuple[dict[str, tarfile.TarInfo], dict[str, bytes]]:
    members, contents = {}, {}
    with tarfile.open(path) as archive:
        for member in archive:
            members[member.name] = member
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                contents[member.name] = file.read()
    return members, contents


def two_blocks() -> list[Stage]:
    return [
        Stage(0, [define("smoke", "true", parameters={"A": "b"}), define("disk", "true", index=1)]),
        Stage(1, [define("more", "true", index=2, has_install=True, packages={"": ["vim"]})]),
    ]


def test_the_layout(tmp_path: Path) -> None:
    members, contents = built(
        tmp_path, stages=two_blocks(), environment=[("A", "it's"), ("B C", "x"), ("A", "2")], sh="/bin/bash"
    )
    assert (
        contents["lava-42/0/lava-test-runner.conf"] == b"/lava-42/0/tests/0_smoke\n/lava-42/0/tests/1_disk\n"
    )
    assert contents["lava-42/1/lava-test-runner.conf"] == b"/lava-42/1/tests/2_more\n"
    assert contents["lava-42/environment"] == b"export A='it'\"'\"'s'\nexport A=2\n"
    assert contents["lava-42/0/tests/0_smoke/uuid"] == b"1_1.1.0\n"
    assert b"A=b\n" in contents["lava-42/0/tests/0_smoke/run.sh"]
    assert "lava-42/0/tests/0_smoke/install.sh" not in members
    assert b"lava-install-packages vim\n" in contents["lava-42/1/tests/2_more/install.sh"]
    assert b"name: smoke" in contents["lava-42/0/tests/0_smoke/testdef_metadata"]
    assert contents["lava-42/bin/lava-test-case"].startswith(b"#!/bin/bash\n")
    assert members["lava-42/bin/lava-test-case"].mode == 0o755
    for name in ("lava-42", "lava-42/tests", "lava-42/results", "lava-42/0/results"):
        assert members[name].isdir()
    assert {(m.uid, m.gid, m.uname, m.gname) for m in members.values()} == {(0, 0, "root", "root")}


def test_parents_of_the_results_directory_stay_as_they_are(tmp_path: Path) -> None:
    members, _ = built(tmp_path, results_dir="/data/local/tmp/lava-42")
    assert all(name.startswith("data/local/tmp/lava-42") for name in members)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        built(tmp_path / name, stages=two_blocks(), secrets={"T": "x"})
    assert (tmp_path / "a" / "o.tar.gz").read_bytes() == (tmp_path / "b" / "o.tar.gz").read_bytes()


def test_secrets_go_into_an_archive_of_their_own(tmp_path: Path) -> None:
    _, contents = built(tmp_path, secrets={"TOKEN": "geheim es", "KEY": "v'"})
    assert not any(b"geheim" in data for data in contents.values())
    assert (tmp_path / "s.tar.gz").stat().st_mode & 0o777 == 0o600
    members, secret = opened(tmp_path / "s.tar.gz")
    assert secret == {"lava-42/secrets": b"TOKEN='geheim es'\nKEY='v'\"'\"''\n"}
    assert members["lava-42/secrets"].mode == 0o600


def test_without_secrets_there_is_no_second_archive(tmp_path: Path) -> None:
    made = build_overlay(OverlayInput(job_id="1", results_dir="/lava-1"), tmp_path / "o", tmp_path / "s")
    assert made.secrets_path is None
    assert not (tmp_path / "s").exists()
    assert made.size == (tmp_path / "o").stat().st_size


def test_helpers_of_the_distribution_replace_the_generic_ones(tmp_path: Path) -> None:
    assert b"apt-get" in built(tmp_path, distro="ubuntu")[1]["lava-42/bin/lava-install-packages"]
    assert b"dnf" in built(tmp_path, distro="centos")[1]["lava-42/bin/lava-install-packages"]
    assert b"opkg" in built(tmp_path, distro="oe")[1]["lava-42/bin/lava-install-packages"]
    assert b"not known" in built(tmp_path, distro="qnx")[1]["lava-42/bin/lava-install-packages"]
    assert b"not known" in built(tmp_path, distro="oe")[1]["lava-42/bin/lava-add-keys"]


def test_further_helpers_and_keys_have_their_place(tmp_path: Path) -> None:
    members, contents = built(
        tmp_path, extra_helpers={"lava-self": "#!/bin/sh\necho 42\n"}, authorized_keys=b"ssh-ed25519 x\n"
    )
    assert contents["lava-42/bin/lava-self"] == b"#!/bin/sh\necho 42\n"
    assert contents["root/.ssh/authorized_keys"] == b"ssh-ed25519 x\n"
    assert members["root/.ssh"].mode == 0o700


@pytest.mark.parametrize("sh", ["sh", "/bin/sh\nrm", ""])
def test_an_interpreter_is_a_path(tmp_path: Path, sh: str) -> None:
    with pytest.raises(JobError, match="not the path of a shell"):
        built(tmp_path, sh=sh)
    assert not (tmp_path / "o.tar.gz").exists()


def test_a_results_directory_is_absolute(tmp_path: Path) -> None:
    for directory in ("lava-1", "/x/../y"):
        with pytest.raises(JobError, match="not an absolute path"):
            built(tmp_path, results_dir=directory)


# -- repositories ----------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    top = tmp_path / "repository"
    (top / ".git").mkdir(parents=True)
    (top / ".git" / "HEAD").write_text("ref\n")
    (top / "sub").mkdir()
    (top / "sub" / "tool").write_text("#!/bin/sh\n")
    (top / "sub" / "tool").chmod(0o4755)
    (top / "sub" / "alias").symlink_to("tool")
    (top / "run.sh").write_text("theirs\n")
    (top / "empty").mkdir()
    return top


def from_repository(
    tmp_path: Path, repository: Path, **fields: object
) -> tuple[dict[str, tarfile.TarInfo], dict[str, bytes]]:
    placed = define("smoke", "true", source_dir=repository, **fields)
    return built(tmp_path, stages=[Stage(0, [placed])])


def test_a_repository_goes_along_as_it_is(tmp_path: Path, repository: Path) -> None:
    members, contents = from_repository(tmp_path, repository)
    top = "lava-42/0/tests/0_smoke"
    assert contents[f"{top}/.git/HEAD"] == b"ref\n"
    assert members[f"{top}/sub/tool"].mode == 0o755
    assert members[f"{top}/sub/alias"].linkname == "tool"
    assert members[f"{top}/empty"].isdir()
    assert b"theirs" not in contents[f"{top}/run.sh"]


def test_files_that_come_with_a_definition(tmp_path: Path, repository: Path) -> None:
    _, contents = from_repository(tmp_path, repository, files={"inline/x.yaml": b"x: 1\n"})
    assert contents["lava-42/0/tests/0_smoke/inline/x.yaml"] == b"x: 1\n"
    with pytest.raises(JobError, match="leads out"):
        from_repository(tmp_path, repository, files={"../x": b""})


def link_to(target: str) -> Callable[[Path], None]:
    return lambda top: (top / "sub" / "link").symlink_to(target)


def hidden_way_out(top: Path) -> None:
    (top / "sub" / "up").symlink_to("..")
    (top / "sub" / "link").symlink_to("up/../x")


@pytest.mark.parametrize(
    "hostile",
    [link_to("/etc/passwd"), link_to("../../x"), hidden_way_out],
    ids=["absolute", "upwards", "hidden"],
)
def test_links_out_of_the_repository_are_refused(
    tmp_path: Path, repository: Path, hostile: Callable[[Path], None]
) -> None:
    hostile(repository)
    with pytest.raises(JobError, match="sub/link is a link out of the repository"):
        from_repository(tmp_path, repository)
    assert not (tmp_path / "o.tar.gz").exists()


def test_a_link_to_itself_leads_nowhere(tmp_path: Path, repository: Path) -> None:
    (repository / "loop").symlink_to("loop")
    assert from_repository(tmp_path, repository)[0]["lava-42/0/tests/0_smoke/loop"].linkname == "loop"


def test_devices_pipes_and_sockets_are_refused(tmp_path: Path, repository: Path) -> None:
    os.mkfifo(repository / "pipe")
    with pytest.raises(JobError, match="pipe is neither a file nor a directory"):
        from_repository(tmp_path, repository)


def test_a_directory_cannot_hide_a_file_of_ours(tmp_path: Path, repository: Path) -> None:
    (repository / "uuid").mkdir()
    (repository / "uuid" / "x").write_text("")
    with pytest.raises(JobError, match="name of a file made for the test"):
        from_repository(tmp_path, repository)


def test_too_much_is_refused(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executor.testshell.archive.MAX_FILES", 10)
    with pytest.raises(JobError, match="larger than"):
        from_repository(tmp_path, repository)


def test_an_archive_that_failed_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with Archive(tmp_path / "x") as archive:
            archive.file("/a", b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert list(tmp_path.iterdir()) == []


# -- definitions in their place --------------------------------------------------------------------------


def test_a_name_must_be_one_that_a_directory_can_have() -> None:
    for name in ("a b", "a/b", "", "é"):
        with pytest.raises(JobError, match="only letters"):
            _ = define(name).run_id
    assert define("a-b_1.2", index=3).run_id == "3_a-b_1.2"


def test_parameters_of_the_job_win() -> None:
    placed = define("x", parameters={"A": 1, "B": 1})
    placed.parameters = {"B": 2, "C": 3}
    assert placed.all_parameters == {"A": 1, "B": 2, "C": 3}


def test_repositories_to_clone() -> None:
    placed: PlacedDefinition = define("x", git_repos=["https://h/a.git"], bzr_repos=["lp:b"])
    assert [r.destination for r in placed.git_repositories()] == ["a"]
    placed.skip_install = ["git-repos"]
    assert placed.git_repositories() == []
    assert [r.url for r in placed.bzr_repositories()] == ["lp:b"]
    placed.skip_install = ["all"]
    assert placed.bzr_repositories() == []

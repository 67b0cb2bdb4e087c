# SPDX-License-Identifier: Apache-2.0
"""What a job may have cloned, and how hard it is tried; git itself is a stand-in that notes its arguments."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from executor.actions import vcs
from executor.actions.gitclone import check_url, clone, forget_history
from executor.actions.vcs import check_word, password_of, without_password
from executor.errors import InfrastructureError, JobError, JobTimeout
from executor.model import journal
from executor.pipeline.action import Action
from executor.pipeline.run import Run
from executor.testing.pipeline import Scene

URL = "https://example.org/tests.git"
GIT = """\
#!/bin/sh
echo "$*" >> "$GIT_LOG"
for word in "$@"; do
    case "$word" in
    clone|fetch|checkout|rev-parse|submodule) step=$word; break;;
    esac
done
if grep -qx "$step" "$GIT_FAILS"; then
    sed -i "0,/^$step\\$/{//d}" "$GIT_FAILS"
    echo "fatal: $step failed"
    exit 128
fi
test -z "$GIT_ASKPASS" || echo "asked: $($GIT_ASKPASS)" >> "$GIT_LOG.asked"
test "$step" != rev-parse || echo 0123456789abcdef0123456789abcdef01234567
"""


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "http://user:pw@h:8080/x",
        "git://h/x",
        "ssh://git@h:22/x",
        "git@example.org:group/tests.git",
        "https://[::1]/x.git",
    ],
)
def test_urls_of_these_kinds_are_cloned(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch /tmp/x",
        "-c",
        "ext::sh -c touch% /tmp/x",
        "fd::17",
        "file:///etc",
        "/srv/tests.git",
        "../tests",
        "tests",
        "https:///x",
        "https://-oProxyCommand=x/y",
        "ftp://h/x",
        "user@-oProxyCommand=x:y",
        "https://h/x y",
        "https://h/x\ny",
        "http://[x/y",
        "",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(JobError):
        check_url(url)


@pytest.mark.parametrize("word", ["", "main", "v1.0", "feature/x", "0123abc", "release-1.2_3"])
def test_words_for_branches(word: str) -> None:
    check_word(word, "branch")


@pytest.mark.parametrize("word", ["-x", "--upload-pack=x", "a b", "a\nb", "x:y", "a^", "x~1", "@{u}\\", "*"])
def test_words_that_are_none(word: str) -> None:
    with pytest.raises(JobError, match="is no branch"):
        check_word(word, "branch")


class Git:
    """The stand-in: `calls` are its arguments, `fail` names steps that fail once each."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._log, self._fails = directory / "git.log", directory / "git.fails"
        program = directory / "bin" / "git"
        program.parent.mkdir()
        program.write_text(GIT)
        program.chmod(0o755)
        self._log.touch()
        self._fails.touch()
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("GIT_LOG", str(self._log))
        monkeypatch.setenv("GIT_FAILS", str(self._fails))

    def fail(self, *steps: str) -> None:
        self._fails.write_text("".join(f"{step}\n" for step in steps))

    @property
    def calls(self) -> list[str]:
        return [
            line.removeprefix("-c advice.detachedHead=false ") for line in self._log.read_text().splitlines()
        ]


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    monkeypatch.setattr(vcs, "PAUSE", 0.0)
    return Git(tmp_path, monkeypatch)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return real_time(tmp_path, 60)


def real_time(tmp_path: Path, seconds: float) -> Run:
    import time

    class Cloning(Action):
        name = "git-repo-action"

    action = Cloning()
    action.limit = int(seconds)
    return Scene(tmp_path, clock=time.monotonic).attempt(action)


def test_a_clone_is_shallow_quiet_and_its_url_stands_behind_the_options(
    git: Git, run: Run, tmp_path: Path
) -> None:
    commit = clone(URL, tmp_path / "t", run, branch="main", depth=1)
    assert commit == "0123456789abcdef0123456789abcdef01234567"
    assert git.calls == [
        f"clone --quiet --depth 1 --branch main -- {URL} {tmp_path / 't'}",
        f"-C {tmp_path / 't'} rev-parse HEAD",
    ]


def test_a_revision_is_checked_out_of_a_whole_clone(git: Git, run: Run, tmp_path: Path) -> None:
    clone(URL, tmp_path / "t", run, revision="0123abc")
    assert git.calls[1] == f"-C {tmp_path / 't'} checkout --quiet --detach 0123abc --"


def test_a_revision_of_a_shallow_clone_is_fetched_or_else_everything(
    git: Git, run: Run, tmp_path: Path
) -> None:
    git.fail("fetch")
    clone(URL, tmp_path / "t", run, revision="0123abc", depth=1)
    assert [" ".join(call.split()[2:]) for call in git.calls[1:4]] == [
        "fetch --quiet --depth 1 origin 0123abc",
        "fetch --quiet --unshallow --tags",
        "checkout --quiet --detach 0123abc --",
    ]


def test_submodules_come_on_request_and_follow_the_revision(git: Git, run: Run, tmp_path: Path) -> None:
    clone(URL, tmp_path / "t", run, revision="0123abc", recursive=True)
    assert "--recurse-submodules" in git.calls[0]
    assert any("submodule update --quiet --init --recursive" in call for call in git.calls)


def test_the_network_is_given_six_chances(git: Git, run: Run, tmp_path: Path) -> None:
    git.fail(*["clone"] * 5)
    clone(URL, tmp_path / "t", run)
    assert len([call for call in git.calls if call.startswith("clone")]) == 6
    warnings = run.context.journal.messages(journal.WARNING)  # type: ignore[attr-defined]
    assert warnings[0].startswith(
        "clone failed, attempt 1 of 6: git failed with code 128: fatal: clone failed"
    )


def test_then_it_is_the_labs_fault(git: Git, run: Run, tmp_path: Path) -> None:
    git.fail(*["clone"] * 6)
    with pytest.raises(InfrastructureError, match=f"cannot clone {URL}"):
        clone(URL, tmp_path / "t", run)


def test_a_revision_that_is_not_there_is_the_jobs_fault(git: Git, run: Run, tmp_path: Path) -> None:
    git.fail("checkout")
    with pytest.raises(JobError, match="checkout failed"):
        clone(URL, tmp_path / "t", run, revision="0123abc")


def test_out_of_time_is_no_reason_to_try_again(git: Git, tmp_path: Path) -> None:
    (tmp_path / "bin" / "git").write_text("#!/bin/sh\necho x >> $GIT_LOG\nexec sleep 60\n")
    with pytest.raises(JobTimeout, match="git did not end"):
        clone(URL, tmp_path / "t", real_time(tmp_path / "s", 1))
    assert len(git.calls) == 1


def test_a_password_in_the_url_is_in_no_message(git: Git, run: Run, tmp_path: Path) -> None:
    git.fail(*["clone"] * 6)
    with pytest.raises(InfrastructureError) as caught:
        clone("https://me:hunter2@example.org/x", tmp_path / "t", run)
    assert "hunter2" not in f"{caught.value.message}{caught.value.hint}{caught.value.__cause__}"


def test_a_password_is_asked_for_and_stands_in_no_command(git: Git, run: Run, tmp_path: Path) -> None:
    clone("https://me:hunter2@example.org/x", tmp_path / "t", run, revision="0123abc", depth=1)
    assert git.calls[0].endswith(f"-- https://me@example.org/x {tmp_path / 't'}")
    assert not any("hunter2" in call for call in git.calls)
    asked = (tmp_path / "git.log.asked").read_text().split("\n")
    assert asked[:2] == ["asked: hunter2", "asked: hunter2"], "the clone, and the fetch of the revision"


@pytest.mark.parametrize(
    ("url", "password", "shown"),
    [
        ("https://me:pw@h/x", "pw", "https://me@h/x"),
        ("https://h/pw", "", "https://h/pw"),
        ("git@h:x", "", "git@h:x"),
        ("http://[x", "", "http://[x"),
    ],
)
def test_passwords_of_urls(url: str, password: str, shown: str) -> None:
    assert (password_of(url), without_password(url)) == (password, shown)


def test_history_goes_with_that_of_submodules(tmp_path: Path) -> None:
    (tmp_path / ".git/objects").mkdir(parents=True)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.git").write_text("gitdir: ../.git/modules/sub")
    outside = tmp_path.with_name(f"{tmp_path.name}-outside")
    outside.mkdir()
    (outside / "kept").touch()
    (tmp_path / "link").mkdir()
    (tmp_path / "link/.git").symlink_to(outside)
    (tmp_path / "a.yaml").touch()
    forget_history(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.yaml", "link", "sub"]
    assert (outside / "kept").exists()

# SPDX-License-Identifier: Apache-2.0
"""Test definitions from a real git repository that the job's own container reaches over the network."""

from __future__ import annotations

import tarfile
from typing import Any

import pytest

from tests.e2e import jobs
from tests.e2e.farm import Farm, Running, cases, free_port, records
from tests.e2e.gitserver import GitServer, bridge_gateway
from tests.e2e.leftovers import nothing_left

NAMES = {"0_tip": "main", "1_branch": "branch", "2_revision": "first", "3_whole": "main"}  # commit of each

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(300)]


def definition(case: str) -> str:
    return f"""\
metadata: {{format: Lava-Test Test Definition 1.0, name: from-git, description: where a file comes from}}
params: {{CASE: {case}}}
run:
  steps:
  - lava-test-case $CASE --shell grep -q $WORD word.txt
"""


def with_definitions(*definitions: dict[str, Any]) -> str:
    data = jobs.load("ramdisk-busybox")
    jobs.block(data, "test")["definitions"] = list(definitions)
    return jobs.text(data)


@pytest.fixture(scope="module")
def commits(git_server: GitServer) -> dict[str, str]:
    """Three commits: the first, the tip of main, the tip of a branch."""
    made = {"first": git_server.commit("tests", {"a.yaml": definition("first"), "word.txt": "one\n"})}
    made["main"] = git_server.commit("tests", {"a.yaml": definition("main"), "word.txt": "two\n"})
    made["branch"] = git_server.commit(
        "tests", {"a.yaml": definition("branch"), "word.txt": "three\n"}, "topic"
    )
    git_server.commit("tests", {"later.txt": ""}, "main")
    made["main"] = git_server.commit("tests", {"later.txt": "again"}, "main")
    return made


@pytest.fixture(scope="module")
def job(farm: Farm, git_server: GitServer, commits: dict[str, str]) -> str:
    """One job with the same repository in four ways; it has ended well."""
    common = {"from": "git", "repository": git_server.url("tests"), "path": "a.yaml"}
    text = with_definitions(
        {**common, "name": "tip", "parameters": {"WORD": "two"}},
        {**common, "name": "branch", "branch": "topic", "params": {"WORD": "three"}},
        {**common, "name": "revision", "revision": commits["first"], "parameters": {"WORD": "one"}},
        {**common, "name": "whole", "shallow": False, "parameters": {"WORD": "two", "CASE": "renamed"}},
    )
    made = farm.submit(text)
    assert farm.wait(made) == 0, farm.tail(made)
    return made


def test_branch_revision_and_parameters(farm: Farm, job: str) -> None:
    results = farm.results(job)
    assert cases(results, "0_tip") == {"main": "pass"}
    assert cases(results, "1_branch") == {"branch": "pass"}
    assert cases(results, "2_revision") == {"first": "pass"}
    assert cases(results, "3_whole") == {"renamed": "pass"}
    nothing_left(farm, job)


def test_commits_are_recorded(farm: Farm, job: str, commits: dict[str, str]) -> None:
    told = {r.msg["case"]: r.msg for r in records(farm.journal(job)) if r.lvl == "results"}
    for name, commit in NAMES.items():
        assert told[name]["commit_id"] == commits[commit]
    assert commits["branch"] in farm.cli("results", job, "--format", "yaml").out


def test_clone_is_shallow_unless_a_revision_or_the_job_wants_more(farm: Farm, job: str) -> None:
    """The clones are kept with the job."""
    kept = sorted((farm.directory(job) / "out" / "sources").iterdir())
    assert len(kept) == len(NAMES)
    shallow = []
    for path in kept:
        with tarfile.open(path) as tar:
            names = [name.removeprefix("./") for name in tar.getnames()]
        assert "a.yaml" in names
        shallow.append(".git/shallow" in names)
    assert shallow == [True, True, False, False]
    assert len([row for row in farm.cli.json("files", job) if row["path"].startswith("sources/")]) == len(
        kept
    )


@pytest.fixture(scope="module")
def unreachable(farm: Farm) -> Running:
    """A job whose repository is at an address where nobody answers."""
    data = jobs.load("ramdisk-busybox")
    url = f"http://{bridge_gateway()}:{free_port()}/tests"
    jobs.block(data, "test")["definitions"] = [
        {"from": "git", "repository": url, "path": "a.yaml", "name": "gone"}
    ]
    data["timeouts"]["actions"] = {"git-repo-action": {"seconds": 9}}
    path = farm.root / "unreachable.yaml"
    path.write_text(jobs.text(data))
    return farm.cli.begin("submit", path, "--wait")


def test_repository_that_does_not_answer_is_the_lab_s_fault(farm: Farm, unreachable: Running) -> None:
    done = unreachable.wait(240)
    assert done.code == 3, done
    job = done.out.split()[0]
    cause = farm.results(job)["cause"]
    assert cause["error_type"] == "Infrastructure"
    assert "clone" in cause["message"]
    nothing_left(farm, job)

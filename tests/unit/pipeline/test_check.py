# SPDX-License-Identifier: Apache-2.0
"""A job held against a device: every error once, with its place; one error for the whole."""

from __future__ import annotations

from typing import Any

import pytest

from executor.errors import Bug, ConfigurationError, ExitCode, InfrastructureError, JobError, TestError
from executor.model.problem import Problem
from executor.pipeline.check import Checked, check_job
from executor.pipeline.world import IdealWorld
from executor.schema.job import parse_job
from executor.testing import jobs

JOB = """\
job_name: t
device_type: qemu
timeouts: {job: {minutes: 10}}
actions:
- deploy:
    to: tmpfs
    imges: {}
    images:
      rootfs:
        url: http://h/r.img
        image_arg: -drive file={rootfs}
- boot:
    method: qemu
    prompts: ['(']
"""


def test_a_good_job_has_a_plan_and_no_error() -> None:
    found = check_job(jobs.job(), jobs.device())
    assert (found.errors, found.error, found.exit_code) == ([], None, ExitCode.OK)
    assert found.planned is not None
    assert found.planned.actions
    assert found.device_data["hostname"] == "qemu-01"


def test_problems_of_the_plan_have_their_line_in_the_file() -> None:
    (problem,) = check_job(JOB, jobs.device(), filename="my.yaml").errors
    assert (problem.file, problem.line, problem.near) == ("my.yaml", 7, "images")


def test_problems_of_validation_have_their_line_too() -> None:
    found = check_job(JOB.replace("    imges: {}\n", ""), jobs.device(), filename="my.yaml")
    (problem,) = found.errors
    assert "'('" in problem.message
    assert (problem.file, problem.line, problem.action) == ("my.yaml", 13, "2.2.1 login-action")


def test_old_forms_point_at_what_was_written() -> None:
    seed = jobs.job({"deploy": {"to": "tmpfs", "image": "ftp://h/r.img", "os": "debian"}}, jobs.boot())
    (problem,) = check_job(seed, jobs.device()).errors
    assert "ftp" in problem.message
    assert problem.line > 0
    assert [str(r) for r in check_job(seed, jobs.device()).rewrites]


def test_a_device_file_at_fault_is_told_with_its_own_place() -> None:
    found = check_job(jobs.job(), "hostname: q\nactions: 7\n", device_filename="q.yaml")
    assert {p.file for p in found.errors if p.error_type == "Configuration"} == {"q.yaml"}
    assert found.exit_code == ExitCode.INFRASTRUCTURE
    assert isinstance(found.error, ConfigurationError)


def test_without_a_device_the_job_alone_is_checked() -> None:
    found = check_job(jobs.job(jobs.boot(method="qemo")), None)
    assert (found.errors, found.planned, found.device) == ([], None, None)


def test_what_a_block_lacks_because_it_was_bad_is_not_told_again() -> None:
    broken = jobs.shell_test()
    broken["test"]["definitions"][0]["from"] = "inlin"
    found = check_job(jobs.job(jobs.deploy(), jobs.boot(), broken), jobs.device())
    assert [p.path[-1] for p in found.errors] == ["from"]


def test_a_fault_in_a_repeat_block_is_told_once() -> None:
    repeat = {"repeat": {"count": 3, "actions": [jobs.boot(prompts=["("])]}}
    assert len(check_job(jobs.job(jobs.deploy(), repeat), jobs.device()).errors) == 1


def test_other_faults_of_such_a_block_are_told_all_the_same() -> None:
    job = jobs.job(jobs.deploy(), jobs.boot(timeout={"minuts": 3}, promts=["x"]))
    assert sorted(str(p.path[-1]) for p in check_job(job, jobs.device()).errors) == ["minuts", "promts"]


def test_text_that_is_no_job_is_one_problem() -> None:
    for text in ("", "a: [", "- x", "\x00"):
        found = check_job(text, jobs.device())
        assert len(found.errors) == 1, text
        assert found.exit_code == ExitCode.JOB_ERROR
        assert found.planned is None


class Nothing(IdealWorld):
    """No tool is installed, no URL answers."""

    def url(self, url: str, headers: dict[str, str]) -> str:
        return f"{url} does not answer"

    def tool(self, name: str) -> str:
        return f"{name} is not there"


def test_the_world_is_asked_by_the_actions() -> None:
    found = check_job(jobs.job(), jobs.device(), world=Nothing())
    assert {p.error_type for p in found.errors} == {"Job", "Infrastructure"}
    assert any("http://h/r.img does not answer" in p.message for p in found.errors)


def checked(*problems: Problem) -> Checked:
    return Checked(parse_job(jobs.job()), list(problems))


@pytest.mark.parametrize(
    ("kinds", "expected", "code"),
    [
        (["Job"], JobError, ExitCode.JOB_ERROR),
        (["Test"], TestError, ExitCode.JOB_ERROR),
        (["Job", "Test"], JobError, ExitCode.JOB_ERROR),
        (["Job", "Infrastructure"], InfrastructureError, ExitCode.INFRASTRUCTURE),
        (["Infrastructure", "Configuration"], ConfigurationError, ExitCode.INFRASTRUCTURE),
        (["Job", "Bug", "Configuration"], Bug, ExitCode.BUG),
    ],
)
def test_the_class_that_weighs_most_names_the_whole(kinds: list[str], expected: type, code: ExitCode) -> None:
    found = checked(*(Problem(f"p{n}", error_type=kind) for n, kind in enumerate(kinds)))
    assert found.error is not None
    assert type(found.error) is expected
    assert found.exit_code == code
    assert all(f"p{n}" in found.error.message for n in range(len(kinds)))


def test_warnings_alone_are_no_error() -> None:
    assert checked(Problem("w", severity="warning")).error is None


def test_strict_timeouts_and_scheduling_reach_the_parser() -> None:
    job = jobs.job(timeouts={"job": {"seconds": 5}, "action": {"seconds": 50}})
    assert check_job(job, jobs.device()).errors == []
    assert check_job(job, jobs.device(), refuse_long_timeouts=True).errors
    nobody: dict[str, Any] = {"device_type": None}
    unscheduled = jobs.job(**nobody).replace("device_type: null\n", "")
    assert check_job(unscheduled, jobs.device(), scheduled=True).errors
    assert check_job(unscheduled, jobs.device()).errors == []


def test_what_is_said_of_a_missing_key_is_said_once() -> None:
    test = {"test": {"definitions": [{"repository": "http://h/a.git", "path": "a.yaml", "name": "a"}]}}
    found = check_job(jobs.job(jobs.deploy(), jobs.boot(), test), jobs.device())
    assert [p.message for p in found.errors] == ["from is missing"]


@pytest.mark.parametrize("metadata", ["x", ["x"], 7])
def test_a_definition_without_a_name_and_with_odd_metadata_is_told_once(metadata: object) -> None:
    odd = jobs.definition()
    del odd["name"]
    odd["repository"]["metadata"] = metadata
    (problem,) = check_job(
        jobs.job(jobs.deploy(), jobs.boot(), {"test": {"definitions": [odd]}}), jobs.device()
    ).errors
    assert problem.path[-2:] == ("repository", "metadata")

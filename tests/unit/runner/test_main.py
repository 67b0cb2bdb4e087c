# SPDX-License-Identifier: Apache-2.0
"""The runner as a program: directories in, a journal and an exit code out."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from executor.errors import (
    Bug,
    ExitCode,
    InfrastructureError,
    JobCanceled,
    JobError,
    JobTimeout,
    LavaExecError,
    TestError,
)
from executor.model.journal import Record, decode_lines
from executor.model.problem import Problem
from executor.model.worker import Worker
from executor.runner import words
from executor.runner.main import main
from executor.runner.masking import MASK
from executor.testing import jobs

POWER: dict[str, Any] = {"commands": {"power_off": "true"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("job", "out", "work"):
        (tmp_path / name).mkdir()
    environment = dict(os.environ)
    mask = os.umask(0o022)
    yield tmp_path
    os.umask(mask)
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)


def run(
    folder: Path, job: str, device: object = None, secrets: dict[str, str] | None = None, **worker: Any
) -> tuple[int, list[Record]]:
    (folder / "job/job.yaml").write_text(job)
    (folder / "job/device.yaml").write_text(yaml.safe_dump(device or jobs.device()))
    facts = msgspec.to_builtins(Worker("42", worker="w1", submitter="me", **worker))
    (folder / "job/worker.yaml").write_text(yaml.safe_dump(facts))
    if secrets:
        (folder / "job/secrets").write_text(json.dumps(secrets))
    argv = [f"--{name}={folder / name}" for name in ("job", "out", "work")]
    code = main([*argv, f"--socket={folder / 'agent.sock'}"])
    assert not any(thread.name == "doorbell" for thread in threading.enumerate())
    return code, decode_lines((folder / "out/journal.ndjson").read_bytes())


def last(records: list[Record]) -> dict[str, Any]:
    assert records[-1].lvl == "end"
    return dict(records[-1].msg)


def of(records: list[Record], level: str) -> list[Any]:
    return [record.msg for record in records if record.lvl == level]


def test_a_bad_job_starts_nothing_and_tells_each_error_with_its_place(folder: Path) -> None:
    job = jobs.job(jobs.deploy(imges={}), jobs.boot(prompts=["("]), jobs.shell_test())
    code, records = run(folder, job, {**jobs.device(), **POWER})
    assert code == ExitCode.JOB_ERROR
    errors = of(records, "error")
    assert any(
        "job.yaml:" in text and "'imges'" in text and "did you mean 'images'" in text for text in errors
    )
    assert of(records, "action") == [], "nothing ran, not even finalize"
    assert of(records, "results") == [
        {"definition": "lava", "case": "validate", "result": "fail"},
        {
            "definition": "lava",
            "case": "job",
            "result": "fail",
            "error_type": "Job",
            "error_msg": last(records)["error_msg"],
        },
    ]
    end = last(records)
    assert (end["health"], end["exit_code"], end["powered_off"]) == ("Incomplete", 2, True)
    assert (end["action"], end["level"]) == ("validate", "0")
    assert records[end["seq"]].lvl == "exception"


def test_the_first_record_is_the_header(folder: Path) -> None:
    test = jobs.shell_test("smoke", "net")
    job = jobs.job(jobs.deploy(to="nowhere"), jobs.boot(), test, metadata={"build": 7}, tags=["usb"])
    _, records = run(folder, job, attempt_of="41", image="lava-exec/qemu:latest")
    assert records[0].lvl == "header"
    header = records[0].msg
    assert (header["job_id"], header["job_name"], header["device"]) == ("42", "t", "qemu-01")
    assert (header["submitter"], header["host"], header["attempt_of"]) == ("me", "w1", "41")
    assert (header["metadata"], header["tags"]) == ({"build": 7}, ["usb"])
    assert header["pipeline_job"] == job


def test_a_job_that_is_no_yaml_still_gets_a_whole_journal(folder: Path) -> None:
    code, records = run(folder, "job_name: [")
    assert code == ExitCode.JOB_ERROR
    assert [records[0].lvl, records[-1].lvl] == ["header", "end"]


def test_a_bad_device_is_the_admins(folder: Path) -> None:
    code, records = run(folder, jobs.job(), {"hostname": "x"})
    assert code == ExitCode.INFRASTRUCTURE
    assert last(records)["error_type"] == "Configuration"
    assert last(records)["who"] == "the lab admin"


def test_unknown_keys_are_let_pass_where_the_worker_says_so(folder: Path) -> None:
    job = jobs.job(jobs.deploy(to="nowhere"), jobs.boot(promts=["x"]))
    _, strict = run(folder, job)
    assert any("promts" in text for text in of(strict, "error"))
    (folder / "out/journal.ndjson").unlink()
    _, lenient = run(folder, job, strict=False)
    assert not any("promts" in text for text in of(lenient, "error"))
    assert any("promts" in text for text in of(lenient, "warning"))


@pytest.fixture
def tools(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the programs that validation looks for; none of them is run."""
    (folder / "bin").mkdir()
    for name in ("qemu-system-x86_64", "qemu-img", "mke2fs", "debugfs"):
        (folder / "bin" / name).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


@pytest.mark.usefixtures("tools")
def test_a_job_that_runs_out_of_its_download_ends_in_order(folder: Path) -> None:
    device = {**jobs.device(), **POWER}
    job = jobs.job(
        jobs.deploy(timeout={"seconds": 1}), jobs.boot(), timeouts={"job": {"minutes": 1}}, secrets={"A": "b"}
    )
    code, records = run(folder, job, device, secrets={"TOKEN": "s3cret-word"})
    end = last(records)
    assert (code, end["error_type"], end["health"]) == (
        ExitCode.INFRASTRUCTURE,
        "Infrastructure",
        "Incomplete",
    )
    assert "http-download timed out after 1 seconds" in end["error_msg"]
    assert end["powered_off"] is True
    marks = [f"{m['what']} {m['name']}" for m in of(records, "action")]
    assert marks.count("start finalize") == marks.count("end power-off") == 1
    assert os.environ["TOKEN"] == "s3cret-word"
    tree = of(records, "pipeline")[0]
    assert [node["name"] for node in tree] == ["deployimages", "boot-image-retry", "finalize"]
    assert json.loads((folder / "out/plan.json").read_text()) == tree
    assert {"definition": "lava", "case": "validate", "result": "pass"} in of(records, "results")


def test_secrets_are_masked_from_the_first_record_on(folder: Path) -> None:
    job = jobs.job(jobs.deploy(to="s3cret-word"), secrets={"OTHER": "in-the-job"}, job_name="a s3cret-word")
    run(folder, job, secrets={"TOKEN": "s3cret-word"})
    text = (folder / "out/journal.ndjson").read_text()
    assert "s3cret-word" not in text
    assert "in-the-job" not in text
    assert MASK in text


def test_a_worker_file_that_cannot_be_read_is_a_bug(folder: Path) -> None:
    (folder / "job/worker.yaml").write_text("job_id: [1]\n")
    with pytest.raises(Bug, match="worker.yaml"):
        main([f"--job={folder / 'job'}", f"--out={folder / 'out'}"])


# -- words


@pytest.mark.parametrize(
    ("error", "cases", "code", "health"),
    [
        (None, {"pass": 3, "skip": 1}, ExitCode.OK, "Complete"),
        (None, {"fail": 1}, ExitCode.TEST_FAILED, "Complete"),
        (None, {"unknown": 1}, ExitCode.TEST_FAILED, "Complete"),
        (JobError("x"), {"fail": 1}, ExitCode.JOB_ERROR, "Incomplete"),
        (TestError("x"), {}, ExitCode.JOB_ERROR, "Incomplete"),
        (InfrastructureError("x"), {}, ExitCode.INFRASTRUCTURE, "Incomplete"),
        (JobTimeout("x"), {}, ExitCode.TIMEOUT, "Incomplete"),
        (JobCanceled("x"), {}, ExitCode.CANCELED, "Canceled"),
        (Bug("x"), {}, ExitCode.BUG, "Incomplete"),
    ],
)
def test_the_exit_code_and_the_health_of_each_ending(
    error: LavaExecError | None, cases: dict[str, int], code: ExitCode, health: str
) -> None:
    from executor.pipeline.engine import Outcome

    assert words.exit_code(error, cases) == code
    if not cases:
        end = words.end_of(Outcome(error), None, 1.0)
        assert (end.exit_code, end.health) == (code, health)


def test_the_last_word_says_who_has_to_act_and_what_to_do() -> None:
    assert words.last_word(None) == "Job finished correctly"
    assert words.last_word(JobCanceled("the job was canceled")) == "the job was canceled"
    error = InfrastructureError("no answer", "is the relay on?")
    told = words.last_word(error)
    assert told == "Infrastructure error, for the lab admin: no answer (is the relay on?)"
    error.place = ("power-off", "4.1", 7)
    assert words.last_word(error).startswith("Infrastructure error, for the lab admin, in 4.1 power-off: no")


def test_a_problem_in_one_line() -> None:
    full = Problem("unknown key 'x'", path=("actions", 0), near="y", file="job.yaml", line=3, column=5)
    assert words.shown(full) == "job.yaml:3:5: actions[0]: unknown key 'x' (did you mean 'y'?)"
    assert words.shown(Problem("bad", action="1.2 step")) == "1.2 step: bad"
    assert words.shown(Problem("bad", expected="a map")) == "bad; expected a map"

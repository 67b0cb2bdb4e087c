# SPDX-License-Identifier: Apache-2.0
"""`validate`: problems as a compiler shows them, the plan, and the answer for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from executor.cli.problems import as_text
from executor.model.problem import Problem
from executor.report.style import Style

from .conftest import JOB, Cli


def names(pipeline: list[dict[str, object]]) -> list[str]:
    out: list[str] = []
    for node in pipeline:
        out.append(str(node["name"]))
        out += names(node.get("pipeline", []))  # type: ignore[arg-type]
    return out


def test_a_valid_job_prints_its_plan(cli: Cli, job: Path) -> None:
    result = cli("validate", job, "--offline", "--device", "qemu-01")
    assert result.exit_code == 0, result.stderr
    assert "lava-test-shell" in result.stdout
    assert "[00:02:00]" in result.stdout
    assert result.stderr == "valid\n"


def test_without_a_device_one_of_the_type_is_taken(cli: Cli, job: Path) -> None:
    assert cli("validate", job, "--offline").exit_code == 0


def test_a_file_of_device_configs_is_merged_with_its_type(cli: Cli, job: Path) -> None:
    file = Path(__file__).parents[3] / "device-configs/devices/qemu-01.yaml"
    result = cli("validate", job, "--offline", "--device", file)
    assert result.exit_code == 0, result.stderr


def test_the_answer_for_programs(cli: Cli, job: Path) -> None:
    result = cli("validate", job, "--offline", "--device", "qemu-01", "--format", "json")
    data = json.loads(result.stdout)
    assert data["valid"] is True
    assert data["errors"] == []
    assert "lava-test-shell" in names(data["pipeline"])
    first = data["pipeline"][0]
    assert isinstance(first["timeout"], int | float)
    assert isinstance(first["max_retries"], int)
    as_yaml = cli("validate", job, "--offline", "--device", "qemu-01", "--format", "yaml")
    assert yaml.safe_load(as_yaml.stdout) == data


def test_every_problem_at_once_with_its_place(cli: Cli, job: Path) -> None:
    job.write_text(JOB.replace("images:", "imges:").replace("prompts:", "promts:"))
    result = cli("validate", job, "--offline", "--device", "qemu-01")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"{job}:10:5: error: actions[0].deploy.imges: " in result.stderr
    assert "(did you mean 'images'?)" in result.stderr
    assert "(did you mean 'prompts'?)" in result.stderr
    assert "   10 |     imges:\n      |     ^~~~~\n" in result.stderr
    data = json.loads(cli("validate", job, "--offline", "--device", "qemu-01", "--format", "json").stdout)
    assert data["valid"] is False
    assert data["pipeline"] == []
    assert {error["error_type"] for error in data["errors"]} == {"Job"}
    found = next(e for e in data["errors"] if e.get("did_you_mean") == "images")
    assert (found["line"], found["column"], found["path"]) == (10, 5, "actions[0].deploy.imges")


def test_unknown_keys_can_be_warnings(cli: Cli, job: Path) -> None:
    job.write_text(JOB.replace("job_name:", "job_nick: x\njob_name:"))
    assert cli("validate", job, "--offline", "--device", "qemu-01").exit_code == 2
    result = cli("validate", job, "--offline", "--device", "qemu-01", "--no-strict")
    assert result.exit_code == 0
    assert "warning:" in result.stderr
    assert "valid, 1 warning" in result.stderr


def test_a_timeout_beyond_the_job_is_refused_when_strict(cli: Cli, job: Path) -> None:
    job.write_text(JOB.replace("action: {minutes: 2}", "action: {minutes: 20}"))
    assert cli("validate", job, "--offline", "--device", "qemu-01").exit_code == 0
    assert cli("validate", job, "--offline", "--device", "qemu-01", "--strict").exit_code == 2
    assert cli("validate", job, "--strict", "--no-strict").exit_code == 64


def test_a_device_at_fault_is_3(cli: Cli, job: Path, tmp_path: Path) -> None:
    device = tmp_path / "device.yaml"
    device.write_text("hostname: x\nactions: 7\n")
    result = cli("validate", job, "--offline", "--device", device)
    assert result.exit_code == 3, result.stderr
    assert str(device) in result.stderr


def test_stdin(cli: Cli) -> None:
    assert cli("validate", "-", "--offline", "--device", "qemu-01", input=JOB).exit_code == 0
    result = cli("validate", "-", "--offline", "--device", "qemu-01", input="- nonsense\n")
    assert result.exit_code == 2
    assert "stdin:1" in result.stderr


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("/nonexistent.yaml",), "cannot read /nonexistent.yaml"),
        (("{job}", "--device", "qemu-011"), "Did you mean 'qemu-01'"),
        (("{job}", "--device", "/nonexistent.yaml"), "cannot read"),
    ],
)
def test_files_that_are_not_there(cli: Cli, job: Path, args: tuple[str, ...], text: str) -> None:
    result = cli("validate", *(a.replace("{job}", str(job)) for a in args))
    assert result.exit_code == 64
    assert text in result.stderr


def test_no_device_of_the_type(cli: Cli, job: Path) -> None:
    job.write_text(JOB.replace("device_type: qemu", "device_type: beaglebone"))
    result = cli("validate", job, "--offline")
    assert result.exit_code == 64
    assert "no device of type 'beaglebone'" in result.stderr


def test_the_line_with_its_caret() -> None:
    problem = Problem(
        "bad", path=("a", 0), near="b", file="j.yaml", line=2, column=3, expected="good", hint="mend"
    )
    text = as_text(problem, Style(), "first\n  a: [x]\nlast")
    assert text == (
        "j.yaml:2:3: error: a[0]: bad (did you mean 'b'?)\n"
        "    2 |   a: [x]\n"
        "      |   ^\n"
        "  expected: good\n"
        "  hint: mend"
    )


def test_what_a_file_holds_does_not_reach_the_terminal() -> None:
    problem = Problem("bad \x1b]0;x", file="j.yaml", line=1, column=1)
    for style in (Style(), Style(colour=True)):
        text = as_text(problem, style, "\x1b[31mred\x07")
        assert "\x1b]" not in text
        assert "\x07" not in text
        assert "\\x1b" in text


def test_old_forms_are_counted_and_with_v_shown(cli: Cli, job: Path) -> None:
    job.write_text(job.read_text().replace("job: {minutes: 5}", "job: 5m"))
    args = ("validate", job, "--offline", "--device", "qemu-01")
    assert "1 old form read as today's (-v shows them)" in cli(*args).stderr
    assert "read as today's form: timeouts.job: 5m → {minutes: 5}" in cli(*args, "-v").stderr


SUBMISSION = """job_name: link
timeouts: {job: {minutes: 10}}
protocols:
  lava-multinode:
    roles:
      server: {device_type: qemu, count: 1}
      client: {device_type: qemu, count: 2}
actions:
- deploy:
    to: tmpfs
    role: [server, client]
    os: debian
    images: {rootfs: {url: 'http://files.example/i', image_arg: '-drive file={rootfs}'}}
- boot: {method: qemu, role: [server, client], prompts: ['# ']}
- test:
    role: [server, client]
    definitions: [{from: git, repository: 'http://files.example/x.git', path: a.yaml, name: a}]
"""


def test_a_submission_for_several_devices_is_split(cli: Cli, job: Path) -> None:
    job.write_text(SUBMISSION)
    result = cli("validate", job, "--offline")
    assert result.exit_code == 0, result.stderr
    assert "role server, 1 job, on qemu-01" in result.stdout
    assert "role client, 2 jobs, on qemu-01" in result.stdout
    data = json.loads(cli("validate", job, "--offline", "--format", "json").stdout)
    assert names(data["roles"]["client"]["pipeline"]).count("multinode-test") == 1


def test_what_is_wrong_with_one_of_its_jobs_has_its_line(cli: Cli, job: Path) -> None:
    job.write_text(SUBMISSION.replace("prompts:", "promts:"))
    result = cli("validate", job, "--offline", "--format", "json")
    assert result.exit_code == 2
    (problem,) = json.loads(result.stdout)["errors"]
    assert (problem["line"], problem["did_you_mean"]) == (14, "prompts")

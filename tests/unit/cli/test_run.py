# SPDX-License-Identifier: Apache-2.0
"""`run`, `reproduce` and `bundle` with an engine in memory: what is asked of it, what is said, what stays."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import yaml

from executor.model.journal import END, HEADER, End, Header
from executor.model.launch import HostFacts
from executor.report.terminal import LiveLog
from executor.testing.book import Book
from executor.testing.engine import FAKE_DIGEST, FakeEngine, Stage

from .conftest import JOB, Cli

FACTS = HostFacts(
    worker="here",
    uid=os.geteuid(),
    gid=os.getegid(),
    cpus=2,
    memory_mib=8000,
    images={"lava-exec/dispatcher:latest": FAKE_DIGEST, "lava-exec/qemu:latest": FAKE_DIGEST},
)


def program(result: str = "pass") -> Callable[[Stage], int]:
    """A runner that books one case."""

    def runner(stage: Stage) -> int:
        worker = yaml.safe_load((stage.job / "worker.yaml").read_text())
        book = Book()
        book.add(
            HEADER, Header(job_id=worker["job_id"], job_name="one", attempt_of=worker.get("attempt_of", ""))
        )
        book.add("info", f"replace {worker.get('replace', {})}")
        book.result("0_smoke", "a", result)
        code = 0 if result == "pass" else 1
        book.add(END, End("Complete", code, cases={result: 1}, seconds=1.0, powered_off=True))
        stage.write_journal(book.records)
        return code

    return runner


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    made = FakeEngine({"job": program()})
    made.images[FAKE_DIGEST] = FAKE_DIGEST
    monkeypatch.setattr("executor.cli.run.host", lambda here, needs: (made, FACTS))
    monkeypatch.setenv("LAVA_EXEC_LOCKS", str(tmp_path / "locks"))
    return made


def directory_of(result_stderr: str) -> Path:
    return Path(result_stderr.split("files: ")[1].splitlines()[0])


def test_a_run_shows_its_log_its_results_and_where_the_files_are(
    cli: Cli, job: Path, engine: FakeEngine
) -> None:
    result = cli("run", job, "--device", "qemu-01")
    assert result.exit_code == 0, result.output
    assert "✓ 0_smoke/a pass" in result.stdout
    assert "Complete: 1 passed in 1.0 s" in result.stdout
    directory = directory_of(result.stderr)
    assert (directory / "out" / "journal.ndjson").is_file()
    assert not (directory / "work").exists()
    page = directory / "job.html"
    assert f"page:  {page.as_uri()}\n" in result.stderr
    assert "1 passed" in page.read_text(encoding="utf-8")
    (spec,) = engine.specs
    assert spec.image == "lava-exec/qemu:latest"
    assert spec.capabilities == []
    assert engine.containers({}, None) == []  # type: ignore[arg-type]
    assert cli("results", directory.name, "0_smoke", "a").stdout == "pass\n"


def test_the_exit_code_is_the_jobs(cli: Cli, job: Path, engine: FakeEngine) -> None:
    engine.programs["job"] = program("fail")
    assert cli("run", job, "--device", "qemu-01").exit_code == 1
    engine.programs["job"] = lambda stage: 9
    result = cli("run", job, "--device", "qemu-01")
    assert result.exit_code == 3
    assert "the runner died" in result.stdout


def test_quiet_and_json(cli: Cli, job: Path, engine: FakeEngine) -> None:
    quiet = cli("run", job, "--device", "qemu-01", "-q")
    assert quiet.stdout == "\n✓  0_smoke/a  pass\nComplete: 1 passed in 1.0 s\n"
    assert quiet.stderr == ""
    data = json.loads(cli("run", job, "--device", "qemu-01", "--format", "json").stdout)
    assert (data["health"], data["exit_code"]) == ("Complete", 0)
    assert Path(data["directory"]).is_dir()


def test_an_invalid_job_starts_nothing_and_leaves_nothing(
    cli: Cli, job: Path, engine: FakeEngine, env: dict[str, str]
) -> None:
    job.write_text(JOB.replace("images:", "imges:"))
    result = cli("run", job, "--device", "qemu-01")
    assert result.exit_code == 2
    assert "nothing was started" in result.stderr
    assert engine.specs == []
    assert not (Path(env["LAVA_EXEC_STATE"]) / "run").exists()


def test_a_job_that_needs_a_container_beside_its_own_starts_nothing(
    cli: Cli, job: Path, engine: FakeEngine
) -> None:
    job.write_text(JOB.replace("- test:\n", "- test:\n    docker: {image: adb-fastboot}\n"))
    result = cli("run", job, "--device", "qemu-01")
    assert result.exit_code == 3
    assert "workers cannot start containers for jobs yet" in result.stderr
    assert "nothing was started" in result.stderr
    assert engine.specs == []


def test_an_artefact_can_be_replaced(cli: Cli, job: Path, engine: FakeEngine, tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(b"kernel")
    result = cli("run", job, "--device", "qemu-01", "--set", f"kernel={image}")
    assert result.exit_code == 0, result.output
    assert f"replace {{'kernel': '{image}'}}" in result.stdout


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--set", "kernel"), "does not name a file"),
        (("--set", "krnl=/bin/sh"), "no artefact 'krnl'"),
        (("--set", "kernel=/nonexistent"), "there is no file /nonexistent"),
        (("--secret", "A=value"), "--secret NAME=@FILE"),
        (("--files", "/nonexistent"), "there is no directory"),
    ],
)
def test_wrong_options_start_nothing(
    cli: Cli, job: Path, engine: FakeEngine, args: tuple[str, ...], text: str
) -> None:
    result = cli("run", job, "--device", "qemu-01", *args)
    assert result.exit_code == 64
    assert text in result.stderr
    assert engine.specs == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_cancels_and_cleans_up(
    cli: Cli, job: Path, engine: FakeEngine, number: signal.Signals
) -> None:
    def patient(stage: Stage) -> int:
        threading.Timer(0.0, os.kill, (os.getpid(), number)).start()
        assert stage.wait_for_signal(20)
        book = Book()
        book.add(HEADER, Header(job_id="x"))
        book.add(END, End("Canceled", 4, error_type="Canceled", error_msg="canceled", powered_off=True))
        stage.write_journal(book.records)
        return 4

    engine.programs["job"] = patient
    result = cli("run", job, "--device", "qemu-01")
    assert result.exit_code == 4
    assert "canceled; the device is powered off" in result.stderr
    assert engine.containers({}, None) == []  # type: ignore[arg-type]


def test_a_job_whose_log_nobody_reads_is_ended(
    cli: Cli, job: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals: list[str] = []

    def patient(stage: Stage) -> int:
        book = Book()
        book.add(HEADER, Header(job_id="x"))
        book.target("first line")
        stage.write_journal(book.records)
        assert stage.wait_for_signal(20)
        signals.extend(stage.signals)
        return 4

    def closed(self: LiveLog, batch: object) -> None:
        raise BrokenPipeError

    engine.programs["job"] = patient
    monkeypatch.setattr(LiveLog, "feed", closed)
    assert cli("run", job, "--device", "qemu-01").exit_code == 141
    assert signals[0] == "SIGTERM"
    assert engine.containers({}, None) == []  # type: ignore[arg-type]


def test_a_rerun_is_compared_with_its_original(cli: Cli, job: Path, engine: FakeEngine) -> None:
    first = directory_of(cli("run", job, "--device", "qemu-01").stderr)
    result = cli("reproduce", first.name)
    assert result.exit_code == 0, result.output
    assert "same verdict: Complete\n1 of 1 test cases came out the same" in result.stdout
    one, two = engine.specs
    assert two.image_digest == one.image_digest
    assert msgspec.structs.replace(
        two, job_id="", labels={}, hostname="", facts=one.facts
    ) == msgspec.structs.replace(one, job_id="", labels={}, hostname="")
    worker = yaml.safe_load((directory_of(result.stderr) / "job" / "worker.yaml").read_text())
    assert worker["attempt_of"] == first.name


def test_expect_same_is_about_the_comparison(cli: Cli, job: Path, engine: FakeEngine) -> None:
    engine.programs["job"] = program("fail")
    first = directory_of(cli("run", job, "--device", "qemu-01").stderr)
    assert cli("reproduce", first, "--expect-same").exit_code == 0
    assert cli("reproduce", first).exit_code == 1
    engine.programs["job"] = program("pass")
    other = cli("reproduce", first, "--expect-same")
    assert other.exit_code == 1
    assert "0_smoke/a: fail in the original, pass in the rerun" in other.stdout
    data = json.loads(cli("reproduce", first, "--format", "json").stdout)
    assert data["comparison"]["same"] is False


def test_from_a_bundle_in_another_home(
    cli: Cli, job: Path, engine: FakeEngine, env: dict[str, str], tmp_path: Path
) -> None:
    engine.programs["job"] = program("fail")
    first = directory_of(cli("run", job, "--device", "qemu-01").stderr)
    made = cli("bundle", first.name, "--no-image", "-o", tmp_path / "b.tar.zst")
    assert made.exit_code == 0, made.output
    assert made.stdout == f"{tmp_path / 'b.tar.zst'}\n"
    assert FAKE_DIGEST in made.stderr
    env["LAVA_EXEC_STATE"] = str(tmp_path / "elsewhere")
    result = cli("reproduce", tmp_path / "b.tar.zst", "--expect-same")
    assert result.exit_code == 0, result.output
    assert "failing in both: 0_smoke/a" in result.stdout
    assert [p.name for p in (tmp_path / "elsewhere" / "run").iterdir()] == [directory_of(result.stderr).name]


def test_a_missing_image_is_named_and_nothing_is_started(cli: Cli, job: Path, engine: FakeEngine) -> None:
    first = directory_of(cli("run", job, "--device", "qemu-01").stderr)
    del engine.images[FAKE_DIGEST]
    result = cli("reproduce", first)
    assert result.exit_code == 3
    assert FAKE_DIGEST in result.stderr
    assert "docker load" in result.stderr
    assert len(engine.specs) == 1


def test_what_is_no_job_cannot_be_reproduced(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no bundle")
    assert cli("reproduce", tmp_path / "empty").exit_code == 64
    assert cli("reproduce", tmp_path / "text").exit_code == 2
    assert cli("reproduce", tmp_path / "none").exit_code == 64
    result = cli("reproduce", "r000000")
    assert result.exit_code == 3
    assert "is not on this machine" in result.stderr

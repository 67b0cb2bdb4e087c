# SPDX-License-Identifier: Apache-2.0
"""Secrets reach the device and nothing else: no log, no file that is kept, no command line, no engine."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest

from tests.e2e import jobs
from tests.e2e.farm import Farm, cases
from tests.e2e.leftovers import container_of, inspect, nothing_left, processes_in

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(240)]

IN_JOB = "canary-of-the-job-5b1f0c77"
IN_FILE = "canary-of-the-file-93d1e4aa"
STEPS = (
    ". ../../../secrets",
    f"lava-test-case in-job --shell test ${{#TOKEN}} -eq {len(IN_JOB)}",
    f"lava-test-case in-file --shell test ${{#OTHER}} -eq {len(IN_FILE)}",
    "echo the token is $TOKEN and the other is $OTHER",
    "echo now it runs",
    "n=0; while [ $n -lt 50 ]; do n=$((n+1)); sleep 0.1; done",
)


@pytest.fixture(scope="module")
def job(farm: Farm) -> str:
    """A job with one secret in its text and one from a file, at the point where its guest has used both."""
    path = farm.root / "other-secret.txt"
    path.write_text(f"{IN_FILE}\n")
    made = farm.submit(jobs.busybox(*STEPS, secrets={"TOKEN": IN_JOB}), "--secret", f"OTHER=@{path}")
    path.unlink()
    farm.see(made, "now it runs")
    return made


@pytest.fixture(scope="module")
def seen_while_it_ran(farm: Farm, job: str) -> dict[str, str]:
    """Where somebody on this host could look while the job runs."""
    container = container_of(farm, job)
    seen = {"inspect": str(inspect(container))}
    assert processes_in(container)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            seen[str(path)] = path.read_bytes().decode(errors="replace")
    return seen


@pytest.fixture(scope="module")
def ended(farm: Farm, job: str, seen_while_it_ran: dict[str, str]) -> str:
    assert farm.wait(job) == 0, farm.tail(job)
    return job


def holding(root: Path) -> list[str]:
    """Files below `root` that hold a secret, in the clear or packed."""
    argv = ["grep", "-rlaE", f"{IN_JOB}|{IN_FILE}", str(root)]
    plain = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()
    for path in root.rglob("*.gz"):
        done = subprocess.run(["zcat", str(path)], capture_output=True, check=False)
        if IN_JOB.encode() in done.stdout or IN_FILE.encode() in done.stdout:
            plain.append(str(path))
    return plain


def test_device_gets_them(farm: Farm, ended: str) -> None:
    assert cases(farm.results(ended)) == {"in-job": "pass", "in-file": "pass"}


def test_nothing_on_this_host_shows_them_meanwhile(seen_while_it_ran: dict[str, str]) -> None:
    for place, text in seen_while_it_ran.items():
        assert IN_JOB not in text, place
        assert IN_FILE not in text, place


def test_masked_in_everything_that_is_shown(farm: Farm, ended: str) -> None:
    for words in (
        ("logs", ended),
        ("logs", ended, "--format", "json"),
        ("logs", ended, "--format", "yaml"),
        ("results", ended, "--format", "json"),
        ("results", ended, "--format", "junit"),
        ("jobs", "definition", ended),
        ("show", ended, "--format", "json"),
    ):
        shown = farm.cli(*words).out
        assert shown
        assert IN_JOB not in shown, words
        assert IN_FILE not in shown, words
    assert "the token is [MASKED] and the other is [MASKED]" in farm.cli("logs", ended).out


def test_no_file_keeps_them(farm: Farm, ended: str) -> None:
    nothing_left(farm, ended)
    raw = {str(path) for path in farm.directory(ended).rglob("console-*.raw")}
    for path in raw:
        assert Path(path).stat().st_mode & 0o077 == 0  # raw recordings are for their owner alone
    assert set(holding(farm.directory(ended))) <= raw
    assert holding(farm.state / "master" / "jobs" / ended) == []
    assert holding(farm.state / "cache") == []
    assert not list(farm.secrets.iterdir())


def test_bundle_names_them_and_has_none(farm: Farm, ended: str, tmp_path: Path) -> None:
    done = farm.cli("bundle", ended, "--no-image", "-o", tmp_path / "bundle.tar")
    assert done.code == 0, done
    assert "OTHER" in done.err
    assert holding(tmp_path) == []
    again = farm.cli("reproduce", tmp_path / "bundle.tar")
    assert again.code == 64, again
    assert "TOKEN" in again.err

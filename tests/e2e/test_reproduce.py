# SPDX-License-Identifier: Apache-2.0
"""A job that failed runs again from its container: here, from a bundle, with another kernel, by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.e2e.farm import ASSETS, PROGRAM, Cli, Farm, Running, cases
from tests.e2e.leftovers import containers, in_directory

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(420)]

FAILING = "0_busybox/fails"


@pytest.fixture(scope="module")
def failed(farm: Farm, examples: dict[str, Running]) -> str:
    """The job of examples/failing-test.yaml, ended."""
    done = examples["failing-test"].wait(400)
    assert done.code == 1, done
    return done.out.split()[0]


def test_same_verdict_and_failing_case(farm: Farm, failed: str) -> None:
    done = farm.cli("reproduce", failed, "--expect-same", seconds=240)
    assert done.code == 0, done
    assert "same verdict: Complete" in done.out
    assert f"failing in both: {FAILING}" in done.out
    assert "3 of 3 test cases came out the same" in done.out
    assert not [name for name in containers(farm.state) if name.startswith("lava-exec-r")]
    row = farm.cli.json("jobs", "--local")[0]
    assert (row["exit_code"], row["repeats"]) == (1, failed)
    assert not in_directory(Path(row["directory"]))


@pytest.fixture(scope="module")
def bundle(farm: Farm, failed: str) -> Path:
    path = farm.root / "failed.tar"
    done = farm.cli("bundle", failed, "-o", path, seconds=240)
    assert done.code == 0, done
    return path


def test_from_a_bundle_in_an_empty_home(bundle: Path, lone_cli: Cli, tmp_path: Path) -> None:
    done = lone_cli("reproduce", bundle, "--format", "json", seconds=240)
    assert done.code == 1, done
    assert done.json["comparison"]["same"] is True
    assert done.json["comparison"]["failing_in_both"] == [FAILING]
    assert not containers(tmp_path / "state")
    again = lone_cli.json("jobs", "--local")
    assert [(row["exit_code"], row["health"]) for row in again] == [(1, "Complete")]


def test_with_another_kernel(farm: Farm, failed: str, tmp_path: Path) -> None:
    kernel = tmp_path / "vmlinuz"
    kernel.write_bytes((ASSETS / "amd64" / "vmlinuz").read_bytes() + b"of my own")
    done = farm.cli("reproduce", failed, "--set", f"kernel={kernel}", "--format", "json", seconds=240)
    assert done.code == 1, done
    assert cases(done.json) == {"passes": "pass", "fails": "fail", "passes-again": "pass"}
    fetched = (Path(done.json["directory"]) / "artefacts.json").read_text()
    assert hashlib.sha256(kernel.read_bytes()).hexdigest() in fetched
    assert str(kernel) in done.err


def test_artefact_that_the_job_does_not_have(farm: Farm, failed: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = farm.cli("reproduce", failed, "--set", f"kernl={tmp_path / 'file'}")
    assert done.code == 64, done
    assert "kernel" in done.err


@pytest.fixture
def shell(farm: Farm, failed: str) -> Iterator[pexpect.spawn]:
    """`reproduce --shell` on a terminal."""
    words = ["reproduce", failed, "--shell"]
    env = {**farm.cli.env, "TERM": "xterm"}
    child = pexpect.spawn(str(PROGRAM), words, env=env, timeout=90, encoding="utf-8", dimensions=(40, 200))
    yield child
    child.close(force=True)


def test_shell_in_the_container_with_the_job_s_files(farm: Farm, failed: str, shell: pexpect.spawn) -> None:
    shell.expect(r"[$#] ")
    assert f"job {failed}" in shell.before
    shell.sendline("bind 'set enable-bracketed-paste off'; stty -echo; PS1='rea''dy> '")
    shell.expect("ready> ")
    shell.sendline("ls /job; id -u; head -c 5 /cache/* 2>/dev/null | wc -l; grep -c fails /job/job.yaml")
    shell.expect("ready> ")
    words = shell.before.split()
    assert {"job.yaml", "device.yaml", "worker.yaml"} <= set(words)
    assert "0" not in words  # neither root, nor no artefacts, nor another job
    shell.sendline("stty size")
    shell.expect("ready> ")
    assert "40 200" in shell.before
    shell.sendline("exit 7")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 7
    assert not [name for name in containers(farm.state) if name.startswith("lava-exec-r")]


def test_run_without_master_takes_a_kernel_too(lone_cli: Cli, tmp_path: Path) -> None:
    kernel = tmp_path / "Image"
    kernel.write_bytes((ASSETS / "amd64" / "vmlinuz").read_bytes() + b"of my own")
    words = ("--device", "qemu-01", "--set", f"kernel={kernel}", "--files", ASSETS)
    done = lone_cli("run", "examples/failing-test.yaml", *words, "--format", "json", seconds=240)
    assert done.code == 1, done
    assert cases(done.json)["fails"] == "fail"
    assert (
        hashlib.sha256(kernel.read_bytes()).hexdigest()
        in (Path(done.json["directory"]) / "artefacts.json").read_text()
    )
    assert not containers(tmp_path / "state")

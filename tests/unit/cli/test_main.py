# SPDX-License-Identifier: Apache-2.0
"""The frame of the command line: help, lazy loading, errors and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from executor.cli.main import COMMANDS, root
from executor.errors import Bug, ConfigurationError, JobError, UsageError

from .conftest import Cli


def every_command() -> list[tuple[str, ...]]:
    """Words of each command and subcommand."""
    found: list[tuple[str, ...]] = []
    with click.Context(root) as ctx:
        for name in COMMANDS:
            found.append((name,))
            inner = root.get_command(ctx, name)
            if isinstance(inner, click.Group):
                found += [(name, sub) for sub in inner.list_commands(ctx)]
    return found


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_has_help_with_examples(cli: Cli, words: tuple[str, ...]) -> None:
    result = cli(*words, "--help")
    assert result.exit_code == 0, result.output
    assert "Examples:" in result.stdout
    assert "lava-exec" in result.stdout.split("Examples:")[1]
    assert "--master" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 110


def test_help_names_all_commands_and_needs_none_of_them(tmp_path: Path) -> None:
    code = (
        "import sys; from executor.cli.main import root\n"
        "try: root.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'zmq', 'docker', 'sqlalchemy', 'requests', 'yaml', 'rich', 'executor.pipeline'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.strip() == "[]"
    for name, (_, text, section) in COMMANDS.items():
        assert not section or f"  {name} " in done.stdout, name
        assert not section or text in done.stdout


def test_validate_loads_neither_engine_nor_wire(job: Path, env: dict[str, str], cli: Cli) -> None:
    code = (
        "import sys; from executor.cli.main import root\n"
        f"try: root.main(['validate', {str(job)!r}, '--offline', '--device', 'qemu-01'])\n"
        "except SystemExit as stop: print(stop.code, file=sys.stderr)\n"
        "heavy = {'zmq', 'docker', 'sqlalchemy', 'requests', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, **env},
    )
    assert done.stderr.splitlines()[-2:] == ["0", "[]"]


def test_the_version(cli: Cli) -> None:
    from executor import __version__

    result = cli("--version")
    assert (result.exit_code, result.stdout) == (0, f"lava-exec {__version__}\n")


def test_wrong_usage_is_64_and_names_what_is_near(cli: Cli) -> None:
    result = cli("sumbit", "job.yaml")
    assert result.exit_code == 64
    assert "error: No such command 'sumbit'. Did you mean 'submit'?" in result.stderr
    result = cli("logs")
    assert result.exit_code == 64
    assert "Missing argument 'JOB'" in result.stderr
    assert "hint: lava-exec logs --help" in result.stderr
    assert cli("jobs", "--limit", "0").exit_code == 64
    assert cli("jobs", "--nonsense").exit_code == 64


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException]:
    """`validate` raises what stands under "error"."""
    raised: dict[str, BaseException] = {}

    def fail(path: str) -> tuple[str, str]:
        raise raised["error"]

    monkeypatch.setattr("executor.cli.check.read_text", fail)
    return raised


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JobError("no good", "do better"), 2),
        (ConfigurationError("no good", "do better"), 3),
        (UsageError("no good", "do better"), 64),
        (Bug("no good", "do better"), 70),
    ],
)
def test_known_errors_are_a_sentence_a_hint_and_their_code(
    cli: Cli, failing: dict[str, BaseException], error: Exception, code: int
) -> None:
    failing["error"] = error
    result = cli("validate", "x")
    assert result.exit_code == code
    assert result.stderr == "error: no good\nhint: do better\n"
    as_json = cli("validate", "x", "--format", "json")
    assert as_json.exit_code == code
    assert json.loads(as_json.stderr)["error"] == "no good"


def test_a_traceback_comes_with_debug_only(cli: Cli, failing: dict[str, BaseException]) -> None:
    failing["error"] = JobError("no good")
    assert "Traceback" in cli("validate", "x", "--debug").stderr
    assert "Traceback" in cli("--debug", "validate", "x").stderr


def test_an_unexpected_error_is_70_and_leaves_its_details(
    cli: Cli, failing: dict[str, BaseException], env: dict[str, str]
) -> None:
    failing["error"] = ZeroDivisionError("oops")
    log = Path(env["LAVA_EXEC_STATE"]) / "log"
    log.mkdir(parents=True)
    result = cli("validate", "x")
    assert result.exit_code == 70
    assert "this is a bug of lava-exec: ZeroDivisionError: oops" in result.stderr
    (kept,) = log.iterdir()
    assert str(kept) in result.stderr
    assert "ZeroDivisionError" in kept.read_text()


def test_an_interrupt_is_130(cli: Cli, failing: dict[str, BaseException]) -> None:
    failing["error"] = KeyboardInterrupt()
    assert cli("validate", "x").exit_code == 130


def test_a_closed_pipe_is_no_error_to_talk_about(job: Path, env: dict[str, str]) -> None:
    command = f"{sys.executable} -m executor.cli validate {job} --offline --device qemu-01 | head -c 1"
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **env},
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 141)


def test_options_may_stand_before_or_after_the_command(cli: Cli, job: Path) -> None:
    after = cli("validate", job, "--offline", "--device", "qemu-01", "--format", "json")
    before = cli("--format", "json", "validate", job, "--offline", "--device", "qemu-01")
    assert after.exit_code == before.exit_code == 0
    assert json.loads(after.stdout) == json.loads(before.stdout)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_that_shell(cli: Cli, shell: str) -> None:
    result = cli("completion", shell)
    assert result.exit_code == 0
    assert "_LAVA_EXEC_COMPLETE" in result.stdout


def test_completion_completes(env: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "executor.cli"],
        capture_output=True,
        text=True,
        timeout=60,
        env={
            **os.environ,
            "_LAVA_EXEC_COMPLETE": "bash_complete",
            "COMP_WORDS": "lava-exec va",
            "COMP_CWORD": "1",
        },
        check=False,
    )
    assert done.stdout.split() == ["plain,validate"]

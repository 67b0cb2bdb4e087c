# SPDX-License-Identifier: Apache-2.0
"""A farm of real processes in a directory of its own, and the command line as users have it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executor.cli.supervisor import READY_FD
from executor.model.journal import Record, decode_lines

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).with_name("lava-exec")
ASSETS = ROOT / ".lava-exec" / "assets"
EXAMPLES = ROOT / "examples"
DEFINITIONS = EXAMPLES / "definitions"
START_SECONDS = 60.0
_PASSED_ON = (
    *("PATH", "LANG", "TERM", "DOCKER_HOST", "LAVA_EXEC_VERSION"),
    *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"),
)


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Look until `condition` gives something true; that. Fails after `seconds`, naming `what`."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for: {what}"
        time.sleep(0.05)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    argv: list[str]
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"$ {' '.join(self.argv)}\nexit code {self.code}\n{self.out}\n{self.err}"


class Running:
    """A command under way; its output goes to files, so that it is never held up."""

    def __init__(self, argv: list[str], env: dict[str, str], folder: Path, cwd: Path) -> None:
        self.argv = argv
        name = secrets.token_hex(4)
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=cwd
            )

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8", errors="replace")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8", errors="replace")

    def wait(self, seconds: float) -> Done:
        """Its end; may be asked again."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"no end within {seconds:g} s: {self.argv}\n{self.out}\n{self.err}"
            ) from None
        return Done(self.argv, code, self.out, self.err)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Cli:
    """`lava-exec` as a subprocess, in an environment that holds nothing of this one but what it must."""

    def __init__(self, home: Path, config: Path | None = None, **more: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        self.env |= {"HOME": str(home), **more}
        if config is not None:
            self.env["LAVA_EXEC_CONFIG"] = str(config)
        self._begun: list[Running] = []

    def __call__(
        self, *words: str | Path, seconds: float = 60.0, stdin: str | None = None, cwd: Path = ROOT
    ) -> Done:
        """Run to its end."""
        argv = [str(PROGRAM), *map(str, words)]
        done = subprocess.run(
            argv,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env=self.env,
            cwd=cwd,
            check=False,
        )
        return Done(argv, done.returncode, done.stdout, done.stderr)

    def json(self, *words: str | Path, seconds: float = 60.0) -> Any:
        """The JSON that a command prints; its exit code does not matter."""
        done = self(*words, "--format", "json", seconds=seconds)
        assert done.out, done
        return done.json

    def begin(self, *words: str | Path, cwd: Path = ROOT) -> Running:
        """Start without waiting."""
        self._begun.append(Running([str(PROGRAM), *map(str, words)], self.env, self.home, cwd))
        return self._begun[-1]

    def close(self) -> None:
        """Nothing that was begun runs on."""
        for running in self._begun:
            running.kill()


class Service:
    """One long-running command of a farm. `start` returns when it says that it is ready."""

    def __init__(self, words: list[str], env: dict[str, str], log: Path) -> None:
        self._argv = [str(PROGRAM), *words]
        self._env, self._log = env, log
        self.said = ""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def holds(self) -> tuple[int, int]:
        """Threads and open files of the process now."""
        own = Path("/proc") / str(self.pid)
        return len(list((own / "task").iterdir())), len(list((own / "fd").iterdir()))

    @property
    def children(self) -> dict[str, int]:
        """Pid of each child by the first word after `executor.cli`."""
        found = {}
        for pid in (Path("/proc") / str(self.pid) / "task" / str(self.pid) / "children").read_text().split():
            words = (Path("/proc") / pid / "cmdline").read_text().split("\0")
            if "executor.cli" in words:  # one that has ended and is not yet waited for has no words
                found[words[words.index("executor.cli") + 1]] = int(pid)
        return found

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def start(self, *, ready: bool = True) -> None:
        reader, writer = os.pipe()
        try:
            with self._log.open("ab") as log:
                self.process = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**self._env, READY_FD: str(writer)},
                    pass_fds=[writer],
                )
            os.close(writer)
            if ready:
                self.said = self._hear(reader)
        finally:
            os.close(reader)

    def _hear(self, reader: int) -> str:
        heard, deadline = b"", time.monotonic() + START_SECONDS
        while not heard.endswith(b"\n"):
            left = deadline - time.monotonic()
            assert left > 0, f"{self._argv} is not ready after {START_SECONDS:g} s\n{self.log}"
            if select.select([reader], [], [], left)[0]:
                data = os.read(reader, 4096)
                assert data, f"{self._argv} ended before it was ready\n{self.log}"
                heard += data
        return heard.decode().strip()

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> int:
        """SIGTERM, as init systems do; the exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self._argv} did not end within a minute\n{self.log}") from None
        finally:
            self.process.wait()
            self.process = None


class Farm:
    """State, keys, device-configs, locks and secrets of its own; master and agent as two processes."""

    def __init__(self, root: Path, *, files: Path = ASSETS, devices: dict[str, str] | None = None) -> None:
        self.root, self.state = root, root / "state"
        self.locks = root / "locks"
        self.secrets = Path("/dev/shm") / f"e2e-lava-exec-{secrets.token_hex(4)}"  # noqa: S108 - memory
        self.configs = root / "device-configs"
        self.address = f"tcp://127.0.0.1:{free_port()}"
        root.mkdir(parents=True, exist_ok=True)
        self._configure(files, devices)
        config = root / "config.yaml"
        config.write_text(f'master: {self.address}\nstate: "{self.state}"\n', encoding="utf-8")
        own = {"LAVA_EXEC_LOCKS": str(self.locks), "LAVA_EXEC_SECRETS": str(self.secrets)}
        self.cli = Cli(root / "home", config, **own)
        log = root / "log"
        log.mkdir()
        words = ["master", "--device-configs", str(self.configs), "--listen", self.address]
        self.master = Service(words, self.cli.env, log / "master.log")
        self.agent = Service(["agent"], self.cli.env, log / "agent.log")
        self.serve = Service(["serve", *words[1:]], self.cli.env, log / "serve.log")  # in place of both

    def _configure(self, files: Path, devices: dict[str, str] | None) -> None:
        shutil.copytree(ROOT / "device-configs", self.configs)
        if devices is not None:
            shutil.rmtree(self.configs / "devices")
            (self.configs / "devices").mkdir()
            for name, text in devices.items():
                (self.configs / "devices" / f"{name}.yaml").write_text(text, encoding="utf-8")
        text = json.dumps(
            {"listen": self.address, "file_urls": [str(files), str(DEFINITIONS)]}
        )  # JSON is YAML
        (self.configs / "master.yaml").write_text(text, encoding="utf-8")

    def start(self) -> None:
        self.master.start()
        self.agent.start()

    def stop(self) -> None:
        """Orderly, agent first."""
        self.cli.close()
        try:
            self.serve.stop()
            self.agent.stop()
            self.master.stop()
        finally:
            shutil.rmtree(self.secrets, ignore_errors=True)

    @property
    def online(self) -> bool:
        """Does the master answer, with a worker for each device?"""
        done = self.cli("devices", "--format", "json")
        return done.code == 0 and all(row.get("worker_online") for row in done.json)

    # -- jobs

    def submit(self, job: str | Path, *words: str) -> str:
        """The id. `job` is a file, or the text of one."""
        if isinstance(job, Path):
            done = self.cli("submit", job, *words)
        else:
            done = self.cli("submit", "-", *words, stdin=job)
        assert done.code == 0, done
        return done.out.strip()

    def wait(self, job: str, seconds: float = 240.0) -> int:
        """The exit code of a job when it has ended."""
        done = self.cli("jobs", "wait", job, "--timeout", str(seconds), seconds=seconds + 30)
        assert "is still" not in done.err, f"job {job} is not at its end\n{self.show(job)}\n{self.tail(job)}"
        return done.code

    def row(self, job: str) -> dict[str, Any]:
        """The job as the master sees it."""
        row: dict[str, Any] = self.cli.json("show", job)["row"]
        return row

    def results(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = self.cli.json("results", job)
        return found

    def show(self, job: str) -> str:
        return str(self.cli("show", job))

    def tail(self, job: str) -> str:
        return self.cli("logs", job, "--last", "40").out

    def cancel_all(self) -> None:
        """End what nobody waits for any more: jobs of tests that were not selected, or failed."""
        rows = self.cli.json("jobs", "--limit", "200")["jobs"]
        left = [row["id"] for row in rows if row["state"] != "Finished"]
        if left:
            self.cli("cancel", *left, "--wait", seconds=120)

    # -- files

    def journal(self, job: str) -> Path:
        """The master's."""
        return self.state / "master" / "jobs" / job / "journal.ndjson"

    def directory(self, job: str) -> Path:
        """The job's directory on the worker host."""
        for path in (self.state / "agent" / "jobs").iterdir():
            with contextlib.suppress(OSError):
                if json.loads((path / "agent.json").read_bytes())["id"] == job:
                    return path
        raise AssertionError(f"the agent has no directory of job {job}")

    def has(self, job: str, text: str) -> bool:
        """Does the master's journal have a line that begins with this text?"""
        path = self.journal(job)
        return path.exists() and f'"msg":"{text}'.encode() in path.read_bytes()

    def see(self, job: str, text: str, seconds: float = 120.0) -> None:
        """Wait until the master's journal has a line that begins with this text."""

        def seen() -> bool:
            if self.has(job, text):
                return True
            assert self.row(job)["state"] != "Finished", f"{text!r} never came\n{self.tail(job)}"
            return False

        until(seen, seconds, f"{text!r} in the journal of job {job}")


def free_port() -> int:
    """A port of the loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def records(path: Path) -> list[Record]:
    """A whole journal."""
    return decode_lines(path.read_bytes())


def cases(results: dict[str, Any], suite: str = "") -> dict[str, str]:
    """case → result of one suite, or of all but the executor's own."""
    return {
        case["name"]: case["result"]
        for found in results["suites"]
        if found["name"] == suite or (not suite and found["name"] != "lava")
        for case in found["cases"]
    }


def actions(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All actions by name, the last attempt of each."""
    found: dict[str, dict[str, Any]] = {}
    todo = list(results["actions"])
    while todo:
        action = todo.pop(0)
        found[action["name"]] = action
        todo += action.get("actions", [])
    return found

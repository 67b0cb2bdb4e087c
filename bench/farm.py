# SPDX-License-Identifier: Apache-2.0
"""A master and an agent of their own for measuring, and a clock at every place that a job passes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType

import msgspec

from executor.container.facts import job_images
from executor.model import journal

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / ".lava-exec"
ASSETS = STATE / "assets"
PROGRAM = Path(sys.executable).with_name("lava-exec")
IMAGE = job_images()[1]
LABEL = "lava-exec=bench"  # of containers that belong to no job
LIMIT = 300.0  # seconds for anything
_SETTLE = 5.0  # seconds in which what must come soon after a job's end has come
_LABEL_JOB, _LABEL_STATE = "lava-exec.job", "lava-exec.state"


Look = Callable[["Events"], AbstractContextManager[object]]  # at a job while it runs


class Broken(Exception):  # noqa: N818 - told to a person as it stands
    """A benchmark cannot be carried out here."""


def moment(record: journal.Record) -> float:
    """When a record was written."""
    return datetime.fromisoformat(record.dt).timestamp()


@dataclass
class Job:
    """One job, seen from outside. All moments are seconds since the epoch."""

    id: str
    code: int
    started: float  # the client's process
    answered: float  # the id was printed
    returned: float  # the client's process has ended
    file: Path  # the journal, as the master has it
    chunks: list[tuple[float, bytes]] = field(default_factory=list, repr=False)  # what the client printed
    engine: dict[str, float] = field(default_factory=dict)  # create, start, die, destroy

    def records(self) -> Iterator[journal.Record]:
        """One by one: a journal may be larger than what one wants in memory."""
        with self.file.open("rb") as file:
            for line in file:
                yield journal.decode(line)

    @property
    def end(self) -> journal.End:
        """The last record. Raises Broken when there is none."""
        size = self.file.stat().st_size if self.file.exists() else 0
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            with self.file.open("rb") as file:
                file.seek(max(0, size - (1 << 20)))
                record = journal.decode(file.read().splitlines()[-1])
            if record.lvl == journal.END:
                return msgspec.convert(record.msg, journal.End)
        raise Broken(f"the journal of job {self.id} has no end")


class Farm:
    """`lava-exec serve` with types `qemu` and those given as text, in a temporary directory."""

    def __init__(self, types: dict[str, str] | None = None) -> None:
        docker("image", "inspect", IMAGE)  # first of all: what is missing here
        STATE.mkdir(exist_ok=True)
        self.path = Path(tempfile.mkdtemp(prefix="bench-", dir=STATE))
        self.state = self.path / "state"
        self._config = self.path / "config.yaml"
        self._configure(types or {})
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("LAVA_EXEC_")}
        self.env |= {"LAVA_EXEC_CONFIG": str(self._config), "NO_COLOR": "1"}
        self._events = Events(self.state)
        self._log = (self.path / "serve.log").open("w+")
        self._serve: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Farm:
        try:
            self._events.start()
            self._serve = subprocess.Popen(
                [str(PROGRAM), "serve"],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=self.env,
                start_new_session=True,
            )
            self._await_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            sys.stderr.write(self.words())
        self.close()

    @property
    def processes(self) -> dict[str, int]:
        """Process ids of the service by name."""
        assert self._serve is not None
        found = {"serve": self._serve.pid}
        for pid in children(self._serve.pid):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            found["master" if b"master" in words else "agent"] = pid
        return found

    def submit(self, job: Path, *flags: str, look: Look | None = None) -> Job:
        """Submit a job and wait for its end; everything that is known about it. Raises Broken."""
        words = [str(PROGRAM), "submit", str(job), *flags]
        began = time.time()
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env
        )
        assert process.stdout is not None
        assert process.stderr is not None
        watchdog = threading.Timer(LIMIT, process.kill)
        watchdog.start()
        chunks: list[tuple[float, bytes]] = []
        with look(self._events) if look is not None else contextlib.nullcontext():
            while data := os.read(process.stdout.fileno(), 1 << 20):
                chunks.append((time.time(), data))
            process.wait()
            ended = time.time()
        watchdog.cancel()
        said = process.stderr.read().decode(errors="replace")
        process.stdout.close()
        process.stderr.close()
        id = chunks[0][1].split(b"\n", 1)[0].decode() if chunks else ""
        if not id.isdigit():
            raise Broken(f"lava-exec submit {job}: exit code {process.returncode}\n{said}")
        done = Job(id, process.returncode, began, chunks[0][0], ended, self._journal(id), chunks)
        done.engine = self._events.of_job(id)
        if done.end.health != "Complete":
            raise Broken(f"job {id} ended {done.end.health}: {done.end.error_msg}")
        return done

    def words(self) -> str:
        """The end of all that the service said."""
        out = [f"-- {self.path}\n"]
        for path in (self.path / "serve.log", *sorted((self.state / "log").glob("*.log"))):
            out.append(
                f"-- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-20:]) + "\n"
            )
        return "".join(out)

    def close(self) -> None:
        """End everything and leave nothing."""
        if self._serve is not None and self._serve.poll() is None:
            self._serve.send_signal(signal.SIGTERM)
            try:
                self._serve.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self._serve.pid, signal.SIGKILL)
                self._serve.wait()
        try:
            left = docker("ps", "--all", "--quiet", "--filter", f"label={_LABEL_STATE}={self.state}").split()
            if left:
                docker("rm", "--force", *left)
        finally:
            self._events.stop()
            self._log.close()
            shutil.rmtree(self.path, ignore_errors=True)

    def _journal(self, id: str) -> Path:
        return self.state / "master" / "jobs" / id / "journal.ndjson"

    def _configure(self, types: dict[str, str]) -> None:
        configs = self.path / "device-configs"
        for folder in ("types", "devices"):
            (configs / folder).mkdir(parents=True)
        shutil.copy(ROOT / "device-configs" / "types" / "qemu.yaml", configs / "types")
        for name, text in types.items():
            (configs / "types" / f"{name}.yaml").write_text(text)
        for name in ("qemu", *types):
            (configs / "devices" / f"{name}-01.yaml").write_text(f"extends: {name}\n")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        (configs / "master.yaml").write_text(json.dumps({"listen": address, "file_urls": [str(ASSETS)]}))
        self._config.write_text(
            json.dumps({"master": address, "state": str(self.state), "device_configs": str(configs)})
        )

    def _await_ready(self) -> None:
        assert self._serve is not None
        deadline = time.monotonic() + 60
        while "is ready" not in (self.path / "serve.log").read_text():
            if self._serve.poll() is not None or time.monotonic() > deadline:
                raise Broken("lava-exec serve does not start")
            time.sleep(0.05)


class Events:
    """What the engine says about the containers of one state directory, with its own times."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._process: subprocess.Popen[str] | None = None
        self._seen: dict[tuple[str, str], tuple[str, float]] = {}
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        words = ["docker", "events", "--format", "{{json .}}", "--filter", "type=container"]
        words += ["--filter", f"label={_LABEL_STATE}={self._state}"]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self._thread.start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._thread.join(_SETTLE)

    def next_container(self, action: str, seconds: float) -> str:
        """The id of the next container to which it happens, "" when that takes too long."""
        with self._news:
            before = set(self._seen)

            def found() -> str:
                return next((v[0] for k, v in self._seen.items() if k[1] == action and k not in before), "")

            self._news.wait_for(found, seconds)
            return found()

    def of_job(self, job: str) -> dict[str, float]:
        """Moments by the engine's words for them."""
        with self._news:
            self._news.wait_for(lambda: (job, "destroy") in self._seen, _SETTLE)
            return {action: moment for (id, action), (_, moment) in self._seen.items() if id == job}

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            labels = event["Actor"]["Attributes"]
            if labels.get("lava-exec") != "job":
                continue
            key = (labels.get(_LABEL_JOB, ""), event["Action"])
            with self._news:
                self._seen.setdefault(key, (event["Actor"]["ID"], event["timeNano"] / 1e9))
                self._news.notify_all()


def empty_container() -> float:
    """Seconds for the least that the engine can do: a container of the same image, started and removed."""
    return took(["docker", "run", "--rm", "--label", LABEL, IMAGE, "true"])


def docker(*words: str) -> str:
    """The engine's command line; what it prints."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=LIMIT, check=False)
    if done.returncode:
        raise Broken(f"docker {' '.join(words[:3])}: {done.stderr.strip()}")
    return done.stdout


def took(words: Sequence[str], env: dict[str, str] | None = None) -> float:
    """Seconds that a command takes from its start to its end."""
    began = time.monotonic()
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, env=env, timeout=LIMIT, check=False
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise Broken(
            f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr.decode(errors='replace')}"
        )
    return seconds


def children(pid: int) -> list[int]:
    """Processes that `pid` has started."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(OSError):
        return [int(word) for word in path.read_text().split()]
    return []

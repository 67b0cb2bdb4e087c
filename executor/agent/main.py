# SPDX-License-Identifier: Apache-2.0
"""The agent: connects to the master, runs what it sends, and takes up what an earlier process left behind.

It has no configuration but its keys and the master's address. Stopping it leaves containers running; the next
start goes on with them.
"""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from executor import __version__
from executor.agent.host import Host
from executor.agent.job import Job
from executor.agent.orphans import sweep
from executor.agent.planning import Planner, plan_job, warm_up
from executor.agent.record import DONE, known_jobs
from executor.agent.starting import accept, kept_start
from executor.container.cache import Cache, Remotes
from executor.container.devicelock import lock_directory
from executor.container.engine import Engine, connect
from executor.container.facts import collect
from executor.container.ladder import CancelSteps
from executor.container.launch import Bounds
from executor.container.store import Store
from executor.errors import InfrastructureError, LavaExecError
from executor.model.launch import HostFacts
from executor.model.typeinfo import complete_types
from executor.wire import keys, messages
from executor.wire.link import Connected, Disconnected, Link
from executor.wire.messages import Heartbeat, Hello, Orders, StartJob

log = logging.getLogger(__name__)

ENGINE_PAUSE = 3.0  # between two attempts to reach the engine at start
TURN_SECONDS = 0.5  # how late a wish to stop may be seen
STOP_SECONDS = 300.0  # for jobs that are ended with the agent
LEAVE_SECONDS = 5.0
HOUSEKEEPING = 600.0


class Agent:
    """`start`, then `stop` from any thread; `run` blocks between them."""

    def __init__(
        self,
        state: Path,
        address: str,
        credentials: keys.Credentials,
        *,
        name: str = "",
        engine: Engine | None = None,
        plan: Planner = plan_job,
        bounds: Bounds | None = None,
        steps: CancelSteps | None = None,
        cache_bytes: int = 0,
        runner: list[str] | None = None,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine or connect()
        self._name = name
        self._ready: Callable[[], None] | None = ready
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._stop_jobs = False
        self._draining = False
        self._wish = ""  # what was asked of `stop`
        self._instance = ""
        self._address = address
        self._credentials = credentials
        self._state, self._plan, self._cache_bytes = state, plan, cache_bytes
        self._bounds, self._steps, self._runner = bounds or Bounds(), steps or CancelSteps(), runner
        self.host: Host | None = None
        self.link: Link | None = None

    def run(self) -> None:
        """Until `stop`. Raises ConfigurationError when the host cannot work at all."""
        try:
            self.start()
            self._serve()
        finally:
            self._close()

    def start(self) -> None:
        """Look at the host, take up old jobs, connect. Waits for an engine that is not there yet."""
        state = self._state
        (state / "agent" / "jobs").mkdir(mode=0o700, parents=True, exist_ok=True)
        complete_types()
        facts = self._facts(state)
        if facts is None:
            return
        cache = Cache(
            Store(state / "cache", max_bytes=self._cache_bytes),
            verify=facts.ca_bundle or True,
            remotes=Remotes.of(state),
        )
        link = Link(self._address, self._credentials, hello=self._hello, heartbeat=self._heartbeat)
        self.link = link
        self.host = Host(
            self._engine,
            cache,
            link,
            state,
            lock_directory(state),
            facts,
            plan=self._plan,
            bounds=self._bounds,
            steps=self._steps,
            runner=self._runner,
            changed=self._changed,
        )
        self._take_up(self.host)
        link.start()
        threading.Thread(target=self._tidy, args=(self.host,), name="tidy", daemon=True).start()

    def stop(self, *, stop_jobs: bool = False, drain: bool = False) -> None:
        """End `run` soon. Jobs are left running, or are ended first, or (`drain`) are waited for.

        Takes no lock: it may be called by a signal handler.
        """
        self._stop_jobs = self._stop_jobs or stop_jobs
        self._wish = "drain" if drain and not self._wish else "stop"

    # -- the loop

    def _serve(self) -> None:
        link = self.link
        while link is not None and self._wish != "stop":
            if self._wish == "drain" and not self._draining:
                self._draining = True
                link.beat()
            if self._draining and not self._current():
                return
            try:
                event = link.events.get(timeout=TURN_SECONDS)
            except queue.Empty:
                continue
            try:
                self._on_event(event)
            except LavaExecError as error:
                log.error("%s %s", error.message, error.hint)

    def _on_event(self, event: object) -> None:
        if isinstance(event, Connected):
            self._instance = event.welcome.instance
            log.info("connected to the master %s as %s", event.welcome.instance, event.welcome.worker)
            if self._ready is not None:
                self._ready()
                self._ready = None
        elif isinstance(event, Disconnected):
            log.warning("%s %s", event.error.message, event.error.hint)
        elif isinstance(event, Orders):
            for start in event.start:
                self._begin(start)
            for order in event.cancel:
                self._cancel(order)
            for id in event.unknown:
                job = self._jobs.get(id)
                if job is not None:
                    job.drop()
        elif isinstance(event, messages.Start):
            self._begin(event.job)
        elif isinstance(event, messages.Stop):
            self._cancel(event.job)

    def _begin(self, start: StartJob) -> None:
        """Harmless for a job that is here already."""
        host = self.host
        with self._lock:
            if host is None or start.id in self._jobs or self._draining:
                return
            directory, record = accept(host.jobs, start)
            job = self._jobs[start.id] = Job(host, directory, record, start)
        log.info("job %s from %s for %s", start.id, start.submitter, start.device_name)
        job.begin()

    def _cancel(self, order: messages.CancelJob) -> None:
        job = self._jobs.get(order.id)
        if job is not None:
            job.cancel(order.reason)

    # -- what the master hears

    def _hello(self) -> Hello:
        facts = self.host.facts if self.host is not None else None
        return Hello(
            worker=self._name,
            version=__version__,
            facts=facts or HostFacts(),
            jobs=[job.state for job in self._current()],
            instance=self._instance,
        )

    def _heartbeat(self) -> Heartbeat:
        free = self.host.disk_free() if self.host is not None else 0
        return Heartbeat(jobs=[job.state for job in self._current()], draining=self._draining, disk_free=free)

    def _current(self) -> list[Job]:
        """Jobs that the master must hear of; those that are done are let go."""
        with self._lock:
            for id in [id for id, job in self._jobs.items() if job.record.state == DONE and not job.alive]:
                del self._jobs[id]
            return [job for job in self._jobs.values() if job.record.state != DONE]

    def _changed(self) -> None:
        if self.link is not None and not self._stop.is_set():
            self.link.beat()

    # -- beginning and end

    def _facts(self, state: Path) -> HostFacts | None:
        told = ""
        while not self._wish:
            try:
                return collect(self._engine, state, worker=self._name)
            except InfrastructureError as error:
                if error.message != told:
                    log.error("%s %s", error.message, error.hint)
                told = error.message
                time.sleep(ENGINE_PAUSE)
        return None

    def _take_up(self, host: Host) -> None:
        """Jobs of an earlier process of this agent: alive, ended but not reported, or never begun."""
        for directory, record in known_jobs(host.jobs):
            if record.state != DONE:
                log.info("job %s is taken up again (%s)", record.id, record.state)
                self._jobs[record.id] = Job(host, directory, record, kept_start(record))
        for job in list(self._jobs.values()):
            job.begin()

    def _tidy(self, host: Host) -> None:
        """Thread: what dead processes left, and directories that are no longer kept."""
        if host.plan is plan_job:
            warm_up()
        while not self._stop.is_set():
            try:
                sweep(host)
                host.prune()
            except LavaExecError as error:
                log.warning("tidying up: %s", error.message)
            except Exception:
                log.exception("tidying up failed")
            self._stop.wait(HOUSEKEEPING)

    def _close(self) -> None:
        self._stop.set()
        jobs = self._current()
        if self._stop_jobs:
            for job in jobs:
                job.cancel("the agent is being stopped")
            until = time.monotonic() + STOP_SECONDS
            for job in jobs:
                job.join(max(0.0, until - time.monotonic()))
        for job in jobs:
            job.leave()
        for job in jobs:
            job.join(LEAVE_SECONDS)
        if self.link is not None:
            self.link.close()


def run_agent(
    state: Path,
    address: str,
    *,
    name: str = "",
    master_key: str = "",
    stop_jobs: bool = False,
    cache_bytes: int = 0,
    bounds: Bounds | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """The process: until SIGTERM or SIGINT. SIGUSR1 drains: no new jobs, ends with the last one.

    `stop_jobs`: a signal ends the jobs too. `master_key`: the master's public key when it is not stored
    among the keys. Raises ConfigurationError, InfrastructureError.
    """
    credentials = keys.credentials(state / "keys", "agent", master_key)
    agent = Agent(state, address, credentials, name=name, bounds=bounds, cache_bytes=cache_bytes, ready=ready)

    def on_signal(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGUSR1:
            agent.stop(drain=True)
        else:
            agent.stop(stop_jobs=stop_jobs)

    before = {n: signal.signal(n, on_signal) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    try:
        agent.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

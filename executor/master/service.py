# SPDX-License-Identifier: Apache-2.0
"""The master as a process: one loop over sockets, timers and two helper threads, and nothing that a peer can
stop.

Each message is handled whole, then what it changed is committed, then replies and pushes go out. `run_master`
is the entry point; `Master` is for tests and for `serve`, which run it in a thread of their own.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import zmq

from executor.errors import ConfigurationError, InfrastructureError
from executor.master import configs as device_configs
from executor.master import journals, retention
from executor.master.agents import Agents
from executor.master.clients import Clients
from executor.master.configs import DeviceConfigs, load_configs
from executor.master.core import Core
from executor.master.files import BadFile
from executor.master.journals import BadBlock
from executor.master.offload import Full, Offload
from executor.master.parking import Parked, Parking
from executor.master.settings import Settings, load_settings
from executor.master.submission import Accepted, Check, Question, Refused, Site, examine
from executor.model.typeinfo import complete_types
from executor.wire import messages
from executor.wire.keys import Identity, Keyring, first_start
from executor.wire.messages import Failure
from executor.wire.server import Incoming, Server, Ticket

log = logging.getLogger(__name__)
T = TypeVar("T")

BATCH = 64  # messages handled before timers and replies have their turn
TICK = 0.5  # seconds
RELOAD = 2.0
RETAIN = 60.0
HISTORY_DAYS = 180.0
DISK_QUEUE, PLAN_QUEUE = 4096, 64
WARM_UP = Question("job_name: warm-up\ndevice_type: none\nactions: []\n", "warm-up.yaml", {"actions": {}})


class Master:
    """Construct (binds and opens everything), `run` (blocks), `stop` (from any thread or a signal)."""

    def __init__(self, state: Path, settings: Settings, configs: Path, check: Check, bind: str = "") -> None:
        self._check = check
        self._configs_path = configs
        self._stop = threading.Event()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        with contextlib.ExitStack() as undo:
            undo.callback(self._wake_in.close)
            undo.callback(self._wake_out.close)
            directory = _made(state / "master")
            undo.enter_context(_locked(directory / "lock"))
            pair = first_start(state / "keys")
            keyring = Keyring(state / "keys")
            keyring.refresh()
            self._keyring = keyring
            self.core = Core(directory, settings, _usable_configs(configs))
            undo.callback(self.core.close)
            context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            undo.callback(context.destroy, linger=0)
            self._server = Server(bind or settings.listen, pair, keyring, context)
            undo.callback(self._server.close)
            self._disk = Offload("disk", DISK_QUEUE, self._wake)
            undo.callback(self._disk.close)
            self._planner = Offload("planner", PLAN_QUEUE, self._wake)
            undo.callback(self._planner.close)
            self._undo = undo.pop_all()
        self.address = self._server.address
        self.public = pair.public
        self._agents = Agents(self.core)
        self._clients = Clients(self.core, keyring)
        self._handlers = self._dispatch()
        self._parking = Parking()
        self._timers = [
            _Timer(TICK, self._tick),
            _Timer(RELOAD, self._reload),
            _Timer(RETAIN, self._retain),
        ]
        self._reloading = False
        with contextlib.suppress(Full):  # the first real job need not wait for imports
            self._planner.submit(lambda: check(WARM_UP), _ignore, _ignore)

    def run(self) -> None:
        """Serve until `stop`. Closes everything before it returns."""
        poller = zmq.Poller()
        for each in self._server.sockets:
            poller.register(each, zmq.POLLIN)
        poller.register(self._wake_out.fileno(), zmq.POLLIN)
        log.info("master %s listens at %s", self.core.store.instance, self.address)
        try:
            while not self._stop.is_set():
                poller.poll(self._pause())
                self._turn()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of everything; `run` does it itself."""
        self._undo.close()

    def stop(self) -> None:
        """End `run` within a moment."""
        self._stop.set()
        self._wake()

    # -- the loop

    def _pause(self) -> int:
        now = time.monotonic()
        due = min(*(timer.due for timer in self._timers), self._parking.next_expiry)
        return max(0, int((due - now) * 1000 + 0.999))

    def _turn(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_out.recv(4096)
        for incoming in self._server.receive(BATCH):
            self._guarded(partial(self._handle, incoming), incoming.ticket)
        for helper in (self._disk, self._planner):
            for then in helper.collect():
                self._guarded(then, None)
        now = time.monotonic()
        for timer in self._timers:
            if now >= timer.due:
                timer.due = now + timer.interval
                self._guarded(timer.action, None)
        for parked in self._parking.expire(now):
            self._guarded(partial(self._expired, parked), parked.ticket)
        if self.core.dirty:
            self._guarded(self.core.run_scheduler, None)

    def _guarded(self, action: Callable[[], object], ticket: Ticket | None) -> None:
        """Run one step, commit, and tell whom it concerns. A fault of ours costs that step only."""
        try:
            action()
            self.core.commit()
        except Exception as error:
            log.exception("a step of the master failed")
            self.core.rollback()
            if ticket is not None:
                text = f"the master failed: {type(error).__name__}"
                self._server.reply(ticket, Failure("internal", text, "See its log.", "Bug"))
        outgoing, self.core.outgoing = self.core.outgoing, []
        for route, push in outgoing:
            self._server.push(route, push)
        touched, self.core.touched = self.core.touched, set()
        for job in touched:
            self._wake_followers(job)

    # -- messages

    def _handle(self, incoming: Incoming) -> None:
        ticket, body = incoming.ticket, incoming.body
        if isinstance(body, messages.JournalBlock):
            self._journal(ticket, body)
        elif isinstance(body, messages.LogRead):
            self._log_read(ticket, body)
        elif isinstance(body, messages.JobShow):
            self._job_show(ticket, body)
        elif isinstance(body, messages.Submit):
            self._submit(ticket, body)
        elif isinstance(body, messages.FileChunk):
            self._file(ticket, body)
        else:
            self._later(ticket, self._handlers[type(body)](ticket, body))

    def _dispatch(self) -> dict[type[messages.Body], Callable[[Ticket, Any], messages.Body]]:
        """Messages that are answered at once."""
        agents, clients = self._agents, self._clients

        def by(handler: Callable[[Identity, Any], messages.Body]) -> Callable[[Ticket, Any], messages.Body]:
            return lambda ticket, body: handler(ticket.identity, body)

        return {
            messages.Hello: agents.hello,
            messages.Heartbeat: agents.heartbeat,
            messages.JobUpdate: agents.job_update,
            messages.Finished: agents.finished,
            messages.Goodbye: agents.goodbye,
            messages.Ping: by(clients.ping),
            messages.JobList: by(clients.job_list),
            messages.JobDefinition: by(clients.job_definition),
            messages.Cancel: by(clients.cancel),
            messages.Results: by(clients.results),
            messages.FileList: by(clients.file_list),
            messages.FileRead: by(clients.file_read),
            messages.DeviceList: by(clients.device_list),
            messages.DeviceShow: by(clients.device_show),
            messages.DeviceSet: by(clients.device_set),
            messages.WorkerList: by(clients.worker_list),
            messages.WorkerSet: by(clients.worker_set),
            messages.KeyList: by(clients.key_list),
        }

    def _later(self, ticket: Ticket, body: messages.Body) -> None:
        """Reply once the changes are committed."""
        self.core.commit()
        self._server.reply(ticket, body)

    def _submit(self, ticket: Ticket, ask: messages.Submit) -> None:
        who = ticket.identity
        key = f"{who.public[:16]}:{ticket.session}:{ticket.id}"
        before = self._clients.submitted_before(key) or self._clients.may_submit(who, ask)
        if before is not None:
            self._later(ticket, before)
            return
        healths = {name: record.health for name, record in self.core.store.devices().items()}
        site = Site(self.core.configs, healths, self.core.settings, who.name)

        def then(found: Accepted | Refused) -> None:
            self._answered(ticket, lambda: self._clients.submit(who, ask, found, key))

        def failed(error: Exception) -> None:
            log.error("a job could not be checked", exc_info=error)
            text = f"the job could not be checked: {type(error).__name__}: {error}"
            self._server.reply(ticket, Failure("internal", text, "See the master's log.", "Bug"))

        try:
            self._planner.submit(lambda: examine(ask, site, self._check), then, failed)
        except Full:
            text = f"{PLAN_QUEUE} jobs wait to be checked"
            self._server.reply(ticket, Failure("busy", text, "Try again in a moment."))

    def _answered(self, ticket: Ticket, handler: Callable[[], messages.Body]) -> None:
        """Handle and reply outside of `_handle`; the asker hears of a fault of ours as well."""
        try:
            reply = handler()
        except Exception as error:
            text = f"the master failed: {type(error).__name__}"
            self._server.reply(ticket, Failure("internal", text, "See its log.", "Bug"))
            raise
        self._later(ticket, reply)

    def _journal(self, ticket: Ticket, ask: messages.JournalBlock) -> None:
        try:
            done = self._agents.journal_block(ticket, ask)
        except BadBlock as error:
            self._server.reply(ticket, Failure("malformed", str(error), error_type="Bug"))
            return
        except InfrastructureError as error:
            self._server.reply(ticket, Failure("internal", error.message, error.hint))
            return
        if isinstance(done, Failure):
            self._server.reply(ticket, done)
            return
        job, size = done
        descriptor = self.core.journals.descriptor(job.id)
        ack = messages.JournalAck(ask.job, size)
        self._on_disk(ticket, lambda: journals.sync(descriptor), lambda _: ack, lambda: os.close(descriptor))

    def _file(self, ticket: Ticket, ask: messages.FileChunk) -> None:
        job = self._agents.owned(ticket, ask.job)
        if isinstance(job, Failure):
            self._server.reply(ticket, job)
            return
        files, id = self.core.files, job.id
        try:
            next_offset, whole = files.write(id, ask)
        except BadFile as error:
            self._server.reply(ticket, Failure("malformed", str(error), error_type="Job"))
            return
        except OSError as error:
            text = f"the master cannot write {ask.path}: {error.strerror}"
            self._server.reply(ticket, Failure("internal", text, "Is the master's disk full?"))
            return
        if not whole:
            complete = files.is_complete(id, ask)
            self._server.reply(ticket, messages.FileAck(ask.job, ask.path, next_offset, complete))
            return

        def then(row: messages.FileRow) -> messages.Body:
            files.finished(id, row)
            return messages.FileAck(ask.job, ask.path, next_offset, True)

        self._on_disk(ticket, lambda: files.finish(id, ask.path, ask.size, ask.sha256), then)

    def _on_disk(
        self,
        ticket: Ticket,
        task: Callable[[], T],
        then: Callable[[T], messages.Body],
        undo: Callable[[], None] = lambda: None,
    ) -> None:
        """Acknowledge when the disk has it."""

        def failed(error: Exception) -> None:
            log.error("the disk refuses: %s", error)
            text = f"the master's disk refuses: {error}"
            self._server.reply(ticket, Failure("internal", text, "See its log."))

        try:
            self._disk.submit(task, lambda result: self._answered(ticket, lambda: then(result)), failed)
        except Full:
            undo()
            self._server.reply(ticket, Failure("busy", "the master's disk is too slow just now"))

    # -- waiting

    def _log_read(self, ticket: Ticket, ask: messages.LogRead) -> None:
        block = self._clients.log_block(ask)
        if block is None:
            job = self.core.find(ask.job)
            wait = min(ask.wait_seconds, messages.MAX_WAIT)
            if job is not None and wait > 0:
                self._park(Parked(ticket, job.id, ask, time.monotonic() + wait))
                return
            block = self._clients.empty_block(ask)  # type: ignore[assignment]
        if block is not None:
            self._server.reply(ticket, block)

    def _job_show(self, ticket: Ticket, ask: messages.JobShow) -> None:
        job = self.core.find(ask.job)
        wait = min(ask.wait_seconds, messages.MAX_WAIT)
        if job is not None and not job.finished and wait > 0:
            self._park(Parked(ticket, job.id, ask, time.monotonic() + wait))
        else:
            self._later(ticket, self._clients.job_info(ask.job))

    def _park(self, parked: Parked) -> None:
        if not self._parking.park(parked):
            text = "too many requests are waiting here"
            self._server.reply(parked.ticket, Failure("busy", text, "Follow fewer jobs at once."))

    def _expired(self, parked: Parked) -> None:
        if isinstance(parked.body, messages.JobShow):
            self._later(parked.ticket, self._clients.job_info(parked.body.job))
        else:
            self._server.reply(parked.ticket, self._clients.empty_block(parked.body))

    def _wake_followers(self, job: int) -> None:
        waiting = self._parking.of_job(job)
        if not waiting:
            return
        record = self.core.store.job(job)
        for parked in waiting:
            reply: messages.Body | None
            if isinstance(parked.body, messages.JobShow):
                done = record is None or record.finished
                reply = self._clients.job_info(parked.body.job) if done else None
            else:
                reply = self._clients.log_block(parked.body)
            if reply is not None:
                self._parking.take(parked)
                self._server.reply(parked.ticket, reply)
        self.core.commit()

    # -- timers

    def _tick(self) -> None:
        self._keyring.refresh()
        self.core.tally.flush()
        self.core.tick()

    def _reload(self) -> None:
        """Take changed device-configs over; a directory that cannot be read leaves the old ones in force."""
        if self._reloading:
            return
        old = self.core.configs.signature

        def look() -> DeviceConfigs | None:
            if device_configs.signature(self._configs_path) == old:
                return None
            return load_configs(self._configs_path)

        def then(found: DeviceConfigs | None) -> None:
            self._reloading = False
            if found is not None:
                _log_problems(found)
                self.core.configs, self.core.dirty = found, True

        def failed(error: Exception) -> None:
            self._reloading = False
            log.warning("device-configs cannot be read again: %s", error)

        with contextlib.suppress(Full):
            self._planner.submit(look, then, failed)
            self._reloading = True

    def _retain(self) -> None:
        """Remove the directories of old jobs, and old lines about devices and workers."""
        core = self.core
        core.store.trim_history(core.clock() - HISTORY_DAYS * retention.DAY)
        for id in retention.choose(core.store.kept(), core.settings.retention, core.clock()):
            core.store.update_job(id, removed=True)
            core.store.note("job", id, "journal and files removed by retention", core.clock())
            core.journals.forget(id)
            core.files.forget(id)
            path = core.directory(id)
            with contextlib.suppress(Full):
                self._disk.submit(partial(retention.remove, path), _ignore, _ignore)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_in.send(b"x")


class _Timer:
    def __init__(self, interval: float, action: Callable[[], None]) -> None:
        self.interval = interval
        self.action = action
        self.due = time.monotonic() + interval


def _ignore(_: object) -> None:
    return None


def _made(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{directory} cannot be used: {error.strerror}", "Set LAVA_EXEC_STATE to a directory of yours."
        ) from None
    return directory


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One master for one state directory."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InfrastructureError(
            f"another master uses {path.parent}", "Stop it first, or give this one another state directory."
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _usable_configs(path: Path) -> DeviceConfigs:
    found = load_configs(path)
    _log_problems(found)
    return found


def _log_problems(found: DeviceConfigs) -> None:
    for problem in found.problems:
        level = logging.ERROR if problem.severity == "error" else logging.WARNING
        near = f" (did you mean {problem.near}?)" if problem.near else ""
        log.log(level, "%s: %s%s", problem.where, problem.message, near)


def run_master(
    state: Path,
    configs: Path,
    *,
    bind: str = "",
    settings: Path | None = None,
    check: Check | None = None,
    ready: Callable[[Master], None] | None = None,
) -> None:
    """Run a master until SIGTERM or SIGINT; blocks. Call it in the main thread.

    `bind` overrides the address in master.yaml; `settings` is that file (default: beside `configs`); `ready`
    is called once it listens. Raises ConfigurationError, InfrastructureError.
    """
    if check is None:
        from executor.master.planning import planning_check

        check = planning_check
    if settings is None:
        settings = configs / "master.yaml"
    elif not settings.exists():
        raise ConfigurationError(f"there is no file {settings}")
    complete_types()
    master = Master(state, load_settings(settings), configs, check, bind)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for number in before:
            signal.signal(number, lambda *_: master.stop())
        if ready is not None:
            ready(master)
        master.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        master.close()


__all__ = ["Master", "run_master"]

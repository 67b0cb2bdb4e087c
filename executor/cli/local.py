# SPDX-License-Identifier: Apache-2.0
"""One job in a container of this machine, watched from this process: for `run` and `reproduce`."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from executor.cli.app import App
from executor.cli.follow import live_log
from executor.container.cache import Cache, Remotes
from executor.container.devicelock import lock_directory
from executor.container.facts import ca_bundle
from executor.container.jobdir import JobDirectory
from executor.container.journalfile import read_journal
from executor.container.session import CancelSteps, Launch, Session
from executor.container.store import Store
from executor.errors import Bug
from executor.model.typeinfo import complete_types
from executor.report.page import PageBuilder
from executor.report.reader import JournalReader
from executor.report.summarize import SummaryBuilder
from executor.report.summary import Summary

if TYPE_CHECKING:
    from executor.container.closing import Outcome
    from executor.container.engine import Engine
    from executor.model.launch import LaunchSpec
    from executor.report.terminal import LiveLog

PAGE = "job.html"  # in the directory of a run
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK = 0.25  # seconds between two looks at the journal when nobody says that it grew


def open_cache(here: App) -> Cache:
    """The artefact cache of this machine, shared with an agent of the same state directory."""
    verify = ca_bundle(dict(here.env)) or True
    return Cache(Store(here.state_path / "cache"), verify=verify, remotes=Remotes.of(here.state_path))


class LocalRun:
    """Runs one session to its end while this thread shows the journal. Ctrl-C, SIGTERM and SIGHUP cancel."""

    def __init__(
        self, here: App, engine: Engine, directory: Path, *, show_log: bool, cache: Cache | None = None
    ) -> None:
        complete_types()
        self._here = here
        self._grown = threading.Event()
        self._done = threading.Event()
        self.directory = JobDirectory(directory)
        self.session = Session(
            engine,
            cache or open_cache(here),
            self.directory,
            lock_directory(here.state_path),
            on_journal=lambda size: self._grown.set(),
            steps=CancelSteps(insist=20, kill=60),
        )
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self._live: LiveLog | None = live_log(here) if show_log else None
        self._reader = JournalReader()
        self._builder = SummaryBuilder()
        self._page = PageBuilder()
        self._offset = 0
        self._signals: list[int] = []

    def run(self, launch: Launch, spec: LaunchSpec) -> tuple[Outcome, Summary]:
        """Blocks. Raises what Session.start raises; then there was no container."""
        worker = threading.Thread(target=self._work, args=(launch, spec), name="session")
        before = {n: signal.signal(n, self._on_signal) for n in _SIGNALS}
        worker.start()
        try:
            self._show()
        except BaseException:
            self.session.cancel("nobody reads its log any more")  # a closed pipe or terminal
            raise
        finally:
            worker.join()
            for number, handler in before.items():
                signal.signal(number, handler)
            if self._live is not None:
                self._live.close()
        if self._error is not None:
            raise self._error
        if self._outcome is None:
            raise Bug("the session ended without an outcome")
        self._reader.close()
        summary = self._builder.done(self._reader)
        self._keep_page(summary)
        return self._outcome, summary

    def _keep_page(self, summary: Summary) -> None:
        """Beside the other files of the run. Without room for it nothing is lost: the journal has it all."""
        try:
            with (self.directory.path / PAGE).open("w", encoding="utf-8") as file:
                file.writelines(self._page.page(summary))
        except OSError as error:
            self._here.warn(f"{PAGE} cannot be written: {error}")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)  # looked at by _show: a handler must not take locks

    def _work(self, launch: Launch, spec: LaunchSpec) -> None:
        try:
            self.session.start(launch, spec)
            self._outcome = self.session.finish()
        except BaseException as error:  # handed on to the thread that waits
            self._error = error
        finally:
            self._done.set()
            self._grown.set()

    def _show(self) -> None:
        """Until the session is over, and once more for what came last."""
        told = 0
        while True:
            over = self._done.is_set()
            self._grown.wait(_LOOK)
            self._grown.clear()
            if len(self._signals) > told:
                told = len(self._signals)
                self._cancel()
            while data := read_journal(self.directory.journal, self._offset):
                self._offset += len(data)
                batch = self._reader.feed(data)
                if self._live is not None:
                    self._live.feed(batch)
                self._builder.add(batch)
                self._page.add(batch)
            if over:
                return

    def _cancel(self) -> None:
        """However often it is asked for, the device is powered off and all is cleaned up."""
        if self.session.canceled:
            self._here.say("\nstill cleaning up; the container is killed after a minute")
        else:
            self._here.say("\ncanceled; the device is powered off and everything is cleaned up")
            self.session.cancel("interrupted at the command line")

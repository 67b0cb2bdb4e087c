# SPDX-License-Identifier: Apache-2.0
"""`definitions`: the test shell (spec: job-format §7, test-shell §4).

The signal parser listens on the console in the reader's thread; this action starts the runner on the device, waits,
books what came, and at the end reads back the file in which the device kept its signals.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.test.attachments import fetch_attachments
from executor.errors import JobError, LavaExecError, TestError, TestTimeout
from executor.model.job import BlockParameters
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method
from executor.pipeline.planner import Request
from executor.testshell.results import Bookkeeper
from executor.testshell.stream import SignalStream, read_kept

if TYPE_CHECKING:
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run

_PROMPT_LIMIT = 30.0  # seconds for a prompt that should be there
_COMMAND_LIMIT = 30.0  # seconds for a command that prepares the test
_READ_LIMIT = 60.0  # seconds to print the file with the signals
_READ_ATTEMPTS = 2
_READ_KEEP = 4 << 20  # characters of it


class ShellParameters(BlockParameters, kw_only=True):
    """`definitions`"""

    definitions: Annotated[
        list[dict[str, Any]], Meta(min_length=1, description="test definitions, run in order")
    ]


@method("test")
class ShellTest(Method):
    """Run test definitions in the device's shell."""

    name = "definitions"
    summary = "test definitions in the device's shell"
    Parameters = ShellParameters
    needs_overlay = True
    needs_shell = True

    @classmethod
    def accepts(cls, request: Request) -> str:
        if "definitions" not in request.parameters:
            return "'definitions' is not there"
        if "docker" in request.parameters:
            return "'docker' asks for the docker test"
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        return TestShellRetry(cast("ShellParameters", request.typed))


class TestShellRetry(RetryAction):
    """The block, tried again as a whole."""

    name = "lava-test-retry"
    summary = "test shell with retry"
    description = "run the block's definitions, with retry"

    def __init__(self, parameters: ShellParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        stage = next((t.stage for t in site.tests if t.block is site.block), 0)
        yield TestShell(stage)


class TestShell(Action):
    """One run of lava-test-runner over the block's definitions."""

    name = "lava-test-shell"
    summary = "test shell"
    description = "run lava-test-runner and read its signals"
    timeout_error = TestError

    def __init__(self, stage: int) -> None:
        self.stage = stage

    def run(self, run: Run) -> None:
        namespace, console = run.namespace, run.console
        if not namespace.results_dir or namespace.overlay is None:
            raise JobError("no overlay was made for this test", "a deploy block must come before it")
        prompts = namespace.prompts
        console.character_delay = run.action.character_delay / 1000
        self._prepare(run)
        listener = _Listener(run, self.stage)
        directory = f"{namespace.results_dir}/{self.stage}"
        console.start_listening(listener)
        console.send_line(f"{namespace.results_dir}/bin/lava-test-runner {directory}")
        try:
            self._listen(run, listener)
        except LavaExecError:
            listener.end(None)
            raise
        console.expect_forced(prompts, run.operation.sooner(run.deadline), limit=_PROMPT_LIMIT)
        listener.end(self._read_back(run, directory) if listener.stream.must_read_back else "")
        if listener.book.attached:
            fetch_attachments(run, directory)
        if listener.book.failure is not None:
            raise listener.book.failure

    def _prepare(self, run: Run) -> None:
        """Mount what brings the overlay, then the environment (spec: test-shell §4)."""
        namespace, console = run.namespace, run.console
        root = namespace.results_dir
        console.drain()
        console.send_line("#")
        console.expect_forced(namespace.prompts, run.deadline, limit=_PROMPT_LIMIT)
        disk = namespace.overlay_disk
        if disk is not None and namespace.mounted_in_boot != namespace.boots:
            mount = (
                f"mkdir -p {root}; mount -t ext2 UUID={disk.uuid} {root} || "
                f"mount -t ext2 /dev/disk/by-uuid/{disk.uuid} {root}"
            )
            if console.command(mount, namespace.prompts, run.deadline, limit=_COMMAND_LIMIT).rc:
                raise JobError(
                    "the guest cannot mount the disk that brings the tests",
                    "its kernel needs ext2 (or ext4) and the driver of the disk's interface; the log shows what mount said",
                )
            namespace.mounted_in_boot = namespace.boots
        source = f"export SHELL={namespace.shell}; . {root}/environment"
        if console.command(source, namespace.prompts, run.deadline, limit=_COMMAND_LIMIT).rc:
            raise JobError(
                f"{root}/environment cannot be read on the device", "did the overlay reach the device at all?"
            )

    def _listen(self, run: Run, listener: _Listener) -> None:
        """The connection's limit only loops; the action's ends the block (spec: job-format §3)."""
        console = run.console
        while not console.listen(listener, run.operation):
            if run.deadline.expired:
                console.stop_listening()
                console.send_control("c")
                raise TestTimeout(
                    f"{self.name} timed out after {run.deadline.limit:.0f} seconds{listener.where}",
                    "raise the `timeout` of the test block, or see in the log what the test waited for",
                )

    def _read_back(self, run: Run, directory: str) -> str | None:
        """What the device kept; best effort with a deadline (design §9, Signal trailer)."""
        command = f"{run.namespace.results_dir}/bin/lava-signals {directory}"
        kept: str | None = None
        for _ in range(_READ_ATTEMPTS):
            try:
                done = run.console.command(
                    command, run.namespace.prompts, run.deadline, limit=_READ_LIMIT, keep=_READ_KEEP
                )
            except (JobError, TimeoutError) as error:
                run.log.warning(f"the file with the signals could not be read back: {error}")
                return kept
            if done.rc == 0:
                kept = done.output
                found = read_kept(kept)
                if found is not None and found[1]:
                    return kept
        run.log.warning("the file with the signals could not be read back whole")
        return kept


class _Listener:
    """Sits in the console's reading thread: signals in, records out."""

    def __init__(self, run: Run, stage: int) -> None:
        self.stream = SignalStream()
        self._run = run
        placed = run.namespace.definitions.values()
        self.book = Bookkeeper(
            self.stream,
            placed,
            namespace=run.action.namespace,
            emit=self._emit,
            note=lambda level, text: run.context.journal.record(level, text),
            stage=stage,
        )

    @property
    def where(self) -> str:
        """` in 0_smoke`, when a definition was running."""
        return f" in {self.stream.run}" if self.stream.run else ""

    def feed(self, text: str) -> bool:
        for event in self.stream.feed(text):
            self.book.take(event, self._run.console.seq_at(getattr(event, "offset", 0)))
        return self.stream.done

    def end(self, kept: str | None) -> None:
        """Book what the device's file adds. `kept`: its text; "" when nothing was missing, None when it cannot be had."""
        seq = self._run.log.debug("test block ends")
        for event in [] if kept == "" else self.stream.finish(kept):
            self.book.take(event, seq)
        self.book.finish(whole=kept is not None)

    def _emit(self, record: dict[str, Any]) -> None:
        if record["definition"] != "lava":
            cases = self._run.context.cases
            cases[record["result"]] = cases.get(record["result"], 0) + 1
        if self._run.outer > 1:
            record["attempt"] = self._run.outer
        self._run.log.result(**record)

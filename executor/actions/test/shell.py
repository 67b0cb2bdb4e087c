# SPDX-License-Identifier: Apache-2.0
"""`definitions`: the test shell (spec: job-format §7, test-shell §4).

The signal parser listens on the console in the reader's thread; this action starts the runner on the device,
waits, books what came, and at the end reads back the file in which the device kept its signals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from executor.actions.test.flavours import other_than
from executor.errors import JobError, LavaExecError, TestError, TestTimeout
from executor.model.job import BlockParameters
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method
from executor.pipeline.planner import Request

if TYPE_CHECKING:
    from executor.actions.testrun.listener import Listener
    from executor.model.job import Block
    from executor.pipeline.context import Namespace
    from executor.pipeline.planner import Site, TestBlock
    from executor.pipeline.run import Run

_PROMPT_LIMIT = 30.0  # seconds for a prompt that should be there
_COMMAND_LIMIT = 30.0  # seconds for a command that prepares the test
_READ_LIMIT = 60.0  # seconds to print the file with the signals
_READ_ATTEMPTS = 3
_READ_BYTES = 1 << 20  # of it


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
        if "docker" in request.parameters:
            return "'docker' asks for the docker test"
        return other_than("definitions", request.parameters)

    @classmethod
    def action(cls, request: Request) -> Action:
        return TestShellRetry()


class TestShellRetry(RetryAction):
    """The block, tried again as a whole."""

    __test__ = False
    name = "lava-test-retry"
    summary = "test shell with retry"
    description = "run the block's definitions, with retry"

    def plan(self, site: Site) -> Iterable[Action]:
        yield TestShell(*numbers(site.tests, site.block))


def numbers(tests: Iterable[TestBlock], block: Block | None) -> tuple[int, Sequence[int]]:
    """Stage and numbers of the definitions of a test block, in its namespace."""
    test = next((t for t in tests if t.block is block), None)
    if test is None:
        return 0, ()
    return test.stage, range(test.first_definition, test.first_definition + len(test.definitions))


class TestShell(Action):
    """One run of lava-test-runner over the block's definitions."""

    __test__ = False
    name = "lava-test-shell"
    summary = "test shell"
    description = "run lava-test-runner and read its signals"
    timeout_error = TestError

    def __init__(self, stage: int, definitions: Sequence[int]) -> None:
        self.stage = stage
        self.definitions = definitions  # their numbers in the overlay

    def run(self, run: Run) -> None:
        from executor.actions.testrun.listener import Listener

        home, console = overlay_home(run), run.console
        if not home.results_dir or home.overlay is None:
            raise JobError("no overlay was made for this test", "a deploy block must come before it")
        root, prompts = home.results_dir, run.connection.prompts
        console.character_delay = run.action.character_delay / 1000
        self._prepare(run, home)
        placed = [p for index, p in sorted(home.definitions.items()) if index in self.definitions]
        listener = Listener(run, self.stage, placed)
        console.start_listening(listener)
        console.send_line(f"{root}/bin/lava-test-runner {root}/{self.stage} {listener.word}")
        try:
            self._listen(run, listener)
            console.expect_forced(prompts, run.operation.sooner(run.deadline), limit=_PROMPT_LIMIT)
            if not listener.stream.complete:
                self._read_back(run, listener, root)
        except LavaExecError as error:
            listener.take(listener.stream.give_up(error.message))
            raise
        finally:
            listener.book.finish()
        if listener.book.attached:
            from executor.actions.testrun.attachments import fetch_attachments

            fetch_attachments(run, root, str(self.stage))
        if listener.book.failure is not None:
            raise listener.book.failure

    def _prepare(self, run: Run, home: Namespace) -> None:
        """Mount what brings the overlay, then the environment (spec: test-shell §4)."""
        console, prompts = run.console, run.connection.prompts
        root, disk = home.results_dir, home.overlay_disk
        console.drain()
        console.send_line("#")
        console.expect_forced(prompts, run.deadline, limit=_PROMPT_LIMIT)
        if disk is not None and home.mounted_in_boot != home.boots:
            mount = (
                f"mkdir -p {root}; mount -t ext2 UUID={disk.uuid} {root} || "
                f"mount -t ext2 /dev/disk/by-uuid/{disk.uuid} {root}"
            )
            if console.command(mount, prompts, run.deadline, limit=_COMMAND_LIMIT).rc:
                raise JobError(
                    "the guest cannot mount the disk that brings the tests",
                    "its kernel needs ext2 (or ext4) and the driver of the disk's interface; "
                    "the log shows what mount said",
                )
            home.mounted_in_boot = home.boots
        source = f"export SHELL={home.shell}; . {root}/environment"
        if console.command(source, prompts, run.deadline, limit=_COMMAND_LIMIT).rc:
            raise JobError(
                f"{root}/environment cannot be read on the device", "did the overlay reach the device at all?"
            )

    def _listen(self, run: Run, listener: Listener) -> None:
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

    def _read_back(self, run: Run, listener: Listener, root: str) -> None:
        """Ask for signals that did not arrive; best effort with a deadline (design §9, Signal trailer)."""
        stream, reason = listener.stream, "the device's file does not have it"
        for _ in range(_READ_ATTEMPTS):
            command = f"{root}/bin/lava-signals {root}/{self.stage} {_READ_BYTES} {stream.wanted()}"
            run.log.info(f"signals were lost on the console, asking the device for: {stream.wanted()}")
            try:
                done = run.console.command(
                    command, run.connection.prompts, run.deadline, limit=_READ_LIMIT, keep=2 * _READ_BYTES
                )
            except (JobError, TimeoutError) as error:
                reason = f"the device's file could not be read back: {error}"
                break
            listener.take(stream.restore(done.output, final=False))
            if stream.complete:
                return
        run.log.warning(f"not all signals could be restored: {reason}")
        listener.take(stream.give_up(reason))


def overlay_home(run: Run) -> Namespace:
    """The namespace whose deploy brought the overlay that lies on the device behind the console.

    A block that uses another namespace's console is in the overlays of both (spec: job-format §8). What a
    guest has as a disk can only be its own; else the block's own deploy wins, where it has one.
    """
    own, other = run.namespace, run.connection
    return other if other.overlay_disk is not None or own.overlay is None else own

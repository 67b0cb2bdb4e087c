# SPDX-License-Identifier: Apache-2.0
"""One interactive script: what is typed, what is waited for, what comes of it (spec: job-format §7).

The earliest of prompts, failures and successes in the stream decides. A prompt means pass, unless the step
names successes that should have come before it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from executor.errors import InfrastructureError, JobError, LavaExecError, TestError
from executor.model.testblocks import Failure, Script, ScriptItem
from executor.testshell.events import FAIL, PASS
from executor.testshell.signals import Result

if TYPE_CHECKING:
    from executor.actions.testrun.suite import Suite
    from executor.console.expect import Match
    from executor.console.reader import Console
    from executor.pipeline.run import Run

ERRORS: dict[str, type[LavaExecError]] = {
    "InfrastructureError": InfrastructureError,
    "JobError": JobError,
    "TestError": TestError,
}
_PLACEHOLDER = re.compile(r"\{[^{}\s]+\}")
_PAIR = re.compile(r"(?:^|\s)(\w+)=")  # a value ends where the next key begins, so it may hold blanks


class Dialogue:
    """Plays a script on the block's console. What it captures is there for later steps and later scripts."""

    def __init__(self, run: Run, script: Script, suite: Suite) -> None:
        self._run, self._script, self._suite = run, script, suite
        self._console: Console = run.console
        self._values = run.namespace.substitutions  # "{KEY}" → value

    def play(self) -> None:
        """All steps. Raises what a failure names, TestError for an unnamed command that fails."""
        for item in self._script.script:
            if item.delay is not None:
                self._delay(float(item.delay))
            elif api := item.api:
                self._call(api, *item.arguments)
            else:
                self._command(item)

    def _delay(self, seconds: float) -> None:
        self._run.log.info(f"waiting for {seconds:g} seconds")
        self._console.pause(self._run.deadline.within(seconds))
        if self._run.deadline.expired:
            raise TimeoutError(f"in a delay of {seconds:g} seconds")

    # -- commands ----------------------------------------------------------------------------------------

    def _command(self, item: ScriptItem) -> None:
        began = self._console.clock()
        command = self._send(item.command)
        found: Match | None = None
        try:
            verdict, failure, found = self._outcome(item)
        except (LavaExecError, TimeoutError):
            self._book(item, FAIL, None, began)
            raise
        self._book(item, verdict, found, began)
        if failure is not None and failure.exception is not None:
            text = failure.error or f"{command!r} failed: the console shows {failure.message!r}"
            raise ERRORS[failure.exception](text)
        if found is not None and found.index >= len(self._script.prompts) and item.wait_for_prompt:
            self._console.expect(self._script.prompts, self._run.deadline)
        if verdict == FAIL and not item.name:
            raise TestError(
                f"{self._script.name}: the command {command!r} failed",
                "give the step a `name` and it becomes a test case that may fail",
            )

    def _send(self, command: str | None) -> str:
        """Type the command; what was typed."""
        if command is None:
            self._run.log.info("sending nothing, waiting")
            return ""
        text = self._substituted(command)
        self._run.log.info(f"sending {text!r}")
        self._console.send_line(text)
        if self._script.echo == "discard":
            echo = self._console.expect(r"\r*\n", self._run.deadline)
            self._run.log.debug(f"dropped as echo: {echo.before!r}")
        return text

    def _outcome(self, item: ScriptItem) -> tuple[str, Failure | None, Match | None]:
        """(verdict, the failure that was seen, what was found)."""
        if not (item.wait_for_prompt or item.successes or item.failures):
            return PASS, None, None
        prompts, failures, successes = self._script.prompts, item.failures, item.successes
        wanted = [*prompts, *(f.message for f in failures), *(s.message for s in successes)]
        self._run.tell_wait(wanted, self._run.deadline)
        found = self._console.expect(wanted, self._run.deadline)
        self._values |= {f"{{{name}}}": value for name, value in found.named.items()}
        number = found.index - len(prompts)
        if number < 0:
            verdict, failure, told = FAIL if successes else PASS, None, "a prompt"
        elif number < len(failures):
            verdict, failure, told = FAIL, failures[number], "a failure"
        else:
            verdict, failure, told = PASS, None, "a success"
        named = f" ({', '.join(f'{n}: {v!r}' for n, v in found.named.items())})" if found.named else ""
        text = f"matched {told}: {found.pattern!r}{named}"
        (self._run.log.info if verdict == PASS else self._run.log.error)(text)
        return verdict, failure, found

    def _book(self, item: ScriptItem, verdict: str, found: Match | None, began: float) -> None:
        if item.name:
            line = found.seq if found is not None else None
            self._suite.book(Result(item.name, verdict), line=line, seconds=self._console.clock() - began)

    def _substituted(self, text: str) -> str:
        """Known placeholders replaced; unknown ones may be meant as they stand."""
        worker = self._run.context.worker
        known = {
            "{SERVER_IP}": worker.dispatcher_ip,
            "{LAVA_DISPATCHER_IP}": worker.dispatcher_ip,
            "{JOB_ID}": worker.job_id,
            "{LAVA_JOB_ID}": worker.job_id,
            **self._run.connection.substitutions,
            **self._values,
        }
        return _PLACEHOLDER.sub(lambda found: known.get(found.group(), found.group()), text)

    # -- the other members of a group --------------------------------------------------------------------

    def _call(self, api: str, message: str, rest: str) -> None:
        group = self._run.context.group
        if group is None:
            raise JobError(
                f"lava-{api} {message}: this job runs alone, without the other members of its group",
                "submit the whole group, `protocols: lava-multinode` with its roles",
            )
        pairs = _pairs(self._substituted(rest))
        role = pairs.pop("role", "") if api == "wait-all" else ""
        received = group.call(api, message, self._run.deadline, role=role, pairs=pairs)
        for given in received.values():
            self._values |= {f"{{{name}}}": value for name, value in given.items()}
        self._run.log.info(f"lava-{api} {message}: {received}")


def _pairs(text: str) -> dict[str, str]:
    """`a=1 b=two words` as a map."""
    keys = list(_PAIR.finditer(text))
    ends = [*(key.start() for key in keys[1:]), len(text)]
    return {key[1]: text[key.end() : end].strip() for key, end in zip(keys, ends, strict=False)}

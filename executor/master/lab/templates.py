# SPDX-License-Identifier: Apache-2.0
"""Device dictionaries of a lab, rendered by a child process with limits on time, memory and size."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from executor.errors import InfrastructureError
from executor.model.problem import Problem

SECONDS = 10  # of the processor for one device, with all its contexts
_GRACE = 20  # seconds on the clock beyond that, on a busy machine


@dataclass(frozen=True)
class Rendered:
    """A device dictionary as text for each context, None where it cannot be rendered for one; or a fault.

    The first context is the one that must work.
    """

    texts: list[str | None] = field(default_factory=list)
    extends: list[str] = field(default_factory=list)  # names of templates, nearest first
    undeclared: frozenset[str] = frozenset()  # variables that the templates read
    fault: Problem | None = None


class Renderer:
    """One dictionary's process, for a `with`. `name` is the dictionary's path, for messages."""

    def __init__(
        self, source: str, name: str, directories: Sequence[Path], *, seconds: int = SECONDS
    ) -> None:
        self.name, self.seconds = name, seconds
        self._request = {"source": source, "name": name, "directories": [str(d) for d in directories]}
        self._process: subprocess.Popen[bytes] | None = None
        self._late = False

    def __enter__(self) -> Renderer:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "executor.master.lab.sandbox", str(self.seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise InfrastructureError(f"cannot start a process to render templates: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        if self._process is not None:
            self._process.communicate()

    def render(self, contexts: Sequence[dict[str, Any]]) -> Rendered:
        """The dictionary for each context."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise InfrastructureError("the process that renders templates is not running")
        timer = threading.Timer(self.seconds + _GRACE, self._give_up)
        timer.start()
        try:
            request = {**self._request, "contexts": list(contexts)}
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            timer.cancel()
        return self._read(line)

    def _read(self, line: bytes) -> Rendered:
        try:
            answer = json.loads(line)
        except ValueError:
            return self._fault(
                f"rendering takes more than {self.seconds} seconds"
                if self._late or self._ended() < 0
                else "the process that renders the template ended without an answer"
            )
        if "fault" in answer:
            fault = answer["fault"]
            return self._fault(fault["message"], fault["file"], fault["line"])
        return Rendered(answer["texts"], answer["extends"], frozenset(answer["undeclared"]))

    def _fault(self, message: str, file: str = "", line: int = 0) -> Rendered:
        place = {"file": file or self.name, "line": line, "column": 1 if line else 0}
        return Rendered(fault=Problem(message, "Configuration", **place))  # type: ignore[arg-type]

    def _ended(self) -> int:
        """How the process ended; negative when it was for one of its limits."""
        try:
            return self._process.wait(5) if self._process is not None else 0
        except subprocess.TimeoutExpired:
            return 0

    def _give_up(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

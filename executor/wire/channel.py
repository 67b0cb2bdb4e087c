# SPDX-License-Identifier: Apache-2.0
"""A synchronous connection to the master for one thread: ask, and get a typed answer before the deadline.

>>> with Channel(address, credentials(keys)) as channel:                                     # doctest: +SKIP
...     pong = channel.call(messages.Ping(), messages.Pong, Deadline.after(5))
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import TypeVar

import zmq

from executor.errors import (
    Bug,
    ConfigurationError,
    InfrastructureError,
    JobError,
    LavaExecError,
    TestError,
    UsageError,
)
from executor.model.deadline import Deadline
from executor.model.problem import Problem
from executor.wire import messages
from executor.wire.connector import Answer, Connector, Down, Up
from executor.wire.keys import Credentials

R = TypeVar("R", bound=messages.Body)


class RequestRefused(LavaExecError):
    """Mixed into the error class of a Failure: `code` for programs, `problems` when a job was refused."""

    code: str = ""
    problems: list[Problem]


_CLASSES: dict[str, type[LavaExecError]] = {
    "Job": JobError,
    "Test": TestError,
    "Infrastructure": InfrastructureError,
    "Configuration": ConfigurationError,
    "Usage": UsageError,
    "Bug": Bug,
}
_REFUSED: dict[str, type[RequestRefused]] = {
    name: type(
        f"Refused{cls.__name__}",
        (RequestRefused, cls),
        {"error_type": cls.error_type, "exit_code": cls.exit_code, "who": cls.who},
    )
    for name, cls in _CLASSES.items()
}


def failure_error(failure: messages.Failure) -> RequestRefused:
    """The exception for a Failure: an instance of the class its error_type names, and of RequestRefused."""
    cls = _REFUSED.get(failure.error_type, _REFUSED["Infrastructure"])
    error = cls(failure.message, failure.hint)
    error.code = failure.code
    error.problems = failure.problems
    return error


class Channel:
    """Connects at the first call and again whenever the connection breaks; unanswered requests are repeated.

    `patience` is how many seconds a missing master is waited for before a call gives up; a refused key and a
    wrong master are errors at once. After a connection has stood, `resume` is the patience instead (a
    restarting master).
    """

    def __init__(
        self,
        address: str,
        credentials: Credentials,
        *,
        patience: float = 1.0,
        resume: float = 30.0,
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._connector = Connector(address, credentials, context=self._context)
        self._patience = patience
        self._resume = resume
        self._down_since: float | None = None
        self._wrong = 0

    def call(self, body: messages.Body, expect: type[R], deadline: Deadline) -> R:
        """The answer to a request.

        Raises the class of errors.py that the master's Failure names (also a RequestRefused),
        ConfigurationError for a refused key or a wrong master, InfrastructureError when no master answers in
        time.
        """
        try:
            id = self._connector.request(body)
        except messages.WireError as error:
            raise JobError(error.message, error.hint) from None
        try:
            return self._wait(id, expect, deadline)
        finally:
            self._connector.forget(id)

    def _wait(self, id: int, expect: type[R], deadline: Deadline) -> R:
        last: Down | None = None
        if self._down_since is None and not self._connector.up:
            self._down_since = time.monotonic()
        while True:
            for event in self._connector.step(deadline.remaining):
                if isinstance(event, Up):
                    self._down_since, self._wrong = None, 0
                    self._patience = self._resume
                    last = None
                elif isinstance(event, Down):
                    last = event
                    self._note(event)
                elif isinstance(event, Answer) and event.id == id:
                    return self._unwrap(event.body, expect)
            if deadline.expired:
                if last is not None:
                    raise last.error
                raise InfrastructureError(
                    f"the master at {self._connector.address} gave no answer within {deadline.limit:g} s",
                    "It may be overloaded: see its log.",
                )

    def _note(self, down: Down) -> None:
        now = time.monotonic()
        if self._down_since is None:
            self._down_since = now
        if down.reason == "wrong-master":
            self._wrong += 1  # a master that stops in mid-handshake looks the same once
        if down.reason == "unknown-key" or self._wrong >= 2 or now - self._down_since >= self._patience:
            self._down_since, self._wrong = None, 0
            raise down.error

    def _unwrap(self, body: messages.Reply, expect: type[R]) -> R:
        if isinstance(body, messages.Failure):
            raise failure_error(body)
        if not isinstance(body, expect):
            raise Bug(f"the master answered {type(body).__name__} where {expect.__name__} was expected")
        return body

    def close(self) -> None:
        """End the connection; harmless when repeated."""
        self._connector.close()
        self._context.destroy(linger=0)

    def __enter__(self) -> Channel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

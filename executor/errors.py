# SPDX-License-Identifier: Apache-2.0
"""Every error a user can meet, in one tree, so that the class alone says who has to act.

    LavaExecError
    ├── JobError                    the test writer: wrong data, panic, login refused …      exit 2
    │   └── JobTimeout              a limit that the job sets has passed                      exit 5
    ├── TestError                   the test writer: the test itself broke off                exit 2
    │   └── TestTimeout             a test block ran out of time                              exit 5
    ├── InfrastructureError         the lab admin: network, power, serial, engine, tools      exit 3
    │   ├── ConnectionClosed        console or container ended                                exit 3
    │   ├── InfrastructureTimeout   a limit passed while the lab was doing its part           exit 3
    │   └── FastbootDeviceNotFound                                                            exit 3
    ├── ConfigurationError          the lab admin: device file or server configuration        exit 3
    ├── MultinodeTimeout            the test writer: a group member was waited for in vain    exit 5
    ├── JobCanceled                 nobody: somebody asked for it                             exit 4
    ├── UsageError                  the person at the command line                            exit 64
    └── Bug                         the developers of lava-exec                               exit 70

`error_type` is what a journal's `lava/job` record carries (spec: action-pipeline §4); the exit codes are
those of design §5. Whether a class may be retried by a RetryAction is fixed here as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of `submit --wait`, `run` and `reproduce` (design §5)."""

    OK = 0  # job complete, all test cases passed
    TEST_FAILED = 1  # job complete, at least one test case failed or is unknown
    JOB_ERROR = 2  # JobError, TestError or an invalid job
    INFRASTRUCTURE = 3  # infrastructure or configuration
    CANCELED = 4
    TIMEOUT = 5
    USAGE = 64
    BUG = 70


# Several jobs, or a group: the first of these that occurs is the exit code of the whole (design §9).
EXIT_PRECEDENCE = (
    ExitCode.BUG,
    ExitCode.INFRASTRUCTURE,
    ExitCode.JOB_ERROR,
    ExitCode.TIMEOUT,
    ExitCode.CANCELED,
    ExitCode.TEST_FAILED,
    ExitCode.OK,
)


class LavaExecError(Exception):
    """Root of the tree. `message` is one sentence; `hint` says the next step, or is empty."""

    error_type: ClassVar[str] = "Bug"
    exit_code: ClassVar[ExitCode] = ExitCode.BUG
    who: ClassVar[str] = "the developers of lava-exec"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place: tuple[str, str, int] | None = None  # (action, level, journal seq) once it has been logged


class JobError(LavaExecError):
    """The job asks for something that cannot work, or the device's software misbehaved."""

    error_type = "Job"
    exit_code = ExitCode.JOB_ERROR
    who = "the test writer"
    retryable = True


class JobTimeout(JobError):
    """A limit of the job passed; still `error_type` Job, but an exit code of its own."""

    exit_code = ExitCode.TIMEOUT


class TestError(LavaExecError):
    """The test broke off: malformed signals, lava-test-raise, a failed install (spec: test-shell §4, §6)."""

    __test__ = False  # not a pytest class
    error_type = "Test"
    exit_code = ExitCode.JOB_ERROR
    who = "the test writer"
    retryable = True


class TestTimeout(TestError):
    """A test block ran into its limit (spec: action-pipeline §4, LAVATimeoutError)."""

    exit_code = ExitCode.TIMEOUT


class InfrastructureError(LavaExecError):
    """The lab did not do its part: network, power, serial line, container engine, missing tool."""

    error_type = "Infrastructure"
    exit_code = ExitCode.INFRASTRUCTURE
    who = "the lab admin"
    retryable = True


class ConnectionClosed(InfrastructureError):
    """The other end of a console or container went away."""


class InfrastructureTimeout(InfrastructureError):
    """A limit passed in an action whose class of timeout is infrastructure (spec: job-format §3)."""


class FastbootDeviceNotFound(InfrastructureError):
    """fastboot did not see the device in time."""

    error_type = "FastbootDeviceNotFound"


class ConfigurationError(LavaExecError):
    """The device file or the server's configuration is wrong; never retried."""

    error_type = "Configuration"
    exit_code = ExitCode.INFRASTRUCTURE
    who = "the lab admin"


class MultinodeTimeout(LavaExecError):
    """A multinode call waited in vain (spec: multinode §5)."""

    error_type = "MultinodeTimeout"
    exit_code = ExitCode.TIMEOUT
    who = "the test writer"


class JobCanceled(LavaExecError):
    """Somebody asked for the end of the job; the orderly way out, never retried."""

    error_type = "Canceled"
    exit_code = ExitCode.CANCELED
    who = "nobody"


class UsageError(LavaExecError):
    """The command line was used in a way that has no meaning."""

    error_type = "Usage"
    exit_code = ExitCode.USAGE
    who = "you"


class Bug(LavaExecError):
    """An internal contract is broken; the traceback goes into the log."""


def timeout_class(base: type[LavaExecError]) -> type[LavaExecError]:
    """The class to raise when an action whose timeouts count as `base` runs out of time."""
    if issubclass(base, InfrastructureError):
        return InfrastructureTimeout
    if issubclass(base, TestError):
        return TestTimeout
    return JobTimeout if issubclass(base, JobError) else base


def tree(root: type[LavaExecError] = LavaExecError) -> Iterator[type[LavaExecError]]:
    """Every class of this module from `root` on, each above those that derive from it."""
    yield root
    for derived in root.__subclasses__():
        if derived.__module__ == __name__:
            yield from tree(derived)


def who_acts(error_type: str) -> str:
    """Who has to act on an `error_type` where only its name is left; empty for one that nobody knows."""
    return next((found.who for found in tree() if found.error_type == error_type), "")

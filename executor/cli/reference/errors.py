# SPDX-License-Identifier: Apache-2.0
"""The page of the errors: who has to act, and the exit codes."""

from __future__ import annotations

from collections.abc import Iterator

from executor.cli.reference.commands import CODES
from executor.cli.reference.tables import cell, prose
from executor.errors import EXIT_PRECEDENCE, LavaExecError, tree

_HEAD = """\
# Errors and exit codes

Every job that does not end well ends with one line: for whom it is, what happened, the action with its
attempt, and the line of the log.

```
for the test writer: Kernel panic - not syncing: … (2.2 login-action, attempt 2 of 3, log line 812)
```

`lava/job`, the last result of a job, carries `error_type` and `error_msg`. Only test cases are booked as
test results: what the lab or the job broke makes the job `Incomplete`, and cases that had begun are
`unknown` with the reason.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield _HEAD
    yield "| error | `error_type` | for | exit code | tried again | when |\n|---|---|---|---|---|---|"
    for kind in tree():
        if kind is not LavaExecError:
            again = "yes" if kind.retryable else "no"
            row = (kind.__name__, f"`{kind.error_type}`", kind.who, str(int(kind.exit_code)), again)
            yield f"| {' | '.join(row)} | {cell(prose(kind.__doc__))} |"
    yield "\n*tried again*: whether an action with `failure_retry` has another attempt after it.\n"
    yield "## Exit codes\n"
    yield "| code | meaning |\n|---|---|"
    yield from (f"| {int(code)} | {text} |" for code, text in CODES.items())
    order = ", ".join(str(int(code)) for code in EXIT_PRECEDENCE)
    yield f"\nOf several jobs, or a group: the first of {order} that occurs."

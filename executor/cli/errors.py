# SPDX-License-Identifier: Apache-2.0
"""The one place where an exception becomes words on stderr and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from executor.errors import ExitCode, LavaExecError

if TYPE_CHECKING:
    from executor.cli.app import App

CLOSED_PIPE = 141  # 128 + SIGPIPE
INTERRUPTED = 130  # 128 + SIGINT, what shells expect
_REPORT = "Please report it together with this file."


def guarded(run: Callable[[], object], app: App) -> int:
    """Call `run`; its exit code, or the one of what went wrong. Nothing gets past here but SystemExit."""
    try:
        code = run()
        sys.stdout.flush()
        return code if isinstance(code, int) else int(ExitCode.OK)
    except LavaExecError as error:
        return _known(error, app)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except click.UsageError as error:
        _usage(error, app)
        return int(ExitCode.USAGE)
    except click.ClickException as error:
        _line("error:", error.format_message(), app)
        return int(ExitCode.USAGE)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain again at exit.
        own = sys.__stdout__
        if own is not None and sys.stdout is own:
            os.dup2(os.open(os.devnull, os.O_WRONLY), own.fileno())
        return CLOSED_PIPE
    except Exception as error:  # the last resort: everything else is a bug of ours
        return _bug(error, app)


def show_error(error: LavaExecError, app: App) -> None:
    """`error: sentence`, what was wrong with the input, `hint: …`."""
    from executor.cli.problems import show_problems

    problems = getattr(error, "problems", None)
    if problems:
        show_problems(problems, app, getattr(error, "sources", {}))
    _line("error:", error.message, app)
    if error.hint:
        _line("hint:", error.hint, app)


def _known(error: LavaExecError, app: App) -> int:
    if app.debug:
        _traceback(error)
    if _wants_json(app):
        import msgspec

        data = {
            "error": error.message,
            "hint": error.hint,
            "error_type": error.error_type,
            "exit_code": int(error.exit_code),
            "problems": msgspec.to_builtins(getattr(error, "problems", [])),
        }
        print(msgspec.json.encode(data).decode(), file=sys.stderr)
    else:
        show_error(error, app)
    return int(error.exit_code)


def _usage(error: click.UsageError, app: App) -> None:
    _line("error:", error.format_message(), app)
    if error.ctx is not None:
        print(error.ctx.get_usage(), file=sys.stderr)
        _line("hint:", f"{error.ctx.command_path} --help", app)


def _bug(error: Exception, app: App) -> int:
    if app.debug:
        _traceback(error)
        return int(ExitCode.BUG)
    _line("error:", f"this is a bug of lava-exec: {type(error).__name__}: {error}", app)
    path = _keep(error, app)
    hint = f"The details are in {path}. {_REPORT}" if path else "Once more with --debug shows the details."
    _line("hint:", hint, app)
    return int(ExitCode.BUG)


def _keep(error: Exception, app: App) -> Path | None:
    """Write the traceback to a file of its own; None when there is no place for it."""
    import tempfile
    import traceback

    from executor import __version__

    text = f"lava-exec {__version__}, Python {sys.version}\narguments: {sys.argv[1:]}\n"
    text += "".join(traceback.format_exception(error))
    try:
        log = app.state_path / "log"
        folder = str(log) if log.is_dir() and os.access(log, os.W_OK) else None
        with tempfile.NamedTemporaryFile(
            "w", prefix="lava-exec-bug-", suffix=".txt", dir=folder, delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
            return Path(file.name)
    except (OSError, LavaExecError):
        return None


def _traceback(error: Exception) -> None:
    import traceback

    traceback.print_exception(error)


def _line(word: str, text: str, app: App) -> None:
    with contextlib.suppress(LavaExecError):  # the colour setting itself may be the error
        word = app.err.paint(word, "error" if word == "error:" else "bold")
    print(f"{word} {text}", file=sys.stderr)


def _wants_json(app: App) -> bool:
    try:
        return app.json
    except LavaExecError:
        return False

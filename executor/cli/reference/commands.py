# SPDX-License-Identifier: Apache-2.0
"""The page of the command line, made from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import click

from executor.cli.config import VARIABLES, Config
from executor.cli.main import COMMANDS, root
from executor.errors import ExitCode

_HEAD = """\
# Command line

Every part is also `lava-exec COMMAND --help`.
Options that all commands share may stand before or after the command's name.
"""
CODES = {
    ExitCode.OK: "complete, all test cases passed; valid; done",
    ExitCode.TEST_FAILED: "complete, a test case failed or is unknown; `--expect-same`: it differs",
    ExitCode.JOB_ERROR: "the job is at fault, or invalid",
    ExitCode.INFRASTRUCTURE: "infrastructure or configuration, a device file included",
    ExitCode.CANCELED: "canceled",
    ExitCode.TIMEOUT: "a timeout passed",
    ExitCode.USAGE: "the command line was used wrongly",
    ExitCode.BUG: "a bug of lava-exec",
}


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_settings(), *_codes(), *_commands()]).rstrip() + "\n"


def _settings() -> Iterator[str]:
    yield "## Settings\n"
    yield "An option beats the environment, that beats `~/.config/lava-exec/config.yaml`.\n"
    yield "| variable | what |\n|---|---|"
    yield from (f"| `{name}` | {text} |" for name, text in VARIABLES.items())
    yield f"\nKeys of the file: {', '.join(f'`{name}`' for name in Config.__struct_fields__)}.\n"


def _codes() -> Iterator[str]:
    yield "## Exit codes\n"
    yield "Of `submit --wait`, `run` and `reproduce`; several jobs: the gravest.\n"
    yield "| code | meaning |\n|---|---|"
    yield from (f"| {int(code)} | {text} |" for code, text in CODES.items())
    yield ""


def _commands() -> Iterator[str]:
    with click.Context(root, info_name="lava-exec") as ctx:
        yield "## Options of all commands\n"
        yield from _options(root.params)
        for name, (_, _, section) in COMMANDS.items():
            command = root.get_command(ctx, name)
            if section and command is not None:
                yield from _command(command, f"lava-exec {name}")


def _command(command: click.Command, words: str) -> Iterator[str]:
    yield f"## {words}\n"
    arguments = [
        p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)
    ]
    yield f"`{' '.join([words, '[OPTIONS]', *arguments])}`\n"
    yield cleandoc(command.help or "") + "\n"
    yield from _options([p for p in command.params if not (p.name or "").startswith("common_")])
    examples = getattr(command, "examples", ())
    if examples:
        yield "```sh\n" + "\n".join(examples) + "\n```\n"
    if isinstance(command, click.Group):
        with click.Context(command) as ctx:
            for name in command.list_commands(ctx):
                inner = command.get_command(ctx, name)
                if inner is not None and inner.name == name and name not in COMMANDS:
                    yield from _command(inner, f"{words} {name}")


def _options(params: list[Any]) -> Iterator[str]:
    with click.Context(root) as ctx:
        records = [p.get_help_record(ctx) for p in params if isinstance(p, click.Option)]
    rows = [f"| `{names.replace('|', chr(92) + '|')}` | {text} |" for names, text in filter(None, records)]
    if rows:
        yield "| option | what |\n|---|---|\n" + "\n".join(rows) + "\n"

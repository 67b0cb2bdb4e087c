# SPDX-License-Identifier: Apache-2.0
"""Commands that are imported when they run, with the common options and examples in each one's help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeVar

import click

from executor.cli.app import App

F = TypeVar("F", bound=Callable[..., Any])
FORMATS = ("text", "json")
_COMMON = "common"  # name prefix of the parameters that every command has


class Command(click.Command):
    """A command with examples. `formats` are those of its --format; empty: it has none."""

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        formats: Sequence[str] = FORMATS,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.formats = formats
        own = {name for param in self.params for name in param.opts}
        self.params += [option for option in common_options(formats) if not own & set(option.opts)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        common: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                (common if (param.name or "").startswith(_COMMON) else own).append(record)
        help_record = next((row for row in own if row[0].endswith("--help")), None)
        if help_record is not None:
            own.remove(help_record)
            common.append(help_record)
        for title, rows in (("Options", own), ("Common options", common)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(self.examples, formatter)


def write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    """Examples as they would be typed."""
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{' ' * formatter.current_indent}{example}\n")


class LazyGroup(click.Group):
    """A group whose commands stand in a table: name -> (module:attribute, one line of help, section)."""

    def __init__(
        self, *args: Any, table: dict[str, tuple[str, str, str]], examples: Sequence[str] = (), **kw: Any
    ):
        super().__init__(*args, **kw)
        self.table = table
        self.examples = examples

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name][0].partition(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, click.Command):
            raise TypeError(f"{module}:{attribute} is no command")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and for an unknown command the nearest one is named."""
        if args and args[0] not in self.table and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.table, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, (_, text, section) in self.table.items():
            if section:
                sections.setdefault(section, []).append((name, text))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(self.examples, formatter)


def common_options(formats: Sequence[str] = FORMATS) -> list[click.Parameter]:
    """The options that can stand before or after the command's name."""

    def option(*names: str, key: str, **attrs: Any) -> click.Option:
        def store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
            if value:
                setattr(ctx.ensure_object(App), key, value)

        return click.Option([*names, f"{_COMMON}_{key}"], expose_value=False, callback=store, **attrs)

    options = [
        option(
            "--master", key="master", metavar="ADDRESS", help="Master to talk to, such as tcp://HOST:5560."
        ),
        option("--config", key="config_file", metavar="FILE", is_eager=True, help="Configuration file."),
        option("--state", key="state", metavar="DIR", help="Directory of everything that is kept."),
        option("--color", key="color", type=click.Choice(["auto", "always", "never"]), help="Colours."),
        option("--debug", key="debug", is_flag=True, help="Show tracebacks."),
        option("-q", "--quiet", key="quiet", is_flag=True, help="Say less."),
        option("-v", "--verbose", key="verbose", count=True, help="Say more."),
    ]
    if formats:
        text = "text for people, json for programs" if tuple(formats) == FORMATS else "Output format"
        choice = option("--format", key="format", type=click.Choice(list(formats)), help=f"{text}.")
        options.insert(3, choice)
    return list(options)


def command(name: str, **attrs: Any) -> Callable[[Callable[..., Any]], Command]:
    """A `Command` from a function. It returns its exit code, or None for 0."""

    def wrap(function: Callable[..., Any]) -> Command:
        made = click.command(name, cls=Command, **attrs)(function)
        assert isinstance(made, Command)  # noqa: S101 - for mypy: click.command returns what cls says
        return made

    return wrap


class _DefaultGroup(LazyGroup):
    """A group that is also a command: `jobs` lists, `jobs --limit 5` too; `jobs show 1` is another one."""

    def __init__(self, *args: Any, default: click.Command, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not self._names_command(args):
            args = [self.default.name or "", *args]
        return super().parse_args(ctx, args)

    def _names_command(self, args: list[str]) -> bool:
        """Whether the first word that is neither a common option nor its value is a command of the table."""
        options = {name: param for param in self.params for name in param.opts}
        words = iter(args)
        for word in words:
            name, equals, _ = word.partition("=")
            if word in ("-h", "--help"):
                return True
            if name not in options:
                return word in self.table
            option = options[name]
            if isinstance(option, click.Option) and not (option.is_flag or option.count or equals):
                next(words, None)
        return False

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.default if cmd_name == self.default.name else super().get_command(ctx, cmd_name)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.default.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.default.format_epilog(ctx, formatter)


def group_command(
    name: str, default: click.Command, *, table: dict[str, tuple[str, str, str]], help: str
) -> click.Group:
    """A group that runs `default` when no command of the table is named."""
    return _DefaultGroup(
        name=name,
        default=default,
        table=table,
        help=help,
        params=[param for param in default.params if (param.name or "").startswith(_COMMON)],
        subcommand_metavar=f"[COMMAND] or options of '{default.name}'",
    )

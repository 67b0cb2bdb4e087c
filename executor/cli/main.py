# SPDX-License-Identifier: Apache-2.0
"""`lava-exec`: the table of commands, and the one way in and out of each of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from executor.cli.app import App
from executor.cli.errors import guarded
from executor.cli.group import LazyGroup, common_options

_JOBS, _HERE, _SERVICES, _SETUP = "Jobs", "Without a master", "Services", "Setting up"
_HIDDEN = ""

COMMANDS: dict[str, tuple[str, str, str]] = {
    "submit": ("executor.cli.submit:submit", "Put jobs into the master's queue.", _JOBS),
    "jobs": ("executor.cli.jobs:jobs", "List jobs.", _JOBS),
    "show": ("executor.cli.show:show", "Show one job.", _JOBS),
    "logs": ("executor.cli.logs:logs", "Show or follow a job's log.", _JOBS),
    "results": ("executor.cli.results:results", "Show a job's results.", _JOBS),
    "files": ("executor.cli.files:files", "List or fetch the files kept with a job.", _JOBS),
    "artifacts": ("executor.cli.files:files", "The same as files.", _HIDDEN),
    "cancel": ("executor.cli.cancel:cancel", "End jobs in an orderly way.", _JOBS),
    "bundle": ("executor.cli.bundle:bundle", "Pack a job with all that running it again needs.", _JOBS),
    "devices": ("executor.cli.devices:devices", "List devices, or take them out of service.", _JOBS),
    "workers": ("executor.cli.devices:workers", "List workers, or take them out of service.", _JOBS),
    "validate": ("executor.cli.validate:validate", "Check a job and show its plan.", _HERE),
    "schema": ("executor.cli.schema:schema", "Print the JSON schema of job files.", _HERE),
    "run": ("executor.cli.run:run", "Run a job here, with no master and no agent.", _HERE),
    "reproduce": ("executor.cli.reproduce:reproduce", "Run a job again from what was kept of it.", _HERE),
    "serve": ("executor.cli.serve:serve", "Run a master and an agent on this machine.", _SERVICES),
    "master": ("executor.cli.services:master", "Run the master alone.", _SERVICES),
    "agent": ("executor.cli.services:agent", "Run an agent alone.", _SERVICES),
    "doctor": ("executor.cli.doctor:doctor", "Say what is wrong here and how to mend it.", _SETUP),
    "import": ("executor.cli.import_lab:import_lab", "Take over the device files of a LAVA lab.", _SETUP),
    "keys": ("executor.cli.keys:keys", "Make, show, authorise and revoke keys.", _SETUP),
    "completion": ("executor.cli.completion:completion", "Print shell completion.", _SETUP),
}

HELP = """Run each YAML test job in a fresh container of its own.

\b
Settings come from options, then the environment, then
~/.config/lava-exec/config.yaml. The file may hold:
  master: tcp://lab:5560       master_key: <64 hex digits>
  state: /var/lib/lava-exec    keys: <state>/keys
  format: text                 color: auto
  device_configs: /etc/lava-exec/device-configs
  file_urls: [/srv/images]
Variables: LAVA_EXEC_CONFIG, LAVA_EXEC_MASTER, LAVA_EXEC_MASTER_KEY,
LAVA_EXEC_KEYS, LAVA_EXEC_STATE, LAVA_EXEC_DEVICE_CONFIGS,
LAVA_EXEC_FORMAT, LAVA_EXEC_COLOR; NO_COLOR, FORCE_COLOR; DOCKER_HOST.

\b
Exit codes of submit --wait, run and reproduce:
  0 complete, all test cases passed    1 complete, a test case failed
  2 the job is at fault                3 infrastructure or configuration
  4 canceled                           5 a timeout passed
  64 wrong usage                       70 a bug of lava-exec
"""


class Root(LazyGroup):
    """The group itself. Every way out of a command goes through the error translator."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """As click's, with our exit codes."""
        app = extra.setdefault("obj", App())

        def run() -> Any:
            return super(Root, self).main(
                args, prog_name or "lava-exec", complete_var, standalone_mode=False, **extra
            )

        if not standalone_mode:
            return run()
        sys.exit(guarded(run, app))


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from executor import __version__

        click.echo(f"lava-exec {__version__}")
        ctx.exit()


root = Root(
    name="lava-exec",
    help=HELP,
    table=COMMANDS,
    examples=(
        "lava-exec serve &",
        "lava-exec submit examples/qemu-debian.yaml --follow",
        "lava-exec results 1 --format junit > results.xml",
        "lava-exec run job.yaml --device device.yaml",
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        *common_options(),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Show the version.",
        ),
    ],
    no_args_is_help=True,
)


def main() -> NoReturn:
    """Entry point of the installed program."""
    root.main()
    raise SystemExit(0)

# SPDX-License-Identifier: Apache-2.0
"""`lava-exec serve`: master and agent of one machine, as two processes under one supervisor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from executor.cli.app import App, app
from executor.cli.group import command
from executor.errors import ConfigurationError, InfrastructureError

if TYPE_CHECKING:
    from executor.cli.supervisor import Program


@command(
    "serve",
    formats=(),
    help="""Run a master and an agent on this machine, until SIGTERM or Ctrl-C.

    The first start makes the keys; afterwards `lava-exec submit` works at once for the same user. A process
    that dies is started again. Logs are in DIR/log. Running jobs survive a restart.""",
    examples=(
        "lava-exec serve",
        "lava-exec serve --device-configs /etc/lava-exec/device-configs --listen tcp://0.0.0.0:5560",
        "lava-exec serve --state ./state &",
    ),
)
@click.option("--listen", default="", metavar="ADDRESS", help="Where the master listens, tcp://HOST:PORT.")
@click.option("--device-configs", "configs", default="", metavar="DIR", help="Device types and devices.")
@click.option("--settings", default="", metavar="FILE", help="master.yaml; by default beside device-configs.")
def serve(*, listen: str, configs: str, settings: str) -> int:
    from executor.cli.supervisor import GaveUp, Program, Supervisor, last_lines, module_argv

    here = app()
    state = here.state_path
    found = configs_directory(here, configs)
    log = state / "log"
    common = ["--state", str(state)]
    master_words = ["master", *common, "--device-configs", str(found)]
    master_words += ["--listen", listen] if listen else []
    master_words += ["--settings", str(Path(settings).absolute())] if settings else []
    master = Program("master", module_argv(*master_words), log / "master.log")
    agent = Program("agent", module_argv("agent", *common), log / "agent.log")
    supervisor = Supervisor(
        [master, agent],
        on_ready=lambda program: _ready(here, program, agent, log),
        on_death=lambda program, code, pause: here.warn(
            f"the {program.name} ended with code {code}; it is started again in {pause:g} s ({program.log})"
        ),
        on_slow=lambda program: here.warn(
            f"the {program.name} is not ready yet: {(last_lines(program.log, 1) or ['it says nothing'])[0]}"
        ),
    )
    here.say(f"starting, state in {state}")
    try:
        supervisor.run()
    except GaveUp as gave_up:
        lines = "\n".join(f"  {line}" for line in last_lines(gave_up.program.log))
        raise InfrastructureError(
            f"the {gave_up.program.name} does not start; its last words were:\n{lines}",
            "`lava-exec doctor` looks for what is wrong.",
        ) from None
    here.say("stopped")
    return 0


def _ready(here: App, program: Program, agent: Program, log: Path) -> None:
    if program is agent:
        here.say(f"agent {program.ready} is ready; logs in {log}")
        return
    address, _, public = program.ready.partition(" ")
    here.say(f"master listens at {address}, public key {public}")
    # The agent of this machine talks to this master, wherever it listens.
    agent.argv = [word for word in agent.argv if not word.startswith("--master=")]
    agent.argv.append(f"--master={reachable(address)}")


def configs_directory(here: App, given: str) -> Path:
    """The device-configs to serve. Raises ConfigurationError when there are none."""
    if given:
        return Path(given).expanduser().absolute()
    if here.device_configs is None:
        raise ConfigurationError(
            "there is no directory with device types and devices",
            f"Name it with --device-configs, or make {here.state_path / 'device-configs'}.",
        )
    return here.device_configs


def reachable(address: str) -> str:
    """An address to connect to, from one to listen at."""
    for everywhere in ("//0.0.0.0:", "//*:", "//[::]:"):
        address = address.replace(everywhere, "//127.0.0.1:")
    return address

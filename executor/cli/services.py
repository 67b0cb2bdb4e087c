# SPDX-License-Identifier: Apache-2.0
"""`lava-exec master` and `lava-exec agent`: each service alone, as systemd or compose run them."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from executor.cli.app import App, app
from executor.cli.group import command

if TYPE_CHECKING:
    from executor.master.service import Master


@command(
    "master",
    formats=(),
    help="Run the master alone, until SIGTERM. Its log goes to stderr.",
    examples=(
        "lava-exec master --device-configs /etc/lava-exec/device-configs",
        "lava-exec master --listen tcp://0.0.0.0:5560",
    ),
)
@click.option("--listen", default="", metavar="ADDRESS", help="Where to listen, tcp://HOST:PORT.")
@click.option("--device-configs", "configs", default="", metavar="DIR", help="Device types and devices.")
@click.option("--settings", default="", metavar="FILE", help="master.yaml; by default beside device-configs.")
def master(*, listen: str, configs: str, settings: str) -> int:
    from executor.cli.serve import configs_directory
    from executor.cli.supervisor import say_ready
    from executor.master.service import run_master

    here = app()
    log_to_stderr(here)

    def ready(running: Master) -> None:
        say_ready(f"{running.address} {running.public}")

    run_master(
        here.state_path,
        configs_directory(here, configs),
        bind=listen,
        settings=Path(settings) if settings else None,
        ready=ready,
    )
    return 0


@command(
    "agent",
    formats=(),
    help="""Run an agent alone, until SIGTERM. Its log goes to stderr.

    It needs a key that the master knows and the master's public key: see `lava-exec keys --help`. Jobs go
    on without it and are taken up again at the next start. SIGUSR1 drains: no new jobs, it ends with the
    last.""",
    examples=(
        "lava-exec agent --master tcp://lab:5560",
        "lava-exec agent --name lab-2 --cache-size 200",
    ),
)
@click.option("--name", default="", help="This worker's name; by default that of its key at the master.")
@click.option("--stop-jobs", is_flag=True, help="SIGTERM ends the jobs too, in an orderly way.")
@click.option("--cache-size", type=click.FloatRange(0), default=0, metavar="GIB", help="Limit of the cache.")
def agent(*, name: str, stop_jobs: bool, cache_size: float) -> int:
    from executor.agent.main import run_agent
    from executor.cli.supervisor import say_ready
    from executor.wire.keys import host_name

    here = app()
    log_to_stderr(here)
    run_agent(
        here.state_path,
        here.address,
        name=name,
        master_key=here.setting("master_key"),
        stop_jobs=stop_jobs,
        cache_bytes=int(cache_size * (1 << 30)),
        ready=lambda: say_ready(name or host_name()),
    )
    return 0


def log_to_stderr(here: App) -> None:
    """Times are UTC, as in journals."""
    import time

    level = logging.DEBUG if here.verbose else logging.WARNING if here.quiet else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)

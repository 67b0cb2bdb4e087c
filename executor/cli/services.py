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


def log_to_stderr(here: App) -> None:
    """Times are UTC, as in journals."""
    import time

    level = logging.DEBUG if here.verbose else logging.WARNING if here.quiet else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)

# SPDX-License-Identifier: Apache-2.0
"""`lava-exec devices` and `workers`: what is there, what it does now, and taking it out of service."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from executor.cli.app import App, app, write
from executor.cli.complete import Device
from executor.cli.group import command, group_command
from executor.model.deadline import Deadline

if TYPE_CHECKING:
    from executor.wire.messages import DeviceInfo, DeviceRow, WorkerRow

_ASK = 30.0
_HEALTH = {"Good": "green", "Bad": "red", "Maintenance": "yellow", "Retired": "dim", "Unknown": "yellow"}
_DEVICE_HEALTHS = ["good", "unknown", "looping", "bad", "maintenance", "retired"]
_WORKER_HEALTHS = ["active", "maintenance", "retired"]


@command(
    "list",
    help="List the devices of the farm.",
    examples=("lava-exec devices", "lava-exec devices --device-type qemu --format json"),
)
@click.option("--device-type", default="", help="Only devices of this type.")
def list_devices(*, device_type: str) -> int:
    from executor.wire.messages import DeviceList, Devices

    here = app()
    with here.channel() as channel:
        rows = channel.call(DeviceList(device_type), Devices, Deadline.after(_ASK)).rows
    if here.json:
        here.show_json(rows)
    elif rows:
        here.table(
            [_device(here, row) for row in rows], ["name", "type", "state", "health", "worker", "job", "note"]
        )
    else:
        here.say("no devices")
    return 0


@command("show", help="Show one device and its configuration.", examples=("lava-exec devices show qemu-01",))
@click.argument("name", type=Device())
@click.option(
    "--context", "context", multiple=True, metavar="KEY=VALUE", help="Render it for a job's context."
)
def show_device(*, name: str, context: tuple[str, ...]) -> int:
    from executor.wire.messages import DeviceInfo, DeviceShow

    here = app()
    given = dict(word.partition("=")[::2] for word in context)
    with here.channel() as channel:
        info = channel.call(DeviceShow(name, given), DeviceInfo, Deadline.after(_ASK))
    _show(here, info)
    return 0


@command(
    "set",
    help="Change the health of a device; jobs go to good, unknown and looping ones.",
    examples=(
        "lava-exec devices set bbb-01 maintenance --reason 'new cable'",
        "lava-exec devices set bbb-01 good",
    ),
)
@click.argument("name", type=Device())
@click.argument("health", type=click.Choice(_DEVICE_HEALTHS, case_sensitive=False))
@click.option("--reason", default="", help="Stands in the device's history.")
def set_device(*, name: str, health: str, reason: str) -> int:
    from executor.wire.messages import DeviceInfo, DeviceSet

    here = app()
    with here.channel() as channel:
        info = channel.call(DeviceSet(name, health, reason), DeviceInfo, Deadline.after(_ASK))
    if here.json:
        here.show_json(info.row)
    else:
        here.say(f"{name}: {info.row.health}")
    return 0


devices = group_command(
    "devices",
    list_devices,
    help="List the devices of the farm; or show or change one of them.",
    table={
        "list": ("executor.cli.devices:list_devices", "List devices.", "Commands"),
        "show": ("executor.cli.devices:show_device", "Show one device and its configuration.", "Commands"),
        "set": ("executor.cli.devices:set_device", "Change the health of a device.", "Commands"),
    },
)


@command("list", help="List the workers of the farm.", examples=("lava-exec workers",))
def list_workers() -> int:
    from executor.wire.messages import WorkerList, Workers

    here = app()
    with here.channel() as channel:
        rows = channel.call(WorkerList(), Workers, Deadline.after(_ASK)).rows
    _workers(here, rows)
    return 0


@command(
    "set",
    help="Change the health of a worker; only active ones get jobs.",
    examples=("lava-exec workers set lab-2 maintenance --reason 'new disk'",),
)
@click.argument("name")
@click.argument("health", type=click.Choice(_WORKER_HEALTHS, case_sensitive=False))
@click.option("--reason", default="", help="Stands in the worker's history.")
def set_worker(*, name: str, health: str, reason: str) -> int:
    from executor.wire.messages import Workers, WorkerSet

    here = app()
    with here.channel() as channel:
        rows = channel.call(WorkerSet(name, health, reason), Workers, Deadline.after(_ASK)).rows
    _workers(here, rows)
    return 0


workers = group_command(
    "workers",
    list_workers,
    help="List the workers of the farm; or change the health of one.",
    table={
        "list": ("executor.cli.devices:list_workers", "List workers.", "Commands"),
        "set": ("executor.cli.devices:set_worker", "Change the health of a worker.", "Commands"),
    },
)


def _device(here: App, row: DeviceRow) -> list[str]:
    where = row.worker if not row.worker or row.worker_online else f"{row.worker} (offline)"
    return [
        row.name,
        row.device_type,
        row.state,
        here.out.paint(row.health, _HEALTH.get(row.health, "dim")),
        where or ("any" if row.worker_online else "none online"),
        row.job,
        row.problem or row.note,
    ]


def _show(here: App, info: DeviceInfo) -> None:
    if here.json:
        here.show_json(info)
        return
    import yaml

    from executor.report.style import table

    row = info.row
    rows = [
        ("name", row.name),
        ("type", row.device_type),
        ("state", row.state),
        ("health", f"{here.out.paint(row.health, _HEALTH.get(row.health, 'dim'))} {row.note}".strip()),
        ("worker", row.worker),
        ("tags", ", ".join(row.tags)),
        ("job", row.job),
        ("problem", row.problem),
    ]
    write(sys.stdout, table([[key, f": {value}"] for key, value in rows if value], style=here.out))
    for line in info.history:
        write(sys.stdout, f"{line}\n")
    if info.config:
        write(sys.stdout, "\n" + yaml.safe_dump(info.config, sort_keys=False, allow_unicode=True))


def _workers(here: App, rows: list[WorkerRow]) -> None:
    from executor.cli.times import ago

    if here.json:
        here.show_json(rows)
        return
    if not rows:
        here.say("no workers")
        return
    table = []
    for row in rows:
        state = here.out.paint(row.state, "green" if row.state == "Online" else "red")
        facts = row.facts
        what = (
            f"{facts.engine} {facts.engine_version}, {'kvm' if facts.kvm else 'tcg'}"
            if facts is not None
            else ""
        )
        jobs = ", ".join(row.jobs)
        table.append([row.name, state, row.health, row.version, ago(row.seen), jobs, row.warning or what])
    here.table(table, ["name", "state", "health", "version", "seen", "jobs", "note"])

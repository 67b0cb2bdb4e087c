# SPDX-License-Identifier: Apache-2.0
"""`lava-exec import`: a LAVA lab's device files become device-configs/."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from executor.cli.app import App, app, write
from executor.cli.group import command
from executor.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from executor.master.lab.files import File
    from executor.master.lab.importer import Import

_STATUS = {"new": "ok", "same": "dim", "differs": "warn"}


@command(
    "import",
    help="""Take over the device files of a LAVA lab.

    PATHs are device dictionaries (*.jinja2), rendered device files (*.yaml), or directories of them.
    Templates of device types are looked for in --templates, in folders called device-types beside the PATHs,
    and where a LAVA server keeps them. Nothing is written without --write, and a file that is there already
    and differs is not replaced without --replace.

    Exit codes: 0 all is well, 3 something cannot be carried over or a file stands in the way.""",
    examples=(
        "lava-exec import /etc/lava-server/dispatcher-config/devices",
        "lava-exec import devices/bbb-01.jinja2 --templates device-types --into device-configs --write",
        "lava-exec import rendered/ --worker rack1 --host-network --tools /opt/lab-tools --write",
        "lava-exec import lab/ --format json | jq '.devices[] | {name, needs}'",
    ),
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option(
    "--templates",
    multiple=True,
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where templates of device types are; more often, in order of search.",
)
@click.option("--into", metavar="DIR", default="", help="The device-configs to write to.")
@click.option("--write", "really", is_flag=True, help="Write what is new.")
@click.option("--replace", is_flag=True, help="With --write: replace files that differ, too.")
@click.option("--device-type", default="", help="The type of rendered files that do not say it.")
@click.option("--worker", default="", help="The worker that the devices are attached to.")
@click.option("--tag", "tags", multiple=True, help="A tag of all devices.")
@click.option("--host-network", is_flag=True, help="Let the devices' jobs use the worker's own network.")
@click.option("--tools", multiple=True, metavar="DIR", help="A worker's directory of tools for the jobs.")
def import_lab(
    *,
    paths: tuple[Path, ...],
    templates: tuple[Path, ...],
    into: str,
    really: bool,
    replace: bool,
    device_type: str,
    worker: str,
    tags: tuple[str, ...],
    host_network: bool,
    tools: tuple[str, ...],
) -> int:
    from executor.master.lab.files import write_files
    from executor.master.lab.importer import Options, plan_import

    here = app()
    if replace and not really:
        raise UsageError("--replace does nothing without --write")
    target = Path(into).expanduser() if into else here.device_configs or Path("device-configs")
    options = Options(device_type, worker, tags, host_network, tools)
    done = plan_import(paths, templates, target, options)
    written = write_files(done.files, target, replace=replace) if really else []
    if here.json:
        here.show_json(_as_data(done, target, written))
    else:
        _show(here, done, target, written, really=really)
    standing = [file for file in done.files if file.status == "differs" and file not in written]
    return int(ExitCode.INFRASTRUCTURE if done.errors or standing else ExitCode.OK)


def _as_data(done: Import, target: Path, written: list[File]) -> dict[str, Any]:
    from executor.cli.problems import as_data

    return {
        "into": str(target),
        "files": [
            {"path": f.path, "status": f.status, "written": f in written, "text": f.text} for f in done.files
        ],
        "devices": [
            {"name": d.name, "device_type": d.kind, "source": d.source, "needs": d.needs}
            for d in done.devices
        ],
        "problems": [as_data(problem) for problem in done.problems],
    }


def _show(here: App, done: Import, target: Path, written: list[File], *, really: bool) -> None:
    from executor.cli.problems import show_problems
    from executor.report.style import printable

    show_problems(done.problems, here, _sources(done))
    if done.files:
        rows = [
            [here.out.paint("written" if f in written else f.status, _STATUS[f.status]), printable(f.path)]
            for f in done.files
        ]
        here.table(rows, ["", str(target)])
    for device in done.devices:
        if not device.needs:
            continue
        write(sys.stdout, f"\n{here.out.paint(printable(device.name), 'bold')} needs:\n")
        for need in device.needs:
            write(sys.stdout, f"  {need.kind:8} {printable(need.what)}  ({printable(need.where)})\n")
        for hint in dict.fromkeys(need.hint for need in device.needs if need.hint):
            write(sys.stdout, f"  - {printable(hint)}\n")
    if here.verbose and not really:
        for file in done.files:
            write(sys.stdout, f"\n--- {printable(file.path)}\n{file.text}")
    here.say(_summary(done, written, really=really))


def _sources(done: Import) -> dict[str, str]:
    """Texts of the files that problems point into."""
    from executor.master.lab.collect import read

    out = {}
    for name in {problem.file for problem in done.problems if problem.line}:
        try:
            out[name] = read(Path(name))
        except ValueError:
            continue
    return out


def _summary(done: Import, written: list[File], *, really: bool) -> str:
    count = {status: sum(f.status == status for f in done.files) for status in _STATUS}
    said = [f"{len(done.devices)} devices", f"{count['new']} new files", f"{count['same']} unchanged"]
    standing = sum(f.status == "differs" and f not in written for f in done.files)
    if standing:
        said.append(f"{standing} differ from what is there and are not replaced")
    if written:
        said.append(f"{len(written)} written")
    elif not really and count["new"]:
        said.append("nothing written (use --write)")
    if done.errors:
        said.append(f"{len(done.errors)} errors")
    return ", ".join(said)

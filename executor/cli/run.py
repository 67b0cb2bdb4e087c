# SPDX-License-Identifier: Apache-2.0
"""`lava-exec run`: one job in a container of this machine, with no master and no agent."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from executor.cli.app import App, app, write
from executor.cli.group import command
from executor.errors import UsageError

if TYPE_CHECKING:
    from executor.container.closing import Outcome
    from executor.container.session import Launch
    from executor.model.launch import HostFacts, LaunchSpec, Needs
    from executor.pipeline.check import Checked
    from executor.report.summary import Summary

FINALIZE_SECONDS = 900.0  # what a runner may take beyond the job's own timeout before it counts as hung
_DAY = 86400


@command(
    "run",
    help="""Run a job here, with no master and no agent.

    The job gets a container of its own on this machine's engine; the log is shown as it grows, and everything
    that is kept lies in one directory at the end. file:// URLs may name files below the directory of the job,
    the current one, and those of --files and of file_urls in the configuration. Ctrl-C cancels: the device is
    powered off and all is cleaned up. The exit code tells how the job ended.""",
    examples=(
        "lava-exec run job.yaml --device device.yaml",
        "lava-exec run job.yaml --device qemu-01 --set kernel=./arch/x86/boot/bzImage",
        "git bisect run lava-exec run boot.yaml --set kernel=arch/arm64/boot/Image -q",
    ),
)
@click.argument("job", type=click.Path(allow_dash=True))
@click.option("--device", metavar="FILE|NAME", default="", help="Device file, or a name in device-configs.")
@click.option("--set", "replace", multiple=True, metavar="LABEL=FILE", help="Use this file for an artefact.")
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME=@FILE", help="Secret from a file; repeatable."
)
@click.option(
    "--files", "directories", multiple=True, metavar="DIR", help="Allow file:// below this directory."
)
@click.option("--no-strict", "lenient", is_flag=True, help="Warn about unknown keys instead of refusing.")
def run(
    *,
    job: str,
    device: str,
    replace: tuple[str, ...],
    secrets: tuple[str, ...],
    directories: tuple[str, ...],
    lenient: bool,
) -> int:
    from executor.cli.check import find_device
    from executor.cli.local import LocalRun
    from executor.cli.problems import show_problems
    from executor.cli.runs import new_directory, new_id
    from executor.cli.submit import read_job, read_secret
    from executor.pipeline.check import check_job
    from executor.pipeline.world import FarmWorld

    here = app()
    text, name = read_job(job)
    found, device_name = find_device(device, text, name, here.device_configs)
    done = check_job(
        text,
        found,
        filename=name,
        device_filename=device_name,
        strict=not lenient,
        world=FarmWorld(),
    )
    show_problems(done.problems, here, done.sources)
    if done.errors:
        count = len(done.errors)
        plural = "s" if count > 1 else ""
        here.say(f"{here.err.paint('invalid', 'error')}: {count} error{plural}, nothing was started")
        return int(done.exit_code)
    files = read_replacements(replace)
    _check_labels(done, files)
    engine, facts = host(here, done.planned.needs if done.planned is not None else None)
    job_id = new_id()
    launch, spec = plan_run(
        here,
        done,
        text,
        facts,
        job_id,
        replace=files,
        secrets=dict(map(read_secret, secrets)),
        directories=allowed_directories(here, job, directories),
        strict=not lenient,
    )
    directory = new_directory(here, job_id)
    local = LocalRun(here, engine, directory, show_log=not (here.json or here.quiet))
    outcome, summary = local.run(launch, spec)
    tell(here, outcome, summary, directory)
    return outcome.end.exit_code


def host(here: App, needs: Needs | None) -> tuple[Any, HostFacts]:
    """The engine, and what this host can do; KVM is probed only for jobs that could use it."""
    from executor.container.engine import connect
    from executor.container.facts import collect

    here.state_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = connect()
    wants_kvm = needs is None or "kvm" in needs.devices
    return engine, collect(engine, here.state_path, probe_kvm=wants_kvm)


def plan_run(
    here: App,
    done: Checked,
    text: str,
    facts: HostFacts,
    job_id: str,
    *,
    replace: dict[str, Path],
    secrets: dict[str, str],
    directories: list[Path],
    strict: bool,
) -> tuple[Launch, LaunchSpec]:
    """What the session is started with, for a job that was checked and found valid."""
    from executor.container.launch import plan_container
    from executor.container.secretplace import split_secrets
    from executor.container.session import Launch
    from executor.model.worker import Limits, Worker
    from executor.reproduce.rerun import lock_name

    if done.planned is None or done.job is None:
        raise UsageError("the job has no plan")
    limits = Limits()
    needs = done.planned.needs
    has_secrets = bool(secrets or split_secrets(text)[1])
    spec = plan_container(
        job_id,
        needs,
        done.device_data,
        facts,
        limits=limits,
        agent="",
        state=str(here.state_path),
        secrets=has_secrets,
    )
    kvm = facts.kvm and "kvm" in needs.devices
    worker = Worker(
        job_id=job_id,
        worker=facts.worker,
        submitter=getpass.getuser(),
        dispatcher_ip=facts.dispatcher_ip,
        accelerator="kvm" if kvm else "tcg",
        accelerator_reason=facts.kvm_reason,
        limits=limits,
        replace={label: str(path) for label, path in replace.items()},
        strict=strict,
    )
    timeout = done.job.timeouts.job or _DAY
    launch = Launch(
        text=text,
        device=done.device_data,
        worker=worker,
        device_name=lock_name(done.device_data),
        secrets=secrets,
        directories=directories,
        files=list(replace.values()),
        max_seconds=timeout + limits.cleanup_seconds + FINALIZE_SECONDS,
    )
    return launch, spec


def read_replacements(given: tuple[str, ...]) -> dict[str, Path]:
    """`--set LABEL=FILE`. Raises UsageError."""
    found = {}
    for word in given:
        label, equals, path = word.partition("=")
        if not label or not equals or not path:
            raise UsageError(f"--set {word!r} does not name a file", "Write --set kernel=./Image.")
        found[label] = Path(path).expanduser().absolute()
    return found


def allowed_directories(here: App, job: str, given: tuple[str, ...]) -> list[Path]:
    """Where file:// URLs may point."""
    found = [Path.cwd()] if job == "-" else [Path(job).absolute().parent, Path.cwd()]
    for name in (*given, *here.config.file_urls):
        path = Path(name).expanduser().absolute()
        if not path.is_dir():
            raise UsageError(f"there is no directory {path}")
        found.append(path)
    return found


def tell(here: App, outcome: Outcome, summary: Summary, directory: Path, comparison: Any = None) -> None:
    """Results, verdict, cause and place of the files; or one JSON document."""
    from executor.cli.local import PAGE
    from executor.report.json import as_data
    from executor.report.outcome import outcome as as_text

    if here.json:
        data = as_data(summary) | {"directory": str(directory), "exit_code": outcome.end.exit_code}
        here.show_json(data | ({"comparison": comparison.as_data()} if comparison is not None else {}))
    else:
        write(sys.stdout, "\n" + as_text(summary, here.out))
        if comparison is not None:
            write(sys.stdout, "\n" + comparison.as_text())
        sys.stdout.flush()
        here.say(f"files: {directory}")
        page = directory / PAGE
        if page.is_file():
            here.say(f"page:  {page.as_uri()}")
    if outcome.power == "failed":
        here.warn("the device could not be powered off")
    if outcome.leftover:
        here.warn("the engine could not remove the job's container")


def _check_labels(done: Checked, files: dict[str, Path]) -> None:
    from executor.reproduce.rerun import check_labels

    actions = done.planned.walk() if done.planned is not None else []
    labels = [str(getattr(action, "key", "")) for action in actions if hasattr(action, "resource")]
    check_labels(files, labels)

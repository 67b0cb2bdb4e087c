# SPDX-License-Identifier: Apache-2.0
"""`lava-exec validate`: every error of a job at once, or the plan with the names that timeouts can use."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from executor.cli.app import App, app, write
from executor.cli.group import command
from executor.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from executor.pipeline.check import Checked
    from executor.pipeline.group import GroupChecked
    from executor.pipeline.world import World


@command(
    "validate",
    formats=("text", "yaml", "json"),
    help="""Check a job and print its plan.

    Prints every problem with its place. Without --device, a device of the job's type is taken from the local
    device-configs; where there are none, the master is asked. A submission for several devices is split, and
    one job of each role is checked and planned. Exit codes: 0 valid, 2 invalid, 3 the device or
    the lab is at fault.""",
    examples=(
        "lava-exec validate job.yaml --device device.yaml",
        "lava-exec validate job.yaml --device qemu-01 --offline",
        "lava-exec validate job.yaml --format json | jq .pipeline",
        "generate-job | lava-exec validate - --device device.yaml",
    ),
)
@click.argument("job", type=click.Path(allow_dash=True))
@click.option("--device", metavar="FILE|NAME", default="", help="Device file, or a name in device-configs.")
@click.option("--offline", is_flag=True, help="Ask no server whether a URL answers.")
@click.option("--strict", is_flag=True, help="Refuse timeouts longer than the job's too.")
@click.option("--no-strict", "lenient", is_flag=True, help="Warn about unknown keys instead of refusing.")
def validate(*, job: str, device: str, offline: bool, strict: bool, lenient: bool) -> int:
    from executor.cli.check import device_of_type, find_device, is_group, read_text
    from executor.pipeline.check import check_job
    from executor.pipeline.group import check_group

    here = app()
    if strict and lenient:
        raise UsageError("--strict and --no-strict exclude each other")
    text, name = read_text(job)
    if job != "-" and "file:" in text:
        from pathlib import Path

        from executor.schema.files import absolute_urls

        text = absolute_urls(text, Path(job).parent)
    if not device and here.device_configs is None:
        return _ask_master(here, text, name, strict)
    configs = here.device_configs
    if not device and configs is not None and is_group(text, name):
        group = check_group(
            text,
            lambda role: device_of_type(role.device_type or "", role.tags, role.context, configs),
            filename=name,
            strict=not lenient,
            refuse_long_timeouts=strict,
            world=None if offline else _world(),
        )
        _show_group(here, group)
        return int(group.exit_code)
    found, device_name = find_device(device, text, name, here.device_configs)
    done = check_job(
        text,
        found,
        filename=name,
        device_filename=device_name,
        strict=not lenient,
        refuse_long_timeouts=strict,
        world=None if offline else _world(),
    )
    _show(here, done)
    return int(done.exit_code)


def _world() -> World:
    from executor.cli.world import OnlineWorld

    return OnlineWorld()


def _show(here: App, done: Checked) -> None:
    kind = here.output_format()
    if kind == "text":
        _show_text(here, done)
    elif kind == "json":
        here.show_json(as_data(done))
    else:
        import yaml

        write(sys.stdout, yaml.safe_dump(as_data(done), sort_keys=False, allow_unicode=True))


def as_data(done: Checked) -> dict[str, Any]:
    """The answer for programs. The plan is empty unless the job is valid."""
    from executor.cli.problems import as_data as problem_data
    from executor.pipeline.describe import as_data as plan_data

    valid = not done.errors
    return {
        "valid": valid,
        "errors": [problem_data(p) for p in done.errors],
        "warnings": [problem_data(p) for p in done.warnings],
        "rewrites": [str(r) for r in done.rewrites],
        "pipeline": plan_data(done.planned) if valid and done.planned is not None else [],
    }


def _show_group(here: App, done: GroupChecked) -> None:
    from executor.cli.problems import as_data as problem_data
    from executor.cli.problems import show_problems
    from executor.pipeline.describe import as_data as plan_data
    from executor.pipeline.describe import as_text

    planned = [(one, one.checked.planned) for one in done.roles if not done.errors]
    if here.output_format() == "text":
        show_problems(done.problems, here, done.sources)
        for one, plan in planned:
            count = f"{one.role.count} job{'s' if one.role.count != 1 else ''}"
            head = here.out.paint(f"role {one.role.name}, {count}, on {one.device}", "bold")
            write(sys.stdout, f"{head}\n{as_text(plan) if plan is not None else ''}\n")
        here.say("invalid" if done.errors else f"valid{_counted(len(done.problems))}")
        return
    data = {
        "valid": not done.errors,
        "errors": [problem_data(p) for p in done.errors],
        "warnings": [problem_data(p) for p in done.problems if p.severity != "error"],
        "rewrites": [str(r) for r in done.parsed.rewrites],
        "pipeline": [],
        "roles": {
            one.role.name: {
                "count": one.role.count,
                "device": one.device,
                "pipeline": plan_data(plan) if plan is not None else [],
            }
            for one, plan in planned
        },
    }
    if here.json:
        here.show_json(data)
    else:
        import yaml

        write(sys.stdout, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def _show_text(here: App, done: Checked) -> None:
    from executor.cli.problems import show_problems
    from executor.pipeline.describe import as_text

    show_problems(done.problems, here, done.sources)
    if done.errors:
        count = len(done.errors)
        here.say(f"{here.err.paint('invalid', 'error')}: {count} error{'s' if count > 1 else ''}")
        return
    for rewrite in done.rewrites if here.verbose else ():
        here.say(f"read as today's form: {rewrite}")
    if done.rewrites and not here.verbose:
        count = len(done.rewrites)
        here.say(f"{count} old form{'s' if count > 1 else ''} read as today's (-v shows them)")
    if done.planned is not None:
        write(sys.stdout, as_text(done.planned) + "\n")
    here.say(f"{here.err.paint('valid', 'ok')}{_counted(len(done.warnings))}")


def _counted(warnings: int) -> str:
    return f", {warnings} warning{'s' if warnings > 1 else ''}" if warnings else ""


def _ask_master(here: App, text: str, name: str, strict: bool) -> int:
    """The master plans it against its own devices; it tells the problems, not the plan."""
    from executor.cli.problems import as_data as problem_data
    from executor.cli.problems import show_problems
    from executor.model.deadline import Deadline
    from executor.wire.channel import RequestRefused
    from executor.wire.messages import Submit, Submitted

    try:
        with here.channel() as channel:
            ask = Submit(text, name, dry_run=True, strict=strict)
            answer = channel.call(ask, Submitted, Deadline.after(60))
        errors, warnings, code = [], answer.warnings, ExitCode.OK
    except RequestRefused as refused:
        if refused.code != "refused":
            raise
        errors = [p for p in refused.problems if p.severity == "error"]
        warnings = [p for p in refused.problems if p.severity != "error"]
        code = refused.exit_code
    if here.output_format() == "text":
        show_problems([*errors, *warnings], here, {name: text})
        here.say("invalid" if errors else f"valid for the devices of {here.address}{_counted(len(warnings))}")
    else:
        here.show_json(
            {
                "valid": not errors,
                "errors": [problem_data(p) for p in errors],
                "warnings": [problem_data(p) for p in warnings],
                "pipeline": [],
            }
        )
    return int(code)

# SPDX-License-Identifier: Apache-2.0
"""The files of a job and of a device, as the command line names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from executor.errors import ConfigurationError, UsageError


def read_text(path: str) -> tuple[str, str]:
    """(text, name for messages) of a file, or of stdin for `-`. Raises UsageError."""
    if path == "-":
        import sys

        return sys.stdin.read(), "stdin"
    try:
        return Path(path).read_text(encoding="utf-8"), path
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _of_configs(file: Path) -> bool:
    """Is this a device of a device-configs directory, to be merged with its type first?"""
    folder = file.resolve().parent
    return file.is_file() and folder.name == "devices" and (folder.parent / "types").is_dir()


def find_device(name: str, job_text: str, filename: str, configs: Path | None) -> tuple[Any, str]:
    """(text or rendered map, name for messages) for `--device NAME|FILE`, or by the job's device_type.

    Raises UsageError when there is nothing to choose from, ConfigurationError when the files are wrong.
    """
    if name and (Path(name).is_file() or "/" in name or name.endswith((".yaml", ".yml"))):
        file = Path(name)
        if not _of_configs(file):
            return read_text(name)
        configs, name = file.resolve().parent.parent, file.stem
    if configs is None:
        what = f"there is no file {name}" if name else "no device was named"
        raise UsageError(
            f"{what}, and there is no directory device-configs here",
            "Say --device FILE, or name the directory with LAVA_EXEC_DEVICE_CONFIGS.",
        )
    from executor.schema.job import parse_job

    job = parse_job(job_text, filename).job
    context = dict(job.context) if job is not None else {}
    if name:
        from executor.master.configs import load_configs
        from executor.master.render import render
        from executor.schema.words import nearest

        loaded = load_configs(configs)
        device = loaded.devices.get(name)
        if device is None:
            near = nearest(name, loaded.devices)
            hint = (
                f"Did you mean {near!r}?"
                if near
                else f"Known: {', '.join(sorted(loaded.devices)) or 'none'}."
            )
            raise UsageError(f"there is no device {name!r} in {configs}, nor a file of that name", hint)
        return render(device, context), device.name
    kind = (job.device_type if job is not None else "") or ""
    return device_of_type(kind, job.tags if job else [], context, configs)


def device_of_type(
    kind: str, tags: Sequence[str], context: Mapping[str, Any], configs: Path
) -> tuple[dict[str, Any], str]:
    """A rendered device of a type, and its name.

    Raises UsageError when there is none, ConfigurationError when the files of all of them are wrong.
    """
    from executor.master.configs import load_configs
    from executor.master.render import render

    loaded = load_configs(configs)
    fitting = [d for d in loaded.devices.values() if d.device_type == kind and set(tags) <= d.tags]
    if not fitting:
        known = ", ".join(sorted(loaded.device_types())) or "none"
        wanted = f" with the tags {', '.join(tags)}" if tags else ""
        raise UsageError(f"no device of type {kind!r}{wanted} in {configs}", f"Types with a device: {known}.")
    broken = [d for d in fitting if d.problem]
    good = [d for d in fitting if not d.problem]
    if not good:
        raise ConfigurationError(broken[0].problem)
    return render(good[0], context), good[0].name


def is_group(text: str, filename: str) -> bool:
    """Whether a job is a submission for several devices."""
    from executor.schema.job import parse_job

    job = parse_job(text, filename).job if "lava-multinode" in text else None
    return job is not None and job.multinode is not None

# SPDX-License-Identifier: Apache-2.0
"""The doctor's looks at what a master needs: device-configs, keys, port, and whether it answers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from executor.cli.doctor import FAIL, OK, WARN, Check, Checks
from executor.errors import ConfigurationError, InfrastructureError
from executor.model.deadline import Deadline

if TYPE_CHECKING:
    from executor.cli.app import App

_SECONDS = 5.0
_SHOWN = 3  # faults of device files


def device_configs(here: App) -> Checks:
    """Do all device files make sense?"""
    directory = here.device_configs
    if directory is None:
        mend = f"`serve` needs one: --device-configs, or {here.state_path / 'device-configs'}."
        yield Check("device-configs", WARN, "there is no directory with device types and devices", mend)
        return
    from executor.master.configs import load_configs
    from executor.master.render import render
    from executor.schema.device import parse_device

    loaded = load_configs(directory)
    faults = [p for p in loaded.problems if p.severity == "error"]
    for device in loaded.devices.values():
        if not device.problem:
            try:
                faults += parse_device(render(device, {}), device.name).errors
            except ConfigurationError as error:
                yield Check("device-configs", FAIL, f"{device.name}: {error.message}", error.hint)
    for problem in faults[:_SHOWN]:
        yield Check(
            "device-configs", FAIL, f"{problem.where}: {problem.message}", problem.hint or problem.expected
        )
    if len(faults) > _SHOWN:
        yield Check("device-configs", FAIL, f"and {len(faults) - _SHOWN} more faults in {directory}")
    if not faults:
        what = f"{len(loaded.devices)} devices of {len(loaded.device_types())} types in {directory}"
        yield Check("device-configs", OK if loaded.devices else WARN, what)


def keys(here: App) -> Checks:
    """Are the secret keys there, and this user's alone?"""
    from executor.wire import keys as wire

    path = here.keys_path
    found = []
    if path.is_dir():
        for who in ("master", "client", "agent"):
            if (path / f"{who}.secret").exists():
                wire.load(path, who)  # raises with the chmod that mends it
                found.append(who)
    if not found:
        yield Check(
            "keys",
            WARN,
            f"none in {path}",
            "They are made when they are needed, or by `lava-exec keys init`.",
        )
        return
    yield Check("keys", OK, f"{', '.join(found)} in {path}")


def master(here: App) -> Checks:
    """Does the master answer this user? If nobody listens, could one?"""
    from executor.wire.messages import Ping, Pong

    asked_for = bool(here.setting("master", here.master))
    known = bool(here.setting("master_key")) or (here.keys_path / "master.pub").exists()
    if not asked_for and not known:
        mend = "Only `submit` and its kin need one; `run` does not. `lava-exec serve` starts one."
        yield Check("master", WARN, "none is known here", mend)
        yield from port(here, FAIL)
        return
    try:
        with here.channel() as channel:
            pong = channel.call(Ping(), Pong, Deadline.after(_SECONDS))
    except InfrastructureError as error:
        yield Check("master", FAIL if asked_for else WARN, error.message, error.hint)
        yield from port(here, WARN)
        return
    from executor import __version__

    what = f"{here.address} answers, you are {pong.role} {pong.name}"
    if pong.version != __version__:
        yield Check("master", WARN, f"{what}; it has version {pong.version}, this is {__version__}")
    else:
        yield Check("master", OK, what)
    yield from workers(here)


def workers(here: App) -> Checks:
    """Is there somebody who runs jobs?"""
    from executor.wire.messages import WorkerList, Workers

    with here.channel() as channel:
        rows = channel.call(WorkerList(), Workers, Deadline.after(_SECONDS)).rows
    online = [row.name for row in rows if row.state == "Online"]
    if online:
        yield Check("workers", OK, f"online: {', '.join(online)}")
    else:
        mend = "Start `lava-exec agent` on a worker, with its key added at the master."
        yield Check("workers", WARN, "none is online, so jobs wait", mend)
    for row in rows:
        if row.warning:
            yield Check("workers", WARN, f"{row.name}: {row.warning}")


def port(here: App, severity: str) -> Checks:
    """Could a master listen where it would? Only looked at when none does, and for this machine."""
    host, _, number = here.address.removeprefix("tcp://").rpartition(":")
    if host.strip("[]") not in ("127.0.0.1", "localhost", "0.0.0.0", "::1", "*") or not number.isdigit():  # noqa: S104
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = {"*": "0.0.0.0", "localhost": "127.0.0.1"}.get(host, host.strip("[]"))  # noqa: S104
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, int(number)))
        except OSError as error:
            mend = f"See who has it: ss -ltnp 'sport = :{number}'; or use another one with --listen."
            yield Check("port", severity, f"{address}:{number} cannot be listened at: {error.strerror}", mend)
        else:
            yield Check("port", OK, f"{address}:{number} is free for a master")

# SPDX-License-Identifier: Apache-2.0
"""Completion of job ids and device names: asks the master, and stays silent when it does not answer."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import click

from executor.cli.app import App

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_SECONDS = 1.0  # longer would be felt as a hanging shell


class Job(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A job's id: recent ones of the master, and runs of this machine."""

    name = "job"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Ids with the names of their jobs."""
        from executor.wire.messages import JobList, Jobs

        here = App(env=os.environ)
        found: list[tuple[str, str]] = []
        with _silence():
            root = here.state_path / "run"
            found += [(path.name, "") for path in sorted(root.glob("r*"))] if root.is_dir() else []
            found += [(row.id, row.name) for row in _ask(here, JobList(limit=50), Jobs).rows]
        return _items(found, incomplete)


class Device(click.ParamType):  # type: ignore[type-arg]
    """A device's name."""

    name = "device"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names with their types."""
        from executor.wire.messages import DeviceList, Devices

        found: list[tuple[str, str]] = []
        with _silence():
            rows = _ask(App(env=os.environ), DeviceList(), Devices).rows
            found += [(row.name, row.device_type) for row in rows]
        return _items(found, incomplete)


def _silence() -> contextlib.AbstractContextManager[Any]:
    """Whatever goes wrong must not appear in the middle of somebody's command line."""
    return contextlib.suppress(Exception)


def _items(found: list[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(word, help=text) for word, text in found if word.startswith(incomplete)]


def _ask(here: App, body: Any, expect: Any) -> Any:
    from executor.model.deadline import Deadline

    if not (here.keys_path / "client.secret").exists():
        raise FileNotFoundError(here.keys_path)  # completing must not make keys
    with here.channel() as channel:
        return channel.call(body, expect, Deadline.after(_SECONDS))

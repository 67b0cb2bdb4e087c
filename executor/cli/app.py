# SPDX-License-Identifier: Apache-2.0
"""What every command shares: settings, streams with their looks, and the connection to the master."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from executor.cli.config import Config, config_path, load_config, state_directory
from executor.errors import UsageError

if TYPE_CHECKING:
    from executor.report.style import Style
    from executor.wire.channel import Channel


@dataclass
class App:
    """One invocation. The fields are options as given, empty when they were not."""

    master: str = ""
    config_file: str = ""
    state: str = ""
    format: str = ""
    color: str = ""
    debug: bool = False
    quiet: bool = False
    verbose: int = 0
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @cached_property
    def config(self) -> Config:
        """The configuration file. Raises UsageError when it is wrong."""
        path = config_path(self.config_file, self.env)
        return load_config(path, must_exist=bool(self.config_file or self.env.get("LAVA_EXEC_CONFIG")))

    def setting(self, name: str, option: str = "") -> str:
        """Option, then environment, then file; empty when none of them says anything."""
        return option or self.env.get(f"LAVA_EXEC_{name.upper()}", "") or str(getattr(self.config, name))

    @property
    def address(self) -> str:
        """Where the master listens."""
        given = self.setting("master", self.master)
        if not given:
            from executor.wire.messages import DEFAULT_ADDRESS

            return DEFAULT_ADDRESS
        if "://" not in given:
            given = f"tcp://{given}"
        return given if given.rpartition(":")[2].isdigit() else f"{given}:5560"

    @property
    def state_path(self) -> Path:
        """The directory of everything that is kept."""
        given = self.setting("state", self.state)
        return Path(given).expanduser().absolute() if given else state_directory(self.env)

    @property
    def keys_path(self) -> Path:
        """The directory of keys."""
        given = self.setting("keys")
        return Path(given).expanduser().absolute() if given else self.state_path / "keys"

    @property
    def device_configs(self) -> Path | None:
        """The directory of device types and devices, None when there is none."""
        given = self.setting("device_configs")
        if given:
            return Path(given).expanduser().absolute()
        for path in (self.state_path / "device-configs", Path("/etc/lava-exec/device-configs")):
            if path.is_dir():
                return path
        here = Path("device-configs")
        return here.absolute() if (here / "types").is_dir() else None

    @property
    def json(self) -> bool:
        """Whether programs read the output."""
        return self.output_format() == "json"

    def output_format(self, default: str = "text") -> str:
        """The format that was asked for, in this order: --format, environment, file, `default`."""
        return self.setting("format", self.format) or default

    @cached_property
    def out(self) -> Style:
        """How stdout may look."""
        from executor.report.style import style_of

        return style_of(sys.stdout, self.env, colour=self._colour)

    @cached_property
    def err(self) -> Style:
        """How stderr may look."""
        from executor.report.style import style_of

        return style_of(sys.stderr, self.env, colour=self._colour)

    @property
    def _colour(self) -> str:
        given = self.setting("color", self.color) or "auto"
        if given not in ("auto", "always", "never"):
            raise UsageError(f"there is no colour setting {given!r}", "It is auto, always or never.")
        return given

    def channel(self) -> Channel:
        """A connection to the master, for a `with`. Raises ConfigurationError when a key is missing."""
        from executor.wire.channel import Channel
        from executor.wire.keys import credentials

        return Channel(self.address, credentials(self.keys_path, "client", self.setting("master_key")))

    def say(self, text: str) -> None:
        """A remark for people, on stderr; silent with -q."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def warn(self, text: str) -> None:
        """A warning on stderr."""
        print(f"{self.err.paint('warning:', 'warn')} {text}", file=sys.stderr)

    def show_json(self, data: Any) -> None:
        """One JSON document on stdout."""
        import msgspec

        plain = msgspec.to_builtins(data)
        write(sys.stdout, msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n")

    def table(self, rows: list[list[str]], header: list[str]) -> None:
        """Aligned columns on stdout."""
        from executor.report.style import table

        write(sys.stdout, table(rows, header, style=self.out))


def write(stream: TextIO, text: str) -> None:
    """Text as it is; what the stream's encoding lacks becomes `?`."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "replace").decode(encoding))


def app() -> App:
    """The App of the command that runs."""
    found = click.get_current_context().find_object(App)
    if found is None:
        raise UsageError("no command is running")
    return found

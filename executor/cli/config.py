# SPDX-License-Identifier: Apache-2.0
"""What the command line may be told beforehand: a file, environment variables, and which of them wins.

An option beats LAVA_EXEC_… in the environment, that beats the file, that beats the default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from executor.errors import UsageError


class Config(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """config.yaml. Empty text means: not set."""

    master: str = ""  # address, tcp://HOST:PORT
    master_key: str = ""  # public key of that master, when keys/master.pub is not the place for it
    keys: str = ""  # directory of keys
    state: str = ""  # directory of all that lava-exec keeps
    device_configs: str = ""  # directory of device types and devices
    format: Literal["", "text", "json"] = ""
    color: Literal["", "auto", "always", "never"] = ""
    file_urls: list[str] = []  # directories that file:// URLs of `run` may lie in, beside the job's own


VARIABLES = {
    "LAVA_EXEC_CONFIG": "configuration file",
    "LAVA_EXEC_MASTER": "address of the master",
    "LAVA_EXEC_MASTER_KEY": "public key of the master",
    "LAVA_EXEC_KEYS": "directory of keys",
    "LAVA_EXEC_STATE": "directory of everything that is kept",
    "LAVA_EXEC_DEVICE_CONFIGS": "directory of device types and devices",
    "LAVA_EXEC_FORMAT": "text or json",
    "LAVA_EXEC_COLOR": "auto, always or never",
    "NO_COLOR, FORCE_COLOR": "the usual switches for colours",
    "DOCKER_HOST": "container engine; Podman's socket works as well",
}


def config_path(given: str, env: Mapping[str, str]) -> Path:
    """Where the configuration file is, or would be."""
    if given or env.get("LAVA_EXEC_CONFIG"):
        return Path(given or env["LAVA_EXEC_CONFIG"]).expanduser()
    base = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME") or "~").expanduser() / ".config")
    return Path(base) / "lava-exec" / "config.yaml"


def load_config(path: Path, *, must_exist: bool) -> Config:
    """Read the file; a missing one means all defaults. Raises UsageError naming the place of a fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if must_exist:
            raise UsageError(f"there is no configuration file {path}") from None
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the configuration file {path} cannot be read: {error}") from None
    from executor.schema.loader import load_yaml
    from executor.schema.words import nearest

    document = load_yaml(text, str(path))
    for problem in document.problems:
        if problem.severity == "error":
            raise UsageError(f"{problem.where}: {problem.message}", problem.hint)
    data = document.data or {}
    if not isinstance(data, dict):
        raise UsageError(f"{path}: the file is a map of settings")
    for key in data:
        if key not in Config.__struct_fields__:
            near = nearest(str(key), Config.__struct_fields__)
            hint = f"Did you mean {near!r}?" if near else f"Known: {', '.join(Config.__struct_fields__)}."
            raise UsageError(f"{path}:{document.mark((key,))[0]}: there is no setting {key!r}", hint)
    try:
        return msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {error}") from None


def state_directory(env: Mapping[str, str]) -> Path:
    """The default place for all that is kept."""
    if env.get("LAVA_EXEC_STATE"):
        return Path(env["LAVA_EXEC_STATE"]).expanduser()
    if os.geteuid() == 0:
        return Path("/var/lib/lava-exec")
    base = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME") or "~").expanduser() / ".local/state")
    return Path(base) / "lava-exec"

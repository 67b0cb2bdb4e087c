# SPDX-License-Identifier: Apache-2.0
"""Where settings come from, and what happens when the file is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.cli.app import App
from executor.cli.config import load_config
from executor.errors import UsageError


def write(env: dict[str, str], text: str) -> Path:
    path = Path(env["HOME"]) / ".config" / "lava-exec" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_an_option_beats_the_environment_beats_the_file_beats_the_default(env: dict[str, str]) -> None:
    assert App(env=env).address == "tcp://127.0.0.1:5560"
    write(env, "master: tcp://file:1\n")
    assert App(env=env).address == "tcp://file:1"
    env["LAVA_EXEC_MASTER"] = "tcp://env:2"
    assert App(env=env).address == "tcp://env:2"
    assert App(master="tcp://option:3", env=env).address == "tcp://option:3"


@pytest.mark.parametrize(
    ("given", "address"),
    [("lab", "tcp://lab:5560"), ("lab:77", "tcp://lab:77"), ("tcp://lab", "tcp://lab:5560")],
)
def test_an_address_may_be_short(env: dict[str, str], given: str, address: str) -> None:
    assert App(master=given, env=env).address == address


def test_directories(env: dict[str, str], tmp_path: Path) -> None:
    assert App(env=env).keys_path == tmp_path / "state" / "keys"
    env["LAVA_EXEC_KEYS"] = str(tmp_path / "k")
    assert App(env=env).keys_path == tmp_path / "k"
    assert App(state=str(tmp_path / "s"), env=env).state_path == tmp_path / "s"
    del env["LAVA_EXEC_STATE"]
    write(env, f"state: {tmp_path}/from-file\n")
    assert App(env=env).state_path == tmp_path / "from-file"


def test_xdg_directories_are_honoured(env: dict[str, str], tmp_path: Path) -> None:
    env["XDG_CONFIG_HOME"] = str(tmp_path / "conf")
    (tmp_path / "conf" / "lava-exec").mkdir(parents=True)
    (tmp_path / "conf" / "lava-exec" / "config.yaml").write_text("format: json\n")
    assert App(env=env).json


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mastr: x\n", ("config.yaml:1", "'mastr'")),
        ("format: xml\n", ("xml",)),
        ("- a list\n", ("map",)),
        ("a: [\n", ("config.yaml",)),
    ],
)
def test_a_wrong_file_is_wrong_usage_that_names_the_place(
    env: dict[str, str], text: str, words: tuple[str, ...]
) -> None:
    write(env, text)
    with pytest.raises(UsageError) as caught:
        _ = App(env=env).config
    assert all(word in caught.value.message for word in words)


def test_a_slip_in_a_key_names_the_nearest(env: dict[str, str]) -> None:
    path = write(env, "mastr: x\n")
    with pytest.raises(UsageError) as caught:
        load_config(path, must_exist=True)
    assert "'master'" in caught.value.hint


def test_a_file_that_was_named_must_exist(env: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no configuration file"):
        _ = App(config_file=str(tmp_path / "none"), env=env).config

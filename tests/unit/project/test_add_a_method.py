# SPDX-License-Identifier: Apache-2.0
"""The example of docs/dev/add-a-method.md is a plug-in that works, and its test passes."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.pipeline import method, planner
from executor.pipeline.method import BuiltinRegistry
from executor.schema.check import check

PAGE = Path(__file__).parents[3] / "docs" / "dev" / "add-a-method.md"
BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example as a package of its own would bring it: files, and an entry point."""
    for name, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    info = tmp_path / "my_lab-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-lab\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{method.GROUP}]\nesptool = esptool\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = BuiltinRegistry()
    monkeypatch.setattr(planner, "builtin_registry", lambda: registry)
    yield tmp_path
    for name in ("esptool", "test_esptool"):
        sys.modules.pop(name, None)


def test_the_page_is_short_and_has_the_module_and_its_test() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name, _ in BLOCK.findall(text)] == ["esptool.py", "test_esptool.py"]
    assert len(text.splitlines()) <= 120


def test_the_examples_own_test_passes(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("test_esptool")
    found = [function for name, function in vars(module).items() if name.startswith("test_")]
    assert len(found) == 2
    given = {"tmp_path": tmp_path, "monkeypatch": monkeypatch}
    for function in found:
        function(**{key: given[key] for key in inspect.signature(function).parameters})


def test_its_typed_parameters_are_what_checks_a_block(installed: Path) -> None:
    parameters = importlib.import_module("esptool").EsptoolParameters
    assert check(parameters, {"method": "esptool", "baud": 115200}, ("actions", 0, "boot")) == []
    [near] = check(parameters, {"method": "esptool", "bauds": 1}, ("actions", 0, "boot"))
    assert near.near == "baud"
    [low] = check(parameters, {"method": "esptool", "baud": 1}, ("actions", 0, "boot"))
    assert "baud" in low.message

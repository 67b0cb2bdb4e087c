# SPDX-License-Identifier: Apache-2.0
"""Methods of installed packages are found, and looking for them costs nothing where there are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from executor.pipeline.method import GROUP, _from_elsewhere


def test_a_module_that_a_package_names_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lab_methods-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Name: lab-methods\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(f"[{GROUP}]\nboard = lab_methods_of_a_test\n")
    (tmp_path / "lab_methods_of_a_test.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert [module.__name__ for module in _from_elsewhere()] == ["lab_methods_of_a_test"]


def test_the_registry_needs_no_metadata_of_packages() -> None:
    program = (
        "import sys; from executor.pipeline.method import builtin_registry; builtin_registry();"
        "sys.exit('importlib.metadata' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

# SPDX-License-Identifier: Apache-2.0
"""Imports point one way; the table is that of docs/dev/architecture.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3] / "executor"

# package -> what it may import; itself and the standard library are always allowed
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "model": {"errors"},
    "tools": {"errors", "model"},
    "schema": {"errors", "model"},
    "wire": {"errors", "model"},
    "console": {"errors", "model"},
    "testshell": {"errors", "model", "schema"},
    "report": {"errors", "model"},
    "pipeline": {"errors", "model", "schema", "console", "testshell"},
    "actions": {"errors", "model", "tools", "schema", "console", "testshell", "pipeline"},
    "protocols": {"errors", "model", "pipeline"},
    "runner": {"errors", "model", "schema", "pipeline", "actions", "protocols"},
    "container": {"errors", "model", "tools"},
    "reproduce": {"errors", "model", "container", "report"},
    "agent": {"errors", "model", "schema", "wire", "pipeline", "container"},
    "master": {"errors", "model", "schema", "wire", "pipeline", "report"},
    "cli": {
        "errors",
        "model",
        "schema",
        "wire",
        "pipeline",
        "report",
        "container",
        "reproduce",
        "agent",
        "master",
    },
    "testing": {
        "errors",
        "model",
        "schema",
        "wire",
        "console",
        "testshell",
        "container",
        "master",
        "pipeline",
    },
}
HEAVY = {
    "runner": {"docker", "zmq", "sqlalchemy", "requests", "rich", "click"},
    "tools": {"docker", "zmq", "sqlalchemy", "requests", "rich", "click", "yaml"},
    "actions": {"docker", "zmq", "sqlalchemy", "requests", "rich", "click"},
    "pipeline": {"docker", "zmq", "sqlalchemy", "requests", "rich", "click"},
    "console": {"docker", "zmq", "sqlalchemy", "requests", "rich", "click"},
    "master": {"docker", "requests", "rich", "click"},
    "model": {"docker", "zmq", "sqlalchemy", "requests", "rich", "click", "yaml"},
}


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.name == "errors.py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def package(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    mine = package(path)
    used = {name.split(".")[1] for name in imports(path) if name.startswith("executor.")}
    assert used - {mine} <= ALLOWED[mine]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_light_stays_light(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path)}
    assert not used & HEAVY.get(package(path), set())


def test_every_package_is_in_the_table() -> None:
    packages = {p.name for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith("__")}
    assert packages <= set(ALLOWED)

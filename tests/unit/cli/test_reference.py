# SPDX-License-Identifier: Apache-2.0
"""The page of the command line says what the program does."""

from __future__ import annotations

from pathlib import Path

from executor.cli.main import COMMANDS
from executor.cli.reference import page

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def test_the_page_is_that_of_this_program() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "python -m executor.cli.reference > docs/reference/cli.md"
    )


def test_every_command_stands_on_it() -> None:
    text = page()
    assert all(f"## lava-exec {name}\n" in text for name, (_, _, section) in COMMANDS.items() if section)

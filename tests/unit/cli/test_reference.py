# SPDX-License-Identifier: Apache-2.0
"""The reference pages say what the program does."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated

import jsonschema
import msgspec
import pytest
import yaml
from msgspec import Meta

from executor.cli.main import COMMANDS
from executor.cli.reference import MADE, pages, write
from executor.cli.reference.tables import code, fields, nested, notes_of, struct_table
from executor.errors import tree
from executor.model.parameters import BlockParameters, BootParameters, DeployParameters, Resource
from executor.model.testblocks import TestItems
from executor.pipeline.method import builtin_registry
from executor.schema.document import JobDocument, MemberDocument, MultinodeDocument, Xnbd

from .conftest import JOB, Cli

DOCS = Path(__file__).parents[3] / "docs" / "reference"


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


def test_pages_are_up_to_date(made: dict[str, str]) -> None:
    kept = {file.relative_to(DOCS).as_posix(): file.read_text("utf-8") for file in DOCS.rglob("*.md")}
    gone = [path for path, text in kept.items() if text.startswith(MADE) and path not in made]
    stale = [path for path, text in made.items() if kept.get(path) != text]
    assert (stale, gone) == ([], []), "run `make docs` and commit what it writes"


def test_every_command_stands_on_its_page(made: dict[str, str]) -> None:
    text = made["cli.md"]
    assert all(f"## lava-exec {name}\n" in text for name, (_, _, section) in COMMANDS.items() if section)


def test_every_method_has_a_page_with_all_its_keys(made: dict[str, str]) -> None:
    registry = builtin_registry()
    for section in ("deploy", "boot", "test", "command"):
        for method in registry.of(section):
            text = made[f"{section}/{method.name}.md"] + made["jobs.md"]
            missing = [
                f.encode_name for f in fields(method.Parameters) if f"| `{f.encode_name}` |" not in text
            ]
            assert missing == [], method.name
            assert f"]({method.name}.md)" in made[f"{section}/README.md"]


def test_the_page_of_a_job_has_all_keys(made: dict[str, str]) -> None:
    for kind in (JobDocument, BlockParameters, Resource):
        for field in fields(kind):
            assert f"`{field.encode_name}`" in made["jobs.md"]


SHARED = (JobDocument, MultinodeDocument, MemberDocument, Xnbd, TestItems, DeployParameters, BootParameters)


@pytest.mark.parametrize("kind", SHARED, ids=lambda kind: kind.__name__)
def test_every_key_of_the_job_language_says_what_it_means(kind: type[msgspec.Struct]) -> None:
    units = {"days", "hours", "minutes", "seconds"}
    for one in (kind, *nested(fields(kind))):
        silent = {field.encode_name for field in fields(one) if not notes_of(field)} - units
        assert silent == set(), one.__name__


def test_every_error_stands_on_its_page(made: dict[str, str]) -> None:
    assert all(f"| {kind.__name__} | `{kind.error_type}` |" in made["errors.md"] for kind in list(tree())[1:])


def test_links_lead_somewhere(made: dict[str, str]) -> None:
    headings = {path: set(map(_anchor, re.findall(r"^#+ (.+)$", text, re.M))) for path, text in made.items()}
    for path, text in made.items():
        for link in re.findall(r"\]\(([^)]+)\)", re.sub(r"`[^`]*`", "", text)):
            target, _, part = link.partition("#")
            full = (DOCS / path).parent / target if target else DOCS / path
            relative = Path(os.path.relpath(full, DOCS)).as_posix()
            assert relative in made or f"{relative}/README.md" in made or full.exists(), (path, link)
            assert not part or part in headings[relative], (path, link)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_pages_are_for_readers_of_the_program_alone(made: dict[str, str]) -> None:
    for path, text in made.items():
        assert "(spec:" not in text, path
        assert text.startswith(MADE)


class Inner(msgspec.Struct):
    """Inside."""

    a: int = 1


class Outer(msgspec.Struct, kw_only=True):
    """Outside."""

    optional: Annotated[str | None, Meta(description="a | b")] = None
    wanted: Annotated[list[Inner], Meta(description="some")] = msgspec.field(name="wan-ted")
    choice: Annotated[int, Meta(ge=1, le=5, description="days")] = 3
    tick: str = "`"


def test_a_struct_as_a_table() -> None:
    assert list(struct_table(Outer, {Inner: "#inner"}))[1:-1] == [
        "| `wan-ted` | list of [Inner](#inner) | required | some |",
        "| `optional` | text |  | a \\| b |",
        "| `choice` | whole number 1 to 5 (days) | `3` |  |",
        "| `tick` | text | `` ` `` |  |",
    ]
    assert nested(fields(Outer)) == [Inner]
    assert list(struct_table(Outer, {}, ["wan-ted", "optional", "choice", "tick"])) == []
    assert code("a|b\n") == "`a\\|b\\n`"


def test_pages_are_written_once_and_old_ones_go(tmp_path: Path, made: dict[str, str]) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / "gone.md").write_text(MADE + "# gone\n")
    (tmp_path / "boot" / "own.md").write_text("# written by hand\n")
    assert set(write(tmp_path)) == {*made, "boot/gone.md"}
    assert write(tmp_path) == []
    assert (tmp_path / "boot" / "own.md").exists()


def test_the_schema_of_all_methods_is_printed(cli: Cli) -> None:
    done = cli("schema")
    assert done.exit_code == 0
    schema = json.loads(done.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    job = yaml.safe_load(JOB)
    assert list(validator.iter_errors(job)) == []
    job["actions"][0]["deploy"]["imgaes"] = {}
    assert list(validator.iter_errors(job)) != []

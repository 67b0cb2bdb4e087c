# SPDX-License-Identifier: Apache-2.0
"""The JSON schema for editors agrees with the checker about good jobs and about plain slips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from executor.model.job import BootParameters, DeployParameters, Resource
from executor.schema.jsonschema import job_schema, write_job_schema

GOOD = """\
job_name: good
device_type: qemu
timeouts: {job: {minutes: 5}}
actions:
- deploy: {to: tmpfs, image: 'http://h/i.gz', compression: gz, os: debian, root_partition: 1, timeout: 2m}
- boot: {method: qemu, prompts: '# ', auto_login: {login_prompt: 'login:', username: root}}
- repeat:
    count: 2
    actions:
    - test: {definitions: [{repository: 'http://h/r', from: git, path: p, name: n}]}
"""


class Special(DeployParameters):
    kernel: Resource | None = None


def validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def errors(text: str, schema: dict[str, Any] | None = None) -> list[str]:
    found = validator(schema or job_schema()).iter_errors(yaml.safe_load(text))
    return [".".join(map(str, e.absolute_path)) for e in found]


def test_a_good_job_old_forms_included() -> None:
    assert errors(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("job_name: good\n", "", ""),
        ("device_type: qemu", "device_type: 5", "device_type"),
        ("device_type: qemu", "device_typ: qemu", ""),
        ("- boot:", "- bot:", "actions.1"),
        ("count: 2", "count: 0", "actions.2.repeat.count"),
        ("method: qemu, ", "", "actions.1.boot"),
    ],
)
def test_plain_slips(old: str, new: str, path: str) -> None:
    assert path in errors(GOOD.replace(old, new))


def test_methods_bring_their_keys_and_close_the_section() -> None:
    schema = job_schema({"deploy": [Special], "boot": [BootParameters]})
    text = GOOD.replace("image: 'http://h/i.gz'", "kernel: {url: 'http://h/k'}")
    assert errors(text, schema) == []
    assert errors(text.replace("kernel:", "kernl:"), schema) == ["actions.0.deploy"]
    assert errors(text.replace("url:", "ulr:"), schema) == ["actions.0.deploy.kernel"]


def test_every_description_reaches_the_schema() -> None:
    assert "never guessed from the name" in json.dumps(job_schema({"deploy": [Special]}))


def test_the_file_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_job_schema(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a").read_text()) == job_schema()

# SPDX-License-Identifier: Apache-2.0
"""`lava-exec schema`: the JSON schema of job files, of the methods that this program has."""

from __future__ import annotations

import sys

from executor.cli.app import write
from executor.cli.group import command


@command(
    "schema",
    formats=(),
    help="""Print the JSON schema of job files, for editors and for programs that write jobs.

    It has all keys of all methods that are installed here. What depends on several keys or blocks is found by
    validate only.""",
    examples=("lava-exec schema > lava-job.schema.json", "lava-exec schema | jq '.\"$defs\".Resource'"),
)
def schema() -> int:
    import msgspec

    from executor.pipeline.method import SECTIONS, builtin_registry
    from executor.schema.jsonschema import job_schema

    registry = builtin_registry()
    methods = {section: [method.Parameters for method in registry.of(section)] for section in SECTIONS}
    text = msgspec.json.format(msgspec.json.encode(job_schema(methods), order="sorted"), indent=2)
    write(sys.stdout, text.decode() + "\n")
    return 0

# SPDX-License-Identifier: Apache-2.0
"""A JSON schema of job files for editors, made from the structs that the checker uses: a rule stands once.

The structs describe the canonical form, so old forms that a job may also be written in are added here. What
depends on several keys or blocks is not in the schema; `validate` finds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from executor.model.parameters import BootParameters, DeployParameters, Resource
from executor.model.testblocks import TestItems
from executor.schema.document import JobDocument

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/{name}"
# section → key → the values by which a method is chosen stand in this field of its parameters
_CHOICE = {"deploy": "to", "boot": "method"}


def job_schema(methods: Mapping[str, Iterable[type[msgspec.Struct]]] | None = None) -> dict[str, Any]:
    """The schema of a job file. `methods`: the parameter structs of each section's methods.

    Without methods only the keys that all blocks have are described, and others are let pass.
    """
    methods = methods or {}
    structs: dict[str, list[type[msgspec.Struct]]] = {
        "deploy": list(methods.get("deploy", ())) or [DeployParameters],
        "boot": list(methods.get("boot", ())) or [BootParameters],
        "test": [*methods.get("test", ()), TestItems],
        "command": list(methods.get("command", ())),
    }
    used: list[type[msgspec.Struct]] = [JobDocument, *(cls for group in structs.values() for cls in group)]
    schemas, components = msgspec.json.schema_components(used, ref_template=_REF)
    names = {cls: schema["$ref"].rsplit("/", 1)[-1] for cls, schema in zip(used, schemas, strict=True)}
    for section, group in structs.items():
        own = [components[names[cls]] for cls in group]
        components[f"{section}-block"] = _section(section, own, closed=bool(methods.get(section)))
    _add_old_forms(components)
    root = components.pop("JobDocument")
    root["properties"]["actions"] = {"type": "array", "items": _item(structs)}
    return {"$schema": DRAFT, "title": "lava-exec job", **root, "$defs": components}


def write_job_schema(path: Path, methods: Mapping[str, Iterable[type[msgspec.Struct]]] | None = None) -> None:
    """Write `job_schema` as indented JSON, keys in order, so that versions compare well."""
    text = msgspec.json.format(msgspec.json.encode(job_schema(methods), order="sorted"), indent=2)
    path.write_bytes(text + b"\n")


def _section(section: str, group: list[dict[str, Any]], *, closed: bool) -> dict[str, Any]:
    """The keys of all methods together: alternatives of whole structs give editors no good messages."""
    properties: dict[str, Any] = {}
    for own in group:
        for name, schema in own.get("properties", {}).items():
            known = properties.setdefault(name, schema)
            if known != schema and schema not in known.get("anyOf", ()):
                alternatives = known["anyOf"] if set(known) == {"anyOf"} else [known]
                properties[name] = {"anyOf": [*alternatives, schema]}
    out: dict[str, Any] = {"type": "object", "properties": properties}
    if section in _CHOICE:
        out["required"] = [_CHOICE[section]]
    if closed and section != "test":
        out["additionalProperties"] = False
    return out


def _item(structs: dict[str, list[type[msgspec.Struct]]]) -> dict[str, Any]:
    """One entry of `actions`: a map with one key."""
    single = {section: {"$ref": _REF.format(name=f"{section}-block")} for section in structs}
    inner = {
        "type": "object",
        "properties": {k: single[k] for k in ("boot", "test")},
        "additionalProperties": False,
    }
    repeat = {
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": 1},
            "actions": {"type": "array", "items": inner},
        },
        "required": ["count", "actions"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {**single, "repeat": repeat},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }


def _add_old_forms(components: dict[str, Any]) -> None:
    """A resource as a bare URL, prompts as a single text, old keys beside `to` (spec: job-format §13)."""
    text = {"type": "string", "minLength": 1}
    bare = components.get(Resource.__name__)
    if bare is not None:
        components["Resource-map"] = bare
        components[Resource.__name__] = {"anyOf": [{"$ref": _REF.format(name="Resource-map")}, text]}
    for name in ("boot-block", "BootParameters"):
        properties = components.get(name, {}).get("properties", {})
        if "prompts" in properties:
            properties["prompts"] = {"anyOf": [text, properties["prompts"]]}
    if "deploy-block" in components:
        properties = components["deploy-block"]["properties"]
        properties.setdefault("image", {"type": ["string", "object"]})
        for key in ("compression", "ramdisk-type", "rootfs_compression", "nfs_url"):
            properties.setdefault(key, {"type": "string", "deprecated": True})
        properties.setdefault("root_partition", {"type": "integer", "minimum": 1, "deprecated": True})
        for key in ("md5sum", "sha256sum", "sha512sum"):
            properties.setdefault(key, {"type": ["string", "object"], "deprecated": True})

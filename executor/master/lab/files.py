# SPDX-License-Identifier: Apache-2.0
"""Files of device-configs/ as they are written: one way to spell YAML, and what is there is not lost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from executor.master.lab.collect import read
from executor.master.lab.difference import same
from executor.schema.loader import load_yaml


@dataclass(frozen=True)
class File:
    """A file of device-configs/: `path` below it, its text, and new, same or differs."""

    path: str
    text: str
    status: str = "new"


def against(file: File, target: Path) -> File:
    """The file with the status that it has beside what is there; remarks in a file make no difference."""
    path = target / file.path
    if not path.exists():
        return file
    try:
        there = load_yaml(read(path), str(path)).data
    except ValueError:
        there = None
    status = "same" if same(there, load_yaml(file.text, file.path).data) else "differs"
    return File(file.path, file.text, status)


def write_files(files: Iterable[File], target: Path, *, replace: bool = False) -> list[File]:
    """Write what is new, with `replace` also what differs; gives back what was written."""
    written = []
    for file in files:
        if file.status == "new" or (replace and file.status == "differs"):
            path = target / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=path.parent, prefix=".", delete=False
            ) as stream:
                stream.write(file.text)
            Path(stream.name).chmod(0o644)
            Path(stream.name).replace(path)
            written.append(file)
    return written


class _Dumper(yaml.CSafeDumper):
    """Keeps to one way of writing: no anchors, nothing for null."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", ""))


def dump(data: dict[str, Any]) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)

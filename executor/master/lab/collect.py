# SPDX-License-Identifier: Apache-2.0
"""Which of a lab's files describe devices, and where their templates lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from executor.model.problem import Problem

TEMPLATES = (".jinja2", ".j2")
RENDERED = (".yaml", ".yml")
MAX_FILES = 5000
MAX_BYTES = 1 << 20  # of one file
TYPES = "device-types"  # what labs call the folder of templates
# Where Debian's packages of a lab's server keep templates: the lab's own come first.
INSTALLED = (
    Path("/etc/lava-server/dispatcher-config/device-types"),
    Path("/usr/share/lava-server/device-types"),
)


@dataclass
class Collected:
    """`dictionaries` are templates of devices, `rendered` device files as a dispatcher gets them."""

    dictionaries: list[Path] = field(default_factory=list)
    rendered: list[Path] = field(default_factory=list)
    templates: list[Path] = field(default_factory=list)  # directories, in order of search
    problems: list[Problem] = field(default_factory=list)


def collect(paths: Sequence[Path], templates: Sequence[Path]) -> Collected:
    """Everything below `paths`. Files as they are named, of directories what looks like a device."""
    out = Collected(templates=[path.resolve() for path in templates])
    for path in paths:
        if path.is_dir():
            for folder in (path, *(p for p in path.iterdir() if p.is_dir()), path.parent):
                _add(out.templates, folder if folder.name == TYPES else folder / TYPES)
        elif path.is_file():
            _add(out.templates, path.parent.parent / TYPES)
    for folder in INSTALLED:
        _add(out.templates, folder)
    for path in paths:
        if path.is_dir():
            for number, file in enumerate(_files(path)):
                if number >= MAX_FILES:
                    text = f"holds more than {MAX_FILES} files, the others are left out"
                    out.problems.append(Problem(text, "Configuration", file=str(path)))
                    break
                if not any(file.resolve().is_relative_to(folder) for folder in out.templates):
                    _classify(out, file, named=False)
        elif path.is_file():
            _classify(out, path, named=True)
        else:
            out.problems.append(
                Problem("there is no such file or directory", "Configuration", file=str(path))
            )
    return out


def _add(templates: list[Path], folder: Path) -> None:
    if folder.is_dir() and folder.resolve() not in templates:
        templates.append(folder.resolve())


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(p for p in folder.rglob("*") if p.suffix in (*TEMPLATES, *RENDERED) and p.is_file())


def _classify(out: Collected, path: Path, *, named: bool) -> None:
    if path.suffix in TEMPLATES:
        out.dictionaries.append(path)
    elif path.suffix in RENDERED:
        out.rendered.append(path)
    elif named:
        text = "is neither a template nor a rendered device file"
        expected = "a file that ends in " + ", ".join((*TEMPLATES, *RENDERED))
        out.problems.append(Problem(text, "Configuration", expected=expected, file=str(path)))


def read(path: Path) -> str:
    """The text of a file. Raises ValueError with the reason where it cannot be taken."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read: {error}") from error

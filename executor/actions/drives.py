# SPDX-License-Identifier: Apache-2.0
"""`image_arg`: a fragment of QEMU's command line with `{label}` in it, and what it does to the image.

What a guest may write to gets a qcow2 overlay on the cached original; that works where QEMU knows the format
of a disk (`-drive`, `-hda`), so the use of an image decides how it is given its own (spec: job-format §5).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from enum import IntEnum
from itertools import pairwise

from executor.errors import JobError
from executor.pipeline.context import Artifact
from executor.tools.image.magic import HEAD, looks_like

# Options of QEMU that only read the file they are given.
_READERS = frozenset({"kernel", "initrd", "dtb", "bios", "L", "cdrom", "append", "fw_cfg", "option-rom"})
# Options that take a disk and find out its format by themselves.
_DISKS = frozenset({"hda", "hdb", "hdc", "hdd", "fda", "fdb", "sd", "mtdblock", "pflash"})
COMPRESSIONS = ("gz", "bz2", "xz", "zstd")  # what a job can have taken off
PACKED = (
    *COMPRESSIONS,
    "zip",
    "lz4",
    "legacy lz4",
    "lzop",
    "lzma",
    "tar archive",
)  # what no disk begins with
_REFERENCE = re.compile("\0(\\d+)\0")
_PLACEHOLDER = re.compile(r"\{([^{}\s]+)\}")

Word = tuple[list[str], list[str]]  # the text around the references, and their labels


class Use(IntEnum):
    """What QEMU does with an image; the strongest use counts."""

    NONE = 0
    READ = 1
    READ_DISK = 2  # a disk that cannot be written to
    DISK = 3
    OTHER = 4  # not known: it gets a plain copy of its own


def use_of(label: str, image_args: Iterable[str], labels: Collection[str]) -> Use:
    """How the image called `label` is used by all fragments together."""
    found = Use.NONE
    for image_arg in image_args:
        option = ""
        for texts, references in split(image_arg, labels):
            word = "".join(texts)
            if word.startswith("-") and not references:
                option = word.lstrip("-")
                continue
            for place, reference in enumerate(references):
                if reference == label:
                    found = max(found, _use(option, texts, place))
            option = ""
    return found


def _use(option: str, texts: list[str], place: int) -> Use:
    word, before = "".join(texts), texts[place]
    if option == "drive" and re.search(r"(^|,)file=$", before):
        fixed = re.search(r"(^|,)(readonly(=on)?|read-only=on|media=cdrom)(,|$)", word)
        return Use.READ_DISK if fixed else Use.DISK
    if option == "cdrom":
        return Use.READ_DISK
    if option in _READERS or (option == "device" and word.startswith("loader,")):
        return Use.READ
    return Use.DISK if option in _DISKS and not word else Use.OTHER


def arguments(image_arg: str, artifacts: Mapping[str, Artifact]) -> list[str]:
    """The fragment as arguments, each `{label}` replaced by its path; what stands after `file=` in a drive
    fits the format that the drive says. Raises JobError for unbalanced quotes.
    """
    from executor.tools.image.copy import drive_file

    out = []
    for texts, references in split(image_arg, artifacts):
        word = texts[0]
        wanted_raw = re.search(r"(^|,)format=raw(,|$)", "".join(texts)) is not None
        for label, behind in zip(references, texts[1:], strict=True):
            artifact = artifacts[label]
            if word.endswith("file="):
                format_ = artifact.format or "raw"
                word += drive_file(artifact.path, format_, "raw" if wanted_raw else format_)
            elif word or behind:
                word += str(artifact.path).replace(",", ",,")
            else:
                word += str(artifact.path)
            word += behind
        out.append(word)
    return out


def split(image_arg: str, labels: Collection[str]) -> list[Word]:
    """Shell-like words; labels may hold what a shell or a format string would take for its own."""
    found: list[str] = []

    def put_by(match: re.Match[str]) -> str:
        found.append(match.group(0)[1:-1])
        return f"\0{len(found) - 1}\0"

    text = image_arg.replace("\0", "")
    if labels:
        names = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
        text = re.sub(r"\{(?:" + names + r")\}", put_by, text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise JobError(f"image_arg cannot be split into words: {error}", "are all quotes closed?") from None
    parts = [_REFERENCE.split(word) for word in words]
    return [(part[::2], [found[int(number)] for number in part[1::2]]) for part in parts]


def unknown_labels(image_arg: str, labels: Collection[str]) -> list[str]:
    """What looks like a `{label}` but is none."""
    return [name for name in _PLACEHOLDER.findall(image_arg) if name not in labels]


def check_disk(artifact: Artifact) -> None:
    """Refuse what QEMU would misread: something still packed, an image that names other files.

    Raises JobError (spec: job-format §5, explicitness rules).
    """
    from executor.tools.image.identify import identify

    if artifact.path.is_dir():
        return
    with artifact.path.open("rb") as file:
        found = looks_like(file.read(HEAD))
    if found in PACKED:
        declare = found in COMPRESSIONS and not artifact.compression
        raise JobError(
            f"{artifact.label}: the image is packed with {found}, QEMU cannot use it like that",
            f"write `compression: {found}` beside its url" if declare else "unpack it first",
        )
    identify(artifact.path)


def option_values(words: list[str], *options: str) -> list[str]:
    """The values of all occurrences of the options, `-m` and `--m` alike."""
    return [value for option, value in pairwise(words) if option[:1] == "-" and option.lstrip("-") in options]

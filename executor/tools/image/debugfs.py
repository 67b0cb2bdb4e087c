# SPDX-License-Identifier: Apache-2.0
"""Making the changes of a plan with debugfs: its commands, and its errors, for which it ends with code 0."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from executor.errors import InfrastructureError, JobError, LavaExecError
from executor.model.deadline import Deadline
from executor.tools.image.members import Form, Member
from executor.tools.image.merge import Step
from executor.tools.proc import LineSink, overdue, run

_LINE_MAX = 8000  # debugfs reads a command file in lines of BUFSIZ
_TIME_MAX = (1 << 31) - 1  # what every inode can hold
_BANNER = re.compile(r"debugfs \d")
_TYPES = {Form.FILE: 0o100000, Form.DIRECTORY: 0o040000, Form.LINK: 0o120000}


def apply(
    image: Path, steps: Sequence[Step], *, workdir: Path, deadline: Deadline, log: LineSink | None = None
) -> None:
    """Make `steps` in the file system that is the whole of `image`; everything becomes root's.

    Raises JobError when it is full or damaged, or for a name that debugfs cannot be told.
    """
    with tempfile.TemporaryDirectory(dir=workdir, prefix="overlay-") as spool:
        commands = "\n".join(_commands(steps, Path(spool), deadline)) + "\n"
        script = Path(spool) / "commands"
        _write(script, [commands.encode("utf-8", "surrogateescape")], deadline)
        said: list[str] = []
        argv: list[str | Path] = ["debugfs", "-w", "-f", script, image]
        with Path(os.devnull).open("wb") as echo:  # it repeats every command
            run(argv, deadline=deadline, log=said.append, stdout=echo.fileno(), check=False)
    problems = [line for line in said if line.strip() and not _BANNER.match(line)]
    for line in problems[:10]:
        if log is not None:
            log(f"debugfs: {line}")
    if problems:
        raise _cause(problems[0])


def _commands(steps: Sequence[Step], spool: Path, deadline: Deadline) -> Iterator[str]:
    here: tuple[str, ...] | None = None
    for number, step in enumerate(steps):
        *parents, name = step.path
        if tuple(parents) != here:
            here = tuple(parents)
            yield f"cd {_quoted('/' + '/'.join(here))}"
        quoted = _quoted(name)
        if step.replace:
            yield f"rm {quoted}"
        member = step.member
        if member.form is Form.DIRECTORY:
            yield f"mkdir {quoted}"
        elif member.form is Form.LINK:
            yield f"symlink {quoted} {_quoted(member.target)}"
        else:
            source = spool / str(number)
            _write(source, member.read(), deadline)
            yield f"write {_quoted(str(source))} {quoted}"
        yield from _attributes(_quoted(f"./{name}"), member)


def _attributes(quoted: str, member: Member) -> Iterator[str]:
    # "./" because sif takes <12> for an inode number. New inodes are root's; only what differs is set.
    if member.form is not Form.LINK:
        yield f"sif {quoted} mode 0{member.mode | _TYPES[member.form]:o}"
    yield f"sif {quoted} mtime @{min(member.mtime, _TIME_MAX)}"


def _quoted(word: str) -> str:
    if any(character in word for character in "\n\r\0") or len(word) > _LINE_MAX // 2:
        raise JobError(f"the overlay holds a name that cannot be put into an image: {word[:80]!r}")
    return '"' + word.replace('"', '""') + '"'


def _write(path: Path, pieces: Iterator[bytes] | list[bytes], deadline: Deadline) -> None:
    try:
        with path.open("xb") as file:
            for piece in pieces:
                if deadline.expired:
                    raise overdue("unpacking the overlay did not end", deadline)
                file.write(piece)
    except OSError as problem:
        raise InfrastructureError(f"the overlay cannot be unpacked: {problem.strerror}") from problem


def _cause(line: str) -> LavaExecError:
    if "Could not allocate" in line or "No free space" in line or "o space left" in line:
        return JobError(f"the file system is full: {line}", "make the image larger")
    if "unsupported feature" in line or "unsupported read-only" in line:
        return JobError(
            f"e2fsprogs cannot write to this file system: {line}", "make the image with fewer features"
        )
    return JobError(f"the file system refused the overlay: {line}", "run e2fsck on the image")

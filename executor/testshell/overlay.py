# SPDX-License-Identifier: Apache-2.0
"""The overlay tarball: helpers, definitions, environment, in the layout of spec test-shell §2.

It is written member by member into a deterministic tar.gz, everything owned by root; nothing but a repository's own
content is read from disk. Secrets go into a second archive that is not kept (design §9).
"""

from __future__ import annotations

import io
import os
import shlex
import tarfile
from collections.abc import Iterable
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import msgspec
import yaml

from executor.errors import JobError, TestError
from executor.testshell.definition import GitRepository, TestDefinition, git_repositories
from executor.testshell.scripts import install_script, run_script

MAX_TREE_FILES = 200_000
MAX_TREE_BYTES = 2 << 30
# Which directory of helpers replaces the generic ones for an `os`.
FAMILIES = {
    "debian": "debian",
    "ubuntu": "debian",
    "debian_installer": "debian",
    "apertis": "debian",
    "fedora": "fedora",
    "centos": "fedora",
    "centos_installer": "fedora",
    "oe": "oe",
}


class PlacedDefinition(msgspec.Struct, kw_only=True):
    """A definition with its place in the job: `index` counts over all test blocks of the namespace."""

    index: int
    name: str
    uuid: str
    source_dir: Path
    definition: TestDefinition
    parameters: dict[str, Any] = {}  # of the job
    skip_install: list[str] = []
    lava_signal: str = "stdout"
    repository: str = ""
    revision: str = ""
    commit_id: str = ""
    path: str = ""
    from_: str = ""
    expected: list[str] = []

    @property
    def run_id(self) -> str:
        """`<index>_<name>`, the suite's name."""
        return f"{self.index}_{self.name}"

    @property
    def all_parameters(self) -> dict[str, Any]:
        """The definition's, then the job's: the later assignment wins."""
        return {**self.definition.parameters, **self.parameters}

    def git_repositories(self) -> list[GitRepository]:
        """What `install: git-repos` wants in the definition's directory."""
        if "git-repos" in self.skip_install or "all" in self.skip_install:
            return []
        return git_repositories(self.definition, self.all_parameters)


class Stage(msgspec.Struct):
    """One test block."""

    index: int
    definitions: list[PlacedDefinition]


class OverlayInput(msgspec.Struct, kw_only=True):
    """All that goes in. `results_dir` is the root on the device, such as /lava-42."""

    job_id: str
    results_dir: str
    sh: str = "/bin/sh"
    distro: str = ""
    environment: list[tuple[str, str]] = []
    secrets: dict[str, str] = {}
    stages: list[Stage] = []
    character_delay: int = 0  # ms
    target: dict[str, str] = {}  # target-ip, target-mac, probe-ip, probe-channel
    storage: list[tuple[str, str]] = []  # method, value


class Overlay(msgspec.Struct):
    """What was written."""

    path: Path
    secrets_path: Path | None
    files: int
    size: int


def build_overlay(given: OverlayInput, path: Path, secrets_path: Path) -> Overlay:
    """Write the archive to `path` and, if there are secrets, a second one to `secrets_path`.

    Raises JobError for content that must not leave the repository (links out of the tree, special files, too much).
    """
    with _Archive(path) as archive:
        _write(given, archive)
        count = archive.count
    secrets = None
    if given.secrets:
        with _Archive(secrets_path, mode=0o600) as archive:
            text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in given.secrets.items())
            archive.file(f"{given.results_dir}/secrets", text.encode(), 0o600)
        secrets = secrets_path
    return Overlay(path, secrets, count, path.stat().st_size)


def _write(given: OverlayInput, archive: _Archive) -> None:
    root = given.results_dir
    for directory in ("", "/bin", "/tests", "/results"):
        archive.directory(root + directory)
    environment = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in given.environment)
    archive.file(f"{root}/environment", environment.encode())
    for name, text in sorted(helpers(given).items()):
        archive.file(f"{root}/bin/{name}", text.encode(), 0o644 if name == "lava-common-functions" else 0o755)
    for stage in given.stages:
        base = f"{root}/{stage.index}"
        for directory in ("", "/tests", "/results"):
            archive.directory(base + directory)
        placed = stage.definitions
        conf = "".join(f"{base}/tests/{d.run_id}\n" for d in placed)
        archive.file(f"{base}/lava-test-runner.conf", conf.encode())
        for definition in placed:
            _definition(given, definition, f"{base}/tests/{definition.run_id}", archive)


def helpers(given: OverlayInput) -> dict[str, str]:
    """Name to text of every helper, generic ones replaced by those of the distribution's family."""
    base = package_files("executor.testshell") / "device"
    found = dict(_scripts(base))
    family = FAMILIES.get(given.distro)
    if family:
        found.update(_scripts(base / family))
    values = {f"@{key}@": value for key, value in given.target.items()}
    values["@storage@"] = "".join(f"\t{method}\t{value}\n" for method, value in given.storage)
    for key in ("@target-ip@", "@target-mac@", "@probe-ip@", "@probe-channel@"):
        values.setdefault(key, "")
    for name, text in found.items():
        for key, value in values.items():
            if key in text:
                text = text.replace(key, value.replace("'", "'\\''"))
        if text.startswith("#!/bin/sh\n"):
            text = f"#!{given.sh}\n" + text.removeprefix("#!/bin/sh\n")
        found[name] = text
    return found


def _scripts(directory: Traversable) -> Iterable[tuple[str, str]]:
    for entry in directory.iterdir():
        if entry.is_file() and entry.name.startswith("lava-"):
            yield entry.name, entry.read_text(encoding="utf-8")


def _definition(given: OverlayInput, placed: PlacedDefinition, directory: str, archive: _Archive) -> None:
    archive.directory(directory)
    archive.tree(placed.source_dir, directory, placed.name)
    parameters = placed.all_parameters
    run = run_script(
        placed.definition,
        directory=directory,
        run_id=placed.run_id,
        uuid=placed.uuid,
        parameters=parameters,
        kmsg=placed.lava_signal == "kmsg",
        character_delay=given.character_delay,
    )
    install = install_script(
        placed.definition,
        directory=directory,
        parameters=parameters,
        distro=given.distro,
        skip=placed.skip_install,
    )
    metadata = {
        "name": placed.name,
        "from": placed.from_,
        "path": placed.path,
        "repository": placed.repository,
        "revision": placed.revision or "unspecified",
        "commit_id": placed.commit_id,
        "version": placed.definition.version,
    }
    archive.file(f"{directory}/testdef_metadata", yaml.safe_dump(metadata).encode())
    archive.file(f"{directory}/uuid", f"{placed.uuid}\n".encode())
    if install:
        archive.file(f"{directory}/install.sh", install.encode(), 0o755)
    archive.file(f"{directory}/run.sh", run.encode(), 0o755)


class _Archive:
    """A tar.gz in the making: root's, with fixed times, so that the same input gives the same bytes."""

    def __init__(self, path: Path, mode: int = 0o644) -> None:
        self._path, self._mode = path, mode
        self._seen: set[str] = set()
        self._bytes = 0
        self.count = 0

    def __enter__(self) -> _Archive:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, self._mode)
        self._file = os.fdopen(fd, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w:gz", compresslevel=1, format=tarfile.GNU_FORMAT)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._tar.close()
        self._file.close()
        if kind is not None:
            self._path.unlink(missing_ok=True)

    def directory(self, name: str, mode: int = 0o755) -> None:
        self._add(_info(name, mode, tarfile.DIRTYPE))

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        info = _info(name, mode)
        info.size = len(data)
        self._add(info, io.BytesIO(data))

    def tree(self, source: Path, target: str, label: str) -> None:
        """The content of a directory. Raises JobError for what leads out of it, or is no file."""
        top = source.resolve()
        for base, directories, names in os.walk(top):
            directories.sort()
            here = Path(base)
            for name in sorted([*directories, *names]):
                self._entry(here / name, f"{target}/{(here / name).relative_to(top)}", top, label)
            directories[:] = [d for d in directories if not (here / d).is_symlink()]

    def _entry(self, path: Path, name: str, top: Path, label: str) -> None:
        if path.is_symlink():
            if not path.resolve().is_relative_to(top):
                raise JobError(
                    f"{label}: {path.relative_to(top)} is a link out of the repository",
                    "only links inside the repository are taken along",
                )
            info = _info(name, 0o777, tarfile.SYMTYPE)
            info.linkname = os.readlink(path)
            self._add(info)
        elif path.is_dir():
            self.directory(name)
        elif path.is_file():
            info = _info(name, 0o755 if os.access(path, os.X_OK) else 0o644)
            info.size = path.stat().st_size
            with path.open("rb") as file:
                self._add(info, file)
        else:
            raise JobError(f"{label}: {path.relative_to(top)} is neither a file nor a directory")

    def _add(self, info: tarfile.TarInfo, data: io.BufferedIOBase | io.BytesIO | None = None) -> None:
        if info.name in self._seen and info.isdir():
            return
        self._seen.add(info.name)
        self._bytes += info.size
        self.count += 1
        if self.count > MAX_TREE_FILES or self._bytes > MAX_TREE_BYTES:
            raise TestError(
                f"the test definitions are larger than {MAX_TREE_BYTES >> 30} GiB or {MAX_TREE_FILES} files"
            )
        self._tar.addfile(info, data)


def _info(name: str, mode: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name.lstrip("/").rstrip("/"))
    info.mode, info.type, info.mtime = mode, kind, 0
    info.uname = info.gname = "root"
    return info

# SPDX-License-Identifier: Apache-2.0
"""The overlay tarball: helpers, definitions, environment, in the layout of spec test-shell §2.

Nothing but a repository's own content is read from disk. Secrets go into a second archive that is not kept
(design §9, Secrets).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import yaml

from executor.errors import JobError
from executor.testshell.archive import Archive
from executor.testshell.helpers import helpers
from executor.testshell.placed import Overlay, OverlayInput, PlacedDefinition, Stage
from executor.testshell.scripts import install_script, run_script

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def build_overlay(given: OverlayInput, path: Path, secrets_path: Path) -> Overlay:
    """Write the archive to `path` and, if there are secrets, a second one to `secrets_path` with mode 0600.

    Raises JobError for content that cannot go along, TestError for parameters that no shell can have.
    """
    root = given.results_dir.rstrip("/")
    if not root.startswith("/") or ".." in root.split("/"):
        raise JobError(f"results directory {given.results_dir!r} is not an absolute path")
    with Archive(path) as archive:
        _base(given, root, archive)
        for stage in given.stages:
            _stage(given, stage, f"{root}/{stage.index}", archive)
        count = archive.count
    written = None
    if given.secrets:
        with Archive(secrets_path, mode=0o600) as archive:
            archive.file(f"{root}/secrets", _assignments("", given.secrets.items()), 0o600)
        written = secrets_path
    return Overlay(path, written, count, path.stat().st_size)


def _base(given: OverlayInput, root: str, archive: Archive) -> None:
    for directory in ("", "/bin", "/tests", "/results"):
        archive.directory(root + directory)
    archive.file(f"{root}/environment", _assignments("export ", given.environment))
    for name, content, mode in helpers(given):
        archive.file(f"{root}/bin/{name}", content, mode)
    if given.authorized_keys:
        archive.directory("/root", 0o700)
        archive.directory("/root/.ssh", 0o700)
        archive.file("/root/.ssh/authorized_keys", given.authorized_keys, 0o600)


def _assignments(prefix: str, pairs: Iterable[tuple[str, str]]) -> bytes:
    """One line a variable; names that no shell can have are left out."""
    lines = [f"{prefix}{name}={shlex.quote(value)}\n" for name, value in pairs if _VARIABLE.match(name)]
    return "".join(lines).encode()


def _stage(given: OverlayInput, stage: Stage, base: str, archive: Archive) -> None:
    for directory in ("", "/tests", "/results"):
        archive.directory(base + directory)
    places = [(placed, f"{base}/tests/{placed.run_id}") for placed in stage.definitions]
    archive.file(f"{base}/lava-test-runner.conf", "".join(f"{place}\n" for _, place in places).encode())
    for placed, place in places:
        _definition(given, placed, place, archive)


def _definition(given: OverlayInput, placed: PlacedDefinition, place: str, archive: Archive) -> None:
    """What is made here comes first, and so wins over files of the same name in the repository."""
    archive.directory(place)
    parameters = placed.all_parameters
    install = install_script(
        placed.definition,
        directory=place,
        parameters=parameters,
        distro=given.distro,
        skip=placed.skip_install,
    )
    if install:
        archive.file(f"{place}/install.sh", install.encode(), 0o755)
    run = run_script(
        placed.definition,
        directory=place,
        run_id=placed.run_id,
        parameters=parameters,
        kmsg=placed.lava_signal == "kmsg",
        character_delay=given.character_delay,
    )
    archive.file(f"{place}/run.sh", run.encode(), 0o755)
    archive.file(f"{place}/uuid", f"{placed.uuid}\n".encode())
    archive.file(f"{place}/testdef.yaml", placed.definition.text.encode())
    archive.file(f"{place}/testdef_metadata", _metadata(placed))
    for name, data in sorted(placed.files.items()):
        _further(f"{place}/{_inside(name, placed)}", place, data, archive)
    if placed.source_dir is not None:
        archive.tree(placed.source_dir, place, placed.name)


def _further(name: str, place: str, data: bytes, archive: Archive) -> None:
    parts = name.removeprefix(f"{place}/").split("/")
    for depth in range(1, len(parts)):
        archive.directory(f"{place}/{'/'.join(parts[:depth])}")
    archive.file(name, data)


def _inside(name: str, placed: PlacedDefinition) -> str:
    if name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
        raise JobError(f"{placed.name}: path {name!r} leads out of the definition's directory")
    return name


def _metadata(placed: PlacedDefinition) -> bytes:
    known = {
        "name": placed.name,
        "description": placed.definition.description,
        "version": placed.definition.version,
        "from": placed.from_,
        "repository": placed.repository,
        "path": placed.path,
        "revision": placed.revision or "unspecified",
        "commit_id": placed.commit_id,
    }
    given = {key: value for key, value in known.items() if value}
    return yaml.safe_dump(given, sort_keys=False, allow_unicode=True).encode()


__all__ = ["Overlay", "OverlayInput", "PlacedDefinition", "Stage", "build_overlay"]

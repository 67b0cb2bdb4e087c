# SPDX-License-Identifier: Apache-2.0
"""Packs what another machine needs to run a job again: spec, job, device, artefacts by hash, image, journal.

Deterministic but for the time in the manifest: members in fixed order, no owners, no times. Secrets are
named, their values are nowhere in a job's directory.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from executor import __version__
from executor.errors import InfrastructureError, UsageError
from executor.reproduce.images import Images
from executor.reproduce.manifest import FORMAT, IMAGE, NAME, NEEDED, File, Manifest, encode
from executor.reproduce.source import Original

BLOCK = 1 << 20
Progress = Callable[[str, int, int], None]  # what, bytes done, bytes in all
Objects = Callable[[str], Path | None]  # hash -> file with these bytes, None when nobody has them any more


def pack(
    original: Original,
    target: Path,
    *,
    objects: Objects,
    images: Images | None,
    progress: Progress = lambda what, done, total: None,
) -> Manifest:
    """Write the bundle; it appears whole or not at all. `images` None leaves the image out.

    A name that ends in .zst is compressed. Raises InfrastructureError naming artefacts that are no longer to
    be had, UsageError when the place cannot be written.
    """
    if not target.parent.is_dir():
        raise UsageError(f"there is no directory {target.parent}")
    with tempfile.TemporaryDirectory(prefix=".lava-exec-bundle-", dir=target.parent) as scratch:
        members = _members(original, objects)
        if images is not None:
            members[IMAGE] = _save_image(images, original.spec.image_digest, Path(scratch), progress)
        files = [_hashed(name, path) for name, path in members.items()]
        manifest = Manifest(
            format=FORMAT,
            files=files,
            job_id=original.job_id,
            job_name=original.summary().header.job_name,
            device=str(original.device.get("hostname", "")),
            image=original.spec.image,
            image_digest=original.spec.image_digest,
            secrets=original.secret_names,
            version=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        part = Path(scratch) / "bundle"
        total = sum(file.size for file in files)
        with _compressed(part, zstd=target.suffix == ".zst") as out:
            _write(out, manifest, members, lambda done: progress("packing", done, total))
        part.chmod(0o644 & ~_umask())
        part.replace(target)
    return manifest


def _members(original: Original, objects: Objects) -> dict[str, Path]:
    """Name in the bundle -> file, in the order in which they are written."""
    directory = original.directory
    members = {name: directory / name for name in NEEDED if name != "artefacts.json"}
    members["artefacts.json"] = directory / "artefacts.json"
    for path in original.sources:
        members[f"out/sources/{path.name}"] = path
    missing = []
    for artefact in original.artefacts:
        name = f"artefacts/{artefact.sha256}"
        if name in members:
            continue
        found = objects(artefact.sha256)
        if found is None:
            missing.append(artefact.label or artefact.url)
        else:
            members[name] = found
    if missing:
        raise InfrastructureError(
            f"no longer in the cache of this host, and not to be fetched again: {', '.join(missing)}",
            "A bundle is best made soon after the job; artefacts of failed jobs are kept for some days.",
        )
    for name, path in members.items():
        if name == "artefacts.json" and not path.exists():
            members[name] = _empty_list(directory)
        elif not path.is_file():
            raise InfrastructureError(f"{path} is missing, so the job cannot be bundled")
    return members


def _empty_list(directory: Path) -> Path:
    """A job that fetched nothing has no list of what it fetched."""
    path = directory / "artefacts.json"
    path.write_text("[]\n", encoding="ascii")
    return path


def _save_image(images: Images, digest: str, scratch: Path, progress: Progress) -> Path:
    path, done = scratch / "image", 0
    with path.open("wb") as file:
        for data in images.save(digest):
            file.write(data)
            done += len(data)
            progress("image", done, 0)
    return path


def _hashed(name: str, path: Path) -> File:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while data := file.read(BLOCK):
            digest.update(data)
            size += len(data)
    found = digest.hexdigest()
    if name.startswith("artefacts/") and name != f"artefacts/{found}":
        raise InfrastructureError(
            f"{path} in the cache is damaged", "Run the job once more, then bundle that run."
        )
    return File(name, size, found)


def _write(
    out: IO[bytes], manifest: Manifest, members: dict[str, Path], progress: Callable[[int], None]
) -> None:
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        head = encode(manifest)
        tar.addfile(_info(NAME, len(head)), io.BytesIO(head))
        done = 0
        for file in manifest.files:
            with members[file.path].open("rb") as source:
                tar.addfile(_info(file.path, file.size), source)
            done += file.size
            progress(done)


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


@contextmanager
def _compressed(path: Path, *, zstd: bool) -> Iterator[IO[bytes]]:
    with path.open("wb") as raw:
        if not zstd:
            yield raw
            return
        import zstandard

        threads = min(4, os.cpu_count() or 1)
        with zstandard.ZstdCompressor(level=3, threads=threads).stream_writer(raw, closefd=False) as stream:
            yield stream


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current

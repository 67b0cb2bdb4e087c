# SPDX-License-Identifier: Apache-2.0
"""What a bundle says about itself: every file with size and hash, so that nothing else is taken out of it."""

from __future__ import annotations

import re

import msgspec

from executor.errors import JobError

FORMAT = 1
NAME = "manifest.json"  # the first member
IMAGE = "image.tar"
MAX_MANIFEST = 4 << 20  # bytes
MAX_FILES = 10_000

# The only names that a bundle may hold.
_NAMES = re.compile(
    r"(?:spec\.json|artefacts\.json|image\.tar|job/(?:job|device|worker)\.yaml|out/journal\.ndjson"
    r"|out/sources/[A-Za-z0-9][-_.A-Za-z0-9]{0,79}\.tar\.gz|artefacts/[0-9a-f]{64})\Z"
)
_HASH = re.compile(r"[0-9a-f]{64}\Z")
NEEDED = (
    "spec.json",
    "artefacts.json",
    "job/job.yaml",
    "job/device.yaml",
    "job/worker.yaml",
    "out/journal.ndjson",
)


class File(msgspec.Struct, frozen=True):
    """One member. Bytes; `sha256` of its content."""

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, omit_defaults=True):
    """The first member of a bundle."""

    format: int
    files: list[File]
    job_id: str
    job_name: str = ""
    device: str = ""
    image: str = ""  # reference
    image_digest: str = ""  # config digest
    secrets: list[str] = []  # names only
    version: str = ""  # of the lava-exec that made it
    created: str = ""  # UTC, ISO 8601

    @property
    def has_image(self) -> bool:
        """Whether the image itself is in it."""
        return any(file.path == IMAGE for file in self.files)


def encode(manifest: Manifest) -> bytes:
    """As it stands in the bundle."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def decode(data: bytes) -> Manifest:
    """Read and check. Raises JobError for anything that a bundle of ours would not say."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JobError(f"the bundle's manifest cannot be read: {error}") from None
    if manifest.format != FORMAT:
        raise JobError(
            f"the bundle has format {manifest.format}, this lava-exec reads {FORMAT}",
            "Use the version of lava-exec that made it, or a newer one.",
        )
    paths = [file.path for file in manifest.files]
    for file in manifest.files:
        if not _NAMES.match(file.path):
            raise JobError(f"the bundle names a file {file.path[:80]!r}, which does not belong into one")
        if file.size < 0 or not _HASH.match(file.sha256):
            raise JobError(f"the bundle's manifest says nothing sensible about {file.path}")
        if file.path.startswith("artefacts/") and file.path != f"artefacts/{file.sha256}":
            raise JobError(f"the bundle's {file.path} is not what its name says")
    if len(set(paths)) != len(paths) or len(paths) > MAX_FILES:
        raise JobError("the bundle's manifest names files twice, or too many of them")
    missing = [name for name in NEEDED if name not in paths]
    if missing:
        raise JobError(f"the bundle lacks {', '.join(missing)}")
    return manifest

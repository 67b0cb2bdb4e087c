# SPDX-License-Identifier: Apache-2.0
"""Downloads: the runner asks, the agent fetches into the cache, the action reports (design §9, Cache and
URLs).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, unquote, urlsplit

from executor.actions.guest import AppendOverlays
from executor.actions.vcs import without_password
from executor.errors import InfrastructureError, JobError, LavaExecError
from executor.model.doorbell import SCHEMES, Fetch, Fetched
from executor.model.job import OverlaySource, Resource
from executor.model.launch import Needs
from executor.model.problem import Problem
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.context import Artifact
from executor.pipeline.planner import PlanError
from executor.tools.image.magic import HEAD, looks_like

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

# Kept compressed on purpose: a boot loader or kernel unpacks them (spec: job-format §4).
KEPT_COMPRESSED = frozenset({"ramdisk"})
Place = tuple[str | int, ...]
_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_]+)\}")


class DownloadRetry(RetryAction):
    """One artefact of a block, tried again when the network fails it."""

    name = "download-retry"
    summary = "download an artefact"
    description = "download an artefact into the cache, with retry"

    def __init__(self, key: str, resource: Resource, place: Place = ()) -> None:
        self.key = key
        self.resource = resource
        self.place = place or (key,)  # in the block, for messages

    @property
    def label(self) -> str:
        return self.key

    def plan(self, site: Site) -> Iterable[Action]:
        here = (*(site.block.path if site.block else ()), *self.place)
        url = expand(self.resource.url, site.device)
        kind = kind_of(url)
        if kind is None:
            known = f"URL schemes that work: {', '.join(sorted(_kinds()))}"
            raise PlanError(f"{self.key}: no way to download {url!r}", (*here, "url"), known)
        yield kind(self.key, self.resource, url, self.place)
        extras = {n: s for n, s in self.resource.overlays.items() if isinstance(s, OverlaySource)}
        for name, source in extras.items():
            yield DownloadRetry(extra_key(self.key, name), plain(source), (*self.place, "overlays", name))
        lava = bool(self.resource.overlays.get("lava")) and site.needs_overlay
        if lava or extras:
            yield AppendOverlays(self.key, self.resource, extras, lava=lava)


class Download(Action):
    """The common part of all kinds of download: the agent fetches, this tells what came.

    Keys that are kept packed stay so whatever the block says; sums are of the bytes as downloaded.
    """

    timeout_error: ClassVar[type[LavaExecError]] = InfrastructureError
    schemes: ClassVar[tuple[str, ...]] = ()  # of the URLs that this kind takes

    def __init__(self, key: str, resource: Resource, url: str, place: Place = ()) -> None:
        self.key, self.resource, self.url, self.place = key, resource, url, place or (key,)

    @property
    def label(self) -> str:
        return f"{self.key} {without_password(self.url)}"

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"} if self.resource.archive else {"cache"}))

    def validate(self, world: World) -> Iterable[Problem]:
        if self.url.endswith("/"):
            yield self.problem(f"URL {self.url!r} names a directory, not a file", *self.place, "url")
        elif reason := world.url(self.url, dict(self.resource.headers)):
            yield self.problem(f"{self.key}: {reason}", *self.place, "url")

    def run(self, run: Run) -> None:
        replaced = run.context.worker.replace.get(self.key)
        if replaced:
            run.log.warning(
                f"{self.key}: replaced, {replaced} is used instead of {without_password(self.url)}"
            )
            fetched, packed = self._replacement(run, Path(replaced).as_uri())
        else:
            fetched, packed = self.obtain(run), self.kept_packed
        artifact = Artifact(
            label=self.key,
            path=Path(fetched.path),
            url=self.url,
            sha256=fetched.sha256,
            size=fetched.size,
            compression=packed,
            unpacked="" if packed else self.unpack,
            image_arg=self.resource.image_arg or "",
            format=self.resource.format or "",
        )
        if self.resource.archive:
            self._unpack_archive(run, artifact)
        run.namespace.artifacts[self.key] = artifact
        run.log.info(
            f"{self.key}: {fetched.size} bytes, sha256 {fetched.sha256}; "
            f"{fetched.downloaded} bytes downloaded, {fetched.decompressed} bytes decompressed"
        )
        run.results |= {
            "label": self.key,
            "url": without_password(self.url),
            "size": fetched.size,
            "sha256sum": fetched.sha256,
            "downloaded": fetched.downloaded,
            "decompressed": fetched.decompressed,
        }

    @property
    def unpack(self) -> str:
        """The compression that is taken off, or empty."""
        compression = self.resource.compression or ""
        return "" if self.key in KEPT_COMPRESSED or compression == "zip" else compression

    @property
    def kept_packed(self) -> str:
        """The compression that stays on, or empty."""
        return "" if self.unpack else self.resource.compression or ""

    def obtain(self, run: Run) -> Fetched:
        """The file, with what `unpack` names taken off."""
        return self._fetch(run, self.url, self.unpack)

    def _fetch(self, run: Run, url: str, compression: str, *, sums: bool = True) -> Fetched:
        resource = self.resource
        wanted = Fetch(
            url=url,
            label=self.key,
            compression=compression,
            headers=dict(resource.headers),
            md5sum=(resource.md5sum or "") if sums else "",
            sha256sum=(resource.sha256sum or "") if sums else "",
            sha512sum=(resource.sha512sum or "") if sums else "",
            max_bytes=run.context.worker.limits.download_bytes,
        )

        def progress(stage: str, done: int, total: int) -> None:
            run.log.progress(self.key, done, total, stage)

        return run.context.agent.fetch(wanted, run.deadline, progress)

    def _replacement(self, run: Run, url: str) -> tuple[Fetched, str]:
        """A file of the user's own, packed as the block says or not at all: its first bytes tell."""
        fetched = self._fetch(run, url, "", sums=False)
        with Path(fetched.path).open("rb") as file:
            packed = looks_like(file.read(HEAD)) == (self.resource.compression or "no compression")
        if packed and self.unpack:
            return self._fetch(run, url, self.unpack, sums=False), ""
        return fetched, self.kept_packed if packed else ""

    def _unpack_archive(self, run: Run, artifact: Artifact) -> None:
        """`archive: tar`: a directory named after the key (spec: job-format §4)."""
        from executor.tools.tarsafe import unpack

        target = run.context.work / f"archive-{run.action.level}" / artifact.safe_label
        if target.exists():
            shutil.rmtree(target)
        done = unpack(artifact.path, target, deadline=run.deadline, name=self.key)
        run.log.info(f"{self.key}: {done.count} files unpacked, {done.size} bytes")
        artifact.path, artifact.shared = target, False


class HttpDownload(Download):
    """Over http or https."""

    name = "http-download"
    summary = "http download"
    description = "download over http or https"
    schemes = ("http", "https")

    def obtain(self, run: Run) -> Fetched:
        """By way of the lab's HTTP cache where there is one and the job does not object."""
        lab = run.context.worker.http_cache
        if "%s" in lab and self.resource.use_cache is not False:
            try:
                return self._fetch(run, lab.replace("%s", quote(self.url, safe="")), self.unpack)
            except InfrastructureError as error:
                run.log.warning(f"{self.key}: not from the HTTP cache of the lab: {error.message}")
        return super().obtain(run)


class FileDownload(Download):
    """From a directory that the admin of the worker allows."""

    name = "file-download"
    summary = "local file"
    description = "take a file of the worker's allowed directories"
    schemes = ("file",)

    def validate(self, world: World) -> Iterable[Problem]:
        parts = urlsplit(self.url)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            hint = "write file:///path/to/file; file:path, relative to the job's file, works at submission"
            yield self.problem(f"{self.url!r} is no absolute file URL", *self.place, "url", hint=hint)
            return
        yield from super().validate(world)


class PreDownloaded(Download):
    """A file that an earlier `to: downloads` brought, or that was made of one (spec: job-format §4)."""

    name = "pre-downloaded"
    summary = "file of an earlier download"
    description = "take a file that an earlier deploy block downloaded"
    timeout_error = JobError
    schemes = ("downloads",)

    def plan(self, site: Site) -> Iterable[Action]:
        earlier = site.job.blocks[: site.block.index] if site.block is not None else []
        if not any(block.parameters.get("to") in ("download", "downloads") for block in earlier):
            raise PlanError(
                f"{self.key}: no block before this one downloads {self.url!r}",
                (*(site.block.path if site.block else ()), *self.place, "url"),
                "an earlier deploy block with `to: downloads` brings such files",
            )
        return ()

    @property
    def file(self) -> str:
        """Which file, relative to the directory of the downloads."""
        parts = urlsplit(self.url)
        return unquote(f"{parts.netloc}{parts.path}").strip("/")

    def validate(self, world: World) -> Iterable[Problem]:
        if not self.file or ".." in self.file.split("/"):
            yield self.problem(f"{self.url!r} names no downloaded file", *self.place, "url")

    def obtain(self, run: Run) -> Fetched:
        from executor.actions.predownloaded import take

        return take(run, self.file, self.resource, self.unpack)


class ScpDownload(Download):
    """From a server that the admin of the worker knows by its key, by way of ssh."""

    name = "scp-download"
    summary = "scp download"
    description = "download over ssh"
    schemes = ("scp",)

    def validate(self, world: World) -> Iterable[Problem]:
        if reason := scp_fault(self.url):
            hint = "write scp://user@host/path/to/file"
            yield self.problem(f"{self.key}: {reason}", *self.place, "url", hint=hint)
            return
        yield from super().validate(world)


class RcloneDownload(Download):
    """From a remote of the admin's rclone configuration."""

    name = "rclone-download"
    summary = "rclone download"
    description = "download from a remote that rclone knows"
    schemes = ("rclone",)


KINDS: tuple[type[Download], ...] = (
    HttpDownload,
    FileDownload,
    ScpDownload,
    RcloneDownload,
    PreDownloaded,
)


def _kinds() -> dict[str, type[Download]]:
    return {scheme: kind for kind in KINDS for scheme in kind.schemes}


def kind_of(url: str) -> type[Download] | None:
    """The action that downloads this URL, None where there is none."""
    return _kinds().get(scheme_of(url))


def check_scheme(url: str) -> None:
    """Can an agent fetch this? Raises JobError."""
    if scheme_of(url) not in SCHEMES:
        raise JobError(f"no way to download {url!r}", f"URL schemes that work: {', '.join(SCHEMES)}")
    if scheme_of(url) in ("http", "https") and not url.partition("://")[2].strip("/"):
        raise JobError(f"{url!r} names no host", "write http://host/path/to/file")
    reason = scp_fault(url) if scheme_of(url) == "scp" else ""
    if reason:
        raise JobError(reason, "write scp://user@host/path/to/file")


def scp_fault(url: str) -> str:
    """Why this is no scp URL that can be used, empty for a good one."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"not a URL: {error}"
    if parts.password:
        return "a password in an scp URL cannot be used: the worker has a key"
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*|[0-9a-f:]+", parts.hostname or ""):
        return f"{url!r} names no host"
    if parts.username is not None and not re.fullmatch(r"[A-Za-z0-9_][\w.-]*", parts.username):
        return f"{url!r} names no user that can be"
    return "" if len(parts.path) > 1 else f"{url!r} names no file"


def extra_key(key: str, name: str) -> str:
    """What the download of an artefact's further overlay is called."""
    return f"{key}.{name}"


def plain(source: OverlaySource) -> Resource:
    """A further overlay as something to download."""
    return Resource(
        url=source.url,
        compression=source.compression,
        md5sum=source.md5sum,
        sha256sum=source.sha256sum,
        sha512sum=source.sha512sum,
        headers=source.headers,
    )


def scheme_of(url: str) -> str:
    """The scheme in lower case, empty for what is no URL."""
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def expand(url: str, device: Device) -> str:
    """Replace `{KEY}` by the device's static_info; unknown names stay as they are (spec: job-format §4)."""
    known: dict[str, object] = {}
    for entry in device.static_info:
        known.update(entry)
    return _PLACEHOLDER.sub(lambda m: str(known.get(m.group(1), m.group(0))), url)

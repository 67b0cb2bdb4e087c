# SPDX-License-Identifier: Apache-2.0
"""Downloads: the runner asks, the agent fetches into the cache, the action reports (design §9, Cache and
URLs).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from executor.actions.guest import AppendOverlays
from executor.errors import InfrastructureError, JobError
from executor.model.doorbell import Fetch
from executor.model.job import Resource
from executor.model.launch import Needs
from executor.model.problem import Problem
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.context import Artifact

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

# Kept compressed on purpose: a boot loader or kernel unpacks them (spec: job-format §4).
KEPT_COMPRESSED = frozenset({"ramdisk"})
_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_]+)\}")


class DownloadRetry(RetryAction):
    """One artefact of a block, tried again when the network fails it."""

    name = "download-retry"
    summary = "download an artefact"
    description = "download an artefact into the cache, with retry"

    def __init__(self, key: str, resource: Resource) -> None:
        self.key = key
        self.resource = resource

    @property
    def label(self) -> str:
        return self.key

    def plan(self, site: Site) -> Iterable[Action]:
        url = expand(self.resource.url, site.device)
        scheme = urlsplit(url).scheme
        kind = _SCHEMES.get(scheme)
        if kind is None:
            known = ", ".join(sorted(_SCHEMES))
            raise JobError(f"{self.key}: no way to download {url!r}", f"URL schemes that work: {known}")
        yield kind(self.key, self.resource, url)
        if (self.resource.overlays or {}).get("lava") and any(test.stage >= 0 for test in site.tests):
            yield AppendOverlays(self.key, self.resource)


class Download(Action):
    """The common part of all kinds of download."""

    timeout_error = InfrastructureError

    def __init__(self, key: str, resource: Resource, url: str) -> None:
        self.key, self.resource, self.url = key, resource, url

    @property
    def label(self) -> str:
        return f"{self.key} {self.url}"

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache"}))

    def validate(self, world: World) -> Iterable[Problem]:
        if self.url.endswith("/"):
            yield self.problem(f"{self.key}: URL {self.url!r} names a directory, not a file")
        reason = world.url(self.url, dict(self.resource.headers or {}))
        if reason:
            yield self.problem(f"{self.key}: {reason}")

    def run(self, run: Run) -> None:
        resource = self.resource
        own = run.context.worker.replace.get(self.key)
        url = f"file://{own}" if own else self.url
        if own:
            run.log.warning(f"{self.key}: replaced, {own} is used instead of {self.url}")
        compression = self._decompress()
        fetched = run.context.agent.fetch(
            Fetch(
                url=url,
                label=self.key,
                compression="" if own else compression,
                headers=dict(resource.headers or {}),
                md5sum="" if own else (resource.md5sum or ""),
                sha256sum="" if own else (resource.sha256sum or ""),
                sha512sum="" if own else (resource.sha512sum or ""),
                max_bytes=run.context.worker.limits.download_bytes,
            ),
            run.deadline,
            lambda stage, done, total: self._progress(run, stage, done, total),
        )
        kept = "" if compression else (resource.compression or "")
        run.namespace.artifacts[self.key] = Artifact(
            label=self.key,
            path=Path(fetched.path),
            url=self.url,
            sha256=fetched.sha256,
            size=fetched.size,
            compression=kept,
            image_arg=resource.image_arg or "",
            format=resource.format or "",
        )
        run.log.info(
            f"{self.key}: {fetched.size} bytes, sha256 {fetched.sha256}; "
            f"{fetched.downloaded} bytes downloaded, {fetched.decompressed} bytes decompressed"
        )
        run.results |= {
            "label": self.key,
            "url": self.url,
            "size": fetched.size,
            "sha256sum": fetched.sha256,
            "downloaded": fetched.downloaded,
            "decompressed": fetched.decompressed,
        }

    def _progress(self, run: Run, stage: str, done: int, total: int) -> None:
        run.log.progress(self.key, done, total, stage)

    def _decompress(self) -> str:
        compression = self.resource.compression or ""
        if self.key in KEPT_COMPRESSED or compression == "zip":
            return ""
        return compression


class HttpDownload(Download):
    """Over http or https."""

    name = "http-download"
    summary = "http download"
    description = "download over http or https"


class FileDownload(Download):
    """From a directory of the worker that the admin allows."""

    name = "file-download"
    summary = "local file"
    description = "take a file of the worker's allowed directories"


_SCHEMES: Mapping[str, type[Download]] = {"http": HttpDownload, "https": HttpDownload, "file": FileDownload}


def expand(url: str, device: Device) -> str:
    """Replace `{KEY}` by the device's static_info; unknown names stay as they are (spec: job-format §4)."""
    known: dict[str, object] = {}
    for entry in device.static_info:
        known.update(entry)
    return _PLACEHOLDER.sub(lambda m: str(known.get(m.group(1), m.group(0))), url)

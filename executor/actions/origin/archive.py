# SPDX-License-Identifier: Apache-2.0
"""`from: url` and `from: tar`: a definition that comes as a tar archive (spec: job-format §7)."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.actions.download import check_scheme, scheme_of
from executor.actions.origin.base import LIMITS, RepoAction
from executor.actions.vcs import without_password
from executor.errors import JobError
from executor.model.doorbell import Fetch
from executor.model.launch import Needs
from executor.model.problem import Problem
from executor.tools.image.magic import HEAD, looks_like

if TYPE_CHECKING:
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_PACKED = ("gz", "bz2", "xz", "zstd")


class UrlRepo(RepoAction):
    """Download the archive and unpack it."""

    name = "url-repo-action"
    summary = "download url test repo"
    description = "download the archive of a test definition and unpack it"
    origin = "url"

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"}))

    @property
    def url(self) -> str:
        return self.definition.repository_text

    @property
    def headers(self) -> dict[str, str]:
        return {str(name): str(value) for name, value in (self.definition.given.get("headers") or {}).items()}

    def validate(self, world: World) -> Iterable[Problem]:
        yield from self.definition.problems()
        yield from self.url_problems(world)

    def url_problems(self, world: World) -> Iterable[Problem]:
        """What is wrong with the address."""
        place = (*self.definition.place, "repository")
        try:
            check_scheme(self.url)
        except JobError as error:
            yield Problem(f"{self.definition.name}: {error.message}", path=place, hint=error.hint)
            return
        if reason := world.url(self.url, self.headers):
            yield Problem(f"{self.definition.name}: {reason}", path=place)

    def get(self, target: Path, run: Run) -> str:
        wanted = self.definition

        def progress(stage: str, done: int, total: int) -> None:
            run.log.progress(wanted.name, done, total, stage)

        asked = Fetch(self.url, label=wanted.name, headers=self.headers, max_bytes=LIMITS.size)
        fetched = run.context.agent.fetch(asked, run.deadline, progress)
        path = Path(fetched.path)
        with path.open("rb") as file:
            head = file.read(HEAD)
        self.unpack(path, head, target, run)
        run.results |= {
            "repository": without_password(self.url),
            "path": wanted.path,
            "sha256sum": fetched.sha256,
        }
        return ""

    def unpack(self, source: Path | io.BytesIO, head: bytes, target: Path, run: Run) -> None:
        """Unpack within limits. A declared compression must be the true one, else the first bytes tell it."""
        from executor.tools.tarsafe import unpack

        given: dict[str, Any] = self.definition.given
        found = looks_like(head)
        done = unpack(
            source,
            target,
            deadline=run.deadline,
            compression=str(given.get("compression") or (found if found in _PACKED else "")),
            limits=LIMITS,
            name=f"the archive of {self.definition.name}",
            strip=int(given.get("strip-components") or 0),
        )
        if not any(target.iterdir()):
            raise JobError(
                f"the archive of {self.definition.name} holds nothing to unpack",
                "is strip-components too large?" if given.get("strip-components") else "",
            )
        run.log.info(f"{self.definition.name}: {done.count} files unpacked, {done.size} bytes")


class TarRepo(UrlRepo):
    """An archive that is named by URL or path, or that stands in the job as base64 text (seed form)."""

    name = "tar-repo-action"
    summary = "unpack tar test repo"
    description = "unpack the tar archive of a test definition"
    origin = "tar"

    @property
    def url(self) -> str:
        text = self.definition.repository_text
        return Path(text).as_uri() if text.startswith("/") else text

    @property
    def is_text(self) -> bool:
        """Base64 has no colon, and none of ours begins with a slash."""
        return not self.definition.repository_text.startswith("/") and not scheme_of(self.url)

    def url_problems(self, world: World) -> Iterable[Problem]:
        if not self.is_text:
            yield from super().url_problems(world)
        elif not self._decoded():
            name = self.definition.name
            yield Problem(
                f"{name}: repository is neither a URL, nor an absolute path, nor an archive as base64 text",
                path=(*self.definition.place, "repository"),
                hint="a file beside the job is file:tests.tar.gz",
            )

    def get(self, target: Path, run: Run) -> str:
        if not self.is_text:
            return super().get(target, run)
        data = self._decoded()
        self.unpack(io.BytesIO(data), data[:HEAD], target, run)
        run.results |= {"repository": "base64 text", "path": self.definition.path}
        return ""

    def _decoded(self) -> bytes:
        """The archive, empty for text that is none."""
        try:
            data = base64.b64decode("".join(self.definition.repository_text.split()), validate=True)
        except (binascii.Error, ValueError):
            return b""
        return data if looks_like(data[:HEAD]) in (*_PACKED, "tar archive") else b""

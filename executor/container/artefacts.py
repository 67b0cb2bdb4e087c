# SPDX-License-Identifier: Apache-2.0
"""One job's share of the artefact cache: links to what it asked for, and a list of what it used.

With `fixed` (an earlier run's artefacts.json) an URL means the bytes it meant then: out of the cache when
they are still there, else downloaded and compared.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence

import msgspec

from executor.container.cache import Access, Cache, Got
from executor.container.doorbell import Question
from executor.container.jobdir import Artefact, JobDirectory
from executor.errors import Bug, InfrastructureError, JobError
from executor.model.doorbell import Fetch, Fetched, Probed

RUNNING_DAYS = 14.0  # a job that is alive keeps its artefacts at least so long
FAILED_DAYS = 7.0  # and a failed one so long after its end, for `reproduce`
_DAY = 86400.0
_ATTEMPTS = 3


class Artefacts:
    """Answers the questions of one job. Thread-safe."""

    def __init__(
        self,
        cache: Cache,
        directory: JobDirectory,
        job_id: str,
        access: Access,
        *,
        max_bytes: int = 0,
        fixed: Sequence[Artefact] = (),
    ) -> None:
        self._cache = cache
        self._directory = directory
        self._pin_name = f"{job_id}-{os.fspath(directory.path).replace('/', '_')[-100:]}"
        self._access = access
        self._max_bytes = max_bytes
        self._fixed = {(a.url, a.label): a for a in fixed}
        self._lock = threading.Lock()
        self._used = {(a.url, a.label, a.compression): a for a in directory.artefacts()}
        self.downloaded = 0  # bytes, over all questions
        self.decompressed = 0

    def answer(self, question: Question) -> Fetched | Probed:
        """A doorbell handler. Raises what Cache.fetch raises, Bug for a question it does not know."""
        if question.what not in ("fetch", "probe"):
            raise Bug(f"the agent does not know the question {question.what!r}")
        try:
            fetch = msgspec.convert(question.args, Fetch)
        except msgspec.ValidationError as error:
            raise Bug(f"the question cannot be read: {error}") from None
        return self.fetch(fetch, question) if question.what == "fetch" else self.probe(fetch, question)

    def probe(self, fetch: Fetch, question: Question) -> Probed:
        """Is it there? What a URL meant in the first run of a job may be gone from its server."""
        if any(url == fetch.url for url, _ in self._fixed):
            return Probed()
        return Probed(self._cache.probe(fetch, self._access, question.deadline, question.cancellation))

    def fetch(self, fetch: Fetch, question: Question) -> Fetched:
        """Have an artefact linked into the job's /cache."""
        begin = time.monotonic()
        if self._max_bytes and not 0 < fetch.max_bytes <= self._max_bytes:
            fetch = msgspec.structs.replace(fetch, max_bytes=self._max_bytes)
        fixed = self._fixed.get((fetch.url, fetch.label))
        for attempt in range(1, _ATTEMPTS + 1):
            got = self._get(fetch, fixed, question)
            self._remember(fetch, got)
            try:
                self._link(got.key)
                break
            except FileNotFoundError:  # evicted between the two steps, before it was pinned
                if attempt == _ATTEMPTS:
                    raise InfrastructureError(
                        "the cache is too small for what runs at once", "Give it more room."
                    ) from None
        with self._lock:
            self.downloaded += got.downloaded
            self.decompressed += got.decompressed
        return Fetched(
            path=f"/cache/{got.key}",
            size=got.size,
            sha256=got.sha256,
            transferred_size=got.transferred_size,
            downloaded=got.downloaded,
            decompressed=got.decompressed,
            seconds=round(time.monotonic() - begin, 3),
        )

    def ended(self, failed: bool) -> None:
        """The job is over: its artefacts may go, those of a failed one only later."""
        keys = [key for artefact in self._used.values() for key in artefact.keys]
        until = time.time() + FAILED_DAYS * _DAY
        self._cache.store.pin(self._pin_name, keys if failed else [], until)

    def _get(self, fetch: Fetch, fixed: Artefact | None, question: Question) -> Got:
        def ask(wanted: Fetch) -> Got:
            return self._cache.fetch(
                wanted,
                self._access,
                deadline=question.deadline,
                report=question.report,
                cancellation=question.cancellation,
            )

        if fixed is None:
            return ask(fetch)
        if (
            known := self._cache.known(fixed.sha256, fetch, question.deadline, question.cancellation)
        ) is not None:
            return known
        try:
            return ask(msgspec.structs.replace(fetch, sha256sum=fixed.sha256))
        except JobError as error:
            raise JobError(
                f"{fetch.label or fetch.url} is not what it was in the first run: {error.message}",
                "Its bytes are no longer in the cache of this host; use a bundle made earlier, or --set.",
            ) from None

    def _link(self, key: str) -> None:
        target = self._directory.cache / key
        source = self._cache.store.path(key)
        try:
            os.link(source, target)
        except FileExistsError:
            if target.samefile(source):
                return
            target.unlink()
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise InfrastructureError(
                f"an artefact cannot be given to the job: {error.strerror}",
                f"The cache and the job directory must be on one file system: {source}, {target}.",
            ) from None

    def _remember(self, fetch: Fetch, got: Got) -> None:
        keys = [got.key] + ([got.sha256] if got.key != got.sha256 else [])
        entry = Artefact(
            url=fetch.url,
            sha256=got.sha256,
            label=fetch.label,
            compression=fetch.compression,
            keys=keys,
            size=got.size,
            transferred_size=got.transferred_size,
        )
        with self._lock:
            self._used[fetch.url, fetch.label, fetch.compression] = entry
            used = list(self._used.values())
            pinned = [key for artefact in used for key in artefact.keys]
            self._cache.store.pin(self._pin_name, pinned, time.time() + RUNNING_DAYS * _DAY)
            self._directory.write_artefacts(used)

# SPDX-License-Identifier: Apache-2.0
"""Artefacts for jobs: fetched once, checked, decompressed once, then shared by every job that asks again.

An answer is always right for its moment: a URL is revalidated with its server each time, a local file by its
identity, and a checksum in the job is compared with the bytes as they were downloaded (spec: job-format §4).
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from executor.container import local, tree
from executor.container.cancel import Cancellation
from executor.container.client import display
from executor.container.probe import probe_file, probe_web
from executor.container.remote import RcloneDownload, SshDownload
from executor.container.store import Meta, Store, UrlEntry, identity
from executor.container.transfer import AnyDownload, Report, Reporter, Tee, Work
from executor.container.web import Download, Validators
from executor.errors import InfrastructureError, JobError
from executor.model.deadline import Deadline
from executor.model.doorbell import SCHEMES, Fetch

_DECOMPRESSED_AT_MOST = 64 << 30
_METHODS = ("gz", "bz2", "xz", "zstd", "lz4", "zip")


class Got(msgspec.Struct):
    """What a fetch came to. `key` names the object to use, `sha256` is of the bytes as downloaded."""

    key: str
    sha256: str
    size: int
    transferred_size: int
    downloaded: int = 0
    decompressed: int = 0


class Access(msgspec.Struct, frozen=True):
    """What one job may reach beside http and https: directories and single files of this host."""

    directories: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()


class Remotes(msgspec.Struct, frozen=True):
    """What an admin set up for downloads that need a secret of the worker's."""

    ssh: Path | None = None  # directory with known_hosts and keys, for scp URLs
    rclone: Path | None = None  # configuration file

    @classmethod
    def of(cls, state: Path) -> Remotes:
        """Their places in a state directory."""
        return cls(state / "ssh", state / "rclone.conf")


class Cache:
    """Thread-safe. `verify`: CA bundle for https, or True for the default one."""

    def __init__(
        self,
        store: Store,
        *,
        verify: str | bool = True,
        remotes: Remotes = Remotes(),  # noqa: B008  # frozen
    ) -> None:
        self.store = store
        self._verify = verify
        self._remotes = remotes

    def fetch(
        self,
        fetch: Fetch,
        access: Access,
        *,
        deadline: Deadline,
        report: Report = lambda stage, done, total: None,
        cancellation: Cancellation | None = None,
    ) -> Got:
        """Have the artefact in the cache, in the form asked for.

        Raises JobError (wrong checksum, wrong data, not allowed, too large), InfrastructureError (server,
        network, disk), InfrastructureTimeout, JobCanceled.
        """
        work = Work(
            fetch, deadline, cancellation or Cancellation(), Reporter(report), fetch.compression or ""
        )
        if work.method and work.method not in _METHODS:
            raise JobError(f"unknown compression {work.method!r}", f"Known: {', '.join(_METHODS)}.")
        scheme = fetch.url.partition(":")[0].lower()
        with self.store.lock(fetch.url, deadline, work.cancellation):
            if scheme not in SCHEMES:
                raise JobError(
                    f"no way to download {display(fetch.url)!r}",
                    f"URL schemes that work: {', '.join(SCHEMES)}.",
                )
            if scheme != "file":
                got = self._remote(work, scheme)
            elif fetch.tree:
                got = self._tree(work, access)
            else:
                got = self._local(work, access)
            if work.method and got.key == got.sha256:
                got = self._unpacked(work, got)
        self.store.touch(got.key)
        return got

    def known(
        self, sha256: str, fetch: Fetch, deadline: Deadline, cancellation: Cancellation | None = None
    ) -> Got | None:
        """Bytes with this hash, in the form that `fetch` wants, without asking where they came from."""
        work = Work(
            fetch, deadline, cancellation or Cancellation(), Reporter(lambda *told: None), fetch.compression
        )
        got = self._have(work, sha256)
        if got is not None and work.method and got.key == sha256:
            got = self._unpacked(work, got)
        return got

    def probe(
        self, fetch: Fetch, access: Access, deadline: Deadline, cancellation: Cancellation | None = None
    ) -> str:
        """Why this artefact certainly cannot be had, "" for all that a download may find out."""
        if fetch.url.partition(":")[0].lower() == "file":
            return probe_file(fetch.url, access.directories, access.files, tree=fetch.tree)
        return probe_web(
            fetch.url,
            fetch.headers,
            deadline=deadline,
            cancellation=cancellation or Cancellation(),
            verify=self._verify,
        )

    # -- from elsewhere

    def _remote(self, work: Work, scheme: str) -> Got:
        fetch = work.fetch
        wanted = fetch.sha256sum.lower()
        if wanted and (got := self._have(work, wanted)) is not None:
            return got  # these bytes and no others will do: no need to ask
        entry = self.store.url(fetch.url)
        if entry is not None and self.store.meta(entry.sha256) is None:
            entry = None
        known = Validators(entry.etag, entry.modified) if entry is not None else None
        with self._begin(work, scheme, known) as download:
            if download.unchanged and entry is not None and (got := self._have(work, entry.sha256)):
                return got
            if download.unchanged:
                raise InfrastructureError(
                    f"{display(fetch.url)} was lost from the cache while it was asked for"
                )
            return self._download(work, download)

    def _begin(self, work: Work, scheme: str, known: Validators | None) -> AnyDownload:
        url, deadline, cancellation = work.fetch.url, work.deadline, work.cancellation
        if scheme == "scp":
            directory = self._remotes.ssh
            return SshDownload(url, directory, known=known, deadline=deadline, cancellation=cancellation)
        if scheme == "rclone":
            return RcloneDownload(url, self._remotes.rclone, deadline=deadline, cancellation=cancellation)
        return Download(
            url,
            headers=work.fetch.headers,
            known=known,
            deadline=deadline,
            cancellation=cancellation,
            verify=self._verify,
        )

    def _download(self, work: Work, download: AnyDownload) -> Got:
        fetch = work.fetch
        work.check_size(download.total)
        self.store.make_room(download.total)
        with self.store.incoming() as part, self.store.incoming() as unpacked:
            with part.open("xb") as file:
                source = Tee(work, download, file)
                made = self._unpack(work, source, unpacked) if work.method else 0
                source.drain()
            sums = source.sums()
            work.compare(sums)
            self._add(part, Meta(sums["sha256"], sums["sha256"], source.taken, source.taken), sums)
            validators = download.validators
            self.store.set_url(fetch.url, UrlEntry(sums["sha256"], validators.etag, validators.modified))
            got = Got(
                sums["sha256"], sums["sha256"], source.taken, source.taken, downloaded=download.received
            )
            if work.method:
                got = self._add_unpacked(work, got, unpacked, made)
            return got

    # -- local files

    def _local(self, work: Work, access: Access) -> Got:
        path = local.resolve(work.fetch.url, access.directories, access.files)
        file, seen = local.open_file(path)
        with file:
            work.check_size(seen.st_size)
            sha256 = self.store.file(path, seen)
            if sha256 and (got := self._have(work, sha256)) is not None:
                return got
            self.store.make_room(seen.st_blocks * 512)
            with self.store.incoming() as part:
                try:
                    how = local.take(file, seen, part)
                except OSError as error:
                    raise InfrastructureError(f"{path} cannot be copied: {error.strerror}") from None
                with part.open("rb", buffering=0) as taken:
                    sums = local.hash_file(
                        taken,
                        work.sums,
                        work.deadline,
                        work.cancellation,
                        lambda done: work.reporter("download", done, seen.st_size),
                    )
                if identity(os.fstat(file.fileno())) != identity(seen):
                    raise InfrastructureError(
                        f"{path} was written to while it was read", "Start the job when the file is complete."
                    )
                work.compare(sums)
                meta = Meta(sums["sha256"], sums["sha256"], seen.st_size, seen.st_size)
                if how == "link":
                    meta.linked = identity(seen)
                self._add(part, meta, sums)
            self.store.set_file(path, seen, sums["sha256"])
        return Got(sums["sha256"], sums["sha256"], seen.st_size, seen.st_size)

    def _tree(self, work: Work, access: Access) -> Got:
        """A directory has no identity by which it is known unchanged: it is packed each time."""
        path = local.resolve(work.fetch.url, access.directories, access.files)
        with self.store.incoming() as part:
            tree.pack(path, part, work.deadline, work.cancellation)
            size = part.stat().st_size
            work.check_size(size)
            with part.open("rb", buffering=0) as packed:
                sums = local.hash_file(packed, work.sums, work.deadline, work.cancellation)
            work.compare(sums)
            sha256 = sums["sha256"]
            if self.store.meta(sha256) is None:
                self.store.make_room(size)
                self._add(part, Meta(sha256, sha256, size, size), sums)
        return Got(sha256, sha256, size, size)

    # -- what all share

    def _have(self, work: Work, sha256: str) -> Got | None:
        """The wanted form, or at least the downloaded one, from the cache; checksums compared."""
        original = self.store.meta(sha256)
        unpacked = self.store.meta(f"{sha256}-{work.method}") if work.method else None
        meta = unpacked or original
        if meta is None:
            return None
        if original is not None:
            work.compare(self._sums(work, original))
        elif set(work.sums) > {"sha256"}:
            return None  # other sums were asked for than are known
        else:
            work.compare({"sha256": sha256})
        self.store.touch(sha256)
        return Got(meta.key, sha256, meta.size, meta.transferred or meta.size)

    def _sums(self, work: Work, meta: Meta) -> dict[str, str]:
        """Those that are asked for; computed once for each object."""
        known = {"sha256": meta.sha256, "md5": meta.md5, "sha512": meta.sha512}
        missing = [name for name in work.sums if not known[name]]
        if missing:
            with self.store.path(meta.key).open("rb", buffering=0) as file:
                known |= local.hash_file(file, missing, work.deadline, work.cancellation)
            meta.md5, meta.sha512 = known["md5"], known["sha512"]
            self.store.save(meta)
        return known

    def _add(self, part: Path, meta: Meta, sums: dict[str, str]) -> None:
        meta.md5, meta.sha512 = sums.get("md5", ""), sums.get("sha512", "")
        self.store.add(part, meta)

    def _unpacked(self, work: Work, got: Got) -> Got:
        """The decompressed form of an object that is in the cache."""
        with self.store.incoming() as target:
            made = self._unpack(work, self.store.path(got.sha256), target)
            return self._add_unpacked(work, got, target, made)

    def _unpack(self, work: Work, source: Path | Tee, target: Path) -> int:
        from executor.tools.image.compress import Limits, decompress

        total = source.stat().st_size if isinstance(source, Path) else source.total
        most = min(work.fetch.max_bytes or _DECOMPRESSED_AT_MOST, _DECOMPRESSED_AT_MOST)
        try:
            done = decompress(
                source,
                target,
                work.method,
                deadline=work.deadline,
                progress=lambda taken, made: work.tick("decompress", taken, total),
                limits=Limits(size=most),
                name=work.fetch.url.rpartition("/")[2][:100] or work.fetch.label,
            )
        except JobError:
            if isinstance(source, Tee):
                # Broken on the way? Then the checksum is what to tell.
                source.drain()
                work.compare(source.sums())
            raise
        return done.bytes_out

    def _add_unpacked(self, work: Work, got: Got, target: Path, made: int) -> Got:
        key = f"{got.sha256}-{work.method}"
        self.store.add(target, Meta(key, got.sha256, made, got.transferred_size))
        return msgspec.structs.replace(got, key=key, size=made, decompressed=made)

# SPDX-License-Identifier: Apache-2.0
"""Root file systems by NFS: hostile tarballs, odd prefixes, addresses of servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.netboot.contents import ApplyOverlayTftp
from executor.errors import JobError
from executor.pipeline.context import NfsRoot
from executor.pipeline.world import IdealWorld
from executor.testing.netboot import Deployed, board, deployed
from executor.testing.pipeline import Scene, placed
from executor.testing.tarballs import Item, directory, file, symlink, write_tar

URL = "http://h/root.tar"


def root(tmp_path: Path, items: list[Item], **keys: Any) -> Deployed:
    content = write_tar(tmp_path / "root.tar", items, keys.pop("packed", "")).read_bytes()
    made = deployed(tmp_path, {"to": "nfs", "nfsrootfs": {"url": URL, **keys}}, {URL: content})
    if made.outcome.error is not None:
        raise made.outcome.error
    return made


def test_the_tree_may_lead_anywhere_inside_itself(tmp_path: Path) -> None:
    made = root(tmp_path, [directory("etc"), symlink("etc/mtab", "/proc/mounts"), file("/absolute", b"a")])
    assert (made.root / "etc/mtab").is_symlink()
    assert (made.root / "absolute").read_bytes() == b"a"
    assert made.root.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "items", [[file("../out", b"x")], [symlink("up", "/"), file("up/../../out", b"x")]], ids=["name", "link"]
)
def test_nothing_lands_outside(tmp_path: Path, items: list[Item]) -> None:
    with pytest.raises(JobError, match="leads out of the tree"):
        root(tmp_path, items)
    assert not (tmp_path / "nfs" / "42" / "out").exists()


def test_a_link_to_the_hosts_root_stays_inside(tmp_path: Path) -> None:
    made = root(tmp_path, [symlink("up", "/"), file("up/inside", b"x")])
    assert (made.root / "inside").read_bytes() == b"x"


@pytest.mark.parametrize("packed", ["gz", "bz2", "xz"])
def test_the_first_v2_jobs_did_not_say_how_a_tarball_is_packed(tmp_path: Path, packed: str) -> None:
    assert (root(tmp_path, [file("a", b"a")], packed=packed).root / "a").read_bytes() == b"a"


def test_that_it_is_an_archive_may_be_said(tmp_path: Path) -> None:
    assert (root(tmp_path, [file("a", b"a")], archive="tar").root / "a").read_bytes() == b"a"


def test_what_is_no_tarball_is_told(tmp_path: Path) -> None:
    made = deployed(tmp_path, {"to": "nfs", "nfsrootfs": {"url": URL}}, {URL: b"PK\x03\x04"})
    assert made.outcome.error is not None
    assert made.outcome.error.message == "nfsrootfs: the tarball is packed with zip"
    assert made.outcome.error.hint == "write `compression: zip` beside its url"


def test_a_prefix_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="nfsrootfs has no directory 'other/'"):
        root(tmp_path, [file("a", b"a")], prefix="other/")


def test_a_prefix_cannot_lead_out(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="nfsrootfs has no directory"):
        root(tmp_path, [symlink("out", "/")], prefix="out/")


@pytest.mark.parametrize(
    ("address", "server", "path"),
    [("nas:/r", "nas", "/r"), ("[2001:db8::1]:/r", "2001:db8::1", "/r"), ("{NAS}:/r", "nas2", "/r")],
)
def test_addresses_of_persistent_roots(tmp_path: Path, address: str, server: str, path: str) -> None:
    known = {**board(), "static_info": [{"NAS": "nas2"}]}
    made = deployed(tmp_path, {"to": "tftp", "persistent_nfs": {"address": address}}, {}, device=known)
    found = made.namespace.nfs_root
    assert found is not None
    assert (found.server, found.path) == (server, path)


@pytest.mark.parametrize("fetched", [False, True])
def test_a_persistent_root_takes_no_overlay_from_here(tmp_path: Path, fetched: bool) -> None:
    scene, action = Scene(tmp_path), placed(ApplyOverlayTftp("persistent_nfs"))
    assert isinstance(action, ApplyOverlayTftp)
    action.fetched = fetched
    scene.namespace.overlay = write_tar(tmp_path / "overlay.tar.gz", [file("lava-42/x")], "gz")
    scene.namespace.nfs_root = NfsRoot("nas", "/r")
    if fetched:
        scene.run(action)
        assert list(action.validate(IdealWorld())) == []
    else:
        (warning,) = action.validate(IdealWorld())
        assert warning.severity == "warning"
        with pytest.raises(JobError, match="cannot be written into a persistent NFS"):
            scene.run(action)

# SPDX-License-Identifier: Apache-2.0
"""Overlays by URL: where their members land, and a root file system that is a tarball."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.tools.image.members import read_overlays
from executor.tools.image.tarextend import extend, moved


def soon() -> Deadline:
    return Deadline.after(60)


def archive(path: Path, *names: str, link: tuple[str, str] | None = None, pax: bool = False) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(name.encode()), 0o755
            tar.addfile(info, io.BytesIO(name.encode()))
        if link is not None:
            info = tarfile.TarInfo(link[0])
            info.type, info.linkname = tarfile.LNKTYPE, link[1]
            tar.addfile(info)
    return path


def contents(path: Path) -> dict[str, bytes]:
    """Name → content; of a name that occurs twice the last one, as tar programs unpack it."""
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() if m.isfile() else b"" for m in tar}  # type: ignore[union-attr]


def test_a_file_lands_at_its_path(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"secret")
    moved(tmp_path / "key", tmp_path / "o.tar", "/etc/app/key.pem", tar=False, deadline=soon(), name="key")
    assert contents(tmp_path / "o.tar") == {"etc/app/key.pem": b"secret"}


@pytest.mark.parametrize(("place", "prefix"), [("/", ""), ("/opt/x/", "opt/x/"), ("//opt/./x", "opt/x/")])
@pytest.mark.parametrize("pax", [False, True])
def test_a_tarball_lands_below_its_path(tmp_path: Path, place: str, prefix: str, pax: bool) -> None:
    long = "d" * 90 + "/" + "f" * 90 + "-ü"
    given = archive(tmp_path / "in.tar", "bin/a", long, link=("bin/b", "bin/a"), pax=pax)
    moved(given, tmp_path / "o.tar", place, tar=True, deadline=soon(), name="more")
    with read_overlays([tmp_path / "o.tar"], tmp_path, deadline=soon()) as members:
        found = {m.name: b"".join(m.read()) for m in members}
    assert found == {f"{prefix}bin/a": b"bin/a", f"{prefix}bin/b": b"bin/a", f"{prefix}{long}": long.encode()}


@pytest.mark.parametrize(("place", "tar"), [("/a/../../b", True), ("/", False), ("/..", False)])
def test_paths_that_cannot_be(tmp_path: Path, place: str, tar: bool) -> None:
    given = archive(tmp_path / "in.tar", "x")
    with pytest.raises(JobError, match="cannot be"):
        moved(given, tmp_path / "o.tar", place, tar=tar, deadline=soon(), name="more")


def test_a_packed_tarball_is_explained(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(gzip.compress(archive(tmp_path / "in.tar", "x").read_bytes()))
    with pytest.raises(JobError, match="overlay more is not a tar archive: it starts with 1f 8b") as caught:
        moved(tmp_path / "in", tmp_path / "o.tar", "/", tar=True, deadline=soon(), name="more")
    assert "compression" in caught.value.hint


def test_members_that_leave_the_tree_are_refused_when_the_overlay_is_read(tmp_path: Path) -> None:
    given = archive(tmp_path / "in.tar", "../../etc/passwd")
    moved(given, tmp_path / "o.tar", "/opt", tar=True, deadline=soon(), name="more")
    with (
        pytest.raises(JobError, match="impossible name"),
        read_overlays([tmp_path / "o.tar"], tmp_path, deadline=soon()),
    ):
        pass


def test_a_root_file_system_that_is_a_tarball_is_extended(tmp_path: Path) -> None:
    image = archive(tmp_path / "root.tar", "etc/issue", "bin/sh")
    before = image.read_bytes()
    overlay = archive(tmp_path / "o.tar", "lava-1/run", "etc/issue")
    made = extend(image, [overlay], tmp_path / "new.tar", workdir=tmp_path, deadline=soon())
    assert set(contents(made)) == {"etc/issue", "bin/sh", "lava-1/run"}
    assert image.read_bytes() == before, "the image in the cache stays as it is"


def test_an_image_that_is_no_tarball_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    image = tmp_path / "root.tar"
    image.write_bytes(b"\x1f\x8b" + bytes(2000))
    with pytest.raises(JobError, match="not a tar archive"):
        extend(image, [archive(tmp_path / "o.tar", "x")], tmp_path / "new", workdir=tmp_path, deadline=soon())
    assert not (tmp_path / "new").exists()

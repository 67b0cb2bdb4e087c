# SPDX-License-Identifier: Apache-2.0
"""Archives from users: what is unpacked, and what is refused."""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor.errors import JobError, JobTimeout
from executor.model.deadline import Deadline
from executor.testing.tarballs import Item, directory, file, hard_link, symlink, write_tar
from executor.tools.tarsafe import Unpacked, unpack
from executor.tools.tartree import ROOTFS, Limits, Policy


def do(tmp_path: Path, *items: Item, policy: Policy = Policy(), limits: Limits = Limits()) -> Unpacked:  # noqa: B008
    tar = write_tar(tmp_path / "a.tar", items)
    return unpack(tar, tmp_path / "tree", deadline=Deadline.after(60), policy=policy, limits=limits)


def outside(tmp_path: Path) -> list[str]:
    """What lies beside the archive and its tree."""
    return sorted(path.name for path in tmp_path.iterdir() if path.name not in ("a.tar", "tree"))


def test_files_directories_and_links(tmp_path: Path) -> None:
    done = do(
        tmp_path,
        directory("./d", mode=0o750),
        file("./d/f", b"hello", mode=0o4755),
        symlink("d/l", "f"),
        hard_link("h", "d/f"),
        file("implied/parents/f", b"x"),
    )
    tree = tmp_path / "tree"
    assert done == Unpacked(count=5, size=6, skipped=0)
    assert (tree / "d/l").read_text() == "hello"
    assert stat.S_IMODE((tree / "d").stat().st_mode) == 0o750
    assert stat.S_IMODE((tree / "d/f").stat().st_mode) == 0o755  # without setuid
    assert (tree / "d/f").stat().st_mtime == (tree / "d").stat().st_mtime == 1_700_000_000
    assert (tree / "h").samefile(tree / "d/f")
    assert (tree / "implied/parents/f").read_text() == "x"


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_compressed(tmp_path: Path, compression: Literal["gz", "bz2", "xz"]) -> None:
    tar = write_tar(tmp_path / "a", [file("f", b"x" * 100_000)], compression)
    done = unpack(tar, tmp_path / "tree", deadline=Deadline.after(60), compression=compression)
    assert done.size == 100_000
    with tar.open("rb") as stream:  # a download under way
        again = unpack(stream, tmp_path / "two", deadline=Deadline.after(60), compression=compression)
    assert again == done


def test_a_later_member_replaces_an_earlier_file_or_link(tmp_path: Path) -> None:
    do(tmp_path, file("f", b"old"), symlink("l", "f"), file("l", b"new"), file("f", b"newer"))
    tree = tmp_path / "tree"
    assert not (tree / "l").is_symlink()
    assert [(tree / name).read_text() for name in "fl"] == ["newer", "new"]


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([file("/etc/passwd", b"x")], id="absolute"),
        pytest.param([file("../escape", b"x")], id="dotdot"),
        pytest.param([file("a/../../escape", b"x")], id="inner-dotdot"),
        pytest.param([symlink("l", "/etc")], id="absolute-symlink"),
        pytest.param([symlink("l", "../x")], id="symlink-up"),
        pytest.param([directory("d"), symlink("d/l", "../../x")], id="symlink-up-twice"),
        pytest.param(
            [directory("a/b"), symlink("a/b/c", ".."), symlink("a/d", "b/c/../../x")], id="symlink-trick"
        ),
        pytest.param([hard_link("h", "/etc/passwd")], id="hard-link-absolute"),
        pytest.param([hard_link("h", "../a.tar")], id="hard-link-up"),
        pytest.param([hard_link("h", "missing")], id="hard-link-nowhere"),
        pytest.param([file("f"), symlink("l", "f"), hard_link("h", "l")], id="hard-link-to-symlink"),
        pytest.param([Item("null", tarfile.CHRTYPE)], id="device"),
        pytest.param([Item("pipe", tarfile.FIFOTYPE)], id="fifo"),
        pytest.param([file("f"), file("f/g")], id="below-a-file"),
        pytest.param([directory("d"), file("d/f"), file("d", b"x")], id="file-over-directory"),
        pytest.param([symlink("a", "b"), symlink("b", "a"), file("a/f")], id="symlink-loop"),
        pytest.param([file("x" * 300)], id="long-name"),
    ],
)
def test_refused(tmp_path: Path, items: list[Item]) -> None:
    with pytest.raises(JobError):
        do(tmp_path, *items)
    assert outside(tmp_path) == []


def test_a_symlink_on_the_way_is_read_inside_the_tree(tmp_path: Path) -> None:
    items = [symlink("lib", "usr/lib"), symlink("abs", "/usr"), symlink("up", "../../../usr")]
    items += [file("lib/a", b"a"), file("abs/b", b"b"), file("up/c", b"c"), directory("lib")]
    do(tmp_path, *items, policy=ROOTFS)
    usr = tmp_path / "tree/usr"
    assert sorted(str(path.relative_to(usr)) for path in usr.rglob("*")) == ["b", "c", "lib", "lib/a"]
    assert (tmp_path / "tree/lib").is_symlink()
    assert outside(tmp_path) == []


def test_a_symlink_that_was_there_before_is_not_followed_out(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/d").symlink_to(tmp_path)
    do(tmp_path, file("d/f", b"x"), policy=ROOTFS)
    assert outside(tmp_path) == []


def test_root_file_systems_keep_what_they_need(tmp_path: Path) -> None:
    items = [file("/su", b"x", mode=0o4755), directory("tmp", mode=0o1777), Item("dev/null", tarfile.CHRTYPE)]
    done = do(tmp_path, *items, policy=ROOTFS)
    assert done.skipped == 1
    assert stat.S_IMODE((tmp_path / "tree/su").stat().st_mode) == 0o4755
    assert stat.S_IMODE((tmp_path / "tree/tmp").stat().st_mode) == 0o1777
    assert not (tmp_path / "tree/dev/null").exists()


def test_a_read_only_directory_can_be_filled(tmp_path: Path) -> None:
    do(tmp_path, directory("d", mode=0o555), file("d/f", b"x"))
    assert stat.S_IMODE((tmp_path / "tree/d").stat().st_mode) == 0o555


def test_limits(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="more than 9 bytes"):
        do(tmp_path, file("a", b"12345"), file("b", b"12345"), limits=Limits(size=9))
    with pytest.raises(JobError, match="more than 1 members"):
        do(tmp_path, file("a"), file("b"), limits=Limits(count=1))


def test_a_huge_header_is_not_read(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    (tmp_path / "a.tar").write_bytes(header.tobuf() + bytes(10240))
    with pytest.raises(JobError, match="header of"):
        unpack(tmp_path / "a.tar", tmp_path / "tree", deadline=Deadline.after(60))


def test_wrong_and_cut_off_data(tmp_path: Path) -> None:
    good = write_tar(tmp_path / "a.tar", [file("f", os.urandom(100_000))]).read_bytes()
    for bad in (b"not a tar archive" * 100, b"", good[:50_000], good[:300]):
        with pytest.raises(JobError):
            unpack(io.BytesIO(bad), tmp_path / "tree", deadline=Deadline.after(60))
    with pytest.raises(JobError, match="is not gz data"):
        unpack(io.BytesIO(good), tmp_path / "tree", deadline=Deadline.after(60), compression="gz")


def test_deadline(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.tar", [file("f", b"x")])
    with pytest.raises(JobTimeout):
        unpack(tar, tmp_path / "tree", deadline=Deadline.after(0))


NAMES = st.lists(st.sampled_from(["a", "b", "c", "..", ".", ""]), min_size=1, max_size=4).map("/".join)
ITEMS = st.one_of(
    st.builds(file, NAMES, st.just(b"x")),
    st.builds(directory, NAMES),
    st.builds(symlink, NAMES, NAMES),
    st.builds(hard_link, NAMES, NAMES),
)


@given(items=st.lists(ITEMS, max_size=8), rooted=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_ever_leaves_the_tree(
    tmp_path_factory: pytest.TempPathFactory, items: list[Item], rooted: bool
) -> None:
    base = tmp_path_factory.mktemp("tar", numbered=True)
    with suppress(JobError):
        do(base, *items, policy=ROOTFS if rooted else Policy())
    assert outside(base) == []
    if not rooted:
        top = os.path.realpath(base / "tree")
        for path in (base / "tree").rglob("*"):
            try:
                path.stat()
            except OSError as problem:
                if problem.errno == errno.ELOOP:
                    continue  # leads nowhere at all
            assert os.path.realpath(path).startswith(top)

# SPDX-License-Identifier: Apache-2.0
"""Bundles: what goes in comes out, and nothing else does."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor.errors import InfrastructureError, JobError, LavaExecError, UsageError
from executor.reproduce import manifest as manifests
from executor.reproduce.bundle import pack
from executor.reproduce.images import Images
from executor.reproduce.manifest import File, Manifest
from executor.reproduce.source import Original
from executor.reproduce.unpack import read_manifest, unpack

Members = list[tuple[tarfile.TarInfo, bytes]]


def member(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(data), link
    return info, data


def archive(path: Path, members: Members, form: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


def good_members() -> tuple[Manifest, Members]:
    """The least that a bundle holds."""
    contents = {name: f"content of {name}".encode() for name in manifests.NEEDED}
    files = [File(n, len(d), hashlib.sha256(d).hexdigest()) for n, d in contents.items()]
    found = Manifest(1, files, "42")
    return found, [
        member(manifests.NAME, manifests.encode(found)),
        *(member(n, d) for n, d in contents.items()),
    ]


@pytest.mark.parametrize("name", ["job.tar", "job.tar.zst"])
def test_a_bundle_comes_out_as_it_went_in(
    tmp_path: Path, original: Original, kernel: Path, images: Images, name: str
) -> None:
    target = tmp_path / name
    made = pack(original, target, objects=lambda sha256: kernel, images=images)
    assert made.secrets == ["TOKEN"]
    assert (made.job_id, made.job_name, made.device) == ("42", "demo", "qemu-01")
    assert made.has_image
    out = tmp_path / "elsewhere" / "deep"
    assert unpack(target, out) == made == read_manifest(target)
    again = Original(out)
    assert again.spec == original.spec
    assert again.text == original.text
    assert again.artefacts == original.artefacts
    assert again.artefacts_directory is not None
    assert (out / "artefacts" / original.artefacts[0].sha256).read_bytes() == kernel.read_bytes()
    assert (out / "image.tar").read_bytes() == b"image " + original.spec.image_digest.encode()
    assert again.journal.read_bytes() == original.journal.read_bytes()
    assert [p.name for p in again.sources] == ["common-0.tar.gz"]
    assert [p.name for p in tmp_path.glob(".lava-exec-bundle-*")] == []


def test_without_the_image_it_is_not_in(tmp_path: Path, original: Original, kernel: Path) -> None:
    made = pack(original, tmp_path / "a.tar", objects=lambda sha256: kernel, images=None)
    assert not made.has_image
    assert made.image_digest == original.spec.image_digest


def test_an_artefact_that_is_gone_is_named_and_nothing_is_written(tmp_path: Path, original: Original) -> None:
    with pytest.raises(InfrastructureError, match="kernel"):
        pack(original, tmp_path / "a.tar", objects=lambda sha256: None, images=None)
    assert not (tmp_path / "a.tar").exists()


def test_a_damaged_object_of_the_cache_is_noticed(tmp_path: Path, original: Original) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"other bytes")
    with pytest.raises(InfrastructureError, match="damaged"):
        pack(original, tmp_path / "a.tar", objects=lambda sha256: wrong, images=None)


def test_no_secret_value_is_in_a_bundle(tmp_path: Path, original: Original, kernel: Path) -> None:
    pack(original, tmp_path / "a.tar", objects=lambda sha256: kernel, images=None)
    assert b"[MASKED]" in (tmp_path / "a.tar").read_bytes()


def test_a_directory_that_holds_no_job(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not hold a job"):
        Original(tmp_path)


def test_the_least_bundle_is_taken(tmp_path: Path) -> None:
    found, members = good_members()
    assert unpack(archive(tmp_path / "a.tar", members), tmp_path / "out") == found


@pytest.mark.parametrize(
    "extra",
    [
        member("../evil", b"x"),
        member("/etc/evil", b"x"),
        member("job/extra.yaml", b"x"),
        member("out/link", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        member("out/hard", kind=tarfile.LNKTYPE, link="spec.json"),
        member("out/dir", kind=tarfile.DIRTYPE),
        member("out/node", kind=tarfile.CHRTYPE),
        member("out/pipe", kind=tarfile.FIFOTYPE),
        member("x" * 300, b"long name"),
    ],
    ids=lambda m: f"{m[0].name[:20]}-{m[0].type!r}",
)
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_the_manifest_does_not_name_ends_the_reading(
    tmp_path: Path, extra: tuple[tarfile.TarInfo, bytes], form: int
) -> None:
    _, members = good_members()
    path = archive(tmp_path / "a.tar", [members[0], extra, *members[1:]], form)
    with pytest.raises(JobError):
        unpack(path, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) in (["a.tar"], ["a.tar", "out"])
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "name",
    ["../x", "/abs", "job/../../x", "out/sources/../x.tar.gz", "image.tar/x", "artefacts/zz", "job/run.sh"],
)
def test_a_manifest_that_names_other_files_is_refused(tmp_path: Path, name: str) -> None:
    found, members = good_members()
    bad = msgspec.structs.replace(found, files=[*found.files, File(name, 1, "0" * 64)])
    members[0] = member(manifests.NAME, manifests.encode(bad))
    with pytest.raises(JobError, match="does not belong"):
        unpack(archive(tmp_path / "a.tar", [*members, member(name, b"x")]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_content_other_size_a_missing_and_a_double_file(tmp_path: Path) -> None:
    _, members = good_members()
    info, data = members[1]
    cases = {
        "content": [members[0], (info, b"X" + data[1:]), *members[2:]],
        "size": [members[0], member(info.name, data + b"more"), *members[2:]],
        "missing": members[:-1],
        "double": [*members, members[1]],
        "headless": members[1:],
        "empty": [],
    }
    for name, wrong in cases.items():
        with pytest.raises(JobError):
            unpack(archive(tmp_path / f"{name}.tar", wrong), tmp_path / name)


def test_an_artefact_whose_name_is_not_its_hash_is_refused(tmp_path: Path) -> None:
    found, members = good_members()
    bad = msgspec.structs.replace(found, files=[*found.files, File("artefacts/" + "a" * 64, 1, "b" * 64)])
    members[0] = member(manifests.NAME, manifests.encode(bad))
    with pytest.raises(JobError, match="not what its name says"):
        unpack(archive(tmp_path / "a.tar", members), tmp_path / "out")


def test_another_format_says_so(tmp_path: Path) -> None:
    found, members = good_members()
    members[0] = member(manifests.NAME, manifests.encode(msgspec.structs.replace(found, format=9)))
    with pytest.raises(JobError, match="format 9"):
        read_manifest(archive(tmp_path / "a.tar", members))


def test_no_file_and_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_manifest(tmp_path / "none")
    for number, data in enumerate(
        [b"", b"hello", b"\0" * 2048, b"\x28\xb5\x2f\xfd garbage", bytes(range(256)) * 20]
    ):
        path = tmp_path / str(number)
        path.write_bytes(data)
        with pytest.raises(JobError):
            read_manifest(path)


def test_more_than_there_is_room_for_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    found, members = good_members()
    huge = msgspec.structs.replace(found, files=[*found.files, File("image.tar", 200 << 30, "0" * 64)])
    members[0] = member(manifests.NAME, manifests.encode(huge))
    with pytest.raises(LavaExecError):
        unpack(archive(tmp_path / "a.tar", members), tmp_path / "out")
    assert not (tmp_path / "out" / "image.tar").exists()


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_damage_anywhere_is_an_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tmp = tmp_path_factory.mktemp("damage")
    found, members = good_members()
    whole = archive(tmp / "a.tar", members).read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(whole))) if data.draw(st.booleans()) else len(whole)
    content = bytes(damaged[:cut])
    if data.draw(st.booleans()):
        content = zstandard.compress(content)
    (tmp / "b.tar").write_bytes(content)
    with contextlib.suppress(JobError):
        assert unpack(tmp / "b.tar", tmp / "out").files == found.files
    names = {str(p.relative_to(tmp / "out")) for p in (tmp / "out").rglob("*") if p.is_file()}
    assert names <= set(manifests.NEEDED)

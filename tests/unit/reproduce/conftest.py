# SPDX-License-Identifier: Apache-2.0
"""The directory that a finished job leaves on its worker, written by hand."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.container.jobdir import Artefact, JobDirectory
from executor.model.journal import HEADER, Header
from executor.model.launch import DeviceNode, HostFacts, LaunchSpec, Mount
from executor.model.worker import Worker
from executor.reproduce.source import Original
from executor.testing.book import Book

DIGEST = "sha256:" + "1" * 64
KERNEL = b"a kernel" * 1000
KERNEL_HASH = hashlib.sha256(KERNEL).hexdigest()
JOB = "job_name: demo\nsecrets: {TOKEN: '[MASKED]'}\nactions: []\n"


class FakeImages:
    """Images as files: what was loaded and tagged can be asked."""

    def __init__(self, digest: str = DIGEST) -> None:
        self.digest = digest
        self.loaded: list[bytes] = []
        self.tags: list[tuple[str, str, str]] = []

    def save(self, digest: str) -> Iterator[bytes]:
        yield b"image "
        yield digest.encode()

    def load(self, file: Path) -> None:
        self.loaded.append(file.read_bytes())

    def tag(self, digest: str, repository: str, tag: str) -> None:
        self.tags.append((digest, repository, tag))


@pytest.fixture
def images() -> FakeImages:
    return FakeImages()


@pytest.fixture
def journal() -> Book:
    book = Book()
    book.add(HEADER, Header(job_id="42", job_name="demo"))
    book.result("0_smoke", "boot", "pass")
    book.result("0_smoke", "disk", "fail")
    book.result("lava", "0_smoke", "pass", commit_id="c0ffee", namespace="common")
    return book


@pytest.fixture
def original(tmp_path: Path, journal: Book) -> Original:
    directory = JobDirectory(tmp_path / "jobs" / "42")
    directory.path.mkdir(parents=True)
    for path in (directory.inputs, directory.out / "sources"):
        path.mkdir(parents=True)
    facts = HostFacts(uid=10777, gid=10777, kvm=True, kvm_gid=104, http_proxy={"http_proxy": "http://old:1"})
    spec = LaunchSpec(
        job_id="42",
        image="lava-exec/qemu:latest",
        image_digest=DIGEST,
        command=["python", "-m", "executor.runner"],
        user="10777:10777",
        groups=[104, 20],
        environment={"HOME": "/work", "http_proxy": "http://old:1", "SSL_CERT_FILE": "/job/ca.crt"},
        mounts=[Mount("/srv/tftp/42", "{host}/srv/tftp/42"), Mount("/out", "{job}/out")],
        nodes=[DeviceNode("/dev/kvm", "/dev/kvm")],
        memory_mib=2048,
        cpus=4.0,
        hostname="job-42",
        facts=facts,
    )
    directory.write_spec(spec)
    directory.write_worker(Worker(job_id="42", accelerator="kvm", accelerator_reason="probed"))
    directory.write_inputs(JOB, {"hostname": "qemu-01"}, secrets=False)
    directory.write_artefacts([Artefact("http://h/Image", KERNEL_HASH, "kernel", keys=[KERNEL_HASH])])
    directory.journal.write_bytes(journal.data)
    with tarfile.open(directory.out / "sources" / "common-0.tar.gz", "w:gz"):
        pass
    return Original(directory.path)


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "object"
    path.write_bytes(KERNEL)
    return path

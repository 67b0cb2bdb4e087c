# SPDX-License-Identifier: Apache-2.0
"""What a job has fetched once is not fetched or decompressed again, and a job is told so."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from executor.testing.web import WebServer
from tests.e2e import jobs
from tests.e2e.farm import ASSETS, Farm, Running, cases

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(420)]

_SUMMARY = re.compile(r"artefacts: (\d+) used, (\d+) bytes downloaded, (\d+) decompressed")


def summary(farm: Farm, job: str) -> tuple[int, int, int]:
    """Artefacts, bytes downloaded, bytes decompressed, as the job's log has it."""
    found = _SUMMARY.search(farm.cli("logs", job).out)
    assert found is not None, farm.tail(job)
    return int(found[1]), int(found[2]), int(found[3])


def test_second_run_of_the_debian_guest_downloads_and_decompresses_nothing(
    farm: Farm, examples: dict[str, Running]
) -> None:
    assert examples["qemu-debian"].wait(400).code == 0
    again = farm.submit(jobs.example("qemu-debian"))
    assert farm.wait(again) == 0, farm.tail(again)
    assert summary(farm, again) == (3, 0, 0)


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


def test_a_server_is_asked_again_and_sends_nothing(farm: Farm, web: WebServer) -> None:
    """Kernel and ramdisk by HTTP; the first download of the kernel is cut in the middle."""
    kernel = (ASSETS / "amd64/vmlinuz").read_bytes()
    ramdisk = (ASSETS / "amd64/initramfs.cpio.gz").read_bytes()
    data = jobs.load("ramdisk-busybox")
    images = jobs.block(data, "deploy")["images"]
    images["kernel"]["url"] = web.put("/vmlinuz", kernel, etag='"k1"', cut_after=[len(kernel) // 2])
    images["initrd"]["url"] = web.put("/initramfs.cpio.gz", ramdisk, modified="Wed, 01 Jan 2025 00:00:00 GMT")
    first = farm.submit(jobs.text(data))
    assert farm.wait(first) == 0, farm.tail(first)
    count, downloaded, decompressed = summary(farm, first)
    assert (count, downloaded) == (2, len(kernel) + len(ramdisk))
    assert decompressed > len(ramdisk)
    ranges = [headers["range"] for path, headers in web.requests if "range" in headers]
    assert ranges == [f"bytes={len(kernel) // 2}-"], "the cut download went on where it was"
    again = farm.submit(jobs.text(data))
    assert farm.wait(again) == 0, farm.tail(again)
    assert summary(farm, again) == (2, 0, 0)
    assert cases(farm.results(again)) == cases(farm.results(first))


def test_what_is_not_there_is_found_out_before_anything_runs(farm: Farm, web: WebServer) -> None:
    """Two files of two blocks are missing: both are named, and nothing is powered or downloaded."""
    data = jobs.load("ramdisk-busybox")
    images = jobs.block(data, "deploy")["images"]
    images["kernel"]["url"] = web.address + "/no-kernel"
    images["initrd"]["url"] = (ASSETS / "amd64/no-ramdisk").as_uri()
    job = farm.submit(jobs.text(data))
    assert farm.wait(job) == 2
    cause = str(farm.results(job)["cause"]["message"])
    assert "/no-kernel: the server answered 404 Not Found" in cause
    assert "there is no file" in cause
    assert not farm.has(job, "start: 1 deployimages")

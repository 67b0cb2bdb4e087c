# SPDX-License-Identifier: Apache-2.0
"""Old forms are read as today's, and it is said (spec: job-format §13, row by row)."""

from __future__ import annotations

from typing import Any

import pytest

from executor.model.problem import Path, Problem
from executor.schema.job import ParsedJob, parse_job

HEAD = "job_name: demo\ndevice_type: qemu\ntimeouts: {job: {hours: 1}}\n"


def parse(actions: str, head: str = HEAD) -> ParsedJob:
    parsed = parse_job(head + "actions:\n" + actions)
    assert parsed.job is not None
    return parsed


def block(actions: str, number: int = 0, head: str = HEAD) -> dict[str, Any]:
    parsed = parse(actions, head)
    assert not parsed.errors
    assert parsed.job is not None
    return parsed.job.blocks[number].parameters


def told(actions: str) -> list[str]:
    return [str(r) for r in parse(actions).rewrites]


def line_of(parsed: ParsedJob, path: Path) -> int:
    return parsed.locate(Problem("x", path=path)).line


SEED_IMAGE = """\
- deploy:
    to: tmpfs
    image: http://files.example/disk.img.gz
    compression: gz
    root_partition: 2
    sha256sum: abc
    os: debian
"""


def test_the_seeds_image() -> None:
    assert block(SEED_IMAGE) == {
        "to": "tmpfs",
        "os": "debian",
        "images": {
            "image": {
                "url": "http://files.example/disk.img.gz",
                "image_arg": "-drive format=raw,file={image}",
                "overlay": True,
                "compression": "gz",
                "sha256sum": "abc",
                "partition": 1,
            }
        },
    }
    assert told(SEED_IMAGE) == [
        "actions[0].deploy.root_partition: 2 → partition: 1, counted from 0",
        "actions[0].deploy: image → images: {image: …}",
    ]


def test_positions_follow_what_has_moved() -> None:
    parsed = parse(SEED_IMAGE)
    base: Path = ("actions", 0, "deploy", "images", "image")
    assert line_of(parsed, (*base, "url")) == 7
    assert line_of(parsed, (*base, "compression")) == 8
    assert line_of(parsed, (*base, "sha256sum")) == 10
    assert line_of(parsed, ("actions", 0, "deploy", "images", "other")) == 7


def test_the_seeds_image_on_a_machine_without_ide() -> None:
    images = block(SEED_IMAGE, head=HEAD + "context: {arch: arm64}\n")["images"]
    assert images["image"]["image_arg"] == "-drive format=raw,if=virtio,file={image}"


@pytest.mark.parametrize("number", [0, -1])
def test_the_seeds_partitions_count_from_one(number: int) -> None:
    [problem] = parse(SEED_IMAGE.replace("root_partition: 2", f"root_partition: {number}")).errors
    assert problem.line == 9
    assert "from 1" in problem.expected


def test_todays_images_stay_as_they_are() -> None:
    text = "- deploy: {to: tmpfs, images: {a: {url: 'http://h/a', image_arg: x}}}\n"
    assert block(text)["images"] == {"a": {"url": "http://h/a", "image_arg": "x"}}
    assert told(text) == []


def test_bare_urls() -> None:
    found = block(
        "- deploy:\n    to: tftp\n    kernel: http://h/k\n    dtb: http://h/d\n    ramdisk: http://h/r\n"
        "    nfsrootfs: http://h/n\n    modules: http://h/m\n    dtbo: ['http://h/1', {url: 'http://h/2'}]\n"
        "    extra_files: {a: http://h/a}\n"
    )
    for key, letter in (
        ("kernel", "k"),
        ("dtb", "d"),
        ("ramdisk", "r"),
        ("nfsrootfs", "n"),
        ("modules", "m"),
    ):
        assert found[key] == {"url": f"http://h/{letter}"}
    assert found["dtbo"] == [{"url": "http://h/1"}, {"url": "http://h/2"}]
    assert found["extra_files"] == {"a": {"url": "http://h/a"}}


def test_bare_urls_of_images() -> None:
    assert block("- deploy: {to: fastboot, images: {boot: 'http://h/b'}}\n")["images"] == {
        "boot": {"url": "http://h/b"}
    }


def test_an_image_of_docker_is_a_name() -> None:
    assert block("- deploy: {to: docker, image: 'debian:12'}\n")["image"] == "debian:12"


def test_ramdisk_type() -> None:
    found = block("- deploy: {to: tftp, ramdisk: 'http://h/r', ramdisk-type: u-boot}\n")
    assert found == {"to": "tftp", "ramdisk": {"url": "http://h/r", "header": "u-boot"}}


@pytest.mark.parametrize("key", ["rootfs_compression", "compression"])
def test_compression_beside_nfsrootfs(key: str) -> None:
    found = block(f"- deploy: {{to: tftp, nfsrootfs: 'http://h/n', {key}: xz}}\n")
    assert found == {"to": "tftp", "nfsrootfs": {"url": "http://h/n", "compression": "xz"}}


def test_what_a_resource_says_itself_wins() -> None:
    text = "- deploy: {to: tftp, nfsrootfs: {url: 'http://h/n', compression: gz}, compression: xz}\n"
    assert block(text)["nfsrootfs"]["compression"] == "gz"
    assert block(text)["compression"] == "xz"  # for the method's struct to complain about


def test_nfs_url() -> None:
    found = block("- deploy: {to: tftp, nfs_url: 'host:/path'}\n")
    assert found == {"to": "tftp", "persistent_nfs": {"address": "host:/path"}}


def test_checksums_at_block_level() -> None:
    found = block(
        "- deploy:\n    to: tftp\n    kernel: http://h/k\n    images: {a: 'http://h/a'}\n"
        "    md5sum: {kernel: k5, other: o5}\n    sha256sum: {a: a256}\n"
    )
    assert found["kernel"]["md5sum"] == "k5"
    assert found["images"]["a"]["sha256sum"] == "a256"
    assert found["md5sum"] == {"other": "o5"}
    assert "sha256sum" not in found


@pytest.mark.parametrize(("command", "kind"), [("bootz", "zimage"), ("booti", "image"), ("bootm", "uimage")])
def test_boot_type_tells_the_kernels_type(command: str, kind: str) -> None:
    text = (
        "- deploy: {to: tftp, kernel: 'http://h/k'}\n"
        f"- boot: {{method: u-boot, commands: nfs, type: {command}}}\n"
    )
    assert block(text)["kernel"]["type"] == kind
    assert block(text, 1)["type"] == command


def test_boot_type_looks_at_the_nearest_deploy_of_its_namespace() -> None:
    text = (
        "- deploy: {namespace: a, to: tftp, kernel: 'http://h/1'}\n"
        "- deploy: {namespace: a, to: tftp, kernel: 'http://h/2'}\n"
        "- deploy: {namespace: b, to: tftp, kernel: 'http://h/3'}\n"
        "- boot: {namespace: a, method: u-boot, type: bootz}\n"
    )
    assert ["type" in block(text, n)["kernel"] for n in range(3)] == [False, True, False]


def test_boot_type_against_the_kernels_type() -> None:
    [problem] = parse(
        "- deploy: {to: tftp, kernel: {url: 'http://h/k', type: zimage}}\n"
        "- boot: {method: u-boot, type: booti}\n"
    ).errors
    assert (problem.line, problem.error_type) == (6, "Job")
    assert "zimage" in problem.message


def test_secondary_media_on_the_deploy_block() -> None:
    text = (
        "- deploy:\n    to: usb\n    image: http://h/i.gz\n    compression: gz\n"
        "    kernel: boot/k\n    dtb: boot/d\n"
        "    UUID: 11-22\n    boot_part: 1\n    download: /usr/bin/wget\n"
        "- boot: {method: u-boot, commands: usb, type: bootz}\n"
    )
    assert block(text) == {
        "to": "usb",
        "image": {"url": "http://h/i.gz", "compression": "gz"},
        "download": {"tool": "/usr/bin/wget", "options": "-q -O - {DOWNLOAD_URL}"},
    }
    boot = block(text, 1)
    assert {k: boot[k] for k in ("kernel", "dtb", "root_uuid", "boot_part", "kernel_type")} == {
        "kernel": "boot/k",
        "dtb": "boot/d",
        "root_uuid": "11-22",
        "boot_part": 1,
        "kernel_type": "zimage",
    }
    assert line_of(parse(text), ("actions", 1, "boot", "root_uuid")) == 11


def test_secondary_media_on_the_boot_block() -> None:
    boot = block("- boot: {method: u-boot, UUID: 11-22, kernel: boot/k}\n")
    assert boot == {"method": "u-boot", "root_uuid": "11-22", "kernel": "boot/k"}


def test_kvm_is_qemu() -> None:
    assert block("- boot: {method: kvm}\n") == {"method": "qemu"}


def test_one_prompt_is_a_list_of_one() -> None:
    assert block("- boot: {method: qemu, prompts: 'root@'}\n")["prompts"] == ["root@"]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("2m", {"minutes": 2}), ("90s", {"seconds": 90}), ("90", {"seconds": 90}), ("48h", {"days": 2})],
)
def test_short_timeouts(text: str, canonical: dict[str, int]) -> None:
    assert block(f"- boot: {{method: qemu, timeout: {text}}}\n")["timeout"] == canonical


def test_names_of_actions_in_a_blocks_timeouts() -> None:
    found = block("- boot: {method: u-boot, timeouts: {uboot_retry: 2m, http_download: {minutes: 1}}}\n")
    assert found["timeouts"] == {"uboot-commands": {"minutes": 2}, "http-download": {"minutes": 1}}


def test_protocol_calls() -> None:
    text = (
        "- deploy:\n    to: ssh\n    protocols:\n      lava-multinode: {api: lava-wait, id: ipv4, "
        "key: ipaddr, timeout: 5m, action: u-boot-commands}\n"
    )
    assert block(text)["protocols"] == {
        "lava-multinode": [
            {
                "request": "lava-wait",
                "messageID": "ipv4",
                "message": {"ipaddr": "$ipaddr"},
                "timeout": {"minutes": 5},
                "action": "bootloader-commands",
            }
        ]
    }


def test_an_inline_definition_has_its_metadatas_name() -> None:
    found = block(
        "- test:\n    definitions:\n    - from: inline\n      path: a.yaml\n      repository:\n"
        "        metadata: {format: Lava-Test Test Definition 1.0, name: smoke}\n        run: {steps: [ls]}\n"
    )
    assert found["definitions"][0]["name"] == "smoke"


def test_flat_timeouts_of_the_job() -> None:
    head = "job_name: d\ndevice_type: q\ntimeouts: {job: 1h, extract_nfsrootfs: {seconds: 60}}\n"
    parsed = parse("- boot: {method: qemu}\n", head)
    assert parsed.job is not None
    assert parsed.job.raw["timeouts"] == {
        "job": {"hours": 1},
        "actions": {"extract-nfsrootfs": {"minutes": 1}},
    }
    assert [str(r) for r in parsed.rewrites] == [
        "timeouts.job: 1h → {hours: 1}",
        "timeouts.extract_nfsrootfs: extract_nfsrootfs → actions.extract-nfsrootfs",
    ]


def test_what_has_another_type_is_left_alone() -> None:
    text = (
        "- deploy: {to: tmpfs, image: 5, dtbo: 7, images: [], md5sum: {a: b}, kernel: [x], nfs_url: 3}\n"
        "- boot: {method: [kvm], type: {a: b}, prompts: 5}\n"
        "- test: {definitions: {a: b}}\n"
    )
    parsed = parse(text)
    assert parsed.job is not None
    assert parsed.job.blocks[0].parameters["kernel"] == ["x"]
    assert parsed.rewrites == []


def test_the_document_itself_is_not_touched() -> None:
    parsed = parse(SEED_IMAGE)
    assert parsed.document is not None
    assert "image" in parsed.document.data["actions"][0]["deploy"]


def test_old_names_of_actions_lead_back_to_what_was_written() -> None:
    limits = "action: {minutes: 1, http_download: {minutes: 2}}, actions: {uboot-retry: {minutes: 3}}"
    head = f"job_name: d\ndevice_type: q\ntimeouts: {{job: {{hours: 1}}, {limits}}}\n"
    parsed = parse("- boot: {method: qemu}\n", head)
    assert [str(r) for r in parsed.rewrites] == [
        "timeouts.action.http_download: http_download → actions.http-download",
        "timeouts.actions.uboot-retry: uboot-retry → uboot-commands",
    ]
    for name, written in (
        ("http-download", ("timeouts", "action", "http_download")),
        ("uboot-commands", ("timeouts", "actions", "uboot-retry")),
    ):
        found = parsed.locate(Problem("x", path=("timeouts", "actions", name)))
        assert (found.path, found.line) == (written, 3)

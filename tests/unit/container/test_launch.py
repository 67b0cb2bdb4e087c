# SPDX-License-Identifier: Apache-2.0
"""Least privilege: what stands in a spec, and that nothing else does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from executor.container.launch import finalizer_spec, plan_container, relabel
from executor.container.request import Places, create_body
from executor.errors import Bug, ConfigurationError, InfrastructureError
from executor.model.launch import DeviceRule, HostFacts, LaunchSpec, Needs
from executor.model.worker import Limits

HERE = Path(__file__).parent
FACTS = HostFacts(
    worker="w1",
    engine_version="20.10.24",
    kvm=True,
    kvm_gid=104,
    cpus=2,
    memory_mib=24000,
    http_proxy={"http_proxy": "http://proxy:3128"},
    ca_bundle="/etc/ssl/certs/ca-certificates.crt",
    images={
        "lava-exec/dispatcher:latest": "sha256:" + "d" * 64,
        "lava-exec/qemu:latest": "sha256:" + "e" * 64,
    },
)
PLACES = Places(Path("/state/jobs/7"), secrets=Path("/run/lava-exec/secrets-1.json"))
QEMU = Needs(image="qemu", mounts=frozenset({"cache", "work"}), devices=frozenset({"kvm"}), memory=512)
BOARD = Needs(mounts=frozenset({"cache", "tftp"}), devices=frozenset({"serial"}), network="host")
DEVICE: dict[str, Any] = {"hostname": "bone-07", "container": {"tools": "/opt/lab-tools"}}


def plan(needs: Needs, device: dict[str, Any] | None = None, **options: Any) -> LaunchSpec:
    return plan_container("7", needs, device or {}, FACTS, agent="w1", state="/state", **options)


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("qemu", plan(QEMU, secrets=True)),
        ("board", plan(BOARD, DEVICE)),
        ("finalizer", finalizer_spec(plan(BOARD, DEVICE, secrets=True), ["pdu", "off", "7"])),
    ],
)
def test_golden(name: str, spec: LaunchSpec) -> None:
    """The whole spec and the whole request, so that nothing slips in unseen. Facts are input and left out."""
    shown = msgspec.to_builtins(msgspec.structs.replace(spec, facts=HostFacts(), needs=Needs()))
    found = {"spec": shown, "request": create_body(spec, PLACES)}
    golden = HERE / "golden" / f"{name}.json"
    assert json.loads(golden.read_text()) == json.loads(json.dumps(found)), (
        f"look at the change, then edit {golden}"
    )


def test_qemu_job_needs_no_capability_and_no_network() -> None:
    spec = plan(QEMU)
    assert (spec.capabilities, spec.network, spec.device_rules) == ([], "none", [])


def test_kvm_only_when_asked_for_and_when_it_works() -> None:
    asked, unasked = plan(QEMU), plan(msgspec.structs.replace(QEMU, devices=frozenset()))
    without = plan_container("7", QEMU, {}, msgspec.structs.replace(FACTS, kvm=False))
    assert [node.source for node in asked.nodes] == ["/dev/kvm"]
    assert asked.groups == [104]
    assert (unasked.nodes, unasked.groups) == ([], [])
    assert (without.nodes, without.groups) == ([], [])


def test_cache_secrets_and_nodes_only_when_needed() -> None:
    targets = {mount.target for mount in plan(Needs()).mounts}
    assert targets == {"/tmp", "/run", "/job", "/out", "/work", "/run/lava-exec"}


def test_device_rules_name_majors_of_the_kinds() -> None:
    rules = plan(Needs(devices=frozenset({"usb"}))).device_rules
    assert rules == [DeviceRule("c", 189)]
    body = create_body(plan(Needs(devices=frozenset({"serial"}))), PLACES)
    assert "c 188:* rw" in body["HostConfig"]["DeviceCgroupRules"]


def test_engine_that_ignores_device_rules_is_refused() -> None:
    podman = msgspec.structs.replace(FACTS, engine="podman", engine_version="4.3.1", device_rules=False)
    with pytest.raises(
        ConfigurationError, match=r"podman 4\.3\.1 does not keep a container from other serial"
    ):
        plan_container("7", BOARD, {}, podman)
    assert plan_container("7", QEMU, {}, podman).nodes, "a job without rules may run there"


def test_missing_image_says_how_to_get_it() -> None:
    with pytest.raises(InfrastructureError, match="lava-exec/qemu:latest is not on this host") as caught:
        plan_container("7", QEMU, {}, HostFacts())
    assert "make images" in caught.value.hint


def test_more_memory_than_the_worker_has() -> None:
    with pytest.raises(InfrastructureError, match="asks for 64000 MiB"):
        plan(Needs(image="qemu", memory=64000))


def test_memory_is_the_guests_and_a_margin_within_the_host() -> None:
    assert plan(QEMU).memory_mib > 512 + 1024
    assert plan(Needs(image="qemu", memory=23000)).memory_mib == 24000


def test_limits_reach_the_spec() -> None:
    spec = plan(QEMU, limits=Limits(work_bytes=5 << 30, cleanup_seconds=40))
    assert (spec.disk_mib, spec.stop_seconds) == (5 << 10, 40)


def test_device_may_ask_for_network() -> None:
    assert plan(Needs(), {"container": {"network": "host"}}).network == "host"
    assert plan(Needs(network="bridge"), {"container": {"network": "none"}}).network == "bridge"
    assert plan(Needs(network="host")).hostname == ""


@pytest.mark.parametrize(
    "section",
    [
        {"network": "container:other"},
        {"tools": "/"},
        {"tools": "/dev/disk"},
        {"tools": "/var/run/docker"},
        {"tools": "/opt/../etc"},
        {"tools": "relative"},
        {"tools": "/opt"},
        {"devices": ["gpu"]},
        ["network"],
    ],
)
def test_device_file_cannot_ask_for_more(section: Any) -> None:
    with pytest.raises(ConfigurationError):
        plan(Needs(), {"container": section})


def test_relabel_moves_directories_that_carry_the_job() -> None:
    moved = relabel(plan(BOARD), "run-1", "", "/other")
    assert "/srv/tftp/run-1" in {mount.target for mount in moved.mounts}
    assert moved.labels["lava-exec.job"] == "run-1"
    assert moved.labels["lava-exec.state"] == "/other"


def test_plan_is_stored_and_read_back_the_same() -> None:
    spec = plan(BOARD, DEVICE)
    assert msgspec.json.decode(msgspec.json.encode(spec), type=LaunchSpec) == spec


def test_symbolic_path_without_a_place() -> None:
    with pytest.raises(Bug, match="has no place on this host"):
        create_body(plan(QEMU, secrets=True), Places(Path("/state/jobs/7")))

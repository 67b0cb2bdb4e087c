# SPDX-License-Identifier: Apache-2.0
"""The accelerator, the memory, the network of a QEMU command line."""

from __future__ import annotations

import shlex

import pytest

from executor.actions.qemuoptions import Accelerator, accelerate, accelerator, memory_mib, uses_network

KVM, TCG = Accelerator(True, host="x86_64"), Accelerator(False, "no probe")


@pytest.mark.parametrize(
    ("program", "host", "worker", "kvm"),
    [
        ("qemu-system-x86_64", "x86_64", "kvm", True),
        ("/usr/bin/qemu-system-i386", "x86_64", "kvm", True),
        ("qemu-system-x86_64", "x86_64", "tcg", False),
        ("qemu-system-aarch64", "x86_64", "kvm", False),
        ("qemu-system-aarch64", "aarch64", "kvm", True),
        ("qemu-system-arm", "aarch64", "kvm", False),
        ("qemu-system-x86_64", "riscv64", "kvm", False),
    ],
)
def test_kvm_only_where_the_probe_and_the_architecture_agree(
    program: str, host: str, worker: str, kvm: bool
) -> None:
    assert accelerator(program, {}, worker, "probed", host).kvm is kvm


def test_the_reason_is_the_true_one() -> None:
    foreign = accelerator("qemu-system-arm", {}, "kvm", "a guest was started", "x86_64")
    assert str(foreign) == "tcg (the guest is arm, this host is x86_64)"
    without = accelerator("qemu-system-x86_64", {}, "tcg", "/dev/kvm is missing", "x86_64")
    assert str(without) == "tcg (/dev/kvm is missing)"
    refused = accelerator("qemu-system-x86_64", {"no_kvm": True}, "kvm", "", "x86_64")
    assert str(refused) == "tcg (the job's context says no_kvm)"
    assert str(accelerator("qemu-system-x86_64", {}, "kvm", "", "x86_64")) == "kvm"


@pytest.mark.parametrize(
    ("given", "tcg", "kvm"),
    [
        ("-m 512", "-m 512 -accel tcg", "-m 512 -accel kvm"),
        ("-enable-kvm", "-accel tcg", "-enable-kvm"),
        ("-accel kvm -m 1", "-accel tcg -m 1", "-accel kvm -m 1"),
        ("-accel kvm,thread=multi", "-accel tcg", "-accel kvm,thread=multi"),
        ("-accel tcg", "-accel tcg", "-accel tcg"),
        ("-machine pc,accel=kvm:tcg", "-machine pc,accel=tcg", "-machine pc,accel=kvm:tcg"),
        ("-M accel=kvm,usb=on", "-M accel=tcg,usb=on", "-M accel=kvm,usb=on"),
        (
            "-machine q35,kernel_irqchip=on",
            "-machine q35 -accel tcg",
            "-machine q35,kernel_irqchip=on -accel kvm",
        ),
        ("-cpu host,+avx", "-cpu max -accel tcg", "-cpu host,+avx -accel kvm"),
        ("-cpu max", "-cpu max -accel tcg", "-cpu max -accel kvm"),
        ("-append accel=kvm", "-append accel=kvm -accel tcg", "-append accel=kvm -accel kvm"),
    ],
)
def test_the_command_line_fits_the_accelerator(given: str, tcg: str, kvm: str) -> None:
    assert shlex.join(accelerate(shlex.split(given), TCG)) == tcg
    assert shlex.join(accelerate(shlex.split(given), KVM)) == kvm


def test_on_arm_kvm_gives_the_hosts_cpu_and_interrupt_controller() -> None:
    choice = Accelerator(True, host="aarch64")
    words = ["-machine", "virt,highmem=off", "-cpu", "cortex-a57"]
    assert accelerate(words, choice) == [
        "-machine",
        "virt,highmem=off,gic-version=max",
        "-cpu",
        "host",
        "-accel",
        "kvm",
    ]
    own = ["-M", "virt,gic-version=3", "-cpu", "host"]
    assert accelerate(own, choice)[:4] == own


@pytest.mark.parametrize(
    ("given", "mib"),
    [
        ("", 128),
        ("-m 512", 512),
        ("-m 512M", 512),
        ("-m 2G", 2048),
        ("-m 1.5g", 1536),
        ("-m 1048576k", 1024),
        ("-m size=1024,slots=2,maxmem=4G", 1024),
        ("-m 100 -m 200", 200),
        ("-m 1048577b", 2),
        ("-m what", 128),
    ],
)
def test_memory_is_what_the_last_m_says(given: str, mib: int) -> None:
    assert memory_mib(given.split()) == mib


@pytest.mark.parametrize(
    ("given", "network"),
    [
        ("", True),
        ("-nodefaults", False),
        ("-nic none", False),
        ("-nic user,model=virtio", True),
        ("-net nic,model=virtio -net user", True),
        ("-net nic -net none", False),
        ("-netdev user,id=n0 -device e1000,netdev=n0", True),
        ("-netdev type=user,id=n0", True),
        ("-netdev socket,id=n0,connect=:1", False),
        ("-nic none -append user=-net", False),
    ],
)
def test_a_network_only_where_the_guest_has_a_card_that_leads_out(given: str, network: bool) -> None:
    assert uses_network(given.split()) is network

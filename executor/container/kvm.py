# SPDX-License-Identifier: Apache-2.0
"""Does KVM work for a job on this host? The only honest answer is a guest that really runs (design §8).

`/dev/kvm` can be there and usable in part: real mode works, the CPU model of the host cannot be set up, or
long mode hangs. So the guest of a few instructions goes the way of a kernel, to paged 64-bit code that writes
and reads memory, and then tells a debug port; it runs as the user and in the kind of container that jobs get.
"""

from __future__ import annotations

import secrets
import shutil
import stat
from pathlib import Path

import msgspec

from executor.container.engine import Engine
from executor.container.launch import LABEL, LABEL_AGENT, LABEL_JOB, LABEL_STATE
from executor.container.request import Places
from executor.errors import InfrastructureError
from executor.model.deadline import Deadline
from executor.model.launch import DeviceNode, HostFacts, LaunchSpec, Mount

PROBE_SECONDS = 8.0  # a working guest needs a few milliseconds, its container half a second
NODE = "/dev/kvm"
PASSED_X86 = 0x2A << 1 | 1  # what isa-debug-exit makes of the byte 0x2a
_ROM = 64 << 10

# Protected mode with flat segments, identity page tables for 4 GiB at 0x1000, long mode, 32 KiB at 1 MiB
# filled and summed, then 0x2a (right) or 0x01 (wrong) to port 0xf4. Runs in place, where QEMU maps -bios.
_X86 = bytes.fromhex(
    "fa2e660f011610010f20c00c010f22c066ea1800ffff080066b810008ed88ec08ed0fcbf0010000031c0b900180000f3abc7"
    "050010000003200000bf00200000b803300000b904000000890783c7080500100000e2f4bf00300000b883000000b9000800"
    "00890783c7080500002000e2f40f20e083c8200f22e0b8001000000f22d8b9800000c00f320d000100000f300f20c00d0000"
    "00800f22c0eaa200ffff180048c7c70000100048b88877665544332211b900100000f348ab31d248c7c600001000b9001000"
    "004803164883c608e2f748b800807867564534234839c2b02a7402b001e6f4f4ebfd660f1f4400000000000000000000ffff"
    "0000009bcf00ffff00000093cf00ffff0000009baf001f00f000ffff"
)  # fmt: skip
# mov w0, #0x84000008 (PSCI SYSTEM_OFF); hvc #0; b .
_ARM64 = bytes.fromhex("000180520080b072020000d400000014")


class Answer(msgspec.Struct):
    """Whether KVM works for jobs, why not, and the group that may use the node (-1: none is needed)."""

    works: bool
    reason: str = ""
    gid: int = -1


def rom(architecture: str) -> bytes:
    """The guest: a firmware image for QEMU's -bios."""
    if architecture != "x86_64":
        return _ARM64.ljust(_ROM, b"\0")
    reset = 0xFFF0
    jump = b"\xe9" + (-(reset + 3) & 0xFFFF).to_bytes(2, "little")  # to the start of the file
    return (_X86.ljust(reset, b"\xf4") + jump).ljust(_ROM, b"\xf4")


def command(architecture: str, accelerator: str = "kvm", cpu: str = "host") -> list[str]:
    """The QEMU that runs it from /probe/rom."""
    common = f"-nodefaults -display none -no-reboot -accel {accelerator} -cpu {cpu} -bios /probe/rom".split()
    if architecture == "x86_64":
        return ["qemu-system-x86_64", "-M", "pc", "-m", "16", *common] + [
            "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4",
        ]  # fmt: skip
    gic = ",gic-version=host" if accelerator == "kvm" else ""
    return ["qemu-system-aarch64", "-M", f"virt{gic}", "-m", "64", *common]


def probe(engine: Engine, facts: HostFacts, image: str, architecture: str, state: Path) -> Answer:
    """Start the guest for a moment. Never raises: what goes wrong is the reason."""
    if architecture not in ("x86_64", "aarch64"):
        return Answer(False, f"not known how to probe it on {architecture}")
    directory = state / f"probe-{secrets.token_hex(4)}"
    try:
        directory.mkdir(mode=0o755, parents=True)
        (directory / "rom").write_bytes(rom(architecture))
        spec = LaunchSpec(
            job_id="probe",
            image=image,
            image_digest=facts.images.get(image, ""),
            command=command(architecture),
            user=f"{facts.uid}:{facts.gid}",
            workdir="/",
            mounts=[Mount("/probe", "{job}", read_only=True)],
            nodes=[DeviceNode(NODE, NODE)],
            memory_mib=512,
            cpus=1.0,
            pids=64,
            stop_seconds=1,
            labels={LABEL: "probe", LABEL_JOB: "", LABEL_AGENT: facts.worker, LABEL_STATE: str(state)},
            facts=facts,
        )
        places = Places(directory)
        gid = _group(engine, spec, places)
        spec.groups = [gid] if gid >= 0 else []
        code, said = _run(engine, spec, places)
        if code == (PASSED_X86 if architecture == "x86_64" else 0):
            return Answer(True, "a guest ran with it", gid)
        hung = f"the guest hung for {PROBE_SECONDS:.0f} s"
        return Answer(False, hung if code is None else said[:200] or f"QEMU ended with code {code}")
    except (InfrastructureError, OSError) as error:
        return Answer(False, str(error))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run(engine: Engine, spec: LaunchSpec, places: Places) -> tuple[int | None, str]:
    """Exit code and first line of what it said; None when it hung."""
    name = f"lava-exec-probe-{secrets.token_hex(4)}"
    container = engine.create(spec, places, name, Deadline.after(30))
    try:
        engine.start(container, Deadline.after(30))
        code = engine.wait(container, Deadline.after(PROBE_SECONDS))
        said = engine.logs(container, 5, Deadline.after(10)).decode("utf-8", "replace").strip()
        return code, said.partition("\n")[0]
    finally:
        engine.remove(container, Deadline.after(30))


def _group(engine: Engine, spec: LaunchSpec, places: Places) -> int:
    """The group that a process must have for the node, -1 when none helps or is needed."""
    try:
        seen = Path(NODE).stat()
        gid, mode = seen.st_gid, seen.st_mode
    except OSError:  # perhaps only because this process runs in a container
        look = msgspec.structs.replace(spec, command=["stat", "-c", "%g %a", NODE])
        _, said = _run(engine, look, places)
        words = said.split()
        if len(words) != 2 or not words[0].isdigit():
            return -1
        gid, mode = int(words[0]), int(words[1], 8)
    wanted = stat.S_IRGRP | stat.S_IWGRP
    return gid if gid != 0 and mode & wanted == wanted else -1


def node_state() -> str:
    """By what a change of the node is noticed, so that a kept answer is asked again."""
    try:
        seen = Path(NODE).stat()
    except OSError:
        return "none"
    return f"{seen.st_rdev}:{seen.st_uid}:{seen.st_gid}:{seen.st_mode:o}"

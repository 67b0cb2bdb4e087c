# SPDX-License-Identifier: Apache-2.0
"""The values of all placeholders, from what the deploys have brought and the device's addresses.

A name that is not in the result has no value, which makes its lines fall away (see placeholders.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from executor.actions.bootloader.kernel import Start

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.worker import Worker
    from executor.pipeline.context import Artifact, Namespace

_FILES = {
    "KERNEL": ("kernel",),
    "DTB": ("dtb",),
    "TEE": ("tee",),
    "PRESEED_CONFIG": ("preseed",),
    "RAMDISK": ("ramdisk", "initrd"),
    "INITRD": ("initrd", "ramdisk"),
}
_DTBO = re.compile(r"dtbo\D?(\d+)\Z")
RAW = "raw"  # of add_header: the ramdisk has no header, so its size is told


def of_worker(worker: Worker) -> dict[str, str]:
    """Addresses and the job's number."""
    return _said(
        SERVER_IP=worker.tftp_ip or worker.dispatcher_ip,
        LAVA_DISPATCHER_IP=worker.dispatcher_ip,
        LAVA_JOB_ID=worker.job_id,
        JOB_ID=worker.job_id,
    )


def of_files(namespace: Namespace) -> dict[str, str]:
    """What lies at the TFTP and NFS servers."""
    artifacts = namespace.artifacts
    served = {name: _served(artifacts, labels) for name, labels in _FILES.items()}
    preseed, root = artifacts.get("preseed"), namespace.nfs_root
    return _said(
        **served,
        **{f"DTBO{number}": name for number, name in enumerate(overlays(namespace))},
        PRESEED_LOCAL=preseed.file_name if preseed is not None else "",
        NFSROOTFS=root.path if root is not None else "",
        NFS_SERVER_IP=root.server if root is not None else "",
        EXTRA_FILES_DIR=namespace.extra_files,
    )


def overlays(namespace: Namespace) -> list[str]:
    """Device-tree overlays at the TFTP server, in the job's order."""
    numbered = [(_DTBO.match(label), artifact) for label, artifact in namespace.artifacts.items()]
    found = [(int(match[1]), artifact.served) for match, artifact in numbered if match and artifact.served]
    return [served for _, served in sorted(found)]


def of_memory(start: Start, device: Device, files: Mapping[str, str]) -> dict[str, str]:
    """Addresses, and `{BOOTX}` made of them.

    A ramdisk that gets neither a header nor its size told cannot be handed over: its address is `-`, and the
    lines that would load it fall away with `{RAMDISK}`.
    """
    if start.table is None:
        return {}
    where = {name: str(start.table[name]) for name in start.table if start.table[name] is not None}
    header = device.deploy_parameters.get("add_header")
    ramdisk = where.get("ramdisk", "-") if header and "RAMDISK" in files else "-"
    with_size = f"{ramdisk}:${{initrd_size}}" if header == RAW and ramdisk != "-" else ramdisk
    kernel = where.get("tee", "") if "TEE" in files else where.get("kernel", "")
    words = [start.command, kernel, with_size, where.get("dtb", "")]
    return _said(
        KERNEL_ADDR=where.get("kernel", ""),
        RAMDISK_ADDR=ramdisk,
        DTB_ADDR=where.get("dtb", ""),
        TEE_ADDR=where.get("tee", ""),
        DTBO_ADDR=where.get("dtbo", ""),
        DTB_BASE_ADDR=where.get("dtb", ""),
        DTB_BASE_RESIZE=str(device.parameters.get("dtb_base_resize") or ""),
        BOOTX=" ".join(word for word in words if word) if kernel else "",
    )


def _served(artifacts: Mapping[str, Artifact], labels: tuple[str, ...]) -> str:
    return next((artifacts[name].served for name in labels if name in artifacts), "")


def _said(**values: Any) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value}

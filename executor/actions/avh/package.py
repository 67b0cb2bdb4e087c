# SPDX-License-Identifier: Apache-2.0
"""The firmware package that the service takes: a zip archive with the parts and a list of properties."""

from __future__ import annotations

import plistlib
import zipfile
from pathlib import Path

from executor.model.deadline import Deadline
from executor.tools.proc import overdue

PARTS = {"kernel": "kernel", "dtb": "devicetree", "rootfs": "nand"}  # label → name in the package
_PIECE = 1 << 20


def make_package(
    target: Path, model: str, version: str, parts: dict[str, Path], *, deadline: Deadline
) -> None:
    """Write the package; `parts` by their labels, other labels keep their names."""
    properties = {
        "Type": "iot",
        "UniqueIdentifier": f"lava-{version}",
        "DeviceIdentifier": model,
        "Version": version,
        "Build": version,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        archive.writestr("Info.plist", plistlib.dumps(properties))
        for label, path in parts.items():
            with (
                path.open("rb") as source,
                archive.open(PARTS.get(label, label), "w", force_zip64=True) as to,
            ):
                while piece := source.read(_PIECE):
                    if deadline.expired:
                        raise overdue("packing the firmware did not end", deadline)
                    to.write(piece)

# SPDX-License-Identifier: Apache-2.0
"""Commands as a script that the bootloader loads by TFTP: two typed lines instead of many (spec: job-format
§6, `use_bootscript`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from executor.errors import JobError

if TYPE_CHECKING:
    from executor.pipeline.run import Run


@dataclass(frozen=True)
class Script:
    """`lines` load it; `{SERVER_IP}` and `{SCRIPT}` in them are filled in."""

    name: str
    head: str
    lines: tuple[str, ...]

    def text(self, commands: list[str]) -> str:
        """The file."""
        return "".join(f"{line}\n" for line in ([self.head] if self.head else []) + commands)


IPXE = Script("script.ipxe", "#!ipxe", ("dhcp net0", "chain tftp://{SERVER_IP}/{SCRIPT}"))
GRUB = Script("script.grub", "", ("net_bootp", "source (tftp,{SERVER_IP})/{SCRIPT}"))


def serve(run: Run, name: str, text: str) -> str:
    """Put a text file beside what the deploy serves; its name at the TFTP server.

    Raises JobError when nothing is served in this namespace.
    """
    for artifact in run.namespace.artifacts.values():
        if artifact.served:
            break
    else:
        raise JobError(
            "nothing of this job lies at the TFTP server", "a deploy `to: tftp` must come before this block"
        )
    path = artifact.path.parent / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)  # the server runs as a user of its own
    return str(PurePosixPath(artifact.served).parent / name)

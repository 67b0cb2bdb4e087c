# SPDX-License-Identifier: Apache-2.0
"""gz, xz and zstd of a 1 GiB image, beside the tools that a person would type; and the overlay into what came
out.
"""

from __future__ import annotations

import shutil

from bench import images
from bench.farm import STATE, Broken
from bench.figures import Row


def measure(quick: bool) -> list[Row]:
    """Two rows for each compression."""
    missing = [tool for tool in ("mke2fs", "pigz", "xz", "zstd") if shutil.which(tool) is None]
    if missing:
        raise Broken(f"{', '.join(missing)}: not installed")
    STATE.mkdir(parents=True, exist_ok=True)
    return images.measure(quick, "decompress", STATE)

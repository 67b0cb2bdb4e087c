# SPDX-License-Identifier: Apache-2.0
"""What a test block can be: exactly one of these (spec: job-format §7)."""

from __future__ import annotations

from collections.abc import Mapping

FLAVOURS = ("definitions", "interactive", "monitors", "services")


def other_than(flavour: str, parameters: Mapping[str, object]) -> str:
    """Why a block is not this flavour; empty when it is."""
    found = [name for name in FLAVOURS if name in parameters]
    if flavour not in found:
        return f"'{flavour}' is not there"
    if len(found) > 1:
        return f"{' and '.join(found)} stand in one block; give each a test block of its own"
    return ""

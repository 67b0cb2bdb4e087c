# SPDX-License-Identifier: Apache-2.0
"""Moments and spans of the master's rows in words."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def ago(moment: float, now: float | None = None) -> str:
    """`3 min ago`; empty for a moment that has not been."""
    if not moment:
        return ""
    seconds = max(0, int((time.time() if now is None else now) - moment))
    for unit, name, least in ((86400, "days", 48 * 3600), (3600, "h", 3600), (60, "min", 60)):
        if seconds >= least:
            return f"{seconds // unit} {name} ago"
    return f"{seconds} s ago"


def stamp(moment: float) -> str:
    """Local date and time, with the offset; empty for a moment that has not been."""
    if not moment:
        return ""
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")

# SPDX-License-Identifier: Apache-2.0
"""Moments and spans of the master's rows in words."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from executor.report.style import duration


def ago(moment: float, now: float | None = None) -> str:
    """`3 min 5 s ago`; empty for a moment that has not been."""
    if not moment:
        return ""
    seconds = (time.time() if now is None else now) - moment
    if seconds >= 48 * 3600:
        return f"{seconds / 86400:.0f} days ago"
    return f"{duration(max(seconds, 0))} ago"


def stamp(moment: float) -> str:
    """Local date and time, with the offset; empty for a moment that has not been."""
    if not moment:
        return ""
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")

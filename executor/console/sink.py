# SPDX-License-Identifier: Apache-2.0
"""What a console needs of a journal. The runner's journal writer fits; so does a list in a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Sink(Protocol):
    """Safe to use from several threads; masks secrets; splits and marks texts that are too long for one
    record.
    """

    def lines(self, level: str, texts: Sequence[str], namespace: str = "") -> int:
        """Append one record a text, all with the same time, and return the `seq` of the first."""

    def record(self, level: str, msg: Any, namespace: str = "") -> int:
        """Append one record and return its `seq`."""

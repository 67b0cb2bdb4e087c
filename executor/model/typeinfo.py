# SPDX-License-Identifier: Apache-2.0
"""Completes what msgspec knows about our types before threads use them.

msgspec describes a Struct at its first use, and publishes the description before it is whole: a second thread
that uses the type at that moment crashes the process (msgspec 0.22, SIGSEGV when three jobs began at once).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec


def complete_types() -> None:
    """Complete every Struct that is imported by now. Call it after imports and before threads are started.

    About 0.1 ms a type the first time, next to nothing when repeated. Types that cannot be decoded are left.
    """
    for kind in dict.fromkeys(_below(msgspec.Struct)):
        with contextlib.suppress(TypeError, NameError):
            msgspec.json.Decoder(kind)


def _below(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    below: type[msgspec.Struct]
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)

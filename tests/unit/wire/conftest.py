# SPDX-License-Identifier: Apache-2.0
"""A server on the loopback, and somebody whom it does not know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.testing.wire import StubMaster
from executor.wire import keys


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[StubMaster]:
    made = StubMaster(tmp_path / "master-keys")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def stranger(tmp_path: Path, stub: StubMaster) -> keys.Credentials:
    """Knows the master; the master does not know it."""
    directory = tmp_path / "stranger-keys"
    keys.trust(directory, keys.load(stub.directory, "master").public)
    return keys.credentials(directory)

# SPDX-License-Identifier: Apache-2.0
"""What validation is told of the machine that it runs on."""

from __future__ import annotations

from executor.pipeline.world import IdealWorld, LocalWorld


def test_the_ideal_world_has_everything() -> None:
    world = IdealWorld()
    assert (world.url("http://nowhere.invalid/x", {}), world.tool("no-such-tool")) == ("", "")


def test_tools_are_looked_up_here() -> None:
    world = LocalWorld()
    assert world.tool("sh") == ""
    assert "no-such-tool" in world.tool("no-such-tool")
    assert world.url("http://nowhere.invalid/x", {}) == "", "the download itself will tell"

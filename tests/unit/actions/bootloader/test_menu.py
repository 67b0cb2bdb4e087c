# SPDX-License-Identifier: Apache-2.0
"""Menus of UEFI firmware on a scripted board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.bootloader.menu import (
    Menu,
    MenuInterrupt,
    MenuReset,
    MenuSelector,
    MenuValues,
    menu_of,
    menu_set,
)
from executor.errors import InfrastructureError
from executor.pipeline.world import IdealWorld
from executor.testing.console import FakeClock, Hear, Say, ScriptedConsole, ScriptedPort, Step
from executor.testing.pipeline import Scene, placed

MENU = Menu("boot selection will start in", " ", "Start:")
MAIN = "[1] Linux from eMMC\r\n[2] Shell\r\n[3] Boot Manager\r\nStart: "
BOOTS = "[1] Add Boot Device Entry\r\n[2] Return to main menu\r\nChoice: "


def board(path: Path, *script: Step) -> tuple[Scene, ScriptedPort]:
    clock = FakeClock()
    scene = Scene(path, clock=clock, dispatcher_ip="10.0.0.1")
    port = ScriptedPort(clock, script)
    scene.namespace.console = ScriptedConsole(port, scene.journal)  # type: ignore[arg-type]
    return scene, port


def select(scene: Scene, *steps: dict[str, Any], name: str = "nfs", then: str = "") -> None:
    scene.run(placed(MenuSelector(MENU, steps, name, then), section="boot"))


def ended(scene: Scene, port: ScriptedPort) -> bool:
    """Was the whole script played?"""
    console = scene.namespace.console
    assert isinstance(console, ScriptedConsole)
    console.settle(0.1)
    return port.finished


def test_items_are_found_by_their_labels() -> None:
    shown = "[1] Old\r\n" + MAIN
    assert MENU.items(shown) == {"Old": "1", "Linux from eMMC": "1", "Shell": "2", "Boot Manager": "3"}
    letters = Menu(markup=("(", ")"), item_class="a-z", separator=": ")
    assert letters.items("(b): Boot\n") == {"Boot": "b"}


def test_through_the_menus_to_a_kernel(tmp_path: Path) -> None:
    scene, port = board(
        tmp_path,
        Say("The default boot selection will start in 10 seconds"),
        Hear(" "),
        Say("\r\n" + MAIN),
        Hear("3\r\n"),
        Say(BOOTS),
        Hear("1\r\n"),
        Say("Path: "),
        Hear("42/k/Image\r\n"),
        Say("Name: "),
        Hear("LAVA NFS Test Image\r\n"),
        Say("[4] LAVA NFS Test Image\r\nChoice: "),
        Hear("4\r\n"),
    )
    scene.artifact("kernel", served="42/k/Image")
    scene.run(placed(MenuValues(), section="boot"))
    scene.run(placed(MenuInterrupt(MENU), section="boot"))
    select(
        scene,
        {"items": ["Boot Manager"], "wait": "Choice:"},
        {"items": ["Add Boot Device Entry"], "wait": "Path:"},
        {"enter": "{KERNEL}", "wait": "Name:"},
        {"enter": "{TEST_MENU_NAME}", "wait": "Choice:"},
        {"items": ["LAVA NFS Test Image"]},
    )
    assert ended(scene, port)
    console = scene.namespace.console
    assert console is not None
    scene.run(placed(MenuReset(), section="boot"))
    assert console.newline == "\n"


def test_a_fallback_where_there_is_nothing_to_remove(tmp_path: Path) -> None:
    scene, port = board(tmp_path, Say(BOOTS.replace("Choice", "Start")), Hear("2\r\n"))
    select(scene, {"items": ["Remove Boot Device Entry"], "fallback": "Return to main menu"})
    assert ended(scene, port)


def test_an_item_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    scene, _ = board(tmp_path, Say(MAIN))
    with pytest.raises(InfrastructureError, match="no item 'Grub'") as caught:
        select(scene, {"items": ["Grub"]})
    assert "Shell" in caught.value.hint


def test_an_answer_without_its_value(tmp_path: Path) -> None:
    scene, _ = board(tmp_path, Say(MAIN))
    with pytest.raises(InfrastructureError, match="there is no DTB"):
        select(scene, {"enter": "{DTB}"})


def test_a_shell_that_must_come_up(tmp_path: Path) -> None:
    scene, port = board(tmp_path, Say(MAIN), Hear("2\r\n"), Say("UEFI Interactive Shell", after=3))
    select(scene, {"items": ["Shell"]}, then="UEFI Interactive Shell")
    assert ended(scene, port)


def test_menus_of_the_device_file() -> None:
    steps = [{"select": {"items": ["a"]}}, "noise", {"select": {"enter": "b"}}, {"other": 1}]
    assert menu_set({"nfs": steps}, "nfs") == [{"items": ["a"]}, {"enter": "b"}]
    assert menu_set({"nfs": steps}, "usb") == []
    assert menu_set(None, "nfs") == []
    assert menu_of({"line_separator": "unix"}).newline == "\n"
    assert menu_of({"line_separator": "unix"}, "dos").newline == "\r\n"
    assert menu_of({"item_markup": 7}).markup == ("[", "]")
    assert menu_of({"item_markup": ["<", ">"], "bootloader_prompt": "Go"}).markup == ("<", ">")


def test_what_is_objected_to() -> None:
    (problem,) = placed(MenuSelector(MENU, [], "nfs"), section="boot").validate(IdealWorld())
    assert "no menu set 'nfs'" in problem.message
    found = list(placed(MenuInterrupt(Menu(prompt="(")), section="boot").validate(IdealWorld()))
    assert [p.error_type for p in found] == ["Configuration", "Configuration"]
    assert list(placed(MenuInterrupt(MENU), section="boot").validate(IdealWorld())) == []

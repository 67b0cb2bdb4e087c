# SPDX-License-Identifier: Apache-2.0
"""Menus of UEFI firmware: numbered items, questions that are answered with a line (spec: device-config §2,
`uefi-menu`).

A menu set is a list of `select`: `items` (the first of these labels that the menu shows is chosen) or `enter`
(a line of text), then `wait` for what comes next. `fallback` is chosen where none of the items is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from executor.actions.bootloader import values
from executor.actions.bootloader.placeholders import fill
from executor.actions.connect import ConnectDevice
from executor.console.expect import check_patterns
from executor.console.watcher import Mode
from executor.errors import InfrastructureError
from executor.model.problem import Problem
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

SEPARATORS = {"dos": "\r\n", "unix": "\n"}
TEST_ENTRY = "LAVA {set} Test Image"  # name of the entry that a menu set makes


@dataclass(frozen=True)
class Menu:
    """How a firmware shows and takes its choices."""

    interrupt_prompt: str = ""
    interrupt: str = ""
    prompt: str = ""  # of the first menu
    markup: tuple[str, str] = ("[", "]")
    item_class: str = "0-9"
    separator: str = " "
    newline: str = "\r\n"

    def items(self, text: str) -> dict[str, str]:
        """label → number, from what the console showed; the last menu in it wins."""
        opening, closing = (re.escape(sign) for sign in self.markup)
        pattern = rf"{opening}\s*([{self.item_class}]+)\s*{closing}{re.escape(self.separator)}([^\r\n]*)"
        return {label.strip(): number for number, label in re.findall(pattern, text)}


def menu_of(parameters: Mapping[str, Any], line_separator: str = "") -> Menu:
    """From a method's `parameters`."""
    markup = parameters.get("item_markup")
    pair = markup if isinstance(markup, list) and len(markup) == 2 else ("[", "]")
    kind = line_separator or str(parameters.get("line_separator") or "dos")
    return Menu(
        interrupt_prompt=str(parameters.get("interrupt_prompt") or ""),
        interrupt=str(parameters.get("interrupt_string") or " "),
        prompt=str(parameters.get("menu_prompt") or parameters.get("bootloader_prompt") or ""),
        markup=(str(pair[0]), str(pair[1])),
        item_class=str(parameters.get("item_class") or "0-9"),
        separator=str(parameters.get("separator") or ""),
        newline=SEPARATORS.get(kind, "\r\n"),
    )


def menu_set(options: object, name: str) -> list[Mapping[str, Any]]:
    """The `select` maps of a menu set, [] when the method has no such set."""
    found = options.get(name) if isinstance(options, Mapping) else None
    steps = (
        [item.get("select") for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
    )
    return [step for step in steps if isinstance(step, Mapping)]


class MenuConnect(ConnectDevice):
    """Connect to firmware, which ends its lines in its own way."""

    name = "menu-connect"
    summary = "connect to the firmware's menu"
    description = "connect to the device, with the line ends of its firmware"

    def __init__(self, device: Device, newline: str) -> None:
        super().__init__(device)
        self.newline = newline

    def run(self, run: Run) -> None:
        super().run(run)
        run.console.newline = self.newline


class MenuReset(Action):
    """Back to the line ends of an operating system."""

    name = "menu-reset"
    summary = "leave the menu"
    description = "go back to the line ends of a shell"

    def run(self, run: Run) -> None:
        run.console.newline = "\n"


class MenuInterrupt(Action):
    """Stop the countdown of the firmware."""

    name = "uefi-menu-interrupt"
    summary = "interrupt the firmware"
    description = "stop the firmware's countdown, so that it shows its menu"
    timeout_error = InfrastructureError

    def __init__(self, menu: Menu) -> None:
        self.menu = menu

    def validate(self, world: World) -> Iterable[Problem]:
        for name, text in (("interrupt_prompt", self.menu.interrupt_prompt), ("prompt", self.menu.prompt)):
            if not text:
                yield self.problem(f"the firmware's menu has no {name}", error_type="Configuration")
            for fault in check_patterns([text] if text else []):
                yield self.problem(fault, error_type="Configuration")

    def run(self, run: Run) -> None:
        console = run.console
        console.watch(Mode.OFF)
        run.tell_wait([self.menu.interrupt_prompt], run.operation)
        console.expect(self.menu.interrupt_prompt, run.operation)
        console.send(self.menu.interrupt)


class ShellMenuInterrupt(MenuInterrupt):
    """The same on the way to the UEFI shell."""

    name = "uefi-shell-menu-interrupt"


class MenuSelector(Action):
    """Walk through the menus; begins where the first of them is about to be shown."""

    name = "uefi-menu-selector"
    summary = "choose from the menus"
    description = "choose items and answer questions of the firmware"
    timeout_error = InfrastructureError

    def __init__(self, menu: Menu, steps: Sequence[Mapping[str, Any]], name: str, then: str = "") -> None:
        self.menu, self.steps, self.set_name, self.then = menu, steps, name, then

    def validate(self, world: World) -> Iterable[Problem]:
        if not self.steps:
            yield self.problem(
                f"the device has no menu set {self.set_name!r}", hint="the device file names its menu sets"
            )

    def run(self, run: Run) -> None:
        console = run.console
        console.newline = self.menu.newline
        run.tell_wait([self.menu.prompt], run.operation)
        shown = console.expect(self.menu.prompt, run.operation).before
        for step in self.steps:
            line = self.choose(step, shown) if "items" in step else self.answer(step, run)
            console.send_line(line)
            if step.get("wait"):
                run.tell_wait([str(step["wait"])], run.operation)
                shown = console.expect(re.compile(re.escape(str(step["wait"]))), run.operation).before
        if self.then:
            console.expect(self.then, run.operation)

    def choose(self, step: Mapping[str, Any], shown: str) -> str:
        """The number of an item. Raises InfrastructureError with the items that are there."""
        there = self.menu.items(shown)
        fallback = [step["fallback"]] if step.get("fallback") else []
        labels = [_entry(str(label), self.set_name) for label in [*step["items"], *fallback]]
        for label in labels:
            if label in there:
                return there[label]
        raise InfrastructureError(
            f"the menu has no item {labels[0]!r}",
            f"it shows: {', '.join(there) or 'nothing that looks like an item'}",
        )

    def answer(self, step: Mapping[str, Any], run: Run) -> str:
        """The text of `enter`, filled in."""
        text = _entry(str(step.get("enter", "")), self.set_name)
        filled = fill([text], {name[1:-1]: value for name, value in run.namespace.substitutions.items()})
        if not filled.lines:
            missing = ", ".join(filled.left_out[0][1])
            raise InfrastructureError(
                f"the answer {text!r} cannot be given, there is no {missing}",
                "the deploy block brings no such file",
            )
        return filled.lines[0]


class GrubMenuSelector(MenuSelector):
    """Choose GRUB from the firmware's menu."""

    name = "grub-efi-menu-selector"


class ShellMenuSelector(MenuSelector):
    """Choose the UEFI shell from the firmware's menu."""

    name = "uefi-shell-menu-selector"


class MenuValues(Action):
    """Find out what the answers of the menus are made of."""

    name = "uefi-commands"
    summary = "fill in the answers"
    description = "put file names and servers into the answers for the menus"

    def run(self, run: Run) -> None:
        namespace = run.namespace
        known = {**values.of_worker(run.context.worker), **values.of_files(namespace)}
        namespace.substitutions = {f"{{{name}}}": value for name, value in known.items()}


def _entry(text: str, set_name: str) -> str:
    return text.replace("{TEST_MENU_NAME}", TEST_ENTRY.format(set=set_name.upper()))

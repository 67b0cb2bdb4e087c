# SPDX-License-Identifier: Apache-2.0
"""`bootloader-overlay`: the lines that this boot will type, with every placeholder filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from executor.actions.bootloader import values
from executor.actions.bootloader.kernel import Start, planned_kernel_type, start_of
from executor.actions.bootloader.placeholders import fill
from executor.actions.bootloader.script import Script, serve
from executor.actions.bootloader.settings import Bootloader, command_set, set_names
from executor.errors import ConfigurationError, JobError
from executor.model.problem import Problem
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.model.job import BootParameters
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


class BootloaderOverlay(Action):
    """Choose the lines: a command set of the device, or those of the job. Fill them in."""

    name = "bootloader-overlay"
    summary = "fill in the bootloader's commands"
    description = "put addresses, file names and servers into the commands for the bootloader"

    def __init__(
        self, bootloader: Bootloader, parameters: BootParameters, *, script: Script | None = None
    ) -> None:
        self.bootloader, self.parameters, self.script = bootloader, parameters, script
        self.kernel_type = ""
        self.start = Start()

    def plan(self, site: Site) -> Iterable[Action]:
        if self.parameters.commands is None:
            raise ConfigurationError(
                f"boot method {self.bootloader.method} without 'commands'",
                "name a command set of the device file, or give the commands",
            )
        if site.block is not None:
            planned = planned_kernel_type(site.job, site.block)
            self.kernel_type = str(getattr(self.parameters, "kernel_type", None) or "")
            self.start = start_of(self.kernel_type or planned, self._boot_type, site.device)
        return ()

    def validate(self, world: World) -> Iterable[Problem]:
        for fault in self.bootloader.faults():
            yield self.problem(fault, error_type="Configuration")
        yield from self._validate_commands()
        if self.bootloader.method == "u-boot" and self.start.command and self.start.table is None:
            yield self.problem(
                f"the device cannot boot a kernel with {self.start.command}",
                hint=f"the device file has no load addresses in parameters.{self.start.command}",
            )

    def _validate_commands(self) -> Iterable[Problem]:
        commands = self.parameters.commands
        if isinstance(commands, str):
            if command_set(self.bootloader.options, commands) is None:
                known = ", ".join(set_names(self.bootloader.options)) or "none"
                yield self.problem(
                    f"the device's {self.bootloader.method} has no command set {commands!r}",
                    "commands",
                    hint=f"it has: {known}",
                )
            return
        for number, line in enumerate(commands or ()):
            if not isinstance(line, str | int | float):
                yield self.problem(f"command {number + 1} is not text", "commands", number)
        text = "the commands are those of the job, the device's own are not used"
        yield self.problem(text, "commands", severity="warning")

    @property
    def _boot_type(self) -> str:
        return str(getattr(self.parameters, "type", None) or "")

    def lines(self) -> list[str]:
        """Before anything is filled in."""
        commands = self.parameters.commands
        if isinstance(commands, str):
            commands = command_set(self.bootloader.options, commands)
        return [str(line) for line in commands or ()]

    def run(self, run: Run) -> None:
        known = self.values(run)
        filled = fill(
            self.lines(),
            known,
            overlays=values.overlays(run.namespace),
            apply_overlay=self.bootloader.lines("apply_dtbo_commands"),
        )
        for line, missing in filled.left_out:
            run.log.debug(f"left out, there is no {', '.join(missing)}: {line}")
            if "BOOTX" in missing:
                raise _no_type(line)
        run.namespace.substitutions = {f"{{{name}}}": value for name, value in known.items()}
        for line in filled.lines:
            run.log.debug(f"command: {line}")
        run.namespace.bootloader_commands = self._as_script(run, known, filled.lines)
        run.results["commands"] = filled.lines

    def _as_script(self, run: Run, known: Mapping[str, str], lines: list[str]) -> list[str]:
        """What is typed: the lines themselves, or those that load them."""
        if self.script is None:
            return lines
        name = serve(run, self.script.name, self.script.text(lines))
        return fill(self.script.lines, {**known, "SCRIPT": name}).lines

    def values(self, run: Run) -> dict[str, str]:
        """Every placeholder that has a value in this boot; what other actions found out stays."""
        namespace, context = run.namespace, run.context
        files = {**values.of_files(namespace), **namespace.media}
        kind = self.kernel_type or namespace.kernel_type
        start = start_of(kind, self._boot_type, context.device) if kind or self._boot_type else self.start
        memory = values.of_memory(start, context.device, files)
        if memory.get("RAMDISK_ADDR") == "-":
            files = {name: value for name, value in files.items() if name not in ("RAMDISK", "INITRD")}
        others = _others(namespace.substitutions)
        mac = self.bootloader.text("lava_mac")
        own = {**values.of_worker(context.worker), **files, **memory, **({"LAVA_MAC": mac} if mac else {})}
        return {**others, **own}


_OTHERS = ("{NBDSERVERIP}", "{NBDSERVERPORT}")  # come from the deploy


def _others(substitutions: Mapping[str, Any]) -> dict[str, str]:
    return {name[1:-1]: str(substitutions[name]) for name in _OTHERS if name in substitutions}


def _no_type(line: str) -> JobError:
    """A boot without the line that starts the kernel would only wait for its time to pass."""
    return JobError(
        f"{line!r} cannot be filled in: the type of the kernel is not known",
        "say `type: zimage`, `image` or `uimage` below `kernel` in the deploy block",
    )

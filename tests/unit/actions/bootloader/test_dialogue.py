# SPDX-License-Identifier: Apache-2.0
"""The dialogue with a bootloader, on scripted boards: countdown, commands, complaints, lost characters."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from executor.actions.boot.depthcharge import DepthchargeStart
from executor.actions.bootloader.commands import AltbankCommands, BootloaderCommands
from executor.actions.bootloader.interrupt import BootloaderInterrupt, WaitFastbootInterrupt
from executor.actions.bootloader.settings import Bootloader
from executor.actions.bootloader.typist import Echo, judge
from executor.console.expect import PromptTimeout
from executor.errors import InfrastructureError
from executor.model import journal
from executor.pipeline.run import Run
from executor.testing.bootloader import BootloaderPort
from executor.testing.console import FakeClock, Hang, Hear, Say, ScriptedConsole, Shell, Step
from executor.testing.pipeline import Scene, placed

U_BOOT = Bootloader(
    "u-boot",
    prompt="=> ",
    interrupt_prompt="Hit any key to stop autoboot",
    interrupt=" ",
    final_message="Starting kernel",
    error_messages=("Retry count exceeded", "File not found"),
)
BANNER = "U-Boot 2023.01\r\n\r\nHit any key to stop autoboot:  2 "


class Board:
    """A board that plays `script`, in the scene of a job."""

    def __init__(self, path: Path, *script: Step, lose: set[int] | None = None, echo: bool = True) -> None:
        self.clock = FakeClock()
        self.scene = Scene(path, clock=self.clock)
        self.port = BootloaderPort(self.clock, script, lose=lose or set(), echo=echo)
        self.scene.namespace.console = ScriptedConsole(self.port, self.scene.journal)  # type: ignore[arg-type]

    def commands(self, *lines: str, loader: Bootloader = U_BOOT, **options: bool) -> Run:
        self.scene.namespace.bootloader_commands = list(lines)
        return self.scene.run(placed(BootloaderCommands(loader, **options), section="boot"))

    def interrupt(self, loader: Bootloader = U_BOOT) -> Run:
        return self.scene.run(placed(BootloaderInterrupt(loader), section="boot"))

    @property
    def warnings(self) -> list[str]:
        return [str(text) for text in self.scene.journal.messages(journal.WARNING)]


# -- the countdown


def test_a_key_stops_the_countdown(tmp_path: Path) -> None:
    board = Board(tmp_path, Say(BANNER, after=3), Hear(" \n"), Say("\r\n=> "))
    board.interrupt()
    assert board.port.typed == " \n"
    assert board.port.finished


def test_the_newline_can_be_left_out(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("press c for a command-line\r\n"), Hear("c"), Say("grub> "))
    loader = replace(
        U_BOOT, prompt="grub> ", interrupt_prompt="for a command-line", interrupt="c", interrupt_newline=False
    )
    board.interrupt(loader)
    assert board.port.typed == "c"


def test_control_characters_stop_it_too(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("Press Ctrl-B\r\n"), Hear("\x02"), Say("iPXE> "))
    board.interrupt(
        replace(U_BOOT, prompt="iPXE> ", interrupt_prompt="Press Ctrl-B", interrupt_controls=("b",))
    )
    assert board.port.typed == "\x02"


def test_where_no_key_is_needed_the_prompt_is_awaited(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("U-Boot 2023.01\r\n=> ", after=5))
    board.interrupt(replace(U_BOOT, needs_interrupt=False))
    assert board.port.typed == ""


def test_a_countdown_that_was_stopped_by_stray_bytes(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("U-Boot 2023.01\r\n=> "), Hear("\n"), Say("\r\n=> "))
    board.interrupt()
    assert any("at its prompt already" in text for text in board.warnings)


def test_a_banner_that_looks_like_the_prompt_is_none(tmp_path: Path) -> None:
    board = Board(
        tmp_path, Say("U-Boot 2023.01\r\n"), Say(BANNER, after=20), Hear(" \n"), Say("\r\nU-Boot# ")
    )
    board.interrupt(replace(U_BOOT, prompt="U-Boot"))
    assert board.port.typed == " \n"


def test_a_board_that_never_shows_the_countdown(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("ROM code\r\n", after=1))
    with pytest.raises(PromptTimeout, match=r"stop autoboot.*ROM code"):
        board.interrupt()
    assert board.clock.now == pytest.approx(1030)


def test_the_whole_wait_is_told(tmp_path: Path) -> None:
    with pytest.raises(PromptTimeout, match="waited 30 seconds"):
        Board(tmp_path).interrupt()


def test_keys_that_do_not_help(tmp_path: Path) -> None:
    board = Board(tmp_path, Say(BANNER), Hear(" \n"), Say("\r\nbooting flash\r\n"))
    with pytest.raises(PromptTimeout, match="booting flash"):
        board.interrupt()
    assert board.port.typed == " \n" * 3


def test_a_key_that_was_missed_is_pressed_again(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("for a command-line\r\n"), Hear("cc"), Say("grub> "))
    loader = replace(
        U_BOOT, prompt="grub> ", interrupt_prompt="for a command-line", interrupt="c", interrupt_newline=False
    )
    board.interrupt(loader)
    assert board.port.typed == "cc"


def test_depthcharge_asks_for_commands_by_itself(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("Starting netboot on x...\r\n", after=9), Say("dpch: ", after=3))
    loader = Bootloader("depthcharge", {"parameters": {"start_message": "Starting netboot"}}, prompt="dpch: ")
    board.scene.run(placed(DepthchargeStart(loader), section="boot"))
    assert board.port.typed == ""


def test_fastboot_is_left(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("Android Fastboot mode\r\n"), Hear(" "), Say("booting\r\n"))
    board.scene.run(placed(WaitFastbootInterrupt("Android Fastboot mode", " "), section="boot"))
    assert board.port.typed == " "


# -- commands

ANSWERS = {"dhcp": "DHCP client bound\n", "tftp": "Bytes transferred = 4\n"}


def boots(*before: Step) -> list[Step]:
    return [*before, Hear("bootz 1\n"), Say("\r\nStarting kernel ...\r\n\r\nLinux version 6.1\r\n", after=2)]


def answered(line: str, answer: str = "") -> list[Step]:
    return [Hear(f"{line}\n"), Say(f"\r\n{answer}=> ", after=1)]


def test_each_line_waits_for_the_prompt(tmp_path: Path) -> None:
    board = Board(tmp_path, *answered("dhcp"), *answered("tftp 1 k", "Bytes transferred = 4\r\n"), *boots())
    board.commands("dhcp", "tftp 1 k", "bootz 1")
    assert board.port.typed == "dhcp\ntftp 1 k\nbootz 1\n"
    sent = [m for m in board.scene.journal.messages(journal.INPUT) if m]
    assert sent == ["dhcp", "tftp 1 k", "bootz 1"]


def test_the_kernels_first_message_is_left_for_the_login(tmp_path: Path) -> None:
    board = Board(tmp_path, *boots())
    board.commands("bootz 1")
    console = board.scene.namespace.console
    assert console is not None
    console.expect("Linux version 6", board.scene.context.deadline.within(5))


@pytest.mark.parametrize("character", [0, 2, 7])
def test_a_line_that_lost_a_character_is_typed_again(tmp_path: Path, character: int) -> None:
    board = Board(tmp_path, *answered("tftp 1 k"), *boots(), lose={character})
    board.commands("tftp 1 k", "bootz 1")
    assert len(board.warnings) == 1
    assert "characters were lost" in board.warnings[0]
    assert board.scene.namespace.console is not None
    assert board.scene.namespace.console.character_delay == 0  # slower was only for this boot
    assert "\n" not in board.port.typed.split("tftp 1 k\n")[0]  # the damaged line was not run


def test_a_board_that_loses_a_third_of_all_gets_each_line(tmp_path: Path) -> None:
    board = Board(tmp_path, *answered("tftp 1 k"), *boots(), lose=set(range(0, 300, 3)))
    board.commands("tftp 1 k", "bootz 1")
    assert len(board.warnings) == 2  # the second line is typed with care from the beginning


def test_a_newline_can_be_lost_too(tmp_path: Path) -> None:
    board = Board(tmp_path, *answered("tftp 1 k"), *boots(), lose={8})
    board.commands("tftp 1 k", "bootz 1")
    assert board.port.typed == "tftp 1 k\nbootz 1\n"
    assert board.clock.now < 1010


def test_a_line_that_never_arrives_is_the_labs_fault(tmp_path: Path) -> None:
    board = Board(tmp_path, lose=set(range(2, 200)))
    with pytest.raises(InfrastructureError, match="whole of 'tftp 1 k'") as caught:
        board.commands("tftp 1 k", "bootz 1")
    assert "character_delays" in caught.value.hint
    assert "\n" not in board.port.typed


def test_a_bootloader_without_echo(tmp_path: Path) -> None:
    board = Board(tmp_path, *answered("a"), *answered("b"), *answered("c"), *boots(), echo=False)
    board.commands("a", "b", "c", "bootz 1")
    assert board.port.typed == "a\nb\nc\nbootz 1\n"
    assert board.warnings == []


def test_a_prompt_twice_does_not_put_the_lines_out_of_step(tmp_path: Path) -> None:
    board = Board(
        tmp_path,
        Hear("dhcp\n"),
        Say("=> \r\n=> "),
        *answered("tftp 1 k", "loading\r\n"),
        *boots(),
        echo=False,
    )
    board.commands("dhcp", "tftp 1 k", "bootz 1")
    assert board.port.finished


def test_a_second_prompt_does_not_hide_a_lost_character(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("=> ", after=0.4), *answered("tftp 1 k"), *boots(), lose={3})
    board.commands("tftp 1 k", "bootz 1")
    assert len(board.warnings) == 1


def test_a_complaint_ends_the_boot_with_its_line(tmp_path: Path) -> None:
    noise = "TFTP from server 10.0.0.1\r\nLoading: T T T \r\nRetry count exceeded; starting again\r\n"
    board = Board(tmp_path, Shell("=> ", {"tftp": noise.replace("\r", "")}))
    with pytest.raises(
        InfrastructureError, match=r"'tftp 1 k': Retry count exceeded; starting again$"
    ) as caught:
        board.commands("tftp 1 k", "bootz 1")
    assert "journal record" in caught.value.hint


def test_a_complaint_in_the_middle_of_its_line(tmp_path: Path) -> None:
    board = Board(tmp_path, Shell("=> ", {"load": "** File not found /boot/zImage **\n"}))
    with pytest.raises(InfrastructureError, match=r": \*\* File not found /boot/zImage \*\*$"):
        board.commands("load usb 0:1 1 /boot/zImage", "bootz 1")


@pytest.mark.parametrize("end", [Say(""), Hang(after=0.5)])
def test_a_complaint_whose_line_does_not_end(tmp_path: Path, end: Step) -> None:
    board = Board(tmp_path, Hear("tftp 1 k\n"), Say("\r\nRetry count exceeded; sta"), end)
    with pytest.raises(InfrastructureError, match=r": Retry count exceeded; sta$"):
        board.commands("tftp 1 k", "bootz 1")


def test_a_kernel_that_cannot_be_started_is_seen_at_once(tmp_path: Path) -> None:
    board = Board(tmp_path, *answered("bootz 1", "zimage: Mad magic!\r\n"))
    with pytest.raises(InfrastructureError, match=r"back at its prompt after 'bootz 1'.*Mad magic"):
        board.commands("bootz 1")
    assert board.clock.now < 1010


def test_a_prompt_inside_of_a_message_is_none(tmp_path: Path) -> None:
    steps = [Hear("bootz 1\n"), Say("\r\nmap 0 => 1\r\n"), Say("Starting kernel ...\r\n", after=5)]
    Board(tmp_path, *steps).commands("bootz 1")


def test_a_kernel_that_does_not_start(tmp_path: Path) -> None:
    board = Board(tmp_path, Hear("bootz 1\n"), Say("\r\nUncompressing"))
    with pytest.raises(PromptTimeout, match=r"Starting kernel.*Uncompressing"):
        board.commands("bootz 1")


def test_a_bootloader_that_does_not_say_when_it_starts_a_kernel(tmp_path: Path) -> None:
    loader = replace(U_BOOT, final_message="")
    board = Board(tmp_path, Hear("boot\n"), Say("\r\nerror: File not found.\r\n=> ", after=1))
    with pytest.raises(InfrastructureError, match=r"error: File not found\.$"):
        board.commands("boot", loader=loader)
    (tmp_path / "silent").mkdir()
    silent = Board(tmp_path / "silent", Hear("boot\n"), Say("\r\n"))
    silent.commands("boot", loader=loader)
    assert silent.clock.now <= 1031


def test_a_boot_that_stays_at_the_prompt(tmp_path: Path) -> None:
    board = Board(tmp_path, *answered("version", "U-Boot 2023.01\r\n"))
    board.commands("version", stays=True)
    assert board.clock.now < 1005


def test_who_hands_the_board_over_waits_for_nothing(tmp_path: Path) -> None:
    board = Board(tmp_path, Hear("ums 0 mmc 0\n"))
    board.commands("ums 0 mmc 0", hands_over=True)
    assert board.clock.now < 1002


def test_line_ends_of_firmware_end_with_the_commands(tmp_path: Path) -> None:
    board = Board(tmp_path, Hear("bootz 1\r\n"), Say("Starting kernel\r\n"))
    console = board.scene.namespace.console
    assert console is not None
    console.newline = "\r\n"
    board.commands("bootz 1")
    assert board.port.typed == "bootz 1\r\n"
    assert console.newline == "\n"


def test_no_commands_at_all(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.commands()
    assert board.port.typed == ""


def test_the_other_bank(tmp_path: Path) -> None:
    board = Board(tmp_path, Hear("qixis_reset altbank\n"))
    loader = replace(U_BOOT, options={"parameters": {"uboot_altbank_cmd": "qixis_reset altbank"}})
    board.scene.run(placed(AltbankCommands(loader), section="boot"))
    assert board.port.typed == "qixis_reset altbank\n"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("tftp 1 k", Echo.WHOLE),
        ("=> tftp 1 k", Echo.WHOLE),
        ("tft 1 k", Echo.DAMAGED),
        ("=> \r\n=> tft 1 k", Echo.DAMAGED),
        ("tfTp 1 k", Echo.DAMAGED),
        ("", Echo.NONE),
        ("\r\n=> \r\n", Echo.NONE),
        ("tt tf tft tftp 1", Echo.REDRAWN),
    ],
)
def test_what_an_echo_says(shown: str, expected: Echo) -> None:
    assert judge("tftp 1 k", shown, re.compile("tftp 1 k"), "=> ") is expected

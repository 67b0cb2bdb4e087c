# SPDX-License-Identifier: Apache-2.0
"""Kernel faults are found in every phase, and words of programs are not taken for them."""

from __future__ import annotations

import pytest

from executor.console.expect import compile_patterns
from executor.console.faults import Fault, Kind
from executor.console.watcher import LONGEST, MAX_FAULTS, MAX_TRACE, QUIET, Mode, Watcher


class Desk:
    """A watcher, fed by text, with a clock and a list of what it reported."""

    def __init__(self, mode: Mode = Mode.TEST) -> None:
        self.reported: list[Fault] = []
        self.watcher = Watcher(self.reported.append)
        self.watcher.set(mode)
        self.now = 0.0
        self.seq = 0

    def say(self, text: str, seconds: float = 0.0) -> Desk:
        self.now += seconds
        lines = text.split("\n")
        self.watcher.feed(lines, text, self.seq, self.now)
        self.seq += len(lines)
        return self

    def quiet(self, seconds: float) -> Desk:
        self.now += seconds
        self.watcher.tick(self.now)
        return self

    @property
    def kinds(self) -> list[str]:
        return [fault.kind.value for fault in self.watcher.faults]


PANIC = "[    1.5] Kernel panic - not syncing: VFS: Unable to mount root fs"
PANIC_END = "[    1.9] ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs ]---"
WARN = (
    "[   10.000001] ------------[ cut here ]------------\n"
    "[   10.000002] refcount_t: underflow; use-after-free.\n"
    "[   10.000003] WARNING: CPU: 0 PID: 1 at lib/refcount.c:28 refcount_warn_saturate+0xbe\n"
    "[   10.000004] Call Trace:\n"
    "[   10.000005] ---[ end trace 0000000000000000 ]---"
)


def test_a_panic_is_fatal_at_its_end_marker_and_its_trace_is_whole() -> None:
    desk = Desk().say("fine\n[    1.4] usb 1-1: new device").say(PANIC)
    assert desk.watcher.fatal is None
    assert desk.watcher.panicking is not None
    desk.say("[    1.6] Call Trace:\n" + PANIC_END)
    fault = desk.watcher.fatal
    assert fault is not None
    assert (fault.kind, fault.fatal, fault.complete, fault.seq) == (Kind.PANIC, True, True, 2)
    assert fault.message == f"{PANIC}\n[    1.6] Call Trace:\n{PANIC_END}"
    assert fault.headline == "Kernel panic - not syncing: VFS: Unable to mount root fs"
    assert desk.reported == []


def test_a_panic_without_end_marker_is_fatal_after_some_silence() -> None:
    desk = Desk().say(PANIC)
    assert desk.watcher.due() == QUIET
    assert desk.quiet(QUIET / 2).watcher.fatal is None
    desk.say("[    1.7] more")
    assert desk.quiet(QUIET - 0.1).watcher.fatal is None
    fault = desk.quiet(0.1).watcher.fatal
    assert fault is not None
    assert fault.message == f"{PANIC}\n[    1.7] more"
    assert not fault.complete


def test_a_panic_that_chatters_on_is_fatal_after_a_while() -> None:
    desk = Desk().say(PANIC)
    for _ in range(100):
        desk.say("[    1.7] more", 0.15).quiet(0)
        if desk.watcher.fatal:
            break
    assert desk.watcher.fatal is not None
    assert LONGEST <= desk.now < LONGEST + 1


@pytest.mark.parametrize("end", ["[    6.1] Rebooting in 5 seconds..", "Rebooting in 5 seconds.."])
def test_the_announced_reboot_ends_the_trace_of_a_panic(end: str) -> None:
    assert Desk().say(PANIC).say(end).watcher.fatal is not None


def test_a_panic_of_which_only_the_end_came_through_is_a_panic() -> None:
    fault = Desk().say("[    1.5] Kern@@@@@\n" + PANIC_END).watcher.fatal
    assert fault is not None
    assert fault.message == PANIC_END


def test_a_panic_is_not_forgotten_when_the_stream_ends() -> None:
    desk = Desk().say(PANIC)
    desk.watcher.end()
    assert desk.watcher.fatal is not None


def test_a_panic_behind_a_prompt_on_the_same_line() -> None:
    assert Desk().say("root@box:~# " + PANIC).say(PANIC_END).watcher.fatal is not None


def test_a_panic_within_another_trace() -> None:
    desk = Desk().say("\n".join(WARN.split("\n")[:3])).say(PANIC).say(PANIC_END)
    assert desk.kinds == ["warning", "panic"]
    assert [fault.complete for fault in desk.watcher.faults] == [False, True]


@pytest.mark.parametrize(
    "line",
    [
        '/ # echo "Kernel panic - not syncing: no"',
        "# echo '[    1.5] Kernel panic - not syncing' > /dev/kmsg",
        "the log says Kernel panic - not syncing: Fatal exception",
        "Nov 22 10:00:01 box kernel: [    1.5] Kernel panic - not syncing: old",
        "Kernel panic - not syncing: printed by a program, for this kernel prints stamps",
        "kernel.log:12:WARNING: deprecated",
        "U-Boot is a bootloader",
        "docs/panic.txt: Kernel panic",
    ],
)
def test_words_of_programs_are_not_faults(line: str) -> None:
    desk = Desk().say("[    0.100000] Booting").say(line).quiet(60)
    assert desk.watcher.faults == []
    assert desk.watcher.fatal is None


def test_a_kernel_without_time_stamps() -> None:
    desk = Desk().say("Linux version 3.2").say("Kernel panic - not syncing: Attempted to kill init!")
    assert desk.quiet(QUIET).watcher.fatal is not None


@pytest.mark.parametrize(
    "line", ["WARNING: apt does not have a stable CLI interface", "BUG: my test found one"]
)
def test_common_words_at_the_beginning_of_a_line_need_a_stamp_in_tests(line: str) -> None:
    assert Desk(Mode.TEST).say(line).quiet(60).kinds == []
    assert len(Desk(Mode.BOOT).say(line).quiet(60).kinds) == 1


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Internal error: Oops: 96000004 [#1] SMP", Kind.OOPS),
        ("Internal error: Oops - undefined instruction: 0 [#1] SMP ARM", Kind.OOPS),
        ("Oops[#1]:", Kind.OOPS),
        ("BUG: unable to handle page fault for address: 0000000000001000", Kind.BUG),
        ("kernel BUG at fs/ext4/inode.c:2721!", Kind.BUG),
        ("invalid opcode: 0000 [#1] PREEMPT SMP", Kind.INVALID_OPCODE),
        ("Unhandled fault: imprecise external abort (0x1406) at 0x00000000", Kind.FAULT),
    ],
)
@pytest.mark.parametrize(
    "stamp", ["", "[   12.345678] ", "[   12.345678][  T123] ", "<1>[   12.345678] ", "<0>"]
)
def test_faults_of_one_line_are_recorded_with_the_trace_that_follows(
    line: str, kind: Kind, stamp: str
) -> None:
    desk = Desk().say(f"{stamp}{line}")
    (fault,) = desk.reported
    assert (fault.kind, fault.message, fault.fatal) == (kind, stamp + line, False)
    desk.say(f"{stamp}Call Trace:\n{stamp}---[ end trace 0000000000000000 ]---\nafter")
    assert fault.complete
    assert fault.trace == f"{stamp}{line}\n{stamp}Call Trace:\n{stamp}---[ end trace 0000000000000000 ]---"


def test_the_trace_of_one_fault_holds_the_next_one_too() -> None:
    desk = Desk().say(
        "[    2.0] BUG: unable to handle page fault\n[    2.1] Oops: 0002 [#1] SMP\n[    2.2] RIP: 0010"
    )
    desk.say("[    2.3] ---[ end trace 0 ]---")
    assert desk.kinds == ["bug", "oops"]
    assert [f.trace.count("\n") for f in desk.watcher.faults] == [3, 2]


def test_a_trace_is_over_when_the_kernel_speaks_of_something_else() -> None:
    desk = Desk().say(
        "[    2.000001] Oops: 0002 [#1] SMP\n[    2.000002] RIP: 0010\ncut of a line\n[    2.000003] R1"
    )
    desk.say("a\nb\nc\nd\ne\nf\n[    9.000001] unrelated")
    (fault,) = desk.watcher.faults
    assert "RIP" in fault.trace
    assert fault.trace.endswith("cut of a line\n[    2.000003] R1")
    assert not fault.complete
    desk = Desk().say("[    2.000001] Oops: 0002 [#1] SMP\n[    2.000002] RIP: 0010\n" + PANIC).say(PANIC_END)
    oops, panic = desk.watcher.faults
    assert oops.trace.count("\n") == 1
    assert panic.message == f"{PANIC}\n{PANIC_END}"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("WARNING: CPU: 1 PID: 7 at x.c:1", Kind.WARNING),
        ("kernel BUG at mm/slub.c:4", Kind.BUG),
        ("Internal error: Oops - BUG: 0 [#1]", Kind.OOPS),
        ("something else", Kind.UNKNOWN),
    ],
)
def test_a_block_is_named_by_its_content(content: str, kind: Kind) -> None:
    desk = Desk().say(f"[    3.0] ------------[ cut here ]------------\n[    3.1] {content}")
    assert desk.reported == []
    desk.say("[    3.2] ---[ end trace 0 ]---\n[    3.3] after")
    (fault,) = desk.reported
    assert fault.kind is kind
    assert fault.headline == content
    assert fault.message.endswith("---[ end trace 0 ]---")


@pytest.mark.parametrize("name", ["KASAN", "KCSAN", "KFENCE"])
def test_reports_of_sanitizers_end_at_a_line_of_equal_signs(name: str) -> None:
    rule = "=" * 66
    report = f"[    4.1] BUG: {name}: use-after-free in f+0x1\n[    4.2] Call Trace:\n[    4.3] {rule}"
    desk = Desk().say(f"[    4.0] {rule}\n{report}\n[    4.4] after")
    (fault,) = desk.reported
    assert (fault.kind.value, fault.message) == (name.lower(), report)


def test_a_report_without_end_marker_is_kept_once_the_console_is_quiet() -> None:
    desk = Desk().say("[    5.0] WARNING: possible circular locking dependency detected\n[    5.1] stack:")
    assert desk.reported == []
    (fault,) = desk.quiet(QUIET).reported
    assert (fault.kind, fault.complete) == (Kind.WARNING, False)


def test_a_log_shown_again_is_not_a_second_fault() -> None:
    desk = Desk().say(WARN).say("[   11.000000] Oops: 0002 [#1] SMP\n[   11.000001] ---[ end trace 1 ]---")
    desk.say("$ dmesg").say(WARN).say(
        "[   11.000000] Oops: 0002 [#1] SMP\n[   11.000001] ---[ end trace 1 ]---"
    )
    assert desk.kinds == ["warning", "oops"]


@pytest.mark.parametrize(
    "banner", ["U-Boot SPL 2023.01 (Feb 01 2023 - 10:00:00 +0000)", "U-Boot 2015.04-00001"]
)
def test_an_unexpected_reset_is_fatal_at_once(banner: str) -> None:
    fault = Desk().say(f"test output\n\n{banner}").watcher.fatal
    assert fault is not None
    assert (fault.kind, fault.headline) == (Kind.RESET, banner)


def test_an_expected_reset_is_not_and_what_was_fatal_is_over() -> None:
    desk = Desk().say(PANIC).say(PANIC_END)
    desk.watcher.expect_reset()
    assert desk.watcher.fatal is None
    assert desk.say("U-Boot 2023.01").watcher.fatal is None
    desk.watcher.set(Mode.TEST)
    assert desk.say("U-Boot 2023.01").watcher.fatal is not None


def test_the_panic_is_the_cause_when_the_board_resets_by_itself_afterwards() -> None:
    fault = Desk().say(PANIC).say("U-Boot SPL 2023.01").watcher.fatal
    assert fault is not None
    assert fault.kind is Kind.PANIC


def test_a_reset_within_another_trace() -> None:
    desk = Desk().say(WARN.split("\n", maxsplit=1)[0]).say("U-Boot SPL 2023.01")
    assert desk.kinds == ["unknown", "DUT_has_reset"]
    assert desk.watcher.fatal is not None


def test_nothing_is_looked_for_when_off() -> None:
    desk = Desk(Mode.OFF).say(PANIC).say(PANIC_END).say("U-Boot 2023.01").quiet(60)
    assert desk.watcher.faults == []
    desk = Desk().say(PANIC)
    desk.watcher.set(Mode.OFF)
    assert desk.quiet(60).watcher.fatal is None


def test_the_rules_hold_from_the_line_after_the_kernels_first_message() -> None:
    desk = Desk(Mode.OFF)
    desk.watcher.set(Mode.BOOT, start=compile_patterns("Linux version [0-9]")[0])
    desk.say("U-Boot SPL 2023.01\nKernel panic - not syncing: of the last boot")
    assert desk.quiet(60).watcher.fatal is None
    desk.say(f"U-Boot 2023.01\n[    0.0] Linux version 6.1\n[    0.1] fine\n{PANIC}\n{PANIC_END}")
    fault = desk.watcher.fatal
    assert fault is not None
    assert (fault.kind, fault.seq) == (Kind.PANIC, 5)


def test_the_jobs_failure_message_and_the_kinds_it_calls_fatal() -> None:
    desk = Desk()
    desk.watcher.set(Mode.BOOT, failure=compile_patterns("mount.*failed")[0], fatal=["oops"])
    desk.say("[    1.0] Oops: 0002 [#1] SMP")
    assert desk.watcher.fatal is None  # its trace is still coming
    desk.say("[    1.1] ---[ end trace 0 ]---")
    assert desk.watcher.fatal is not None
    assert desk.watcher.fatal.kind is Kind.OOPS
    desk.watcher.expect_reset()
    desk.watcher.set(Mode.BOOT, failure=compile_patterns("mount.*failed")[0])
    fault = desk.say("ok\nmount of / failed\nmore").watcher.fatal
    assert fault is not None
    assert (fault.kind, fault.message) == (Kind.CUSTOM, "mount of / failed")


def test_a_prompt_after_the_line_means_that_a_program_printed_it() -> None:
    desk = Desk().say(PANIC)
    desk.watcher.went_on()
    assert desk.quiet(60).watcher.fatal is None
    assert [(f.kind, f.fatal) for f in desk.reported] == [(Kind.PANIC, False)]
    assert desk.say(PANIC_END).watcher.fatal is not None  # but the end marker is the kernel's word


def test_memory_is_bounded() -> None:
    desk = Desk().say("[    1.0] ------------[ cut here ]------------")
    for _ in range(MAX_TRACE // 1000 + 1):
        desk.say("[    1.1] " + "x" * 1000)
    (fault,) = desk.reported
    assert not fault.complete
    assert len(fault.message) <= MAX_TRACE
    for i in range(MAX_FAULTS + 50):
        desk.say(f"[    2.{i:06d}] Oops: 0002 [#1] SMP")
    assert len(desk.watcher.faults) == MAX_FAULTS
    assert desk.watcher.not_kept == {Kind.OOPS: 51}
    assert desk.say(PANIC).say(PANIC_END).watcher.fatal is not None

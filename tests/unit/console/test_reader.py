# SPDX-License-Identifier: Apache-2.0
"""The console: journal, expectations, listeners and faults, on a scripted board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from executor.console.expect import PromptTimeout
from executor.console.faults import Fault, KernelFault, Kind
from executor.console.watcher import Mode
from executor.errors import Bug, ConnectionClosed, JobError
from executor.model import journal
from executor.model.deadline import Deadline
from executor.testing.console import (
    FakeClock,
    Hang,
    Hear,
    MemorySink,
    Say,
    ScriptedConsole,
    ScriptedPort,
    Shell,
    Step,
)

PANIC = "[    1.500000] Kernel panic - not syncing: Fatal exception\r\n"
PANIC_END = "[    1.900000] ---[ end Kernel panic - not syncing: Fatal exception ]---\r\n"


def scripted(*script: Step, **options: Any) -> ScriptedConsole:
    return ScriptedConsole(ScriptedPort(FakeClock(), script), **options)


def within(console: ScriptedConsole, seconds: float) -> Deadline:
    return Deadline.after(seconds, console.clock)


class Words:
    """A listener that keeps all it is fed, until a word comes."""

    def __init__(self, last: str) -> None:
        self.text = ""
        self._last = last

    def feed(self, text: str) -> bool:
        self.text += text
        return self._last in self.text


def test_lines_go_to_the_journal_clean_and_in_order() -> None:
    console = scripted(
        Say("\x1b[1mone\x1b[0m\r\ntwo\r\r\nthree\nfo", chunk=2), Say("ur\r\n", after=0.1), Hang()
    )
    console.settle()
    assert console.sink.texts() == ["one", "two", "three", "four"]


def test_an_unfinished_line_is_shown_after_some_silence_and_at_the_end() -> None:
    console = scripted(Say("login: "), Say("late\r\nend", after=1), Hang(after=1))
    console.settle(0.1)
    assert console.sink.texts() == []
    console.settle(0.2)
    assert console.sink.texts() == ["login: "]
    console.settle()
    assert console.sink.texts() == ["login: ", "late", "end"]


def test_what_is_sent_stands_behind_the_prompt_it_answers() -> None:
    console = scripted(Say("login: "), Hear("root\n"), Say("Password: "), Hear("pw\n", echo=False), Say("# "))
    console.expect("login: ", within(console, 1))
    console.send_line("root")
    console.expect("Password: ", within(console, 1))
    console.send_line("pw", masked=True)
    console.expect("# ", within(console, 1))
    console.settle()
    assert [(level, text) for level, text, _ in console.sink.records] == [
        ("target", "login: "),
        ("input", "root"),
        ("target", "root"),
        ("target", "Password: "),
        ("input", "[MASKED]"),
        ("target", "# "),
    ]
    assert console.board.typed == "root\npw\n"


def test_another_namespaces_console_is_feedback() -> None:
    console = scripted(Say("one\r\n"), Say("two\r\n", after=1), namespace="host")
    console.settle(0.5)
    console.foreground = False
    console.settle()
    assert console.sink.records == [("target", "one", ""), ("feedback", "two", "host")]


def test_control_characters_and_other_line_ends_can_be_sent() -> None:
    console = scripted()
    console.newline = "\r\n"
    console.send_line("dir")
    console.send_control("c")
    assert console.board.typed == "dir\r\n\x03"
    assert console.sink.texts(journal.INPUT) == ["dir", "^C"]


def test_slow_typing_takes_its_time() -> None:
    console = scripted()
    console.character_delay = 0.1
    before = console.clock()
    console.send("help")
    assert console.clock() - before == pytest.approx(0.4)
    assert console.board.typed == "help"


def test_a_prompt_in_pieces_with_escapes_in_between() -> None:
    console = scripted(Say("boot\r\nroot@\x1b[32mbox\x1b[0m:~# \x1b[6n", chunk=1))
    match = console.expect([r"login:", r"root@(?P<host>\w+):~# "], within(console, 5))
    assert (match.index, match.pattern, match.text) == (1, r"root@(?P<host>\w+):~# ", "root@box:~# ")
    assert (match.before, match.groups, match.named) == ("boot\r\n", ("box",), {"host": "box"})


def test_a_match_knows_its_journal_record() -> None:
    console = scripted(Say("one\r\ntwo here\r\nthree\r\nprompt# "), Say("\r\n", after=5))
    assert console.expect("two", within(console, 1)).seq == 1
    match = console.expect("# ", within(console, 1))
    console.settle()
    assert console.sink.records[match.seq][1] == "prompt# "


def test_text_that_came_between_two_calls_is_not_lost() -> None:
    console = scripted(Say("first second third"))
    for word in ("first", "second", "third"):
        console.expect(word, within(console, 1))
    with pytest.raises(PromptTimeout):
        console.expect("first", within(console, 1))


def test_a_timeout_tells_what_was_waited_for_and_what_came() -> None:
    console = scripted(Say("Starting kernel ...\r\n", after=3))
    with pytest.raises(PromptTimeout) as caught:
        console.expect(["login:", "/ # "], within(console, 10))
    assert (caught.value.waited_for, caught.value.seconds) == (("login:", "/ # "), 10)
    assert caught.value.last_text == "Starting kernel ...\r\n"
    assert console.clock() == pytest.approx(1010, abs=0.1)


def test_an_expired_deadline_still_finds_what_is_there() -> None:
    console = scripted(Say("prompt"))
    console.settle(1)
    assert console.expect("prompt", within(console, 0)).text == "prompt"


def test_a_wrong_expression_is_the_jobs_error() -> None:
    with pytest.raises(JobError, match="not a regular expression"):
        scripted().expect("(", Deadline.after(1))


def test_the_end_of_the_stream_is_told_with_its_reason() -> None:
    console = scripted(Say("qemu: could not open disk\r\n"), Hang("qemu exited with code 1"), name="serial0")
    with pytest.raises(ConnectionClosed) as caught:
        console.expect("login:", within(console, 10))
    assert caught.value.message == (
        "serial0: qemu exited with code 1; its last line was 'qemu: could not open disk'"
    )
    assert console.closed
    assert not console.alive
    with pytest.raises(ConnectionClosed):
        console.send_line("x")


def test_text_before_the_end_of_the_stream_can_still_be_expected() -> None:
    console = scripted(Say("done\r\nbye"), Hang())
    console.settle()
    assert console.expect("bye", within(console, 1)).before == "done\r\n"
    with pytest.raises(ConnectionClosed):
        console.expect("more", within(console, 1))


def test_sending_to_a_console_that_we_closed_is_our_bug() -> None:
    console = scripted(Say("half"))
    console.settle(0.1)
    console.close(within(console, 1))
    console.close(within(console, 1))
    assert console.sink.texts() == ["half"]
    with pytest.raises(Bug):
        console.send_line("x")


def test_raw_bytes_are_recorded_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "console.raw"
    console = scripted(Say(b"\x1b[1mraw\x00\xff\r\n"), Hang(), recording=path)
    console.settle()
    assert path.read_bytes() == b"\x1b[1mraw\x00\xff\r\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_recording_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "console.raw"
    console = scripted(Say("x" * 50 + "\r\n", chunk=5), Hang(), recording=path, recording_limit=12)
    console.settle()
    assert path.stat().st_size == 12
    (warning,) = console.sink.texts(journal.WARNING)
    assert "limit of 12 bytes" in warning
    assert console.sink.texts() == ["x" * 50]


# -- listeners -------------------------------------------------------------------------------------------


def test_a_listener_gets_everything_from_what_was_not_consumed_on() -> None:
    console = scripted(Say("prompt# early "), Say("middle\r\n", after=5), Say("last", after=5))
    console.expect("# ", within(console, 1))
    words = Words("last")
    assert not console.listen(words, within(console, 6))
    console.settle(1)  # the action does something else; the listener reads on
    assert console.listen(words, within(console, 60))
    assert words.text == "early middle\r\nlast"


def test_the_prompt_behind_the_last_signal_is_left_for_the_next_expectation() -> None:
    console = scripted(Say("# \r\noutput # \r\n<EXIT>\r\n/ # "))
    assert console.listen(Words("<EXIT>"), within(console, 1))
    assert console.expect("# ", within(console, 1)).before == "/ "


def test_stopping_to_listen_consumes_what_was_listened_to() -> None:
    console = scripted(Say("# in the test\r\n"), Say("/ # ", after=3))
    words = Words("never")
    assert not console.listen(words, within(console, 1))
    console.stop_listening()
    assert console.expect("# ", within(console, 5)).before == "/ "
    assert words.text == "# in the test\r\n"


def test_an_error_in_a_listener_is_raised_where_it_is_waited_for() -> None:
    class Broken:
        def feed(self, text: str) -> bool:
            raise JobError(f"cannot read {text!r}")

    console = scripted(Say("signal"))
    with pytest.raises(JobError, match="cannot read 'signal'"):
        console.listen(Broken(), within(console, 5))


def test_a_listener_may_answer_and_knows_the_records_of_its_lines() -> None:
    class Answering:
        def __init__(self, console: ScriptedConsole) -> None:
            self.console = console
            self.seqs: list[int] = []

        def feed(self, text: str) -> bool:
            at = text.find("<")
            while at >= 0:
                self.seqs.append(self.console.seq_at(at))
                at = text.find("<", at + 1)
            if "<WAIT>" in text:
                self.console.send_line("<WAIT_COMPLETE>")
            return "<EXIT>" in text

    console = scripted(
        Say("zero\r\none <A>\r\r\ntwo\r\nthree <B>\r\nfo"),
        Say("ur <C>\r\n<WAIT>\r\n"),
        Hear("COMPLETE>\n", echo=False),
        Say("<EXIT>\r\n", after=1),
    )
    listener = Answering(console)
    assert console.listen(listener, within(console, 5))
    texts = [text for _, text, _ in console.sink.records]
    assert [texts[seq] for seq in listener.seqs] == ["one <A>", "three <B>", "four <C>", "<WAIT>", "<EXIT>"]
    assert console.board.typed == "<WAIT_COMPLETE>\n"


# -- quiet -----------------------------------------------------------------------------------------------


def test_waiting_for_quiet() -> None:
    console = scripted(*(Say("x", after=0.5) for _ in range(6)))
    assert not console.wait_quiet(1.0, within(console, 2.2))
    assert console.wait_quiet(1.0, within(console, 10))
    assert console.clock() == pytest.approx(1004, abs=0.1)


def test_draining_consumes_and_never_raises() -> None:
    console = scripted(Say("stale prompt# "), Hang(after=1))
    assert console.drain(within(console, 1)) == "stale prompt# "
    assert console.sink.texts() == ["stale prompt# "]
    console.settle()
    assert console.drain(within(console, 1)) == ""


# -- faults of the kernel --------------------------------------------------------------------------------


def test_a_panic_is_raised_where_the_action_waits_and_everywhere_after() -> None:
    console = scripted(Say("[    0.100000] Booting\r\n"), Say(PANIC + PANIC_END + "/ # ", after=2))
    console.watch(Mode.BOOT)
    for _ in range(2):
        with pytest.raises(KernelFault) as caught:
            console.expect("/ # ", within(console, 600))
        assert caught.value.message == "Kernel panic - not syncing: Fatal exception"
        assert caught.value.fault.seq == 1
    for attempt in (lambda: console.send_line("x"), console.check):
        with pytest.raises(KernelFault):
            attempt()
    assert console.clock() < 1003
    console.drain(within(console, 1))
    console.expect_reset()
    console.check()


def test_a_panic_ends_a_listening_action_too() -> None:
    console = scripted(Say("<SIGNAL>\r\n"), Say(PANIC, after=30))
    console.watch(Mode.TEST)
    with pytest.raises(KernelFault):
        console.listen(Words("<EXIT>"), within(console, 600))
    assert console.clock() == pytest.approx(1032, abs=0.2)


def test_a_panic_is_the_cause_when_the_stream_ends_or_the_time_is_up() -> None:
    for script, seconds in (
        ((Say(PANIC), Hang("qemu exited with code 0")), 60),
        ((Say(PANIC, after=59.5),), 60),
    ):
        console = scripted(*script)
        console.watch(Mode.BOOT)
        with pytest.raises(KernelFault):
            console.expect("login:", within(console, seconds))


def test_a_prompt_after_the_line_of_a_panic_takes_it_back() -> None:
    console = scripted(Say(PANIC + "/ # "), Shell())
    console.watch(Mode.TEST)
    console.expect("/ # ", within(console, 5))
    console.settle(60)
    console.send_line("true")
    console.expect("/ # ", within(console, 5))
    assert [(f.kind, f.fatal) for f in console.faults] == [(Kind.PANIC, False)]


def test_other_faults_are_warned_of_and_told_to_the_owner() -> None:
    told: list[Fault] = []
    console = scripted(
        Say("[    2.000000] Oops: 0002 [#1] SMP\r\n"), Say(PANIC + PANIC_END, after=1), on_fault=told.append
    )
    console.watch(Mode.TEST)
    console.settle()
    assert [fault.kind for fault in told] == [Kind.OOPS, Kind.PANIC]
    assert console.sink.texts(journal.WARNING) == ["kernel oops: Oops: 0002 [#1] SMP"]
    assert console.faults == told


def test_what_came_before_the_watch_began_but_was_not_consumed_is_looked_at() -> None:
    console = scripted(Say("[    0.000000] Linux version 6.1\r\n" + PANIC + PANIC_END))
    console.settle(1)
    console.watch(Mode.BOOT, start="Linux version [0-9]")
    with pytest.raises(KernelFault) as caught:
        console.expect("Linux version", within(console, 5))
    assert caught.value.fault.seq == 1


def test_an_unexpected_reset_says_so() -> None:
    console = scripted(Say("testing\r\n\r\nU-Boot SPL 2023.01 (Feb 01 2023)\r\n"))
    console.watch(Mode.TEST)
    with pytest.raises(KernelFault, match="has reset unexpectedly: U-Boot SPL 2023.01"):
        console.listen(Words("<EXIT>"), within(console, 60))


def test_the_jobs_failure_message_says_so() -> None:
    console = scripted(Say("Cannot open root device\r\n"))
    console.watch(Mode.BOOT, failure_message="Cannot open .* device")
    with pytest.raises(KernelFault, match="failure message was seen: Cannot open root device"):
        console.expect("login:", within(console, 60))
    with pytest.raises(JobError, match="not a regular expression"):
        console.watch(Mode.BOOT, failure_message="(")


def test_a_journal_that_refuses_is_raised_where_the_action_waits() -> None:
    class Full(MemorySink):
        def lines(self, level: str, texts: Sequence[str], namespace: str = "") -> int:
            raise JobError("the journal is full")

    console = ScriptedConsole(ScriptedPort(FakeClock(), [Say("line\r\n")]), Full())
    with pytest.raises(JobError, match="the journal is full"):
        console.expect("login:", within(console, 60))

# SPDX-License-Identifier: Apache-2.0
"""The reader of signals: what is right is passed on, what is damaged is known to be."""

from __future__ import annotations

import random

import pytest

from executor.testing.signals import SignalWriter
from executor.testshell import events
from executor.testshell.events import CaseResult, Event, Malformed, RunEnded, RunSettled, RunStarted
from executor.testshell.runs import StreamDefinition
from executor.testshell.stream import SignalStream

DEFINITIONS = [StreamDefinition(0, "0_smoke", "1_1.1"), StreamDefinition(1, "1_more", "1_1.2")]


def stream(**given: object) -> SignalStream:
    return SignalStream(DEFINITIONS, run="k1", **given)  # type: ignore[arg-type]


def results(found: list[Event]) -> list[tuple[str, str, str, str]]:
    return [(e.definition, e.set, e.case, e.result) for e in found if isinstance(e, CaseResult)]


def of(kind: type[Event], found: list[Event]) -> list[Event]:
    return [e for e in found if isinstance(e, kind)]


def block(writer: SignalWriter, *inner: str) -> str:
    return writer.start(0, "0_smoke") + "".join(inner) + writer.end() + writer.exit()


# -- signals that arrive ---------------------------------------------------------------------------------


def test_a_block_without_noise_is_complete() -> None:
    writer = SignalWriter()
    text = block(writer, writer.case("boot", "pass"), writer.case("disk", "fail"))
    reader = stream()
    found = reader.feed(text)
    assert results(found) == [("0_smoke", "", "boot", "pass"), ("0_smoke", "", "disk", "fail")]
    assert of(RunStarted, found)
    assert of(RunEnded, found)
    assert reader.exited
    assert reader.complete
    assert reader.wanted() == ""
    settled = {e.definition: e.outcome for e in found if isinstance(e, RunSettled)}
    assert settled == {"0_smoke": "pass", "1_more": ""}


def test_events_do_not_depend_on_how_the_text_is_cut() -> None:
    writer = SignalWriter()
    text = "output\n" * 3 + block(
        writer, "<LAVA_SIGNAL_STARTTC boot>\n", "some <text>\n", writer.case("boot", "pass"), "+ echo\r\n"
    )
    whole = stream().feed(text)
    for seed in range(50):
        order = random.Random(seed)  # noqa: S311
        reader, rest, found = stream(), text, []
        while rest:
            size = order.choice([1, 2, 7, 30, 200])
            found += reader.feed(rest[:size])
            rest = rest[size:]
        assert found == whole


def test_line_numbers_count_lines_or_come_from_the_journal() -> None:
    writer = SignalWriter()
    first, second = writer.start(0, "0_smoke"), "noise\n" + writer.case("a", "pass")
    reader = stream()
    reader.feed(first)
    assert [e.line for e in reader.feed(second)] == [2]
    asked: list[int] = []

    def locate(offset: int) -> int:
        asked.append(offset)
        return 77

    other = stream(locate=locate)
    other.feed(first[:10])
    assert [e.line for e in other.feed(first[10:])] == [77]
    assert asked == [first[10:].index("\n")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n"])
def test_line_ends_and_escapes_are_no_part_of_a_signal(end: str) -> None:
    writer = SignalWriter()
    text = block(writer, writer.case("a", "pass")).replace("\n", f"\x1b[0m{end}").replace("<", "\x1b[1m<")
    assert results(stream().feed(text)) == [("0_smoke", "", "a", "pass")]


def test_two_signals_on_a_line_and_text_around_them() -> None:
    writer = SignalWriter()
    joined = (writer.start(0, "0_smoke") + writer.case("a", "pass") + writer.case("b", "fail")).replace(
        "\n", " "
    )
    reader = stream()
    assert len(results(reader.feed(f"[   1.000000] usb: new {joined}\n"))) == 2


def test_sets_and_suites_follow_the_numbers_not_the_order() -> None:
    writer = SignalWriter()
    start = writer.start(0, "0_smoke")
    opened = writer.move("TESTSET START s1")
    inside = writer.case("a", "pass")
    renamed = writer.move("TESTSUITE other")
    later = writer.case("b", "fail")
    closed = writer.move("TESTSET STOP")
    outside = writer.case("c", "skip")
    reader = stream()
    found = reader.feed(start + inside + later)
    assert results(found) == []  # nobody knows yet where these belong
    found = reader.feed(opened + renamed + closed + outside)
    assert sorted(results(found)) == [
        ("0_other", "", "c", "skip"),
        ("0_other", "s1", "b", "fail"),
        ("0_smoke", "s1", "a", "pass"),
    ]


def test_a_late_writer_reports_for_its_own_definition() -> None:
    writer = SignalWriter()
    text = writer.start(0, "0_smoke") + writer.end() + writer.start(1, "1_more", "1_1.2")
    late = writer.line("<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=late RESULT=pass>", index="0")
    assert results(stream().feed(text + late)) == [("0_smoke", "", "late", "pass")]


def test_a_definition_whose_start_was_lost_has_begun_all_the_same() -> None:
    writer = SignalWriter()
    start = writer.start(0, "0_smoke")
    reader = stream()
    found = reader.feed(writer.case("a", "pass") + writer.end() + writer.exit())
    assert of(RunStarted, found) == [RunStarted("0_smoke", "1_1.1", inferred=True, line=0)]
    assert results(found) == [("0_smoke", "", "a", "pass")]
    assert reader.wanted() == "1"
    found = reader.restore(writer.kept("1"))
    assert start in writer.log
    assert of(RunStarted, found) == []  # it was told before


def test_repeated_signals_count_once() -> None:
    writer = SignalWriter()
    case = writer.start(0, "0_smoke") + writer.case("a", "pass")
    assert len(results(stream().feed(case * 3))) == 1


def test_signals_of_an_earlier_run_are_not_ours() -> None:
    old, writer = SignalWriter("k0"), SignalWriter()
    text = writer.start(0, "0_smoke") + old.case("a", "fail") + writer.case("a", "pass")
    assert results(stream().feed(text)) == [("0_smoke", "", "a", "pass")]


def test_the_run_is_learnt_where_nobody_told_it() -> None:
    writer = SignalWriter("zz")
    reader = SignalStream(DEFINITIONS)
    found = reader.feed(block(writer, writer.case("a", "pass")))
    assert results(found) == [("0_smoke", "", "a", "pass")]
    assert reader.complete


def test_a_writer_without_numbers_is_believed_by_its_checksum() -> None:
    from executor.testshell.checksum import cksum

    body = "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=pass> #k1.0.0:p42.1:"
    line = f"{body}{cksum((body + chr(10)).encode())}\n"
    writer = SignalWriter()
    found = stream().feed(writer.start(0, "0_smoke") + line * 2)
    assert results(found) == [("0_smoke", "", "a", "pass")]


def test_what_other_signals_tell() -> None:
    writer = SignalWriter()
    found = stream().feed(
        writer.start(0, "0_smoke")
        + writer.line("<LAVA_SIGNAL_TESTEVENT something happened>")
        + writer.line("<LAVA_SIGNAL_TESTFEEDBACK lxc1>")
        + writer.line("<LAVA_SIGNAL_TESTRAISE no network>")
        + writer.line("<LAVA_SIGNAL_ATTACHED 12 log.txt>")
        + writer.line("<LAVA_SIGNAL_TESTREFERENCE r fail http://h/1>")
        + writer.line("<LAVA_SIGNAL_FUTURE x y>")
        + writer.line("<LAVA_TEST_RUNNER INSTALL_FAIL>")
        + "<LAVA_MULTI_NODE> <LAVA_SEND ipv4 address=10.0.0.1>\n"
    )
    assert of(events.Announced, found) == [events.Announced("something happened", line=1)]
    assert of(events.Feedback, found) == [events.Feedback("lxc1", line=2)]
    assert of(events.Raised, found) == [events.Raised("no network", line=3)]
    assert of(events.Attached, found) == [events.Attached("log.txt", 12, line=4)]
    assert [(e.case, e.reference) for e in found if isinstance(e, CaseResult)] == [("r", "http://h/1")]
    assert of(events.Ignored, found) == [events.Ignored("FUTURE", "x y", line=6)]
    assert of(events.InstallFailed, found) == [events.InstallFailed("0_smoke", line=7)]
    assert of(events.Multinode, found) == [events.Multinode("send", "ipv4 address=10.0.0.1", line=8)]


# -- signals with damage ---------------------------------------------------------------------------------

NOISE = "[   12.345678] usb 1-1: new high-speed USB device\n"


def damaged(cut: int, noise: str = NOISE) -> tuple[SignalWriter, str]:
    writer = SignalWriter()
    start, case = writer.start(0, "0_smoke"), writer.case("boot", "pass")
    return writer, start + case[:cut] + noise + case[cut:] + writer.end() + writer.exit()


@pytest.mark.parametrize("cut", range(0, 75))
def test_noise_with_a_line_end_anywhere_in_a_signal_is_mended_or_restored(cut: int) -> None:
    writer, text = damaged(cut)
    reader = stream()
    found = reader.feed(text)
    if not reader.complete:
        found += reader.restore(writer.kept(reader.wanted()))
    assert results(found) == [("0_smoke", "", "boot", "pass")]
    assert reader.complete


@pytest.mark.parametrize("cut", [10, 30, 44, 50, 52, 60])
def test_without_the_file_a_result_that_was_destroyed_is_unknown(cut: int) -> None:
    writer = SignalWriter()
    start, case = writer.start(0, "0_smoke"), writer.case("boot", "pass")
    reader = stream()
    found = reader.feed(start + case[:cut] + case[cut + 5 :] + writer.end() + writer.exit())
    assert results(found) == []
    assert not reader.complete
    found = reader.give_up("the console closed")
    assert [r[3] for r in results(found)] == ["unknown"]
    assert "the console closed" in next(e.reason for e in found if isinstance(e, CaseResult))


def test_a_cut_result_is_unknown_under_its_own_name() -> None:
    writer = SignalWriter()
    text = writer.start(0, "0_smoke") + writer.case("boot", "pass")[:53] + "\n" + writer.end() + writer.exit()
    reader = stream()
    reader.feed(text)
    assert results(reader.give_up()) == [("0_smoke", "", "boot", "unknown")]


def test_a_signal_that_is_gone_leaves_a_gap() -> None:
    writer = SignalWriter()
    start, lost, last = writer.start(0, "0_smoke"), writer.case("a", "fail"), writer.case("b", "pass")
    reader = stream()
    found = reader.feed(start + last + writer.end() + writer.exit())
    assert results(found) == [("0_smoke", "", "b", "pass")]
    assert reader.wanted() == "2"
    assert lost in writer.log
    assert results(reader.restore(writer.kept("2"))) == [("0_smoke", "", "a", "fail")]
    assert reader.complete


def test_a_lost_set_holds_its_results_until_the_file_tells() -> None:
    writer = SignalWriter()
    start = writer.start(0, "0_smoke")
    writer.move("TESTSET START s1")
    inside = writer.case("a", "fail")
    end = writer.move("TESTSET STOP") + writer.case("b", "pass") + writer.end() + writer.exit()
    reader = stream()
    assert results(reader.feed(start + inside + end)) == []
    found = reader.restore(writer.kept(reader.wanted()))
    assert results(found) == [("0_smoke", "s1", "a", "fail"), ("0_smoke", "", "b", "pass")]


def test_a_lost_set_without_the_file_makes_its_results_unknown() -> None:
    writer = SignalWriter()
    start = writer.start(0, "0_smoke")
    writer.move("TESTSET START s1")
    reader = stream()
    reader.feed(start + writer.case("a", "fail") + writer.end() + writer.exit())
    assert ("0_smoke", "", "a", "unknown") in results(reader.give_up())


def test_the_answer_of_the_device_may_be_noisy_too() -> None:
    writer = SignalWriter()
    start = writer.start(0, "0_smoke")
    for n in range(4):
        writer.case(f"c{n}", "pass")
    reader = stream()
    reader.feed(start + writer.end() + writer.exit())
    answer = writer.kept(reader.wanted()).replace("c1", "x1")
    found = reader.restore(answer, final=False)
    assert [case for _, _, case, _ in results(found)] == ["c0", "c2", "c3"]
    assert reader.wanted() == "3"
    assert results(reader.restore(writer.kept("3"))) == [("0_smoke", "", "c1", "pass")]


def test_what_the_file_does_not_have_is_unknown() -> None:
    writer = SignalWriter()
    start = writer.start(0, "0_smoke")
    writer.case("a", "fail")
    reader = stream()
    reader.feed(start + writer.end() + writer.exit())
    del writer.log[1]
    found = reader.restore(writer.kept(reader.wanted()))
    assert [(case, result) for _, _, case, result in results(found)] == [("lost-signal-2", "unknown")]
    assert [e.accounted for e in found if isinstance(e, RunSettled)] == [False, False]


def test_an_end_without_its_checksum_asks_for_what_may_have_come_before() -> None:
    writer = SignalWriter()
    text = writer.start(0, "0_smoke")
    writer.case("a", "pass")
    writer.end()
    writer.exit()
    reader = stream()
    reader.feed(text + "<LAVA_TEST_RUNNER EXIT>\n")
    assert reader.exited
    assert not reader.complete
    assert reader.wanted() == "2-"
    found = reader.restore(writer.kept("2-"))
    assert results(found) == [("0_smoke", "", "a", "pass")]
    assert reader.complete


def test_a_console_that_ends_in_a_test_leaves_it_unknown_and_the_definition_failed() -> None:
    writer = SignalWriter()
    reader = stream()
    reader.feed(writer.start(0, "0_smoke") + writer.case("a", "pass") + "<LAVA_SIGNAL_STARTTC hang>\n")
    found = reader.give_up("kernel panic")
    assert results(found) == [("0_smoke", "", "hang", "unknown")]
    assert {e.definition: e.outcome for e in found if isinstance(e, RunSettled)} == {
        "0_smoke": "fail",
        "1_more": "",
    }


def test_a_lost_result_has_the_name_of_the_case_that_had_begun() -> None:
    writer = SignalWriter()
    text = writer.start(0, "0_smoke") + "<LAVA_SIGNAL_STARTTC boot>\n<LAVA_SIGNAL_ENDTC boot>\n"
    writer.case("boot", "pass")
    reader = stream()
    reader.feed(text + writer.end() + writer.exit())
    assert results(reader.give_up()) == [("0_smoke", "", "boot", "unknown")]


def test_a_lost_end_of_a_definition_is_not_its_failure() -> None:
    writer = SignalWriter()
    text = writer.start(0, "0_smoke")
    writer.end()
    reader = stream()
    reader.feed(text + writer.start(1, "1_more", "1_1.2") + writer.end() + writer.exit())
    outcomes = {e.definition: e.outcome for e in reader.give_up() if isinstance(e, RunSettled)}
    assert outcomes == {"0_smoke": "unknown", "1_more": "pass"}


def test_a_request_stays_short_enough_to_be_typed() -> None:
    writer = SignalWriter()
    text = writer.start(0, "0_smoke")
    for number in range(400):
        line = writer.case(f"c{number}", "pass")
        text += line if number % 2 else ""
    reader = stream()
    reader.feed(text + writer.end() + writer.exit())
    assert reader.wanted() == "2-400"
    assert len(results(reader.restore(writer.kept("2-400")))) == 200


def test_very_many_lost_signals_share_a_result() -> None:
    writer = SignalWriter()
    text = writer.start(0, "0_smoke")
    for number in range(500):
        writer.case(f"c{number}", "pass")
    reader = stream()
    reader.feed(text + writer.end() + writer.exit())
    found = results(reader.give_up())
    assert len(found) == 101
    assert found[-1][2] == "lost-signals"


# -- plain signals ---------------------------------------------------------------------------------------

PLAIN = "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID={} RESULT={}>\n"


def test_plain_signals_of_other_helpers_are_accepted_as_ever() -> None:
    reader = SignalStream()
    found = reader.feed(
        "<LAVA_SIGNAL_STARTRUN 0_smoke 42_1.1>\n"
        "<LAVA_SIGNAL_STARTTC a>\n<LAVA_SIGNAL_ENDTC a>\n"
        + PLAIN.format("a", "pass")
        + "<LAVA_SIGNAL_TESTSET START s1>\n"
        + PLAIN.format("b", "FAIL")
        + "<LAVA_SIGNAL_TESTSET STOP>\n<LAVA_SIGNAL_TESTSUITE other>\n"
        + PLAIN.format("c", "skip")
        + "<LAVA_SIGNAL_ENDRUN 0_smoke 42_1.1>\n<LAVA_TEST_RUNNER EXIT>\n"
    )
    assert results(found) == [
        ("0_smoke", "", "a", "pass"),
        ("0_smoke", "s1", "b", "fail"),
        ("0_other", "", "c", "skip"),
    ]
    assert reader.complete


def test_a_program_may_print_plain_signals_between_ours() -> None:
    writer = SignalWriter()
    start, case = writer.start(0, "0_smoke"), writer.case("ours", "pass")
    reader = stream()
    found = reader.feed(start + PLAIN.format("theirs", "fail"))
    assert results(found) == []  # it may be one of ours without its trailer
    found += reader.feed(case + writer.end() + writer.exit())
    assert results(found) == [("0_smoke", "", "theirs", "fail"), ("0_smoke", "", "ours", "pass")]
    assert next(e.line for e in found if isinstance(e, CaseResult)) == 1
    assert reader.complete


def test_a_row_of_plain_signals_is_believed_at_once() -> None:
    writer = SignalWriter()
    reader = stream()
    reader.feed(writer.start(0, "0_smoke"))
    assert len(results(reader.feed(PLAIN.format("a", "pass")))) == 0
    assert len(results(reader.feed(PLAIN.format("b", "pass")))) == 2
    assert len(results(reader.feed(PLAIN.format("c", "fail")))) == 1


def test_a_plain_set_holds_for_ours_as_well() -> None:
    writer = SignalWriter()
    start, case = writer.start(0, "0_smoke"), writer.case("a", "pass")
    assert results(stream().feed(start + "<LAVA_SIGNAL_TESTSET START s1>\n" + case)) == [
        ("0_smoke", "s1", "a", "pass")
    ]


def test_ours_without_its_trailer_is_not_taken_for_a_plain_one() -> None:
    writer = SignalWriter()
    start, case = writer.start(0, "0_smoke"), writer.case("boot", "pass")
    broken = case[: case.index(" #")].replace("boot", "bt") + "\n"
    reader = stream()
    found = reader.feed(start + broken + writer.end() + writer.exit())
    assert results(found) == []
    found = reader.restore(writer.kept(reader.wanted()))
    assert results(found) == [("0_smoke", "", "boot", "pass")]


def test_ours_without_its_trailer_and_without_the_file_is_unknown() -> None:
    writer = SignalWriter()
    start, case = writer.start(0, "0_smoke"), writer.case("boot", "pass")
    reader = stream()
    reader.feed(start + case[: case.index(" #")] + "\n" + writer.end() + writer.exit())
    assert {r[3] for r in results(reader.give_up())} == {"unknown"}


def test_a_repetition_without_its_trailer_counts_once() -> None:
    writer = SignalWriter()
    start, case = writer.start(0, "0_smoke"), writer.case("a", "pass")
    bare = case[: case.index(" #")] + "\n"
    reader = stream()
    found = reader.feed(start + bare + case + bare + writer.end() + writer.exit())
    assert results(found) == [("0_smoke", "", "a", "pass")]
    assert reader.complete


def test_what_noise_left_of_a_repetition_is_no_result() -> None:
    writer = SignalWriter()
    start, case = writer.start(0, "0_smoke"), writer.case("disk", "fail")
    remains = case[: case.index(" #")].replace("disk", "dsk") + NOISE
    reader = stream()
    found = reader.feed(start + case + remains + writer.end() + writer.exit())
    assert results(found) == [("0_smoke", "", "disk", "fail")]
    assert reader.complete


def test_trace_lines_are_no_signals() -> None:
    writer = SignalWriter()
    text = writer.start(0, "0_smoke") + "+ echo <LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=fail>\n"
    text += "++ echo <LAVA_SIGNAL_TESTCASE TEST_CA\n"
    reader = stream()
    found = reader.feed(text + writer.end() + writer.exit())
    assert results(found) == []
    assert of(Malformed, found) == []
    assert reader.complete


def test_helpers_without_any_checksum_tool_are_plain() -> None:
    reader = stream()
    found = reader.feed(
        "<LAVA_SIGNAL_STARTRUN 0_smoke 1_1.1>\n"
        + PLAIN.format("a", "pass")
        + "<LAVA_SIGNAL_ENDRUN 0_smoke 1_1.1>\n<LAVA_TEST_RUNNER EXIT>\n"
    )
    assert results(found) == [("0_smoke", "", "a", "pass")]
    assert reader.complete


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ("TEST_CASE_ID=a b RESULT=pass", "'b' has no '='"),
        ("RESULT=pass", "no test_case_id"),
        ("TEST_CASE_ID=a", "no result"),
        ("TEST_CASE_ID=a RESULT=banana", "'banana' is no result"),
        ("TEST_CASE_ID=a RESULT=pass MEASUREMENT=fast", "'fast' is no number"),
        ("TEST_CASE_ID=a RESULT=pass MEASUREMENT=1_0", "'1_0' is no number"),
    ],
)
def test_malformed_results_cost_only_themselves(parameters: str, reason: str) -> None:
    reader = SignalStream()
    found = reader.feed(
        "<LAVA_SIGNAL_STARTRUN 0_smoke 42_1.1>\n"
        f"<LAVA_SIGNAL_TESTCASE {parameters}>\n" + PLAIN.format("b", "pass")
    )
    assert results(found) == [("0_smoke", "", "b", "pass")]
    assert [reason in e.reason for e in found if isinstance(e, Malformed)] == [True]


@pytest.mark.parametrize(
    ("signal", "kind"),
    [("STARTRUN 0_smoke", "Test"), ("TESTREFERENCE a pass", "Test"), ("TESTSET START", "Job")],
)
def test_signals_that_end_the_block(signal: str, kind: str) -> None:
    reader = SignalStream()
    reader.feed("<LAVA_SIGNAL_STARTRUN 0_smoke 42_1.1>\n" if signal[:8] != "STARTRUN" else "")
    found = reader.feed(f"<LAVA_SIGNAL_{signal}>\n")
    assert [e.error_type for e in found if isinstance(e, events.Broken)] == [kind]


def test_a_destroyed_plain_start_is_known_by_its_number() -> None:
    reader = SignalStream(DEFINITIONS)
    found = reader.feed("<LAVA_SIGNAL_STARTRUN 0_smo[ 1.0] usb>\n" + PLAIN.format("a", "pass"))
    assert results(found) == [("0_smoke", "", "a", "pass")]


def test_a_destroyed_plain_start_is_known_by_its_end() -> None:
    reader = SignalStream()
    found = reader.feed("<LAVA_SIGNAL_STARTRUN 0_smo[ 1.0] usb>\n" + PLAIN.format("a", "pass"))
    assert results(found) == []
    found = reader.feed("<LAVA_SIGNAL_ENDRUN 0_smoke 42_1.1>\n<LAVA_TEST_RUNNER EXIT>\n")
    assert results(found) == [("0_smoke", "", "a", "pass")]
    assert [e.outcome for e in found if isinstance(e, RunSettled)] == ["pass"]


def test_a_result_before_any_definition_belongs_to_none() -> None:
    assert results(SignalStream().feed(PLAIN.format("a", "pass"))) == [("", "", "a", "pass")]


def test_old_runners_end_in_words() -> None:
    reader = SignalStream()
    reader.feed("<LAVA_TEST_RUNNER>: started\n")
    assert not reader.exited
    reader.feed("<LAVA_TEST_RUNNER>: exiting\n")
    assert reader.exited


# -- parse patterns --------------------------------------------------------------------------------------


def patterned(pattern: str, fixups: dict[str, str] | None = None) -> SignalStream:
    reader = SignalStream([StreamDefinition(0, "0_smoke", "1_1.1", pattern, fixups or {})])
    reader.feed("<LAVA_SIGNAL_STARTRUN 0_smoke 1_1.1>\n")
    return reader


def test_a_pattern_makes_results_of_output_while_its_definition_runs() -> None:
    reader = patterned(
        r"^(?P<test_case_id>\S+):\s+(?P<result>OK|PASS|FAIL)( (?P<measurement>\S+) (?P<units>\S+))?$",
        {"OK": "pass"},
    )
    found = reader.feed("a/b: OK\nnothing\nspeed: PASS 12.5 MB/s\r\nbad: FAIL\n")
    assert results(found) == [
        ("0_smoke", "", "a_b", "pass"),
        ("0_smoke", "", "speed", "pass"),
        ("0_smoke", "", "bad", "fail"),
    ]
    assert [(e.measurement, e.units) for e in found if isinstance(e, CaseResult)][1] == (12.5, "MB/s")
    reader.feed("<LAVA_SIGNAL_ENDRUN 0_smoke 1_1.1>\n")
    assert results(reader.feed("late: PASS\n")) == []


def test_a_pattern_does_not_see_signals_and_skips_names_with_blanks() -> None:
    reader = patterned(r"(?P<test_case_id>.+): (?P<result>pass|fail)")
    found = reader.feed("<LAVA_SIGNAL_TESTEVENT x: pass>\n+ echo test1: pass\ntest2: pass\n")
    assert [case for _, _, case, _ in results(found)] == ["test2"]


def test_a_pattern_that_finds_a_bad_result_costs_only_that() -> None:
    reader = patterned(r"(?P<test_case_id>\w+): (?P<measurement>\w+) (?P<result>pass|fail)")
    found = reader.feed("foo: Z pass\nbar: 7 fail\n")
    assert results(found) == [("0_smoke", "", "bar", "fail")]


def test_fixups_hold_for_signals_too() -> None:
    reader = patterned("", {"BROKEN": "fail", "good": "PASS"})
    found = reader.feed(PLAIN.format("a", "BROKEN") + PLAIN.format("b", "good"))
    assert [r[3] for r in results(found)] == ["fail", "pass"]

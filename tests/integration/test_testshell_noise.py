# SPDX-License-Identifier: Apache-2.0
"""Noise over the console of the real helpers: with the device's file every result is right, without
it each is right or unknown (design §9, Noise).

HYPOTHESIS_PROFILE=thorough tries 10,000 consoles.
"""

from __future__ import annotations

import re
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.testing.hostdevice import HostDevice, define
from executor.testing.signals import answer
from executor.testshell.events import UNKNOWN, CaseResult, Event, RunSettled
from executor.testshell.runs import StreamDefinition
from executor.testshell.stream import SignalStream

RUN = "7fa1"
FIRST = [
    "lava-test-case boot --shell true",
    "lava-test-set start quick",
    "lava-test-case disk --shell 'exit 3'",
    "lava-test-case disk2 --result pass",
    "lava-test-set stop",
    "lava-test-case speed --result skip --measurement 1.5 --units MB/s",
    "echo some output",
    "lava-test-reference page --result fail --reference https://example.org/1",
    "lava-test-suite-name renamed",
    "lava-test-case 'odd name>' --shell test -e /",
]
SECOND = [f"lava-test-case x{n} --shell {'true' if n % 3 else 'false'}" for n in range(8)]
THIRD = ["lava-test-set start one", "lava-test-case a --result pass"]
THIRD += ["lava-test-set start two", "lava-test-case a --result fail"]

MESSAGES = [
    "usb 1-1: new high-speed USB device number 2 using xhci_hcd",
    "eth0: Link is Up - 1Gbps/Full - flow control rx/tx",
    "EXT4-fs (vda): mounted filesystem with ordered data mode. Quota mode: none.",
    "random: crng init done",
    "x",
]


class Recording(msgspec.Struct):
    """What the console showed, what the device kept, and what is right."""

    text: str
    kept: str
    definitions: list[StreamDefinition]
    results: Counter[tuple[object, ...]]
    outcomes: dict[str, str]

    def stream(self) -> SignalStream:
        return SignalStream(self.definitions, run=RUN)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    device = HostDevice(
        tmp_path_factory.mktemp("device"),
        [
            define("first", *FIRST),
            define("second", *SECOND, "false", index=1),
            define("third", *THIRD, index=2),
        ],
    )
    made = Recording(
        device.run(RUN), device.kept(), [d.for_stream() for d in device.definitions], Counter(), {}
    )
    stream = made.stream()
    found = stream.feed(made.text)
    assert stream.complete
    made.results, made.outcomes = results(found), outcomes(found)
    assert made.results.total() == 16
    return made


def results(found: list[Event]) -> Counter[tuple[object, ...]]:
    return Counter(
        (e.definition, e.set, e.case, e.result, e.measurement, e.units, e.reference)
        for e in found
        if isinstance(e, CaseResult)
    )


def outcomes(found: list[Event]) -> dict[str, str]:
    return {e.definition: e.outcome for e in found if isinstance(e, RunSettled)}


# -- noise -----------------------------------------------------------------------------------------------

place = st.floats(0, 1, exclude_max=True)
message = st.builds(
    lambda seconds, text, end: f"[{seconds:12.6f}] {text}{end}",
    st.floats(0, 9999),
    st.sampled_from(MESSAGES),
    st.sampled_from(["\n", "\r\n", ""]),
)
insertion = st.tuples(st.just("insert"), place, st.lists(message, min_size=1, max_size=5).map("".join))
loss = st.tuples(st.just("drop"), place, st.integers(1, 80))
repetition = st.tuples(st.just("repeat"), place, st.integers(0, 5))
noise = st.lists(st.one_of(insertion, loss, repetition), min_size=1, max_size=30)
cut = st.one_of(st.just(1.0), st.floats(0, 1))


def disturbed(text: str, kinds: list[tuple[str, float, str | int]], end: float) -> str:
    """The same console with noise, ended early."""
    for kind, where, what in kinds:
        at = int(where * len(text))
        if kind == "insert":
            text = text[:at] + str(what) + text[at:]
        elif kind == "drop":
            text = text[:at] + text[at + int(what) :]
        else:
            lines = text.split("\n")
            number = int(where * len(lines))
            lines.insert(number + int(what), lines[number])
            text = "\n".join(lines)
    return text[: int(end * len(text))]


def read(stream: SignalStream, text: str, sizes: list[int]) -> list[Event]:
    found: list[Event] = []
    for size in sizes:
        found += stream.feed(text[:size])
        text = text[size:]
    return found + stream.feed(text)


pieces = st.lists(st.integers(1, 500), max_size=10)


@pytest.mark.timeout(3600)
@given(kinds=noise, end=cut, sizes=pieces)
def test_with_the_devices_file_every_result_is_right(
    recording: Recording, kinds: list[tuple[str, float, str | int]], end: float, sizes: list[int]
) -> None:
    stream = recording.stream()
    found = read(stream, disturbed(recording.text, kinds, end), sizes)
    if not stream.complete:
        found += stream.restore(answer(recording.kept, stream.wanted()))
    assert results(found) == recording.results
    assert outcomes(found) == recording.outcomes


@pytest.mark.timeout(3600)
@given(kinds=noise, end=cut, sizes=pieces)
def test_without_it_a_result_is_right_or_unknown(
    recording: Recording, kinds: list[tuple[str, float, str | int]], end: float, sizes: list[int]
) -> None:
    stream = recording.stream()
    found = read(stream, disturbed(recording.text, kinds, end), sizes)
    if not stream.complete:
        found += stream.give_up("nobody was asked")
    told = Counter({result: n for result, n in results(found).items() if result[3] != UNKNOWN})
    assert not told - recording.results
    if stream.exited:
        wrong = {k: v for k, v in outcomes(found).items() if v not in (UNKNOWN, recording.outcomes[k], "")}
        assert not wrong


@given(kinds=noise)
def test_noise_over_the_answer_only_means_to_ask_again(
    recording: Recording, kinds: list[tuple[str, float, str | int]]
) -> None:
    stream = recording.stream()
    whole = answer(recording.kept, "1-")
    found = stream.restore(disturbed(whole, kinds, 1.0), final=False)
    if not stream.complete:
        found += stream.restore(answer(recording.kept, stream.wanted()))
    assert results(found) == recording.results


def test_the_recording_is_what_the_helpers_print(recording: Recording) -> None:
    assert len(re.findall(r"^<LAVA_SIGNAL_TESTCASE .*> #7fa1\.\d+\.\d+:\d+:\d+$", recording.text, re.M)) == 15

# SPDX-License-Identifier: Apache-2.0
"""Command lines for programs of the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.actions.hosttool import (
    HostTool,
    expand,
    expand_line,
    lines_of,
    method_options,
    named_images,
    option_words,
    placeholders,
)
from executor.errors import InfrastructureError, JobError
from executor.model.device import Device
from executor.pipeline.world import IdealWorld
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns


class Flash(HostTool):
    name = "flash-it"

    def program(self) -> str:
        return "flashtool"


def test_images_have_the_names_of_their_urls(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    artifact = scene.artifact("boot", b"elf", url="http://h/a/zephyr.elf")
    images = named_images(scene.attempt(placed(Flash())))
    assert images["boot"].name == "zephyr.elf"
    assert images["boot"].read_bytes() == b"elf"
    assert images["boot"].resolve() == artifact.path
    assert named_images(scene.attempt(placed(Flash()))) == images


def test_placeholders_are_replaced_in_both_spellings_after_the_words_are_split() -> None:
    values = placeholders({"a b": Path("/x y/z")})
    assert expand_line("--file {a b} '{A B}'", {"a b": "no"}, "k", strict=False) == [
        "--file",
        "{a",
        "b}",
        "{A B}",
    ]
    values = placeholders({"kernel": Path("/x y/-z")})
    assert expand_line("--file={kernel} {KERNEL}", values, "k") == ["--file=/x y/-z", "/x y/-z"]


def test_an_unknown_placeholder_is_named_with_those_that_exist() -> None:
    with pytest.raises(JobError, match=r"\{kernal\} in 'load \{kernal\}'") as failure:
        expand("load {kernal}", {"kernel": "/k"})
    assert "{kernel}" in failure.value.hint
    assert expand("${x} {kernal}", {}, strict=False) == "${x} {kernal}"


def test_options_of_a_method_are_found_or_empty() -> None:
    device = Device(boot_methods={"x": {"parameters": {"options": ["-t a", "-f 3"]}}, "y": None})
    assert option_words(method_options(device, "boot", "x", "parameters").get("options"), "k") == [
        *("-t", "a", "-f", "3")
    ]
    assert method_options(device, "boot", "y", "parameters") == {}
    assert (lines_of(None), lines_of("a b"), lines_of(["a", 1])) == ([], ["a b"], ["a", "1"])


def test_the_output_is_in_the_log_and_a_failure_has_the_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("flashtool", says="begin\nno probe found", code=3)
    scene = Scene(tmp_path)
    action = placed(Flash())
    with pytest.raises(InfrastructureError, match="flashtool failed with code 3: no probe found"):
        action.call(scene.attempt(action), ["flashtool", "-x"])  # type: ignore[attr-defined]
    assert tools.calls("flashtool") == [["-x"]]
    assert any("begin" in text for text in scene.journal.messages("debug"))


def test_a_missing_program_is_an_infrastructure_problem() -> None:
    class Bare(IdealWorld):
        def tool(self, name: str) -> str:
            return f"{name} is not installed"

    [problem] = placed(Flash()).validate(Bare())
    assert (problem.error_type, problem.message) == ("Infrastructure", "flashtool is not installed")
    assert Flash().needs().tools == {"flashtool"}

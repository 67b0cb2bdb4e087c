# SPDX-License-Identifier: Apache-2.0
"""What templates do with a job's context, seen from what they render. Here a template is a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from executor.master.lab.probing import Form, probe

Template = Callable[[dict[str, Any]], Any]


def form(template: Template, *used: str) -> Form:
    def render(contexts: list[dict[str, Any]]) -> list[Any]:
        out = []
        for context in contexts:
            try:
                out.append(template(context))
            except (AttributeError, TypeError, ValueError):
                out.append(None)
        return out

    return probe(template({}), frozenset(used), render)


def test_a_value_in_a_text_becomes_a_variable() -> None:
    made = form(
        lambda c: {"options": [f"-m {c.get('memory', 512)}", f"-cpu {c.get('cpu', 'max')}"]}, "memory", "cpu"
    )
    assert made.body == {"options": ["-m ${memory}", "-cpu ${cpu}"]}
    assert made.variables == {"memory": "512", "cpu": "max"}
    assert made.fixed == []


def test_a_value_by_itself_keeps_its_type() -> None:
    made = form(
        lambda c: {"retry": c.get("failure_retry", 3), "said": f"{c.get('failure_retry', 3)} times"},
        "failure_retry",
    )
    assert made.variables == {"failure_retry": 3}
    assert made.body == {"retry": "${failure_retry}", "said": "${failure_retry} times"}


def test_lists_are_spliced() -> None:
    made = form(lambda c: {"extra": ["-a", *c.get("extra_options", [])]}, "extra_options")
    assert (made.body, made.variables) == ({"extra": ["-a", "${extra_options}"]}, {"extra_options": []})


def test_known_values_choose_parts() -> None:
    def template(context: dict[str, Any]) -> dict[str, Any]:
        arm = context.get("arch", "amd64") == "arm64"
        return {
            "available_architectures": ["amd64", "arm64"],
            "command": "arm" if arm else "pc",
            "cpu": context.get("cpu", "a57" if arm else "max"),
            **({"machine": context.get("machine", "virt")} if arm else {}),
        }

    made = form(template, "arch", "cpu", "machine")
    assert made.variables == {"cpu": "max", "arch": "amd64"}
    part = made.by_context["arch"]["arm64"]
    assert part == {"variables": {"cpu": "a57", "machine": "virt"}, "command": "arm", "machine": "${machine}"}
    assert [context for context, _ in made.seen] == [{}, {"arch": "amd64"}, {"arch": "arm64"}]


def test_switches() -> None:
    made = form(lambda c: {"options": ["-a"] if c.get("no_kvm") else ["-a", "-k"]}, "no_kvm")
    assert made.variables == {"no_kvm": False}
    assert made.by_context == {"no_kvm": {True: {"options": ["-a"]}}}


def test_what_cannot_be_carried_over_is_told() -> None:
    made = form(
        lambda c: {"size": int(c.get("guestfs_size", 512)) * 2, "up": c.get("model", "x").upper()},
        "guestfs_size",
        "model",
    )
    assert made.fixed == ["guestfs_size", "model"]
    assert made.body == {"size": 1024, "up": "X"}
    assert made.variables == {}


def test_what_reads_like_a_variable_is_quoted() -> None:
    made = form(lambda c: {"a": c.get("memory", 1), "b": "${memory} ${filesize} $${x}"}, "memory")
    assert made.body["b"] == "$${memory} ${filesize} $$${x}"


def test_unused_variables_are_not_asked_for() -> None:
    asked: list[dict[str, Any]] = []

    def render(contexts: list[dict[str, Any]]) -> list[Any]:
        asked.extend(contexts)
        return [{"a": 1} for _ in contexts]

    probe({"a": 1}, frozenset({"connection_command"}), render)
    assert asked == []

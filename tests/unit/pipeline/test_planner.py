# SPDX-License-Identifier: Apache-2.0
"""From blocks to a tree: levels, names, reasons of refusal, near misses."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

import msgspec
import pytest

from executor.errors import Bug
from executor.model.job import BlockParameters, Job
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.describe import as_data, as_text
from executor.pipeline.method import Method, Registry, builtin_registry, method
from executor.pipeline.planner import Plan, PlanError, Request, Site, plan
from executor.schema.device import parse_device
from executor.schema.job import parse_job
from executor.testing import jobs
from executor.testing.pipeline import planned


def names(found: Plan) -> list[str]:
    return [f"{action.level} {action.name}" for action in found.walk()]


def errors(found: Plan) -> list[str]:
    return [problem.message for problem in found.errors]


def test_levels_names_and_order_are_those_of_the_field() -> None:
    found = planned(jobs.job(), jobs.device())
    assert names(found) == [
        "1 deployimages",
        "1.1 lava-overlay",
        "1.1.1 lava-multinode-overlay",
        "1.1.2 test-definition",
        "1.1.2.1 inline-repo-action",
        "1.1.2.2 test-overlay",
        "1.1.2.3 test-install-overlay",
        "1.1.2.4 test-runscript-overlay",
        "1.1.3 compress-overlay",
        "1.2 deploy-device-env",
        "1.3 download-retry",
        "1.3.1 http-download",
        "1.4 apply-overlay-guest",
        "2 boot-image-retry",
        "2.1 boot-qemu-image",
        "2.1.1 execute-qemu",
        "2.2 auto-login-action",
        "2.2.1 login-action",
        "2.3 expect-shell-connection",
        "2.4 export-device-env",
        "3 lava-test-retry",
        "3.1 lava-test-shell",
        "4 finalize",
        "4.1 power-off",
        "4.2 read-feedback",
    ]


def test_without_tests_there_is_no_overlay_and_no_shell() -> None:
    found = planned(jobs.job(jobs.deploy(), jobs.boot()), jobs.device())
    assert names(found)[:5] == [
        "1 deployimages",
        "1.1 download-retry",
        "1.1.1 http-download",
        "2 boot-image-retry",
        "2.1 boot-qemu-image",
    ]


def test_a_tests_namespace_decides_who_builds_its_overlay() -> None:
    job = jobs.job(
        jobs.deploy(namespace="a"),
        jobs.boot(namespace="a"),
        jobs.deploy(namespace="b"),
        jobs.boot(namespace="b"),
        jobs.shell_test(namespace="b"),
    )
    found = planned(job, jobs.device())
    overlays = [a for a in found.walk() if a.name == "lava-overlay"]
    assert [(a.level, a.namespace) for a in overlays] == [("3.1", "b")]


def test_every_test_block_counts_its_own_definitions() -> None:
    tests = jobs.shell_test("a"), jobs.shell_test("b")
    found = planned(jobs.job(jobs.deploy(), jobs.boot(), *tests), jobs.device())
    labels = [a.label for a in found.walk() if a.name == "inline-repo-action"]
    indexes = [a.definition.index for a in found.walk() if a.name == "inline-repo-action"]  # type: ignore[attr-defined]
    assert (labels, indexes) == (["a", "b"], [0, 1])
    assert [a.stage for a in found.walk() if a.name == "lava-test-shell"] == [0, 1]  # type: ignore[attr-defined]


def test_needs_are_the_union_over_the_tree() -> None:
    needs = planned(jobs.job(), jobs.device()).needs
    assert needs.image == "qemu"
    assert needs.mounts == {"cache", "work"}
    assert needs.network == "none"
    assert needs.tools >= {"qemu-system-x86_64", "mke2fs", "qemu-img"}
    assert needs.memory > 512
    assert needs.capabilities == frozenset()


# -- refusals


def test_a_refusal_lists_every_method_with_its_reason_the_likeliest_first() -> None:
    found = planned(jobs.job(jobs.deploy(), jobs.boot(method="qemo")), jobs.device())
    (problem,) = found.errors
    lines = problem.message.split("\n")
    assert lines[0] == "no boot method accepts this block:"
    assert lines[1] == "  qemu: 'method' is 'qemo', not 'qemu'"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "qemu",
        *sorted(m.name for m in builtin_registry().of("boot") if m.name != "qemu"),
    ]
    assert problem.hint == "did you mean 'qemu'?"
    assert problem.path == ("actions", 1, "boot")
    assert found.actions == []


def test_a_device_without_the_method_is_told_as_the_reason() -> None:
    device = jobs.device(actions={"deploy": {"methods": {"tftp": None}}, "boot": {"methods": {"qemu": None}}})
    (problem, *_) = planned(jobs.job(), device).errors
    assert "tmpfs: the device file has no deploy method 'image'" in problem.message


@pytest.mark.parametrize(
    ("block", "actions", "words"),
    [
        ({"deploy": {"os": "debian"}}, None, "deploy block without 'to'"),
        ({"boot": {"prompts": ["#"]}}, None, "boot block without 'method'"),
        ({"boot": {"method": "qemu"}}, {"deploy": {"methods": {"image": None}}}, "no actions.boot.methods"),
        ({"deploy": {"to": "tmpfs"}}, {"boot": {"methods": {"qemu": None}}}, "no actions.deploy.methods"),
    ],
)
def test_what_must_hold_before_any_method_is_asked_is_configuration(
    block: dict[str, object], actions: dict[str, object] | None, words: str
) -> None:
    device = jobs.device(**({"actions": actions} if actions else {}))
    job, known = parse_job(jobs.job(block)).job, parse_device(device).device
    assert job is not None
    assert known is not None
    (problem,) = plan(job, known).errors
    assert words in problem.message
    assert problem.error_type == "Configuration"


def test_every_block_is_looked_at_whatever_is_wrong_with_another() -> None:
    found = planned(
        jobs.job(jobs.deploy(to="tmpsf"), jobs.boot(method="qemo"), jobs.boot(promts=["x"])),
        jobs.device(),
    )
    assert [problem.path[:2] for problem in found.errors] == [("actions", 0), ("actions", 1), ("actions", 2)]
    assert found.errors[2].near == "prompts"


def test_unknown_keys_are_warnings_in_a_lenient_job() -> None:
    parsed = parse_job(jobs.job(jobs.deploy(), jobs.boot(promts=["x"])), strict=False)
    device = parse_device(jobs.device()).device
    assert parsed.job is not None
    assert device is not None
    found = plan(parsed.job, device)
    assert found.errors == []
    assert [p.near for p in found.problems] == ["prompts"]
    assert found.actions


@pytest.mark.parametrize(
    ("timeouts", "block", "near"),
    [
        ({"actions": {"login-acton": {"minutes": 1}}}, {}, "login-action"),
        ({"connections": {"lava-test-shel": {"minutes": 1}}}, {}, "lava-test-shell"),
        ({}, {"timeouts": {"boot-image-retri": {"minutes": 1}}}, "boot-image-retry"),
    ],
)
def test_a_timeout_for_a_name_that_no_action_has_is_warned_about(
    timeouts: dict[str, object], block: dict[str, object], near: str
) -> None:
    job = jobs.job(
        jobs.deploy(),
        jobs.boot(**block),
        jobs.shell_test(),
        timeouts={"job": {"minutes": 10}, **timeouts},
    )
    (problem,) = planned(job, jobs.device()).problems
    assert (problem.severity, problem.near) == ("warning", near)
    assert "login-action" in problem.expected
    assert planned(job, jobs.device()).actions


def test_old_names_of_actions_are_known() -> None:
    job = jobs.job(timeouts={"job": {"minutes": 10}, "http_download": {"minutes": 1}})
    found = planned(job, jobs.device())
    assert found.problems == []
    assert [a.limit for a in found.walk() if a.name == "http-download"] == [60]


def test_only_test_blocks_can_skip_their_timeout() -> None:
    skip = {"timeout": {"minutes": 1, "skip": True}}
    found = planned(jobs.job(jobs.deploy(), jobs.boot(**skip), jobs.shell_test(**skip)), jobs.device())
    assert {a.section for a in found.walk() if a.skip_timeout} == {"test"}


# -- methods


class Parameters(BlockParameters, kw_only=True):
    to: str
    size: int = 0


class Leaf(RetryAction):
    name = "leaf"


def registry(*methods: type[Method]) -> Registry:
    module = ModuleType("lab_methods")
    for made in methods:
        made.__module__ = "lab_methods"
        setattr(module, made.__name__, made)
    return Registry([module], builtin_registry().finalize)


def make(
    name_: str, *, priority_: int = 1, refuses: str = "", fails: Exception | None = None
) -> type[Method]:
    class Top(Leaf):
        name = f"top-{name_}"

        def plan(self, site: Site) -> Iterable[Action]:
            if fails is not None:
                raise fails
            yield Leaf()

    @method("deploy")
    class Made(Method):
        name = name_
        priority = priority_
        Parameters = Parameters

        @classmethod
        def accepts(cls, request: Request) -> str:
            return refuses

        @classmethod
        def action(cls, request: Request) -> Action:
            assert isinstance(request.typed, Parameters)
            return Top()

    Made.__name__ = f"Made{name_}"
    return Made


def of(*methods: type[Method], **keys: object) -> Plan:
    job = parse_job(jobs.job({"deploy": {"to": "x", **keys}})).job
    device = parse_device(jobs.device()).device
    assert job is not None
    assert device is not None
    return plan(job, device, registry(*methods))


def test_the_highest_priority_wins_then_the_order_of_names() -> None:
    assert names(of(make("b"), make("a"), make("c", priority_=2)))[0] == "1 top-c"
    assert names(of(make("b"), make("a")))[0] == "1 top-a"


def test_keys_of_a_method_are_checked_by_its_own_struct() -> None:
    found = of(make("a"), size="big", siez=1)
    assert sorted(p.path[-1] for p in found.errors) == ["siez", "size"]


def test_a_method_that_stumbles_is_a_bug_and_no_traceback() -> None:
    found = of(make("a", fails=KeyError("guest")))
    (problem,) = found.errors
    assert problem.error_type == "Bug"
    assert "KeyError" in problem.message


def test_an_error_with_a_place_of_its_own_keeps_it() -> None:
    found = of(make("a", fails=PlanError("no", path=("actions", 7), hint="see")))
    (problem,) = found.errors
    assert (problem.path, problem.hint) == (("actions", 7), "see")


def test_the_same_name_twice_is_a_bug() -> None:
    first, second = make("a"), make("a")
    second.__name__ = "Other"
    with pytest.raises(Bug, match="two methods"):
        registry(first, second)


def test_a_class_that_is_not_marked_is_no_method() -> None:
    marked = make("a")

    class Derived(marked):  # type: ignore[valid-type,misc]
        name = "derived"

    assert [m.name for m in registry(marked, Derived).of("deploy")] == ["a"]


def test_a_section_that_does_not_exist_is_a_bug() -> None:
    with pytest.raises(Bug, match="no such section"):
        method("depoly")


@pytest.mark.parametrize("bad", ["under_score", "two words", "", "-x", "x--y"])
def test_names_of_actions_are_held_to_their_form(bad: str) -> None:
    with pytest.raises(TypeError, match="action name"):
        type("Bad", (Action,), {"name": bad})


def test_all_methods_tell_their_section_and_their_parameters() -> None:
    for section in ("deploy", "boot", "test"):
        for found in builtin_registry().of(section):
            assert found.section == section
            assert issubclass(found.Parameters, msgspec.Struct)
            assert found.summary


# -- the description


def test_the_description_has_what_the_field_knows() -> None:
    (top, *_) = as_data(planned(jobs.job(), jobs.device()))
    assert {"class", "name", "level", "max_retries", "description", "summary", "timeout"} <= top.keys()
    download = top["pipeline"][2]["pipeline"][0]
    assert (download["name"], download["timeout"]) == ("http-download", 30)
    assert download["label"].endswith("http://h/r.img")


def test_the_text_shows_attempts_and_labels() -> None:
    job = jobs.job(jobs.deploy(failure_retry=2), jobs.boot(repeat=3))
    text = as_text(planned(job, jobs.device()))
    assert "  1.1 download-retry  [00:00:30]  x2  rootfs" in text.splitlines()
    assert "2 boot-image-retry  [00:00:30]  x3 (repeat)" in text.splitlines()


def test_no_action_and_no_block_at_all() -> None:
    device = parse_device({"actions": {}, "constants": {}, "parameters": {}}).device
    assert device is not None
    assert names(plan(Job(job_name="t"), device)) == ["1 finalize", "1.1 power-off", "1.2 read-feedback"]


# -- namespaces


def test_a_test_of_another_namespace_has_numbers_that_are_free_in_both_overlays() -> None:
    job = jobs.job(
        jobs.deploy(namespace="a"),
        jobs.boot(namespace="a"),
        jobs.shell_test("one", "two", namespace="a"),
        {"test": {**jobs.shell_test("three", namespace="b")["test"], "connection-namespace": "a"}},
        jobs.shell_test("four", namespace="a"),
    )
    found = planned(job, jobs.device())
    given = [a.definition for a in found.walk() if a.name == "inline-repo-action"]  # type: ignore[attr-defined]
    assert [(d.name, d.index, d.suite) for d in given] == [
        ("one", 0, 0),
        ("two", 1, 1),
        ("three", 2, 0),
        ("four", 3, 2),
    ]
    tests = [a for a in found.walk() if a.name == "lava-test-shell"]
    assert [(a.stage, list(a.definitions)) for a in tests] == [(0, [0, 1]), (1, [2]), (2, [3])]  # type: ignore[attr-defined]

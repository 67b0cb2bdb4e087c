# SPDX-License-Identifier: Apache-2.0
"""Submissions: what is refused, with all problems at once, and what of a job may be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from executor.master.configs import load_configs
from executor.master.planning import planning_check
from executor.master.settings import Settings, UserLimits
from executor.master.submission import (
    MASK,
    Accepted,
    Answer,
    Question,
    Refused,
    Site,
    Summary,
    examine,
    masked,
)
from executor.model.problem import Problem
from executor.schema.loader import load_yaml
from executor.testing.farm import summary_check, write_configs
from executor.wire.messages import Submit


@pytest.fixture
def site(tmp_path: Path) -> Site:
    tagged = "extends: qemu\ntags: [usb]\nworker: lab1\n"
    configs = load_configs(write_configs(tmp_path / "dc", "qemu-01", **{"qemu-02": tagged}))
    return Site(configs, {}, Settings(users={"bob": UserLimits(priority=60)}), "bob")


def ask(text: str, **more: Any) -> Submit:
    return Submit(text, filename="job.yaml", **more)


def refusals(text: str, site: Site, **more: Any) -> list[str]:
    found = examine(ask(text, **more), site, summary_check)
    assert isinstance(found, Refused)
    return [f"{p.where}: {p.message}" + (f" [{p.near}]" if p.near else "") for p in found.problems]


def test_accepted(site: Site) -> None:
    text = "job_name: n\ndevice_type: qemu\npriority: 20\n"
    found = examine(ask(text), site, summary_check)
    assert found == Accepted(Summary(name="n", device_type="qemu", priority=20), text, [])


def test_overrides(site: Site) -> None:
    found = examine(ask("device_type: qemu\n", priority=55, device="qemu-02"), site, summary_check)
    assert isinstance(found, Accepted)
    assert (found.summary.priority, found.summary.device) == (55, "qemu-02")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("device_type: qemuu\n", ["job.yaml:1:1: device_type: there is no device of type 'qemuu' [qemu]"]),
        (
            "device_type: qemu\ntags: [usb, ubs, net]\n",
            [
                "job.yaml:2:13: tags[1]: no device has the tag 'ubs' [usb]",
                "job.yaml:2:18: tags[2]: no device has the tag 'net'",
            ],
        ),
        (
            "device_type: qemu\ndevice: qemu-3\n",
            ["job.yaml:2:1: device: there is no device 'qemu-3' of type qemu [qemu-02]"],
        ),
        (
            "device_type: qemu\ntags: [usb]\nworker: lab2\n",
            ["job.yaml:2:1: tags: no device of type qemu has tags usb and worker lab2"],
        ),
        ("device_type: qemu\npriority: 70\n", ["job.yaml:2:1: priority: your priority is at most 60"]),
        ("- x\n", ["job.yaml: no map"]),
    ],
)
def test_refused_with_place_and_near_miss(site: Site, text: str, said: list[str]) -> None:
    found = refusals(text, site)
    assert [item.replace("qemu-01]", "qemu-02]") for item in found] == said


def test_problems_of_the_job_and_of_the_farm_together(site: Site) -> None:
    said = refusals("refuse: bad block\ndevice_type: qmu\n", site)
    assert said == [
        "job.yaml:1:1: refuse: bad block",
        "job.yaml:2:1: device_type: there is no device of type 'qmu' [qemu]",
    ]


def test_retired_devices_do_not_count(site: Site) -> None:
    retired = Site(site.configs, {"qemu-01": "Retired", "qemu-02": "Retired"}, site.settings, "bob")
    assert "in service" in refusals("device_type: qemu\n", retired)[0]


class Planner:
    """Refuses some devices; remembers which it was asked about."""

    def __init__(self, problems: dict[str, list[Problem]]) -> None:
        self.problems = problems
        self.asked: list[str] = []

    def __call__(self, question: Question) -> Answer:
        if question.device is None:
            return Answer([], Summary(device_type="qemu"))
        name = question.device["hostname"]
        self.asked.append(name)
        return Answer(self.problems.get(name, []), Summary(device_type="qemu"))


def test_one_device_that_takes_the_job_suffices(tmp_path: Path) -> None:
    different = {"b": "extends: qemu\nx: 1\n", "c": "extends: qemu\nx: 2\n"}
    configs = load_configs(write_configs(tmp_path / "dc", "a", **different))
    site = Site(configs, {}, Settings(), "bob")
    bad = [Problem("no"), Problem("never")]
    planner = Planner({"a": bad, "b": bad[:1]})
    assert isinstance(examine(ask("x: 1\n"), site, planner), Accepted)
    assert planner.asked == ["a", "b", "c"]
    planner = Planner({"a": bad, "b": bad[:1], "c": bad})
    found = examine(ask("x: 1\n"), site, planner)
    assert isinstance(found, Refused)
    assert found.problems == bad[:1]


def test_devices_of_the_same_form_are_asked_once(tmp_path: Path) -> None:
    configs = load_configs(write_configs(tmp_path / "dc", *(f"d{n}" for n in range(50))))
    planner = Planner({f"d{n}": [Problem("no")] for n in range(50)})
    assert isinstance(examine(ask("x: 1\n"), Site(configs, {}, Settings(), "bob"), planner), Refused)
    assert len(planner.asked) == 1


def test_warnings_do_not_refuse(site: Site) -> None:
    warning = Problem("hm", severity="warning")
    found = examine(ask("x: 1\n"), site, Planner({"qemu-01": [warning]}))
    assert isinstance(found, Accepted)
    assert found.warnings == [warning]


def test_broken_device_file_is_the_labs_fault(tmp_path: Path) -> None:
    configs = load_configs(
        write_configs(tmp_path / "dc", a="extends: qemu\nactions: {boot: {methods: {+qemu: 1}}}\n")
    )
    found = examine(ask("device_type: qemu\n"), Site(configs, {}, Settings(), "bob"), summary_check)
    assert isinstance(found, Refused)
    assert found.problems[0].error_type == "Configuration"


# ---- what may be shown


def shown(text: str, **extra: str) -> str:
    document = load_yaml(text, "job.yaml")
    own = document.data.get("secrets") or {} if isinstance(document.data, dict) else {}
    return masked(text, document, {**{k: str(v) for k, v in own.items()}, **extra})


def test_secrets_block_is_written_anew() -> None:
    text = "job_name: n\nsecrets:\n  A: 'geheim'\n  K: |\n    line one\n    line two\n# next\nactions: []\n"
    assert shown(text) == f"job_name: n\nsecrets:\n  A: '{MASK}'\n  K: '{MASK}'\nactions: []\n"


def test_secrets_at_the_end() -> None:
    assert shown("a: 1\nsecrets: {A: geheim}\n") == f"a: 1\nsecrets:\n  A: '{MASK}'\n"


def test_values_elsewhere_are_masked_too() -> None:
    found = shown("secrets: {A: geheim}\nurl: http://u:geheim@h/ # geheim\nx: other\n", B="other")
    assert "geheim" not in found
    assert "other" not in found
    assert found.count(MASK) == 4


def test_short_values_do_not_tear_the_text() -> None:
    assert shown("secrets: {A: a}\nactions: [a]\n") == f"secrets:\n  A: '{MASK}'\nactions: [a]\n"


@pytest.mark.parametrize(
    "text", ['{"a": 1, "secrets": {"K": "geheim1"}, "b": 2}', "{a: 1,\nsecrets: {K: geheim1}, b: 2}\n"]
)
def test_flow_style(text: str) -> None:
    found = shown(text)
    assert "geheim1" not in found
    assert yaml.safe_load(found) == {"a": 1, "secrets": {"K": MASK}, "b": 2}


@pytest.mark.parametrize("text", ["a: 1\n", "secrets:\na: 1\n", "- x\n", ""])
def test_nothing_to_hide(text: str) -> None:
    assert shown(text) == text


# ---- the check that masters normally use


GOOD = """\
job_name: n
device_type: qemu
timeouts: {job: {minutes: 5}}
visibility: public
priority: high
tags: [usb]
secrets: {A: geheim}
context: {arch: arm64}
actions:
- deploy:
    to: tmpfs
    images:
      kernel: {url: 'http://x/kernel', image_arg: '-kernel {kernel}'}
- boot: {method: qemu, media: tmpfs, prompts: ['# ']}
"""


def test_planning_check_reads_the_summary() -> None:
    found = planning_check(Question(GOOD, "job.yaml"))
    assert found.problems == []
    assert found.summary == Summary(
        name="n",
        device_type="qemu",
        priority=100,
        tags=["usb"],
        context={"arch": "arm64"},
        secrets={"A": "geheim"},
    )


def test_planning_check_without_a_job() -> None:
    assert planning_check(Question("a: [\n", "job.yaml")).summary is None
    several = planning_check(Question(GOOD.replace("public", "nobody").replace("[usb]", "usb"), "job.yaml"))
    assert len([p for p in several.problems if p.severity == "error"]) == 2


def test_planning_check_on_a_shipped_device() -> None:
    from executor.master.render import render

    configs = load_configs(Path(__file__).parents[3] / "device-configs")
    device = render(configs.devices["qemu-01"], {"arch": "arm64"})
    assert [
        p for p in planning_check(Question(GOOD, "job.yaml", device)).problems if p.severity == "error"
    ] == []
    bad = planning_check(Question(GOOD.replace("method: qemu", "method: u-boot"), "job.yaml", device))
    assert any(problem.line for problem in bad.problems)


def test_a_job_that_needs_a_container_beside_its_own_is_refused_for_now() -> None:
    device = {
        "actions": {name: {"methods": {"docker": None}} for name in ("deploy", "boot")},
        "constants": {},
        "parameters": {},
    }
    text = "job_name: n\ntimeouts: {job: {minutes: 5}}\nvisibility: public\ndevice_type: docker\n"
    text += "actions:\n- deploy: {to: docker, image: debian}\n"
    (problem,) = [
        p for p in planning_check(Question(text, "job.yaml", device)).problems if p.severity == "error"
    ]
    assert (problem.error_type, problem.line) == ("Configuration", 6)


def test_group_is_refused_for_now() -> None:
    text = """\
job_name: n
timeouts: {job: {minutes: 5}}
visibility: public
protocols:
  lava-multinode:
    roles: {a: {device_type: qemu, count: 1}, b: {device_type: qemu, count: 1}}
actions:
- boot: {method: minimal, prompts: ['# '], role: [a, b]}
"""
    found = planning_check(Question(text, "job.yaml"))
    assert found.summary is None
    assert any("groups" in problem.message for problem in found.problems)

# SPDX-License-Identifier: Apache-2.0
"""Interactive scripts against a board that plays the other part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from executor.actions.test.interactive import PlayScripts
from executor.errors import InfrastructureError, JobError, LavaExecError, TestError
from executor.model import journal
from executor.model.deadline import Deadline
from executor.model.job import Job, Member
from executor.model.testblocks import Script
from executor.pipeline.check import Checked, check_job
from executor.pipeline.world import IdealWorld
from executor.testing import jobs
from executor.testing.board import Board
from executor.testing.console import Hear, Say, Shell, Step
from executor.testing.pipeline import placed


def script(*steps: dict[str, Any], **keys: Any) -> Script:
    given = {"name": "setup", "prompts": ["=> "], "script": list(steps)}
    return msgspec.convert({**given, **keys}, Script)


def play(tmp_path: Path, board_script: list[Step], given: Script, **options: Any) -> Board:
    board = Board(tmp_path, *board_script, section="test", **options)
    board.run(PlayScripts([("0_setup", given)]))
    return board


def uboot(**answers: str) -> Shell:
    return Shell("=> ", answers)


def test_commands_and_their_results(tmp_path: Path) -> None:
    board = play(
        tmp_path,
        [Say("U-Boot 2024\r\n=> "), uboot(version="U-Boot 2024\n", dhcp="TIMEOUT\n")],
        script(
            {"command": None, "name": "prompt"},
            {"command": "version", "name": "version", "successes": [{"message": "U-Boot 20"}]},
            {"command": "dhcp", "name": "dhcp", "failures": [{"message": "TIMEOUT"}]},
            {"command": "setenv x y", "name": "no-success", "successes": [{"message": "done"}]},
            {"command": "", "name": "newline"},
        ),
    )
    assert board.cases("0_setup") == {
        "prompt": "pass",
        "version": "pass",
        "dhcp": "fail",
        "no-success": "fail",
        "newline": "pass",
    }
    assert board.cases("lava") == {"0_setup": "pass"}
    (record,) = [r for r in board.scene.journal.results() if r["definition"] == "lava"]
    assert (record["duration"], record["namespace"]) == ("0.00", "common")


def test_what_was_captured_is_there_for_later_steps_and_scripts(tmp_path: Path) -> None:
    board = Board(tmp_path, uboot(address="ip 10.0.0.7\n"), section="test", dispatcher_ip="10.0.0.1")
    board.scene.namespace.substitutions["{KERNEL}"] = "42/Image"
    first = script({"command": "address", "successes": [{"message": r"ip (?P<ip>[\d.]+)"}]})
    second = script({"command": "tftp {SERVER_IP}:{KERNEL} {JOB_ID} {ip} {other} ${var}"}, name="second")
    board.run(PlayScripts([("0_setup", first), ("0_second", second)]))
    assert "tftp 10.0.0.1:42/Image 42 10.0.0.7 {other} ${var}\n" in board.port.typed
    assert board.scene.namespace.substitutions["{ip}"] == "10.0.0.7"


def test_the_echo_of_a_command_is_not_its_answer(tmp_path: Path) -> None:
    steps = {"command": "grep -c done", "name": "c", "successes": [{"message": "done"}]}
    answers = uboot(**{"grep": "0\n"})
    assert play(tmp_path / "a", [answers], script(steps)).cases("0_setup") == {"c": "pass"}
    dropped = play(tmp_path / "b", [answers], script(steps, echo="discard"))
    assert dropped.cases("0_setup") == {"c": "fail"}


def test_an_unnamed_command_that_fails_ends_the_test(tmp_path: Path) -> None:
    given = script({"command": "run x", "failures": [{"message": "ERROR"}]}, {"command": "never"})
    board = Board(tmp_path, uboot(run="ERROR\n"), section="test")
    with pytest.raises(TestError, match="the command 'run x' failed"):
        board.run(PlayScripts([("0_setup", given)]))
    assert "never" not in board.port.typed
    assert board.cases("lava") == {"0_setup": "fail"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("InfrastructureError", InfrastructureError), ("JobError", JobError), ("TestError", TestError)],
)
def test_a_failure_may_name_who_has_to_act(tmp_path: Path, name: str, kind: type[LavaExecError]) -> None:
    failure = {"message": "link is down", "exception": name, "error": "no network"}
    board = Board(tmp_path, uboot(dhcp="link is down\n"), section="test")
    with pytest.raises(kind, match="no network"):
        board.run(
            PlayScripts([("0_setup", script({"command": "dhcp", "name": "dhcp", "failures": [failure]}))])
        )
    assert board.cases("0_setup") == {"dhcp": "fail"}


def test_silence_fails_the_named_case(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("=> "), Hear("boot\n"), Say("Starting kernel\r\n"), section="test")
    given = script({"command": None}, {"command": "boot", "name": "boot"})
    with pytest.raises(TimeoutError, match="'=> '"):
        board.run(PlayScripts([("0_setup", given)]))
    assert board.cases("0_setup") == {"boot": "fail"}


def test_a_command_after_which_no_prompt_comes(tmp_path: Path) -> None:
    given = script(
        {"command": "boot", "name": "boot", "wait_for_prompt": False, "successes": [{"message": "login:"}]},
        {"command": "root", "name": "sent", "wait_for_prompt": False},
    )
    board = play(tmp_path, [Hear("boot\n"), Say("box login:")], given)
    assert board.cases("0_setup") == {"boot": "pass", "sent": "pass"}


def test_a_delay_lets_time_pass(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("late => ", after=3), section="test")
    before = board.clock.now
    board.run(PlayScripts([("0_setup", script({"delay": 2.5}, {"command": None, "name": "prompt"}))]))
    assert board.clock.now == before + 3
    with pytest.raises(TimeoutError, match="in a delay of 100"):
        board.run(PlayScripts([("0_setup", script({"delay": 100}))]))


def test_expected_cases(tmp_path: Path) -> None:
    given = script({"command": None, "name": "prompt"}, expected=["other"])
    board = play(tmp_path, [Say("=> ")], given)
    assert board.cases("0_setup") == {"prompt": "fail", "other": "fail"}


# -- a group


class Group:
    """Members that have all said everything."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str, dict[str, str]]] = []

    def call(
        self, api: str, message: str, deadline: Deadline, *, role: str = "", pairs: Mapping[str, str] = {}
    ) -> dict[str, dict[str, str]]:
        assert not deadline.expired
        self.calls.append((api, message, role, dict(pairs)))
        return {"41": {"ip": "10.0.0.9"}} if api == "wait" else {}


def test_calls_to_the_group_send_and_receive_values(tmp_path: Path) -> None:
    board = Board(tmp_path, section="test")
    board.scene.context.group = group = Group()
    given = script(
        {"lava-wait": "ready"},
        {"lava-send": "mine host={ip} text=two words"},
        {"lava-wait-all": "done role=server"},
        {"lava-sync": "end"},
    )
    board.run(PlayScripts([("0_setup", given)]))
    assert group.calls == [
        ("wait", "ready", "", {}),
        ("send", "mine", "", {"host": "10.0.0.9", "text": "two words"}),
        ("wait-all", "done", "server", {}),
        ("sync", "end", "", {}),
    ]


def test_a_call_without_a_group_is_refused(tmp_path: Path) -> None:
    board = Board(tmp_path, section="test", job=Job(job_name="t", member=Member(role="client")))
    with pytest.raises(JobError, match="lava-wait ready: this job runs alone"):
        board.run(PlayScripts([("0_setup", script({"lava-wait": "ready"}))]))


def checked(*blocks: dict[str, Any]) -> Checked:
    return check_job(jobs.job(jobs.boot(), *blocks), jobs.device())


def test_a_call_outside_of_a_group_is_refused_before_anything_runs() -> None:
    steps = [{"command": None}, {"lava-sync": "ready"}]
    (problem,) = checked(
        {"test": {"interactive": [{"name": "s", "prompts": ["=> "], "script": steps}]}}
    ).errors
    assert "lava-sync in a job that is not part of a group" in problem.message
    assert problem.path[-4:] == ("interactive", 0, "script", 1)


def test_a_member_of_a_group_is_refused_where_groups_cannot_be_run() -> None:
    class Alone(IdealWorld):
        def group(self) -> str:
            return "no groups here"

    action = placed(PlayScripts([("0_s", script({"command": None}, {"lava-sync": "ready"}))]), section="test")
    action.grouped = True  # type: ignore[attr-defined]
    (problem,) = action.validate(Alone())
    assert (problem.error_type, problem.message) == ("Infrastructure", "no groups here")
    assert list(action.validate(IdealWorld())) == []


# -- plan


def block(*names: str) -> dict[str, Any]:
    scripts = [{"name": name, "prompts": ["=> "], "script": [{"command": None}]} for name in names]
    return {"test": {"interactive": scripts}}


def test_suites_have_the_stage_and_stay_apart_in_copies() -> None:
    copies = {"repeat": {"count": 2, "actions": [block("a")]}}
    done = check_job(
        jobs.job(jobs.deploy(), jobs.boot(), block("a", "b"), jobs.shell_test(), block("a"), copies),
        jobs.device(),
    )
    assert done.errors == []
    assert done.planned is not None
    found = [[name for name, _ in a.scripts] for a in done.planned.walk() if isinstance(a, PlayScripts)]
    assert found == [["0_a", "0_b"], ["1_a"], ["2_a"], ["3_a"]]


def test_the_plan_has_the_fields_names() -> None:
    done = checked(block("a"))
    assert done.planned is not None
    assert [a.name for a in done.planned.actions[1].walk()] == [
        "lava-test-interactive-retry",
        "lava-test-interactive",
    ]
    assert done.planned.needs.mounts == {"cache", "work"}


def test_what_is_sent_and_matched_is_told(tmp_path: Path) -> None:
    board = play(tmp_path, [uboot()], script({"command": "version"}))
    told = board.scene.journal.messages(journal.INFO)
    assert "sending 'version'" in told
    assert "matched a prompt: '=> '" in told

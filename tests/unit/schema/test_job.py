# SPDX-License-Identifier: Apache-2.0
"""Job files: what is read from them, and that every fault is found at once, with its place."""

from __future__ import annotations

from typing import Any

import pytest

from executor.model.job import Job
from executor.schema.blocks import MAX_BLOCKS
from executor.schema.job import ParsedJob, parse_job

FULL = """\
job_name: everything
device_type: qemu
visibility: {group: [lab]}
priority: high
timeouts: {job: {minutes: 30}, action: {minutes: 2}, test: 3m, connection: {seconds: 20}}
context: {arch: amd64, extra_options: [-smp 2]}
environment: {BOARD: c, NESTED: {A: 1}}
secrets: {TOKEN: hush, PIN: 1234}
metadata: {source: here, 5: five, list: [1]}
tags: [usb]
notify: {criteria: {status: complete}, recipients: [{to: {method: email, user: me}}]}
reboot_to_fastboot: false
actions:
- deploy: {to: tmpfs, timeout: {minutes: 5}, images: {a: {url: 'http://h/a'}}}
- boot: {method: qemu, prompts: ['# '], failure_retry: 2}
- test:
    name: first
    definitions: [{repository: 'http://h/r.git', from: git, path: t.yaml, name: smoke}]
- test:
    definitions: [{repository: 'http://h/r.git', from: git, path: t.yaml, name: more, revision: 1234567}]
- command: {name: hard_reset}
"""
SMALL = "job_name: small\ndevice_type: qemu\ntimeouts: {job: 1h}\n"
BOOT = "actions:\n- boot: {method: qemu}\n"


def good(text: str, **options: Any) -> Job:
    parsed = parse_job(text, **options)
    assert not parsed.errors
    assert parsed.job is not None
    return parsed.job


def faults(text: str, **options: Any) -> list[tuple[int, str, str]]:
    """(line, path, message) of every error."""
    parsed = parse_job(text, "job.yaml", **options)
    assert all(p.file == "job.yaml" and p.line > 0 for p in parsed.errors)
    return [(p.line, ".".join(map(str, p.path)), p.message) for p in parsed.errors]


def warnings(parsed: ParsedJob) -> list[str]:
    return [p.message for p in parsed.problems if p.severity == "warning"]


def test_everything_that_a_job_can_say() -> None:
    parsed = parse_job(FULL)
    assert parsed.problems == []
    job = parsed.job
    assert job is not None
    assert (job.job_name, job.device_type, job.priority) == ("everything", "qemu", 100)
    assert job.visibility == {"group": ["lab"]}
    assert (job.timeouts.job, job.timeouts.action, job.timeouts.test, job.timeouts.connection) == (
        1800,
        120,
        180,
        20,
    )
    assert job.context["extra_options"] == ["-smp 2"]
    assert job.environment == {"BOARD": "c", "NESTED": {"A": 1}}
    assert job.secrets == {"TOKEN": "hush", "PIN": "1234"}
    assert job.metadata[5] == "five"
    assert job.tags == ["usb"]
    assert job.reboot_to_fastboot is False
    assert [(b.section, b.index, b.namespace, b.label) for b in job.blocks] == [
        ("deploy", 0, "common", ""),
        ("boot", 1, "common", ""),
        ("test", 2, "common", "first"),
        ("test", 3, "common", "test 2"),
        ("command", 4, "common", ""),
    ]
    assert job.blocks[3].path == ("actions", 3, "test")
    assert list(job.raw["actions"][0]) == ["deploy"]


def test_defaults() -> None:
    job = good(SMALL + BOOT)
    assert (job.visibility, job.priority, job.tags, job.member, job.multinode) == (
        "public",
        50,
        [],
        None,
        None,
    )


@pytest.mark.parametrize(("text", "value"), [("low", 0), ("medium", 50), ("high", 100), ("7", 7)])
def test_priority(text: str, value: int) -> None:
    assert good(SMALL + BOOT + f"priority: {text}\n").priority == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the job is empty"),
        ("- a\n", "the job is a list"),
        ("just text\n", "the job is the text 'just text'"),
        ("a: [\n", "not valid YAML"),
    ],
)
def test_no_job_at_all(text: str, message: str) -> None:
    parsed = parse_job(text)
    assert parsed.job is None
    assert message in parsed.problems[0].message


def test_all_faults_at_once() -> None:
    text = """\
job_name: ''
device_typ: qemu
priority: urgent
timeouts: {job: soon, action: {minuts: 3}}
visibility: secret
secrets: {TOKEN: [a]}
environment: {'NO WAY': x}
tags: usb
actions:
- deploy:
    to: tmpfs
    timeout: never
    namespace: common
- boot: {method: qemu, failure_retry: 2, repeat: 2, failure_retry_interval: 0}
- tset: {definitions: []}
- test:
  definitions: []
- command
"""
    assert faults(text) == [
        (1, "job_name", "job_name is empty"),
        (2, "device_typ", "unknown key 'device_typ'"),
        (3, "priority", "priority cannot be the text 'urgent'"),
        (4, "timeouts.job", "bad timeout: 'soon' is no timeout"),
        (4, "timeouts.action", "bad timeout: unknown unit 'minuts', did you mean 'minutes'?"),
        (5, "visibility", "visibility cannot be the text 'secret'"),
        (6, "secrets.TOKEN", "TOKEN is a list"),
        (7, "environment.NO WAY", "NO WAY cannot be the text 'NO WAY'"),
        (8, "tags", "tags is the text 'usb'"),
        (12, "actions.0.deploy.timeout", "timeout cannot be the text 'never'"),
        (13, "actions.0.deploy.namespace", "the namespace 'common' is reserved"),
        (14, "actions.1.boot.failure_retry_interval", "failure_retry_interval cannot be the number 0"),
        (15, "actions.2.tset", "unknown action 'tset'"),
        (16, "actions.3", "an action has 2 keys: test, definitions"),
        (18, "actions.4", "an action is the text 'command'"),
    ]


def test_near_misses() -> None:
    near = {p.path[-1]: p.near for p in parse_job(SMALL + "jobname: x\nactions: [{deplyo: {}}]\n").errors}
    assert near == {"jobname": "job_name", "deplyo": "deploy"}


def test_unknown_keys_are_warnings_where_not_strict() -> None:
    text = SMALL + BOOT + "owner: me\nprotocols: {lava-unheard: {}}\n"
    assert len(faults(text)) == 2
    parsed = parse_job(text, strict=False)
    assert not parsed.errors
    assert len(warnings(parsed)) == 2
    assert parsed.job is not None
    assert not parsed.job.strict


def test_what_was_reported_is_left_out_so_that_planning_can_go_on() -> None:
    parsed = parse_job(
        SMALL + "actions:\n- boot: {method: qemu, failure_retry: lots, timeout: [], prompts: x}\n"
    )
    assert len(parsed.errors) == 2
    assert parsed.job is not None
    assert parsed.job.blocks[0].parameters == {"method": "qemu", "prompts": ["x"]}


def test_a_unit_of_time_that_nobody_knows_is_an_error_in_any_case() -> None:
    text = SMALL + "actions:\n- boot: {method: qemu, timeout: {minuts: 3}}\n"
    for strict in (True, False):
        assert faults(text, strict=strict) == [(5, "actions.0.boot.timeout.minuts", "unknown key 'minuts'")]


def test_repeat_and_failure_retry_exclude_each_other() -> None:
    text = SMALL + "actions:\n- boot: {method: qemu, failure_retry: 2, repeat: 3}\n"
    assert faults(text) == [(5, "actions.0.boot.repeat", "repeat and failure_retry in one block")]


# timeouts


def test_a_job_without_a_timeout_is_warned_about() -> None:
    parsed = parse_job("job_name: x\ndevice_type: q\n" + BOOT)
    assert warnings(parsed) == ["the job has no timeout"]
    assert parsed.job is not None
    assert parsed.job.timeouts.job is None


LONG = (
    "job_name: x\ndevice_type: q\ntimeouts: {job: 1m, action: 2m, actions: {a: 3m}, connections: {b: 4m}}\n"
    "actions:\n- boot: {method: q, timeout: 5m, timeouts: {c: 6m}}\n- boot: {method: q, timeout: 30s}\n"
)


def test_longer_than_the_job() -> None:
    parsed = parse_job(LONG)
    assert not parsed.errors
    seconds = [int(m.split()[0]) for m in warnings(parsed) if "longer than" in m]
    assert seconds == [120, 180, 240, 300, 360]
    assert any("all blocks are 330 seconds" in m for m in warnings(parsed))
    refused = parse_job(LONG, refuse_long_timeouts=True)
    assert len(refused.errors) == 5


def test_the_sum_counts_every_copy() -> None:
    parsed = parse_job(
        "job_name: x\ndevice_type: q\ntimeouts: {job: 5m}\nactions:\n"
        "- repeat: {count: 6, actions: [{boot: {method: q, timeout: 1m}}]}\n"
    )
    assert warnings(parsed) == ["the timeouts of all blocks are 360 seconds, the job has 300"]


# blocks


def test_repeat_blocks_are_expanded() -> None:
    job = good(
        SMALL + "actions:\n- deploy: {to: tmpfs}\n- repeat:\n    count: 3\n    actions:\n"
        "    - boot: {method: qemu}\n    - test: {definitions: []}\n- boot: {method: qemu}\n"
    )
    assert [(b.section, b.iteration) for b in job.blocks] == [
        ("deploy", None),
        *[(section, n) for n in range(3) for section in ("boot", "test")],
        ("boot", None),
    ]
    assert [b.index for b in job.blocks] == list(range(8))
    assert {b.path for b in job.blocks[1:7:2]} == {("actions", 1, "repeat", "actions", 0, "boot")}
    assert [b.label for b in job.blocks if b.section == "test"] == ["test 1", "test 2", "test 3"]


@pytest.mark.parametrize(
    ("repeat", "message"),
    [
        ("{actions: [{boot: {method: q}}]}", "count is missing"),
        ("{count: 0, actions: [{boot: {method: q}}]}", "count is the number 0"),
        ("{count: x, actions: [{boot: {method: q}}]}", "count is the text 'x'"),
        ("{count: true, actions: []}", "count is true"),
        ("{count: 2}", "actions is nothing"),
        ("{count: 2, actions: [{deploy: {to: tmpfs}}]}", "deploy inside a repeat block"),
        ("{count: 2, actions: [{repeat: {count: 2, actions: []}}]}", "repeat inside a repeat block"),
        ("{count: 2, cuont: 3, actions: []}", "unknown key 'cuont'"),
        (
            f"{{count: {MAX_BLOCKS + 1}, actions: [{{boot: {{method: q}}}}]}}",
            f"more than {MAX_BLOCKS} blocks",
        ),
        ("5", "repeat is the number 5"),
        ("", "repeat is nothing"),
    ],
)
def test_repeat_blocks_that_are_wrong(repeat: str, message: str) -> None:
    [(line, _, found)] = faults(SMALL + f"actions:\n- repeat: {repeat}\n")
    assert line == 5
    assert message in found


def test_faults_inside_of_a_repeat_block_are_told_once() -> None:
    text = SMALL + "actions:\n- repeat:\n    count: 9\n    actions:\n    - boot: {method: q, repeat: none}\n"
    assert faults(text) == [(8, "actions.0.repeat.actions.0.boot.repeat", "repeat is the text 'none'")]


def test_a_list_of_actions_as_one_action() -> None:
    job = good(SMALL + "actions:\n- actions:\n  - deploy: {to: tmpfs}\n  - boot: {method: qemu, repeat: 3}\n")
    assert [b.section for b in job.blocks] == ["deploy", "boot"]


def test_ignored_actions() -> None:
    parsed = parse_job(SMALL + "actions:\n- submit: {stream: x}\n- boot: {method: q}\n- commands: []\n")
    assert warnings(parsed) == ["submit is ignored", "commands is ignored"]
    assert parsed.job is not None
    assert len(parsed.job.blocks) == 1


@pytest.mark.parametrize(
    ("action", "hint"),
    [
        ("- deploy:\n  to: tmpfs\n", "deeper than deploy"),
        ("- deploy:\n", "deeper than deploy"),
        ("- boot: {method: q}\n  test: {definitions: []}\n", "begin each with"),
        ("- {}\n", ""),
    ],
)
def test_slips_of_indentation(action: str, hint: str) -> None:
    [problem] = parse_job(SMALL + "actions:\n" + action).errors
    assert hint in problem.hint
    assert problem.line == 5


def test_too_many_blocks() -> None:
    text = SMALL + "actions:\n" + "- boot: {method: q}\n" * (MAX_BLOCKS + 3)
    [(_, _, message)] = faults(text)
    assert "more than" in message


# namespaces


def test_namespaces() -> None:
    job = good(
        SMALL + "actions:\n- deploy: {to: tmpfs, namespace: host}\n"
        "- boot: {method: qemu, namespace: host, connection-namespace: host}\n"
    )
    assert [b.namespace for b in job.blocks] == ["host", "host"]
    assert job.blocks[1].connection_namespace == "host"
    assert job.blocks[0].connection_namespace == "host"


@pytest.mark.parametrize(
    ("actions", "line", "message"),
    [
        ("- boot: {method: q, namespace: common}\n", 5, "is reserved"),
        ("- boot: {method: q, namespace: docker-test-shell}\n", 5, "is reserved"),
        ("- boot: {method: q, namespace: a}\n- boot: {method: q}\n", 6, "has no namespace"),
        (
            "- boot: {method: q, namespace: abc, connection-namespace: abd}\n",
            5,
            "no block has the namespace 'abd'",
        ),
    ],
)
def test_namespaces_that_are_wrong(actions: str, line: int, message: str) -> None:
    [(found, _, said)] = faults(SMALL + "actions:\n" + actions)
    assert found == line
    assert message in said


# test blocks


def definition(**keys: object) -> str:
    given: dict[str, object] = {"repository": "'http://h/r'", "from": "git", "path": "p", "name": "n", **keys}
    return "{" + ", ".join(f"{k}: {v}" for k, v in given.items() if v != "") + "}"


def test_names_of_definitions_are_unique() -> None:
    text = (
        SMALL
        + f"actions:\n- test: {{definitions: [{definition()}]}}\n- test: {{definitions: [{definition()}]}}\n"
    )
    assert faults(text) == [(6, "actions.1.test.definitions.0.name", "two test definitions are called 'n'")]


def test_copies_of_a_repeat_block_may_have_the_same_names() -> None:
    good(
        SMALL + f"actions:\n- repeat: {{count: 2, actions: [{{test: {{definitions: [{definition()}]}}}}]}}\n"
    )


@pytest.mark.parametrize(
    ("keys", "path", "message"),
    [
        ({"repository": ""}, "", "repository is missing"),
        ({"from": ""}, "", "from is missing"),
        ({"from": "gti"}, "from", "from cannot be the text 'gti'"),
        ({"from": "inline"}, "repository", "repository does not fit from: inline"),
        ({"repository": "{run: {steps: []}}"}, "repository", "metadata is missing"),
        ({"name": "'a b'"}, "name", "name cannot be the text 'a b'"),
        (
            {"skip_install": "[deps, dpes]"},
            "skip_install.1",
            "item 2 of skip_install cannot be the text 'dpes'",
        ),
        ({"lava-signal": "usb"}, "lava-signal", "lava-signal cannot be the text 'usb'"),
        ({"depth": 0}, "depth", "depth cannot be 0"),
        ({"brnach": "x"}, "brnach", "unknown key 'brnach'"),
        ({"parameters": "[a]"}, "parameters", "parameters is a list"),
    ],
)
def test_definitions_that_are_wrong(keys: dict[str, object], path: str, message: str) -> None:
    base = "actions.0.test.definitions.0"
    text = SMALL + f"actions:\n- test: {{definitions: [{definition(**keys)}]}}\n"
    assert faults(text) == [(5, f"{base}.{path}" if path else base, message)]


def test_an_inline_definition() -> None:
    inline = (
        "{metadata: {format: Lava-Test Test Definition 1.0, name: x}, run: {steps: [ls, null]}, extra: 1}"
    )
    good(
        SMALL
        + f"actions:\n- test: {{definitions: [{definition(**{'from': 'inline', 'repository': inline})}]}}\n"
    )
    wrong = inline.replace("1.0", "9.0")
    [(_, path, message)] = faults(
        SMALL
        + f"actions:\n- test: {{definitions: [{definition(**{'from': 'inline', 'repository': wrong})}]}}\n"
    )
    assert path.endswith("repository.metadata.format")
    assert "9.0" in message


@pytest.mark.parametrize(
    ("block", "path", "message"),
    [
        (
            "monitors: [{name: a/b, start: s, end: e, pattern: p}]",
            "monitors.0.name",
            "name cannot be the text 'a/b'",
        ),
        (
            "monitors: [{name: a, start: s, end: e, pattern: '('}]",
            "monitors.0.pattern",
            "pattern is no regular",
        ),
        ("monitors: [{name: a, start: s, pattern: p}]", "monitors.0", "end is missing"),
        (
            "interactive: [{name: a, prompts: [], script: [{command: x}]}]",
            "interactive.0.prompts",
            "prompts is empty",
        ),
        (
            "interactive: [{name: a, prompts: ['('], script: [{command: x}]}]",
            "interactive.0.prompts.0",
            "a prompt is",
        ),
        (
            "interactive: [{name: a, prompts: [x], script: [{command: x, delay: 3}]}]",
            "interactive.0.script.0",
            "a step with command and delay",
        ),
        (
            "interactive: [{name: a, prompts: [x], script: "
            "[{command: x, failures: [{message: y, exception: Bug}]}]}]",
            "interactive.0.script.0.failures.0.exception",
            "exception cannot be the text 'Bug'",
        ),
        (
            "services: [{name: a, from: svn, repository: r, path: p}]",
            "services.0.from",
            "from cannot be the text 'svn'",
        ),
    ],
)
def test_other_test_blocks_that_are_wrong(block: str, path: str, message: str) -> None:
    [(_, found, said)] = faults(SMALL + f"actions:\n- test: {{{block}}}\n")
    assert found == f"actions.0.test.{path}"
    assert said.startswith(message)


@pytest.mark.parametrize(
    "block",
    [
        "monitors: [{name: a b, start: s, end: e, pattern: '(?P<result>x)', fixupdict: {OK: pass}}]",
        "interactive: [{name: a, prompts: [x], echo: discard, script: "
        "[{command: null, name: wait}, {delay: 3}, {command: ls, successes: [{message: y}], "
        "failures: [{message: n, exception: JobError, error: e}]}, "
        "{lava-send: booted a=b}]}]",
        "services: [{name: a, from: git, repository: r, path: p, service: s}]",
    ],
)
def test_other_test_blocks(block: str) -> None:
    good(SMALL + f"actions:\n- test: {{{block}}}\n")


def test_a_useless_fixup_is_only_warned_about() -> None:
    parsed = parse_job(
        SMALL
        + "actions:\n- test: {monitors: [{name: a, start: s, end: e, pattern: p, fixupdict: {a: GOOD}}]}\n"
    )
    assert warnings(parsed) == ["'GOOD' is no result"]


# the rest of the top level


@pytest.mark.parametrize(
    ("text", "severity"),
    [({}, "warning"), ({"scheduled": True}, "error")],
)
def test_a_scheduler_needs_a_device_type(text: dict[str, bool], severity: str) -> None:
    parsed = parse_job("job_name: x\ntimeouts: {job: 1h}\n" + BOOT, **text)
    assert [(p.message, p.severity) for p in parsed.problems] == [("device_type is missing", severity)]


def test_old_jobs_of_a_group_name_their_device() -> None:
    job = good("job_name: x\ntarget: board-3\ntimeouts: {job: 1h}\nrole: client\nconnection: ssh\n" + BOOT)
    assert job.target == "board-3"


def test_compatibility() -> None:
    assert good(SMALL + BOOT + "compatibility: 3\n").compatibility == 3
    [(_, path, _)] = faults(SMALL + BOOT + "compatibility: 99\n")
    assert path == "compatibility"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("metadata: {null: x}", "metadata.None"),
        ("notify: {criteria: {status: soon}}", "notify.criteria.status"),
        ("notify: {criteria: {status: all}, callback: {url: u}, callbacks: [{url: u}]}", "notify.callback"),
        ("context: {arch: null, memory: !!float .inf, 5: x}", "context.5"),
        ("protocols: {lava-xnbd: {port: none}}", "protocols.lava-xnbd.port"),
        ("visibility: {group: []}", "visibility.group"),
        ("secrets: {'1A': x}", "secrets.1A"),
        ("device: 5", "device"),
    ],
)
def test_other_faults_of_the_top_level(text: str, path: str) -> None:
    [(line, found, _)] = faults(SMALL + BOOT + text + "\n")
    assert (line, found) == (6, path)


def test_a_slip_in_a_context_key() -> None:
    parsed = parse_job(SMALL + BOOT + "context: {no-kvm: true, my_own: 1}\n")
    assert [(p.near, p.severity) for p in parsed.problems] == [("no_kvm", "warning")]


def test_xnbd() -> None:
    assert good(SMALL + BOOT + "protocols: {lava-xnbd: {port: auto}}\n").protocols["lava-xnbd"] == {
        "port": "auto"
    }


def test_aliases_are_independent_copies() -> None:
    job = good(SMALL + "actions:\n- boot: &b {method: kvm}\n- boot: *b\n")
    assert [b.parameters for b in job.blocks] == [{"method": "qemu"}] * 2
    assert job.blocks[0].parameters is not job.blocks[1].parameters

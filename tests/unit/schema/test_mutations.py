# SPDX-License-Identifier: Apache-2.0
"""Job and device files that were damaged at random never make the parser raise: whatever it gets, it tells.

A few hundred examples by default, 20,000 of each kind with HYPOTHESIS_PROFILE=thorough.
"""

from __future__ import annotations

import copy
import os
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor.model.parameters import BlockParameters
from executor.schema.check import check
from executor.schema.device import parse_device
from executor.schema.job import ParsedJob, parse_job

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
EXAMPLES = settings(
    max_examples=20_000 if THOROUGH else 250,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
pytestmark = pytest.mark.timeout(3600 if THOROUGH else 120)

JOBS = [
    """\
job_name: seed form
device_type: kvm
priority: medium
environment: {A: b, C: {D: [1, 2]}}
timeouts: {job: {minutes: 5}, action: {minutes: 1, http-download: {minutes: 2}}, test: 3m, dd_image: 1h}
actions:
- deploy: {timeout: 2m, to: tmpfs, image: 'http://h/i.gz', compression: gz, os: debian, root_partition: 1,
    md5sum: {image: d41d8cd98f00b204e9800998ecf8427e}}
- repeat:
    count: 2
    actions:
    - boot: {method: kvm, media: tmpfs, failure_retry: 2, prompts: '# '}
    - test:
        name: basics
        definitions:
        - from: inline
          path: inline/a.yaml
          repository: {metadata: {format: Lava-Test Test Definition 1.0, name: a}, run: {steps: [ls]}}
""",
    """\
job_name: today
visibility: {group: [lab]}
timeouts: {job: {hours: 1}, connection: {seconds: 30}, actions: {uboot-retry: {minutes: 4}}}
secrets: {TOKEN: x, N: 5}
metadata: {a: 1}
notify: {criteria: {status: all}, callbacks: [{url: 'http://h', dataset: all}]}
protocols:
  lava-multinode:
    timeout: {minutes: 5}
    roles:
      server: {device_type: board, count: 1, essential: true, tags: [x], context: {arch: arm}}
      guest: {connection: ssh, count: 2, host_role: server, expect_role: server, request: lava-start}
actions:
- deploy: {role: [server], namespace: n, to: usb, image: {url: 'http://h/i'}, kernel: boot/k, UUID: a}
- deploy: {role: [server], namespace: n, to: tftp, kernel: 'http://h/k', ramdisk: 'http://h/r',
    dtbo: [a], ramdisk-type: u-boot, nfs_url: 'a:/b', timeouts: {http_download: {minutes: 1}},
    protocols: {lava-multinode: {api: lava-wait, id: ip, key: addr, action: u-boot-commands}}}
- boot: {role: server, namespace: n, connection-namespace: n, method: u-boot, type: bootz,
    auto_login: {login_prompt: 'login:', username: root}}
- test:
    role: guest
    namespace: n
    monitors: [{name: m, start: a, end: b, pattern: c, fixupdict: {x: pass}}]
- test:
    role: guest
    namespace: n
    interactive: [{name: i, prompts: [a], script: [{command: x, successes: [{message: y}]}, {delay: 3}]}]
- command: {role: server, namespace: n, name: mux}
""",
]
DEVICE = """\
hostname: shelf
devicetype: board
available_architectures: [arm]
constants: {posix: {lava_test_sh_cmd: /bin/sh}, failure_retry: 2}
parameters: {media: {usb: {stick: {uuid: u, device_id: 0}}}}
environment: {A: b}
device_info: [{board_id: a}]
character_delays: {test: 3}
commands:
  connections: {uart0: {connect: telnet a 1, tags: [primary, telnet]}}
  power_on: [pdu on]
  users: {mux: {do: a, undo: b}}
timeouts: {actions: {dd-image: {minutes: 10}}, connections: {x: 3s}, flat: {seconds: 3}}
actions:
  deploy: {connections: {serial: }, methods: [tftp, {image: {parameters: {guest: {size: 3}}}}]}
  boot:
    methods:
      qemu: {parameters: {command: {amd64: {qemu_binary: q}}, qemu_options: [-a], machine: m}}
      u-boot: {parameters: {boot_message: x}}
"""

_WORDS = """
deploy boot test command repeat actions count to method timeout timeouts namespace connection-namespace role
roles protocols lava-multinode definitions repository from inline name images image kernel url type bootz
failure_retry prompts common 2m -1 yes null minutes job methods commands connect users do tags
"""
WORDS = st.sampled_from(_WORDS.split())
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 100),
    st.sampled_from([2**70, -(2**70), 1.5, float("inf"), float("nan")]),
    WORDS,
    st.text(max_size=8),
)


def _plain_key(key: object) -> bool:
    return key == key  # noqa: PLR0124 - not-a-number is no key that YAML can write back


JUNK = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(SCALARS.filter(_plain_key), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all nodes but the root."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = []
    for key, value in items:
        found.append((*path, key))
        found += places(value, (*path, key))
    return found


@st.composite
def damaged(draw: st.DrawFn, texts: list[str]) -> str:
    """A good file with nodes deleted, doubled, replaced, renamed, wrapped or swapped."""
    data = yaml.safe_load(draw(st.sampled_from(texts)))
    for _ in range(draw(st.integers(1, 4))):
        known = places(data)
        if not known:
            break
        path = draw(st.sampled_from(known))
        parent = data
        for step in path[:-1]:
            parent = parent[step]
        key = path[-1]
        how = draw(st.sampled_from(["delete", "double", "replace", "rename", "wrap", "swap"]))
        if how == "delete":
            del parent[key]
        elif how == "replace":
            parent[key] = draw(JUNK)
        elif how == "wrap":
            parent[key] = draw(st.sampled_from([[parent[key]], {"timeout": parent[key]}, {0: parent[key]}]))
        elif how == "swap":
            other = data
            for step in draw(st.sampled_from(known)):
                other = other[step]
            parent[key] = copy.deepcopy(other)
        elif isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        else:
            value = parent[key] if how == "double" else parent.pop(key)
            parent[draw(SCALARS.filter(_plain_key))] = copy.deepcopy(value)
    return yaml.safe_dump(data, default_flow_style=draw(st.sampled_from([True, False, None])))


@st.composite
def torn(draw: st.DrawFn, texts: list[str]) -> str:
    """A good file whose characters were cut, doubled or replaced."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        middle = draw(
            st.sampled_from(["", text[start:end] * 2, "\t", "&a ", "*a ", "<<: ", "{", "]", "'", ": ", "- "])
        )
        text = text[:start] + draw(st.one_of(st.just(middle), st.text(max_size=4))) + text[end:]
    return text


def told_well(parsed: ParsedJob) -> None:
    """What is promised of any outcome."""
    for problem in parsed.problems:
        assert problem.message
        # A block's call that no protocol knows is a TestError, all else is the job's (spec: job-format §12).
        unknown_call = problem.path[:1] == ("actions",) and problem.message.startswith("request cannot be ")
        assert problem.error_type == ("Test" if unknown_call else "Job")
        assert problem.file == "job.yaml"
        assert problem.where
        assert problem.severity in ("error", "warning")
        if parsed.job is not None:
            assert problem.line > 0
    [str(rewrite) for rewrite in parsed.rewrites]
    if parsed.job is None:
        assert parsed.errors
        return
    for block in parsed.job.blocks:
        common = {k: v for k, v in block.parameters.items() if k in BlockParameters.__struct_encode_fields__}
        assert not [p for p in check(BlockParameters, common) if p.severity == "error"]
        assert isinstance(block.namespace, str)
        assert isinstance(block.label, str)
    msgspec.convert(msgspec.to_builtins(parsed.job.timeouts), type(parsed.job.timeouts))


@EXAMPLES
@given(damaged(JOBS))
def test_damaged_jobs(text: str) -> None:
    told_well(parse_job(text))


@EXAMPLES
@given(torn(JOBS))
def test_torn_jobs(text: str) -> None:
    told_well(parse_job(text, strict=False, scheduled=True, refuse_long_timeouts=True))


@EXAMPLES
@given(damaged([DEVICE]) | torn([DEVICE]))
def test_damaged_devices(text: str) -> None:
    parsed = parse_device(text)
    assert parsed.errors or parsed.device is not None
    for problem in parsed.problems:
        assert problem.error_type == "Configuration"
        assert problem.file == "device.yaml"
    if parsed.device is not None:
        device = parsed.device
        assert all(isinstance(line, str) for lines in device.commands.values() for line in lines)
        assert isinstance(device.constant("lava_test_sh_cmd", prefix="posix"), object)
        assert device.primary is None or device.primary.connect


@pytest.mark.parametrize("text", JOBS)
def test_the_jobs_themselves_are_good(text: str) -> None:
    assert not parse_job(text).errors


def test_the_device_itself_is_good() -> None:
    assert not parse_device(DEVICE).errors

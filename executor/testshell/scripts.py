# SPDX-License-Identifier: Apache-2.0
"""install.sh and run.sh of one definition, as text (spec: test-shell §3). Pure functions."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from executor.errors import TestError
from executor.testshell.definition import TestDefinition

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_POSITIONAL = re.compile(r"(?<!\\)\$(?=\d)")


def variables(parameters: Mapping[str, Any]) -> str:
    """`NAME='value'` lines, not exported; None is empty. Raises TestError for a name that the shell cannot have."""
    lines = []
    for name, value in parameters.items():
        if not _VARIABLE.match(str(name)):
            raise TestError(f"parameter {name!r} is not a name that a shell variable can have")
        if isinstance(value, bool):
            value = "true" if value else "false"
        lines.append(f"{name}={shlex.quote('' if value is None else str(value))}\n")
    return "".join(lines)


def install_script(
    definition: TestDefinition,
    *,
    directory: str,
    parameters: Mapping[str, Any],
    distro: str,
    skip: Sequence[str] = (),
) -> str:
    """The script, or "" when there is nothing to install. Fixed order, each part skippable by `skip_install`."""
    if not definition.install or "all" in skip:
        return ""
    lines = []
    for key, command in (("keys", "lava-add-keys"), ("sources", "lava-add-sources")):
        for word in definition.install.get(key) or []:
            if key not in skip:
                lines.append(f"{command} {shlex.quote(str(word))}\n")
    packages = definition.dependencies(distro)
    if packages and "deps" not in skip:
        lines.append(f"lava-install-packages {' '.join(shlex.quote(p) for p in packages)}\n")
    steps = definition.steps("install")
    if steps and "steps" not in skip:
        lines.append(f"cd {shlex.quote(directory)}\npwd\n")
        lines += [f"{step}\n" for step in steps]
    return "#!/bin/sh\n" + variables(parameters) + "".join(lines) if lines else ""


def run_script(
    definition: TestDefinition,
    *,
    directory: str,
    run_id: str,
    uuid: str,
    parameters: Mapping[str, Any],
    kmsg: bool = False,
    character_delay: int = 0,
) -> str:
    """The script that the device's shell runs with `-e`. `character_delay` in ms.

    Signals are printed untraced: a trace line would look like a second signal.
    """
    head = [
        "#!/bin/sh\n",
        variables(parameters),
        "set -e\n",
        f"export TESTRUN_ID={shlex.quote(run_id)}\n",
        f"cd {shlex.quote(directory)}\n",
        f"UUID={shlex.quote(uuid)}\n",
    ]
    if kmsg:
        head.append("export KMSG=true\n")
    if character_delay:
        head.append(f"export CHARACTER_DELAY={character_delay / 1000:g}\n")
    head.append('. "$LAVA_TEST_BIN/lava-common-functions"\n')
    body = ['lava_signal STARTRUN "$TESTRUN_ID $UUID"\n', "set -x\n"]
    body += [f"{_escaped(step)}\n" for step in definition.run_steps]
    tail = ["{ set +x; } 2>/dev/null\n", 'lava_signal ENDRUN "$TESTRUN_ID $UUID"\n']
    return "".join([*head, *body, *tail])


def _escaped(step: str) -> str:
    """`$1` in a step with an inner command belongs to that command (spec: test-shell §3)."""
    if "--shell" in step or "--cmd" in step:
        return _POSITIONAL.sub(r"\\$", step)
    return step

# SPDX-License-Identifier: Apache-2.0
"""install.sh and run.sh of one definition, as text (spec: test-shell §3). Pure functions."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from executor.errors import TestError
from executor.testshell.definition import TestDefinition
from executor.testshell.quoting import escape_positional, word, words

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
# By its first line the runner knows this file from one of the repository that has the same name.
INSTALL_MARK = "# made from the definition's install section"
KMSG_MARK = "# signals: kmsg"  # tells people, and whoever reads the script, where its signals go
_ALLOW_KMSG = "{ echo on >/proc/sys/kernel/printk_devkmsg; } 2>/dev/null || :"


def variables(parameters: Mapping[str, Any]) -> str:
    """`NAME='value'` lines, not exported; None is empty, lists are joined by blanks.

    A name that the shell cannot have is left out: its line would be taken for a command. Raises TestError for
    a value that is a map.
    """
    lines = []
    for name, value in parameters.items():
        if _VARIABLE.match(str(name)):
            lines.append(f"{name}={shlex.quote(_text(name, value))}\n")
        else:
            lines.append(f"# left out, not a name for a variable: {_UNPRINTABLE.sub('?', str(name))}\n")
    return "".join(lines)


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(_text(name, item) for item in value)
    if isinstance(value, dict):
        raise TestError(f"parameter {name!r} is a map, a shell variable cannot hold that")
    return str(value)


def install_script(
    definition: TestDefinition,
    *,
    directory: str,
    parameters: Mapping[str, Any],
    distro: str,
    skip: Sequence[str] = (),
) -> str:
    """The script, or "" for a definition without `install`. Fixed order, each part skippable.

    It runs without -e: the exit code of the last command decides.
    """
    if not definition.has_install:
        return ""
    everything = "all" in skip
    lines = []
    if not everything and "keys" not in skip:
        lines += [f"lava-add-keys {word(key)}" for key in definition.keys]
    if not everything and "sources" not in skip:
        lines += [f"lava-add-sources {word(source)}" for source in definition.sources]
    packages = definition.dependencies(distro)
    if not everything and packages and "deps" not in skip:
        lines.append("lava-install-packages " + " ".join(words(package) for package in packages))
    if not everything and definition.install_steps and "steps" not in skip:
        lines += [f"cd {shlex.quote(directory)}", "pwd", *definition.install_steps]
    return f"{INSTALL_MARK}\n{variables(parameters)}" + "".join(f"{line}\n" for line in lines)


def run_script(
    definition: TestDefinition,
    *,
    directory: str,
    run_id: str,
    parameters: Mapping[str, Any],
    kmsg: bool = False,
    character_delay: float = 0,
) -> str:
    """The script that the device's shell runs with -e. `character_delay` in ms.

    Signals are printed untraced: a trace line would look like a second signal. The shell reads a step when it
    has come to it, so a step that is no shell at all does not keep the earlier ones from running.
    """
    lines = [variables(parameters).removesuffix("\n")] if parameters else []
    lines += ["set -e", "set -x"]
    lines += [
        f"export TESTRUN_ID={shlex.quote(run_id)}",
        f"cd {shlex.quote(directory)}",
        "read -r UUID <uuid",
    ]
    if character_delay:
        lines.append(f"export CHARACTER_DELAY={character_delay / 1000:g}")
    if kmsg:
        lines += [KMSG_MARK, _ALLOW_KMSG, "export KMSG=true"]
    lines += _signal("STARTRUN")
    lines.append("set -x")
    lines += [escape_positional(step) for step in definition.run_steps]
    lines += _signal("ENDRUN")
    return "".join(f"{line}\n" for line in lines)


def _signal(name: str) -> list[str]:
    return ["{ set +x; } 2>/dev/null", f'lava-signal {name} "$TESTRUN_ID $UUID"']

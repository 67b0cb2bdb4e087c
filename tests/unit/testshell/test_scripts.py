# SPDX-License-Identifier: Apache-2.0
"""install.sh and run.sh, as text and as a shell understands them."""

from __future__ import annotations

import subprocess

import pytest

from executor.errors import TestError
from executor.testshell.definition import TestDefinition
from executor.testshell.scripts import INSTALL_MARK, KMSG_MARK, install_script, run_script, variables


def test_variables_hold_any_text() -> None:
    values = {"A": 'it\'s $HOME `x` \\ "y"', "B": None, "C": ["x", 2], "D": True, "E": "two\nlines"}
    script = variables(values) + 'printf "%s|" "$A" "$B" "$C" "$D" "$E"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == 'it\'s $HOME `x` \\ "y"||x 2|True|two\nlines|'


def test_names_that_no_shell_has_are_left_out() -> None:
    text = variables({"A-B": "x", "1A": "x", "A B\nrm": "x", "GOOD_1": "y"})
    assert [line for line in text.splitlines() if not line.startswith("#")] == ["GOOD_1=y"]


def test_a_map_is_no_value() -> None:
    with pytest.raises(TestError, match="'A' is a map"):
        variables({"A": {"b": 1}})


INSTALL = TestDefinition(
    name="x",
    has_install=True,
    keys=["KEY"],
    sources=["deb http://h/ x main"],
    packages={"": ["a", "b c"], "debian": ["linux-$(uname -r)"]},
    install_steps=["make", "make install"],
)


def install(*skip: str, distro: str = "debian") -> list[str]:
    text = install_script(
        INSTALL, directory="/lava-1/0/tests/0_x", parameters={"V": "1"}, distro=distro, skip=skip
    )
    return text.splitlines()


def test_install_has_its_parts_in_order() -> None:
    assert install() == [
        INSTALL_MARK,
        "V=1",
        "lava-add-keys KEY",
        "lava-add-sources 'deb http://h/ x main'",
        "lava-install-packages a b c linux-$(uname -r)",
        "cd /lava-1/0/tests/0_x",
        "pwd",
        "make",
        "make install",
    ]
    assert "lava-install-packages a b c" in install(distro="oe")


@pytest.mark.parametrize(
    ("skip", "gone"),
    [("keys", "lava-add-keys"), ("sources", "lava-add-sources"), ("deps", "lava-install"), ("steps", "make")],
)
def test_each_part_can_be_left_out(skip: str, gone: str) -> None:
    assert not any(gone in line for line in install(skip))
    assert len(install(skip)) > 4
    assert install("all") == [INSTALL_MARK, "V=1"]


def test_no_install_section_no_script() -> None:
    assert install_script(TestDefinition(name="x"), directory="/", parameters={}, distro="") == ""


def run(**given: object) -> list[str]:
    definition = TestDefinition(name="x", run_steps=["true", "lava-test-case a --shell echo $1"])
    text = run_script(
        definition,
        directory="/lava-1/0/tests/0_x",
        run_id="0_x",
        parameters={"V": "a b"},
        **given,  # type: ignore[arg-type]
    )
    return text.splitlines()


def test_run_prints_its_signals_untraced() -> None:
    assert run() == [
        "V='a b'",
        "set -e",
        "set -x",
        "export TESTRUN_ID=0_x",
        "cd /lava-1/0/tests/0_x",
        "read -r UUID <uuid",
        "{ set +x; } 2>/dev/null",
        'lava-signal STARTRUN "$TESTRUN_ID $UUID"',
        "set -x",
        "true",
        "lava-test-case a --shell echo \\$1",
        "{ set +x; } 2>/dev/null",
        'lava-signal ENDRUN "$TESTRUN_ID $UUID"',
    ]


def test_run_with_a_delay_and_kmsg() -> None:
    lines = run(kmsg=True, character_delay=5)
    assert "export CHARACTER_DELAY=0.005" in lines
    assert (
        lines.index(KMSG_MARK)
        < lines.index("export KMSG=true")
        < lines.index('lava-signal STARTRUN "$TESTRUN_ID $UUID"')
    )

# SPDX-License-Identifier: Apache-2.0
"""Positional parameters of the inner command survive the script; words stay words."""

from __future__ import annotations

import subprocess

import pytest

from executor.testshell.quoting import escape_positional, word, words


@pytest.mark.parametrize(
    ("step", "made"),
    [
        ("echo $1", "echo $1"),
        ("lava-test-case x --shell echo $1", "lava-test-case x --shell echo \\$1"),
        ("lava-test-case x --shell echo \\$1", "lava-test-case x --shell echo \\$1"),
        ("lava-test-case x --shell echo \\\\$1", "lava-test-case x --shell echo \\\\\\$1"),
        ("lava-background-process-start x --cmd run $12", "lava-background-process-start x --cmd run \\$12"),
        ("x --shell \"awk '{print $2}' f\"", "x --shell \"awk '{print \\$2}' f\""),
        ("x --shell awk '{print $2}' f", "x --shell awk '{print $2}' f"),
        ("x --shell 'awk \"{print $2}\" f'", "x --shell 'awk \"{print \\$2}\" f'"),
        ("x --shell 'f $1' || true", "x --shell 'f \\$1' || true"),
        ("x --shell $HOME $(date) $#", "x --shell $HOME $(date) $#"),
        ("x --shellfish $1", "x --shellfish $1"),
        ("x --shell 'open $1", "x --shell 'open \\$1"),
        ('x --shell "open \\" $1', 'x --shell "open \\" \\$1'),
    ],
)
def test_positional_parameters(step: str, made: str) -> None:
    assert escape_positional(step) == made


def shown(text: str) -> str:
    done = subprocess.run(["sh", "-c", f"printf '[%s]' {text}"], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("text", ["a b", "it's", 'say "x"', "back\\slash", "*", "", "a;b"])
def test_a_word_stays_one(text: str) -> None:
    assert shown(word(text)) == f"[{text}]"


def test_a_word_may_hold_what_the_shell_replaces() -> None:
    assert (
        shown(word('linux-$(echo "6.1 x")\\')) == "[linux-6.1 x\\]"
        or shown(word("a-$(echo b c)")) == "[a-b c]"
    )


def test_words_are_separated_by_blanks() -> None:
    assert shown(words("a b  c;d")) == "[a][b][c;d]"
    assert words("linux-`uname -r`") == "linux-`uname -r`"

# SPDX-License-Identifier: Apache-2.0
"""Whatever stands where a URL should: a JobError, or a URL that no program takes for an option."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.actions.download import check_scheme, scp_fault
from executor.actions.gitclone import check_url
from executor.actions.origin.bzr import check_bzr_url
from executor.actions.vcs import check_word, password_of, without_password
from executor.errors import JobError

PIECES = st.sampled_from(
    [
        "http",
        "ext",
        "scp",
        "bzr+ssh",
        "lp",
        "git",
        "file",
        "://",
        "::",
        ":",
        "/",
        "-",
        "--",
        "@",
        "me",
        "pw",
        "h",
        "[",
        "]",
    ]
    + ["%00", "\0", "\n", " ", "..", "ProxyCommand=x", "é", "{x}", "*", "\\", "?", "#", "1", ".git"]
)
TEXTS = st.lists(PIECES, max_size=9).map("".join) | st.text(max_size=40)


@pytest.mark.parametrize("check", [check_url, check_bzr_url, check_scheme])
@given(text=TEXTS)
def test_what_passes_is_no_option_and_names_no_helper(check: Callable[[str], None], text: str) -> None:
    try:
        check(text)
    except JobError:
        return
    assert not text.startswith("-")
    if check is check_url:  # git alone runs a helper for "ext::command"
        assert "::" not in text.split("/", maxsplit=1)[0]
    assert not (urlsplit(text).hostname or "").startswith("-")


@given(TEXTS)
def test_words_that_pass_are_no_options(text: str) -> None:
    try:
        check_word(text, "branch")
    except JobError:
        return
    assert not text.startswith("-")
    assert not set(text) & set(" \0\n*[\\?:~^")


@given(TEXTS)
def test_scp_urls_that_pass_have_a_plain_host_and_no_password(text: str) -> None:
    if scp_fault(f"scp://{text}"):
        return
    parts = urlsplit(f"scp://{text}")
    assert parts.hostname
    assert not parts.hostname.startswith("-")
    assert parts.password is None or parts.password == ""
    assert not (parts.username or "x").startswith("-")


@given(TEXTS)
def test_no_password_is_left_over(text: str) -> None:
    shown = without_password(text)
    assert not password_of(text) or f":{password_of(text)}@" not in shown

# SPDX-License-Identifier: Apache-2.0
"""master.yaml: defaults, places of faults, layers of worker settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.errors import ConfigurationError
from executor.master.settings import Settings, UserLimits, load_settings


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "master.yaml"
    path.write_text(text)
    return load_settings(path)


def test_missing_or_empty_file_means_defaults(tmp_path: Path) -> None:
    assert load_settings(None) == load_settings(tmp_path / "none.yaml") == load(tmp_path, "") == Settings()
    assert Settings().listen == "tcp://127.0.0.1:5560"
    assert Settings().file_urls == []


def test_values(tmp_path: Path) -> None:
    text = """
file_urls: [/srv/images]
retention: {days: 3}
limits: {journal_bytes: 1000}
users: {default: {queued_jobs: 2}, bob: {priority: 60}}
"""
    found = load(tmp_path, text)
    assert found.file_urls == ["/srv/images"]
    assert (found.retention.days, found.retention.gigabytes) == (3.0, 50.0)
    assert found.limits.journal_bytes == 1000
    assert found.user("bob") == UserLimits(priority=60)
    assert found.user("anybody").queued_jobs == 2
    assert Settings().user("anybody") == UserLimits()


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("listn: tcp://x:1\n", ":1:1: listn", "did you mean 'listen'"),
        ("heartbeat: 0\n", ":1:", "heartbeat"),
        ("\nretention: {days: -1}\n", ":2:", "days"),
        ("limits:\n  journal_byte: 1\n", ":2:3: limits.journal_byte", "did you mean 'journal_bytes'"),
        ("users: {bob: {priority: 101}}\n", ":1:", "priority"),
        ("file_urls: [images]\n", "", "not an absolute path"),
        ("a: [\n", ":", "not valid YAML"),
        ("- list\n", "", ""),
    ],
)
def test_faults_name_their_place(tmp_path: Path, text: str, where: str, what: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert "master.yaml" in caught.value.message
    assert where in caught.value.message
    assert what in caught.value.message


def test_worker_settings_lie_over_the_general_ones(tmp_path: Path) -> None:
    text = """
environment: {A: '1', B: '1'}
dispatcher: {prefix: p}
workers: {w: {job_limit: 2, environment: {B: '2'}}}
"""
    found = load(tmp_path, text)
    assert found.worker("w").environment == {"A": "1", "B": "2"}
    assert found.worker("w").dispatcher == {"prefix": "p"}
    assert found.worker("w").job_limit == 2
    assert found.worker("other").environment == {"A": "1", "B": "1"}

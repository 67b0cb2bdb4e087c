# SPDX-License-Identifier: Apache-2.0
"""scp and rclone URLs: what the programs are told, what their answers mean. The programs are stand-ins; ssh
runs the command that it is given, as the server would.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from executor.container.cache import Access, Cache, Got, Remotes
from executor.container.cancel import Cancellation
from executor.container.store import Store
from executor.errors import InfrastructureError, InfrastructureTimeout, JobCanceled, JobError
from executor.model.deadline import Deadline
from executor.model.doorbell import Fetch

SSH = """\
#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
while [ "$1" != -- ]; do shift; done
shift 2
exec sh -c "$1"
"""
RCLONE = """\
#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
case "$*" in *missing*) echo "directory not found" >&2; exit 3;; esac
echo from the cloud
"""


class Lab:
    """A worker with stand-ins, a key and a known server."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top = top
        self.calls_file = top / "calls"
        self.state = top / "state"
        (self.state / "ssh").mkdir(parents=True)
        (self.state / "ssh/known_hosts").touch()
        (self.state / "ssh/id_ed25519").touch()
        (self.state / "ssh/id_ed25519.pub").touch()
        (self.state / "rclone.conf").touch()
        monkeypatch.setenv("CALLS", str(self.calls_file))
        (top / "bin").mkdir()
        monkeypatch.setenv("PATH", f"{top / 'bin'}:{os.environ['PATH']}")
        self.program("ssh", SSH)
        self.program("rclone", RCLONE)
        self.cache = Cache(Store(top / "cache", keep_free=0), remotes=Remotes.of(self.state))

    def program(self, name: str, text: str) -> None:
        path = self.top / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    def get(
        self, url: str, seconds: float = 20, cancellation: Cancellation | None = None, **options: object
    ) -> Got:
        fetch = Fetch(url, **options)  # type: ignore[arg-type]
        deadline = Deadline.after(seconds)
        return self.cache.fetch(fetch, Access(), deadline=deadline, cancellation=cancellation)

    def content(self, got: Got) -> bytes:
        return self.cache.store.path(got.key).read_bytes()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a file; touch pwned; 'quoted'"
    path.write_bytes(b"kernel\n" * 1000)
    return path


def scp(path: Path) -> str:
    return f"scp://me@server.lab:2222{path.as_uri().removeprefix('file://')}"


def test_a_file_comes_over_ssh_with_the_keys_of_the_admin_alone(lab: Lab, file: Path) -> None:
    got = lab.get(scp(file))
    assert lab.content(got) == file.read_bytes()
    assert got.downloaded == file.stat().st_size
    (call,) = lab.calls
    ssh = lab.state / "ssh"
    for word in (
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f'UserKnownHostsFile="{ssh / "known_hosts"}"',
        "IdentitiesOnly=yes",
        "ConnectTimeout=15",
        f"-i {ssh / 'id_ed25519'} -l me -p 2222 -- server.lab sh -c",
    ):
        assert word in call
    assert ".pub" not in call
    assert not (file.parent / "pwned").exists()


def test_the_second_time_the_server_is_asked_and_nothing_is_sent(lab: Lab, file: Path) -> None:
    lab.get(scp(file))
    again = lab.get(scp(file))
    assert (again.downloaded, len(lab.calls)) == (0, 2)
    file.write_bytes(b"new")
    assert lab.content(lab.get(scp(file))) == b"new"


def test_a_transfer_that_is_cut_is_no_file(lab: Lab, file: Path) -> None:
    lab.program("ssh", "#!/bin/sh\necho 7000:1:2\nprintf half\n")
    with pytest.raises(InfrastructureError, match="was cut after 4 of 7000 bytes"):
        lab.get(scp(file))
    lab.program("ssh", "#!/bin/sh\necho 7000:1:2\nprintf half\necho 'Connection closed' >&2; exit 255\n")
    with pytest.raises(InfrastructureError, match="Connection closed"):
        lab.get(scp(file))
    assert not list((lab.cache.store.root / "incoming").iterdir())


@pytest.mark.parametrize("text", ["#!/bin/sh\n", "#!/bin/sh\nhead -c 9000 /dev/zero\n"])
def test_a_server_that_answers_otherwise_is_refused(lab: Lab, file: Path, text: str) -> None:
    lab.program("ssh", text)
    with pytest.raises(InfrastructureError, match="does not answer as expected"):
        lab.get(scp(file))


def test_what_ssh_complains_of_is_told(lab: Lab, file: Path) -> None:
    lab.program("ssh", "#!/bin/sh\necho 'Host key verification failed.' >&2; exit 255\n")
    with pytest.raises(InfrastructureError, match=r"Host key verification failed\.") as caught:
        lab.get(scp(file))
    assert "known_hosts" in caught.value.hint


def test_a_missing_file_is_told(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="No such file"):
        lab.get(scp(tmp_path / "missing"))


def test_without_known_hosts_no_server_is_asked(lab: Lab, file: Path) -> None:
    (lab.state / "ssh/known_hosts").unlink()
    with pytest.raises(InfrastructureError, match="reads from no server"):
        lab.get(scp(file))
    assert lab.calls == []


@pytest.mark.parametrize(
    "url",
    [
        "scp://-oProxyCommand=x/y",
        "scp://-x@h/y",
        "scp://me:pw@h/y",
        "scp://h",
        "scp://h/",
        "scp://h:x/y",
        "scp://h/a%0ab",
    ],
)
def test_urls_that_mean_harm_reach_no_program(lab: Lab, url: str) -> None:
    with pytest.raises(JobError):
        lab.get(url)
    assert lab.calls == []


def test_the_deadline_and_a_cancel_end_the_program(lab: Lab, file: Path) -> None:
    lab.program("ssh", "#!/bin/sh\necho 7:1:2\nexec sleep 60\n")
    with pytest.raises(InfrastructureTimeout):
        lab.get(scp(file), seconds=0.3)
    cancellation = Cancellation()
    timer = threading.Timer(0.2, cancellation.cancel)
    timer.start()
    with pytest.raises(JobCanceled):
        lab.get(scp(file), cancellation=cancellation)
    timer.join()


def test_a_file_comes_by_rclone(lab: Lab) -> None:
    assert lab.content(lab.get("rclone://remote/bucket/rootfs.img")) == b"from the cloud\n"
    assert lab.calls == [f"cat --config {lab.state / 'rclone.conf'} --retries 3 -- remote:bucket/rootfs.img"]
    with pytest.raises(InfrastructureError, match="directory not found"):
        lab.get("rclone://remote/missing")


@pytest.mark.parametrize("url", ["rclone://-x/y", "rclone:///x", "rclone://r", "rclone://:http,url='x':/y"])
def test_rclone_takes_remotes_of_the_admin_only(lab: Lab, url: str) -> None:
    with pytest.raises(JobError, match="no rclone URL"):
        lab.get(url)
    assert lab.calls == []


@pytest.mark.parametrize(
    ("prepare", "url", "words"),
    [
        (lambda lab: (lab.state / "rclone.conf").unlink(), "rclone://r/x", "has no remotes"),
        (lambda lab: (lab.top / "bin/rclone").unlink(), "rclone://r/x", "rclone is not installed"),
    ],
)
def test_what_is_missing_on_the_worker_is_named(
    lab: Lab, prepare: Callable[[Lab], None], url: str, words: str
) -> None:
    prepare(lab)
    with pytest.raises(InfrastructureError, match=words):
        lab.get(url)

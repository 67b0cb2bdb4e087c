# SPDX-License-Identifier: Apache-2.0
"""scp URLs against a real sshd on the loopback, where one is installed."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.container.cache import Access, Cache, Got, Remotes
from executor.container.store import Store
from executor.errors import InfrastructureError
from executor.model.deadline import Deadline
from executor.model.doorbell import Fetch

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
BODY = bytes(range(256)) * 40_000  # 10 MB

pytestmark = [
    pytest.mark.skipif(SSHD is None, reason="no sshd: install openssh-server"),
    pytest.mark.skipif(
        os.geteuid() == 0 and not Path("/run/sshd").is_dir(), reason="no /run/sshd, which sshd of root wants"
    ),
]


def keygen(path: Path) -> str:
    """Make a key pair; its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path.with_suffix(".pub").read_text()


class Server:
    """An sshd that lets one key in; `state` is that of a worker with this key."""

    def __init__(self, top: Path) -> None:
        self.top, self.state = top, top / "state"
        ssh = self.state / "ssh"
        ssh.mkdir(parents=True)
        host_key = keygen(top / "host_key")
        (top / "authorized_keys").write_text(keygen(ssh / "id_ed25519"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        (ssh / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host_key}")
        self.log = top / "sshd.log"
        options = {
            "ListenAddress": f"127.0.0.1:{self.port}",
            "HostKey": top / "host_key",
            "AuthorizedKeysFile": top / "authorized_keys",
            "PidFile": "none",
            "StrictModes": "no",  # the keys lie below /tmp
            "UsePAM": "no",
            "PasswordAuthentication": "no",
        }
        config = top / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in options.items()))
        self.process = subprocess.Popen([str(SSHD), "-D", "-f", config, "-E", self.log])

    def wait(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def url(self, path: Path) -> str:
        return f"scp://{getpass.getuser()}@127.0.0.1:{self.port}{path}"

    def get(self, path: Path) -> Got:
        return self.cache.fetch(Fetch(self.url(path)), Access(), deadline=Deadline.after(30))

    @property
    def cache(self) -> Cache:
        return Cache(Store(self.top / "cache", keep_free=0), remotes=Remotes.of(self.state))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    try:
        made.wait()
        yield made
    finally:
        made.process.terminate()
        made.process.wait(20)


def test_a_file_comes_once(server: Server, tmp_path: Path) -> None:
    image = tmp_path / "image $(touch pwned) 'x'"
    image.write_bytes(BODY)
    got = server.get(image)
    assert server.cache.store.path(got.key).read_bytes() == BODY
    assert got.downloaded == len(BODY)
    assert server.get(image).downloaded == 0
    image.write_bytes(b"changed")
    assert server.get(image).downloaded == 7


def test_what_is_not_there_is_told(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="No such file"):
        server.get(tmp_path / "missing")


def test_a_server_with_another_key_is_refused(server: Server, tmp_path: Path) -> None:
    other = keygen(tmp_path / "other_key")
    (server.state / "ssh/known_hosts").write_text(f"[127.0.0.1]:{server.port} {other}")
    with pytest.raises(InfrastructureError, match="Host key verification failed"):
        server.get(tmp_path / "host_key")


def test_an_unknown_server_is_refused(server: Server, tmp_path: Path) -> None:
    (server.state / "ssh/known_hosts").write_text("")
    with pytest.raises(InfrastructureError, match=r"cannot be downloaded: .*(verification failed|host key)"):
        server.get(tmp_path / "host_key")


def test_nobody_is_asked_for_a_password(server: Server, tmp_path: Path) -> None:
    (server.top / "authorized_keys").write_text("")
    with pytest.raises(InfrastructureError, match="Permission denied"):
        server.get(tmp_path / "host_key")

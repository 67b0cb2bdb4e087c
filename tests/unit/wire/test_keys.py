# SPDX-License-Identifier: Apache-2.0
"""Keys as files: made once, with the right modes, refused with the wrong ones, changes seen at once."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zmq

from executor.errors import ConfigurationError, UsageError
from executor.wire import keys
from executor.wire.keys import Identity, Keyring

KEY = "ab" * 32


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_pair_is_made_once_with_private_modes(directory: Path) -> None:
    old = os.umask(0)
    try:
        pair = keys.load_or_make(directory, "client")
    finally:
        os.umask(old)
    assert mode(directory) == 0o700
    assert mode(directory / "client.secret") == 0o600
    assert (directory / "client.pub").read_text() == pair.public + "\n"
    assert keys.load_or_make(directory, "client") == pair
    assert zmq.curve_public(pair.secret_z85) == pair.public_z85
    assert sorted(path.name for path in directory.iterdir()) == ["client.pub", "client.secret"]


def test_secret_is_not_in_the_repr(directory: Path) -> None:
    pair = keys.load_or_make(directory, "client")
    assert pair.secret_z85.decode() not in repr(pair)
    assert (directory / "client.secret").read_text().strip() not in repr(pair)


def test_processes_that_start_at_once_get_one_key(directory: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        pairs = list(pool.map(lambda _: keys.load_or_make(directory, "agent"), range(16)))
    assert len(set(pairs)) == 1


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o666])
def test_readable_secret_is_refused_with_the_chmod(directory: Path, bits: int) -> None:
    keys.load_or_make(directory, "client")
    path = directory / "client.secret"
    path.chmod(bits)
    with pytest.raises(ConfigurationError, match=str(path)) as caught:
        keys.load_or_make(directory, "client")
    assert caught.value.hint == f"chmod 600 {path}"


def test_open_directory_is_refused_with_the_chmod(directory: Path) -> None:
    keys.load_or_make(directory, "client")
    directory.chmod(0o755)
    with pytest.raises(ConfigurationError) as caught:
        keys.load_or_make(directory, "client")
    assert caught.value.hint == f"chmod 700 {directory}"


@pytest.mark.parametrize("text", ["", "zz", "00" * 31, "é"])
def test_broken_secret_is_named(directory: Path, text: str) -> None:
    keys.load_or_make(directory, "client")
    (directory / "client.secret").write_text(text)
    with pytest.raises(ConfigurationError, match=r"client\.secret cannot be used"):
        keys.load(directory, "client")


def test_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used: Not a directory"):
        keys.load_or_make(tmp_path / "file" / "keys", "client")


def test_missing_secret_is_told(directory: Path) -> None:
    keys.prepare_directory(directory)
    with pytest.raises(ConfigurationError, match="there is no key"):
        keys.load(directory, "agent")


def test_public_key_text(directory: Path) -> None:
    pair = keys.load_or_make(directory, "client")
    assert keys.to_z85(f" {pair.public.upper()}\n") == pair.public_z85
    assert keys.from_z85(pair.public_z85) == pair.public
    for bad in ("", "zz" * 32, pair.public[:-1], pair.public + "0"):
        with pytest.raises(UsageError, match="not a public key"):
            keys.to_z85(bad)


def test_first_start_authorises_the_local_pair_only_once(directory: Path) -> None:
    pair = keys.first_start(directory)
    local = keys.credentials(directory)
    agent = keys.credentials(directory, "agent")
    assert local.master == agent.master == pair.public
    assert keys.authorized(directory) == [
        Identity("admin", "local", local.pair.public),
        Identity("agent", keys.host_name(), agent.pair.public),
    ]
    assert keys.revoke(directory, "admin", "local")
    assert keys.first_start(directory) == pair
    assert [identity.role for identity in keys.authorized(directory)] == ["agent"]


def test_unknown_master_says_what_to_do(directory: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"master\.pub is missing") as caught:
        keys.credentials(directory)
    assert "lava-exec keys trust" in caught.value.hint
    keys.trust(directory, KEY)
    assert keys.credentials(directory).master == KEY
    assert keys.credentials(directory, master="cd" * 32).master == "cd" * 32


def test_authorize_and_revoke(directory: Path) -> None:
    path = keys.authorize(directory, "client", "alice", KEY.upper())
    assert path == directory / "authorized" / "client" / "alice.key"
    assert path.read_text() == KEY + "\n"
    assert keys.authorized(directory) == [Identity("client", "alice", KEY)]
    assert keys.revoke(directory, "client", "alice")
    assert not keys.revoke(directory, "client", "alice")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "-rf", "x" * 64, "a b", "a\n"])
def test_bad_names_are_refused(directory: Path, name: str) -> None:
    with pytest.raises(UsageError):
        keys.authorize(directory, "client", name, KEY)


def test_bad_role_is_refused(directory: Path) -> None:
    with pytest.raises(UsageError, match="no role 'root'"):
        keys.authorize(directory, "root", "alice", KEY)


def test_keyring_sees_changes_and_ignores_rubbish(directory: Path) -> None:
    ring = Keyring(directory)
    assert not ring.refresh() or ring.find(KEY) is None
    keys.authorize(directory, "client", "alice", KEY)
    assert ring.refresh()
    assert ring.find(KEY) == Identity("client", "alice", KEY)
    assert not ring.refresh()
    (directory / "authorized" / "client" / "rubbish.key").write_text("not a key\n")
    ring.refresh()
    assert ring.all() == [Identity("client", "alice", KEY)]
    keys.authorize(directory, "admin", "alice", KEY)
    ring.refresh()
    found = ring.find(KEY)
    assert found is not None
    assert found.role == "admin"
    keys.revoke(directory, "admin", "alice")
    keys.revoke(directory, "client", "alice")
    assert ring.refresh()
    assert ring.find(KEY) is None


def test_host_name_is_a_name() -> None:
    assert keys.check_name(keys.host_name()) == keys.host_name()

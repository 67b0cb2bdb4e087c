# SPDX-License-Identifier: Apache-2.0
"""CURVE keys as files, so that who may talk to a master is a matter of small files that an admin can see.

    keys/                                 0700
      master.secret  master.pub           the master's own pair; other hosts hold master.pub only
      client.secret  client.pub           the pair of the command line
      agent.secret   agent.pub            the pair of the agent
      authorized/<role>/<name>.key        on the master: public keys that may connect (agent, client, admin)

A key's text form is 64 hexadecimal digits: safe on a command line and in a file name.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from executor.errors import ConfigurationError, UsageError

ROLES = ("admin", "client", "agent")  # in order of search: the first that knows a key wins
_NAME = re.compile(r"[A-Za-z0-9][-_.A-Za-z0-9]{0,62}\Z")
_PUBLIC = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class KeyPair:
    """Public and secret half in libzmq's own text (Z85)."""

    public_z85: bytes
    secret_z85: bytes = field(repr=False)

    @property
    def public(self) -> str:
        """The public half as 64 hexadecimal digits."""
        return z85.decode(self.public_z85).hex()


@dataclass(frozen=True)
class Identity:
    """Who is at the other end, as proven by the key."""

    role: str
    name: str
    public: str


@dataclass(frozen=True)
class Credentials:
    """What a client or agent needs to connect: its own pair, its role's word for messages, the master's
    public key.
    """

    pair: KeyPair
    master: str
    role: str = "client"


def to_z85(public: str) -> bytes:
    """A public key for libzmq. Raises UsageError when the text is not one."""
    return z85.encode(bytes.fromhex(check_public(public)))


def from_z85(public: bytes) -> str:
    """libzmq's text as hexadecimal digits."""
    return z85.decode(public).hex()


def check_public(text: str) -> str:
    """The key in its one spelling. Raises UsageError."""
    text = text.strip().lower()
    if not _PUBLIC.match(text):
        raise UsageError(
            f"{text[:80]!r} is not a public key",
            "A public key is 64 hexadecimal digits: see `lava-exec keys show`.",
        )
    return text


def check_name(name: str) -> str:
    """A name for a key or worker. Raises UsageError."""
    if not _NAME.match(name):
        raise UsageError(
            f"{name[:80]!r} is not a name", "Names have letters, digits, '.', '-' and '_', at most 63."
        )
    return name


def check_role(role: str) -> str:
    """Raises UsageError when there is no such role."""
    if role not in ROLES:
        raise UsageError(f"there is no role {role!r}", f"Roles are {', '.join(ROLES)}.")
    return role


def host_name() -> str:
    """This machine's name in the form that names of keys and workers have."""
    return re.sub(r"[^-_.A-Za-z0-9]", "-", socket.gethostname()).strip("-_.")[:63] or "localhost"


def prepare_directory(keys: Path) -> None:
    """Make the directory, or see that nobody else can look into it. Raises ConfigurationError naming the
    chmod.
    """
    try:
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(keys, error) from None
    _check_private(keys, "the key directory", "700")


def load_or_make(keys: Path, who: str) -> KeyPair:
    """The pair of `who` (master, client, agent), made at first use with mode 0600."""
    prepare_directory(keys)
    try:
        _make(keys, who)
    except OSError as error:
        raise _unusable(keys, error) from None
    pair = load(keys, who)
    public_file = keys / f"{who}.pub"
    if _read(public_file) != pair.public:
        _replace(public_file, pair.public + "\n")
    return pair


def _make(keys: Path, who: str) -> None:
    path = keys / f"{who}.secret"
    if path.exists():
        return
    _, secret = zmq.curve_keypair()
    temporary = keys / f".{who}.{secrets.token_hex(8)}"
    _write(temporary, z85.decode(secret).hex() + "\n", 0o600)
    with contextlib.suppress(FileExistsError):  # never replaces a key that another process made meanwhile
        os.link(temporary, path)
    temporary.unlink()


def load(keys: Path, who: str) -> KeyPair:
    """The pair of `who`. Raises ConfigurationError when it is missing, broken, or readable by others."""
    path = keys / f"{who}.secret"
    _check_private(keys, "the key directory", "700")
    try:
        _check_private(path, "the secret key", "600")
        secret = z85.encode(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        return KeyPair(zmq.curve_public(secret), secret)
    except FileNotFoundError:
        raise ConfigurationError(f"there is no key {path}", "It is made at the first start.") from None
    except (ValueError, OSError, zmq.ZMQError) as error:
        hint = f"Move {path} away; a new pair is made at the next start and must be authorised again."
        raise ConfigurationError(f"the secret key {path} cannot be used: {error}", hint) from None


def credentials(keys: Path, role: str = "client", master: str = "") -> Credentials:
    """What `role` ("client" or "agent") connects with; its pair is made when it is missing.

    `master` is the master's public key when it does not lie in `keys/master.pub`. Raises ConfigurationError.
    """
    pair = load_or_make(keys, role)
    public = master or _read(keys / "master.pub")
    if not public:
        raise ConfigurationError(
            f"the public key of the master is not known here ({keys / 'master.pub'} is missing)",
            "On this machine: start `lava-exec serve` first. For another machine's master: `lava-exec keys "
            "show` there prints it, `lava-exec keys trust KEY` here stores it.",
        )
    return Credentials(pair, check_public(public), role)


def trust(keys: Path, public: str) -> None:
    """Store the public key of the master to talk to."""
    prepare_directory(keys)
    _replace(keys / "master.pub", check_public(public) + "\n")


def first_start(keys: Path) -> KeyPair:
    """The master's pair; at the very first start the local command line and agent are authorised as well."""
    pair = load_or_make(keys, "master")
    authorized = keys / "authorized"
    if not authorized.exists():
        authorize(keys, "admin", "local", load_or_make(keys, "client").public)
        authorize(keys, "agent", host_name(), load_or_make(keys, "agent").public)
    return pair


def authorize(keys: Path, role: str, name: str, public: str) -> Path:
    """Let a public key connect. Raises UsageError for a bad role, name or key. Seen by a running master at
    once.
    """
    prepare_directory(keys)
    path = keys / "authorized" / check_role(role) / f"{check_name(name)}.key"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _replace(path, check_public(public) + "\n")
    return path


def revoke(keys: Path, role: str, name: str) -> bool:
    """Take a key back; False when there was none. A running master refuses its next message."""
    path = keys / "authorized" / check_role(role) / f"{check_name(name)}.key"
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed


def authorized(keys: Path) -> list[Identity]:
    """All keys that may connect, by role and name; unreadable files are left out."""
    found = []
    for role in ROLES:
        for path in sorted((keys / "authorized" / role).glob("*.key")):
            public = _read(path)
            if _PUBLIC.match(public) and _NAME.match(path.stem):
                found.append(Identity(role, path.stem, public))
    return found


class Keyring:
    """The authorised keys as they are on disk now: changes are seen without a restart."""

    def __init__(self, keys: Path) -> None:
        self._keys = keys
        self._signature: tuple[tuple[str, int, int, int], ...] | None = None
        self._by_public: dict[str, Identity] = {}

    def refresh(self) -> bool:
        """Look at the directory again; True when something changed."""
        signature = self._look()
        if signature == self._signature:
            return False
        self._signature = signature
        self._by_public = {}
        for identity in authorized(self._keys):
            self._by_public.setdefault(identity.public, identity)
        return True

    def find(self, public: str) -> Identity | None:
        """Who has this key, as of the last refresh."""
        return self._by_public.get(public)

    def all(self) -> list[Identity]:
        """All keys that may connect, by role and name."""
        return authorized(self._keys)

    def _look(self) -> tuple[tuple[str, int, int, int], ...]:
        seen = []
        for role in ROLES:
            try:
                with os.scandir(self._keys / "authorized" / role) as entries:
                    for entry in entries:
                        stat = entry.stat()
                        seen.append((f"{role}/{entry.name}", stat.st_mtime_ns, stat.st_size, stat.st_ino))
            except OSError:
                continue
        return tuple(sorted(seen))


def _check_private(path: Path, what: str, mode: str) -> None:
    try:
        stat = path.stat()
    except PermissionError as error:
        raise _unusable(path, error) from None
    if stat.st_mode & 0o077:
        raise ConfigurationError(
            f"{what} {path} is open to others (mode {stat.st_mode & 0o777:04o})", f"chmod {mode} {path}"
        )
    if stat.st_uid not in (os.geteuid(), 0):
        raise ConfigurationError(f"{what} {path} belongs to another user", f"chown {os.geteuid()} {path}")


def _unusable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be used: {error.strerror}", "Keys lie below the state directory: set LAVA_EXEC_STATE."
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip().lower()
    except (OSError, UnicodeDecodeError):
        return ""


def _write(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    _write(temporary, text, 0o644)
    temporary.replace(path)

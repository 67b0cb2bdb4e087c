# SPDX-License-Identifier: Apache-2.0
"""What actions pass to each other: typed attributes of a namespace, instead of strings in nested dicts."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from executor.model.deadline import Deadline
from executor.model.doorbell import Fetch, Fetched

if TYPE_CHECKING:
    from executor.console.reader import Console
    from executor.model.device import Device
    from executor.model.job import Job
    from executor.model.worker import Worker
    from executor.pipeline.interrupt import Interrupts
    from executor.pipeline.log import Journal
    from executor.testshell.overlay import PlacedDefinition

_UNSAFE = re.compile(r"[^\w.+-]|^\.+", re.ASCII)


def _safe(name: str) -> str:
    """A file name for something that a job may call what it likes; different names stay different."""
    clean = _UNSAFE.sub("_", name)[:100]
    return clean if clean == name else f"{clean}-{zlib.crc32(name.encode('utf-8', 'replace')):08x}"


class Agent(Protocol):
    """The side of the doorbell that answers questions."""

    def fetch(self, what: Fetch, deadline: Deadline, progress: Callable[[str, int, int], None]) -> Fetched:
        """Get an artefact into /cache. `progress(stage, done, total)` in bytes. Raises errors of
        executor.errors.
        """


class Group(Protocol):
    """The other members of a multinode group (spec: job-format §9)."""

    def call(
        self, api: str, message: str, deadline: Deadline, *, role: str = "", pairs: Mapping[str, str] = {}
    ) -> dict[str, dict[str, str]]:
        """One of `send`, `wait`, `wait-all` and `sync` with a message id; what was received, by sender.

        Raises MultinodeTimeout.
        """


@dataclass
class Artifact:
    """A file that a deploy brought: where it lies, and what is known of it."""

    label: str
    path: Path
    url: str = ""
    sha256: str = ""  # of the bytes as downloaded
    size: int = 0  # bytes at `path`
    shared: bool = True  # lies in the read-only cache; copy or overlay before writing
    compression: str = ""  # what it is still compressed with
    unpacked: str = ""  # the compression that was taken off
    image_arg: str = ""
    format: str = ""
    served: str = ""  # its name at the TFTP server, as a bootloader asks for it

    @property
    def safe_label(self) -> str:
        """The label as a part of a file name: jobs call their images what they like."""
        return _safe(self.label)

    @property
    def file_name(self) -> str:
        """The last part of its URL, without the suffix of a compression that was taken off."""
        name = PurePosixPath(unquote(urlsplit(self.url).path)).name
        if self.unpacked and PurePosixPath(name).suffix in (".gz", ".bz2", ".xz", ".zst", ".zstd"):
            name = PurePosixPath(name).stem
        return _safe(name) if name else self.safe_label


@dataclass
class OverlayDisk:
    """A small disk that brings the overlay into a guest (spec: job-format §5, today's form)."""

    path: Path
    uuid: str
    arguments: list[str]


@dataclass
class Installer:
    """An installation in QEMU: the disk that is installed to, and what starts the installer."""

    disk: Path
    size: str  # such as 4G
    drive: list[str] = field(default_factory=list)  # arguments for the disk
    arguments: list[str] = field(default_factory=list)  # kernel, ramdisk, kernel's arguments


@dataclass
class Source:
    """Where the files of one test definition came from."""

    directory: Path  # holds the repository's content
    uuid: str  # "<job id>_<level of the repo action>"
    commit_id: str = ""


@dataclass
class NfsRoot:
    """A root file system that the device mounts over the network."""

    server: str
    path: str  # as the server exports it
    directory: Path | None = None  # here, when the job may write to it
    arguments: str = ""  # of the job, for the kernel that mounts it


@dataclass
class Namespace:
    """What deploy, boot and test of one namespace share."""

    name: str
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    results_dir: str = ""  # "/lava-42"
    shell: str = "/bin/sh"
    shell_file: str = ""
    downloads: dict[str, Artifact] = field(default_factory=dict)  # of `to: downloads`, by file name
    downloads_directory: Path | None = None  # where they lie, and what is made of them
    sources: dict[int, Source] = field(default_factory=dict)  # by index over the namespace's definitions
    definitions: dict[int, PlacedDefinition] = field(default_factory=dict)  # by the same index
    overlay: Path | None = None  # the kept tarball, without secrets
    overlay_secrets: Path | None = None  # the second archive, not kept
    overlay_authorized: Path | None = None  # a third one with the ssh key that is let in
    overlay_disk: OverlayDisk | None = None
    installer: Installer | None = None
    fastboot_serial: str = ""  # of the board, where it was found out
    overlay_applied: bool = False  # the overlay lies in an image already
    kernel_type: str = ""  # image, zimage or uimage: which command of a bootloader starts it
    nfs_root: NfsRoot | None = None
    extra_files: str = ""  # directory at the TFTP server
    served: Path | None = None  # here, where the deployment's files for the TFTP server lie
    substitutions: dict[str, str] = field(default_factory=dict)  # "{SERVER_IP}" → value, for what is sent
    recovery_files: Path | None = None  # what goes onto the board's volume, unpacked
    console_port: int = 0  # where a model on this machine has its serial port
    bootloader_valid: bool = False  # the board has shown a good bootloader, none need be loaded
    download_mode: bool = False  # the board is in its serial download mode
    virtual_firmware: str = ""  # what a service that simulates boards calls the uploaded firmware
    virtual_settings: dict[str, str] = field(default_factory=dict)  # which service, project and model
    virtual_board: str = ""  # what it calls the board that runs
    volume: Path | None = None  # node of the board's own USB volume, while it is written to
    media: dict[str, str] = field(default_factory=dict)  # KERNEL, ROOT … of a disk that the boot block names
    bootloader_commands: list[str] = field(default_factory=list)  # what this boot types, filled in
    console: Console | None = None
    prompts: list[str] = field(default_factory=list)
    environment_exported: bool = False
    boots: int = 0
    mounted_in_boot: int = 0  # the boot in which overlay_disk was mounted

    @property
    def safe_name(self) -> str:
        """The name as a part of a file name: jobs call their namespaces what they like."""
        return _safe(self.name)

    def deploy_anew(self) -> None:
        """Forget what an earlier deployment brought; its console stays until the next boot."""
        self.artifacts.clear()
        self.overlay = self.overlay_secrets = self.overlay_authorized = self.overlay_disk = None
        self.overlay_applied = False
        self.kernel_type = self.extra_files = ""
        self.nfs_root = self.served = self.installer = None


@dataclass
class JobContext:
    """The job while it runs: one for each run, handed to every action through its `Run`."""

    job: Job
    device: Device
    worker: Worker
    journal: Journal
    agent: Agent
    interrupts: Interrupts
    deadline: Deadline  # of the whole job
    out: Path  # kept with the job
    work: Path  # scratch, removed at the end
    dev: Path = Path("/dev/lava")  # the nodes of this device, in the order that udev gives them below /dev
    tftp: Path = Path("/srv/tftp")  # the root of the TFTP server; the job has <tftp>/<job id>
    nfs: Path = Path("/srv/nfs")  # exported by the NFS server; the job has <nfs>/<job id>
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    consoles: list[Console] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    cases: dict[str, int] = field(default_factory=dict)  # result -> count, outside suite `lava`
    received: dict[str, dict[str, str]] = field(default_factory=dict)  # message id → values that it brought
    closing: ExitStack = field(default_factory=ExitStack)  # servers for the device, ended by finalize
    state: dict[str, Any] = field(
        default_factory=dict
    )  # for third-party methods: key = their distribution name
    powered_off: bool = False
    group: Group | None = None  # None for a job that runs alone

    def namespace(self, name: str) -> Namespace:
        """The namespace, made at first use."""
        return self.namespaces.setdefault(name, Namespace(name))

    def attend(self, name: str) -> None:
        """A block works with the console of this namespace; what the others say is `feedback` (spec:
        results-and-logs §1).
        """
        for console in self.consoles:
            console.foreground = console.namespace == name

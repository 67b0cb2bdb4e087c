# SPDX-License-Identifier: Apache-2.0
"""Keys that blocks of a job have in common, typed once; each method derives its own from these.

Checker, JSON schema and reference page come from these structs. They describe the canonical form: what old
forms turn into is said by `executor.schema.normalise`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from executor.model.problem import Path, Problem

Scalar = str | int | float | bool | None
Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1)]
Index = Annotated[int, Meta(ge=0)]
Compression = Literal["gz", "bz2", "xz", "zip", "zstd"]
Flag = bool | None  # None: not said


class Timeout(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A duration; units are summed, a sum of zero is the default of 30 s (spec: job-format §3)."""

    days: Annotated[int, Meta(ge=0)] = 0
    hours: Annotated[int, Meta(ge=0)] = 0
    minutes: Annotated[int, Meta(ge=0)] = 0
    seconds: Annotated[int, Meta(ge=0)] = 0
    skip: Annotated[bool, Meta(description="test blocks: on expiry go on with the next block")] = False


TimeoutValue = (
    Timeout
    | Annotated[int, Meta(ge=0, description="seconds")]
    | Annotated[str, Meta(pattern=r"^\s*\d{1,9}\s*[smhd]?\s*$", extra={"expected": "text such as 2m"})]
)


class BlockParameters(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Keys of every block (spec: job-format §2)."""

    timeout: Annotated[
        TimeoutValue | None, Meta(description="limit of the block and of every action below it")
    ] = None
    timeouts: Annotated[
        dict[str, TimeoutValue], Meta(description="limits of single actions, in this block only")
    ] = {}
    connection_timeout: Annotated[
        TimeoutValue | None, Meta(description="limit of one operation on the console, in this block")
    ] = None
    failure_retry: Annotated[
        Count | None, Meta(description="attempts at most; the first success ends them")
    ] = None
    failure_retry_interval: Annotated[Count | None, Meta(description="seconds between attempts")] = None
    repeat: Annotated[
        Count | None, Meta(description="runs, whatever the result; not together with failure_retry")
    ] = None
    namespace: Annotated[Text | None, Meta(description="blocks with the same namespace belong together")] = (
        None
    )
    connection_namespace: Annotated[Text | None, Meta(description="use the console of this namespace")] = (
        msgspec.field(default=None, name="connection-namespace")
    )
    role: Annotated[
        Text | list[Text] | None, Meta(description="roles of a multinode job that run this block")
    ] = None
    protocols: Annotated[dict[str, Any], Meta(description="protocol calls tied to named actions")] = {}
    name: Annotated[Text | None, Meta(description="a label for people; no effect on execution")] = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        if "repeat" in data and "failure_retry" in data:
            yield Problem(
                "repeat and failure_retry in one block",
                path=(*path, "repeat"),
                expected="one of them",
                hint="repeat runs in any case, failure_retry only until the first success",
            )


class OverlaySource(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file or tarball that goes into an artefact besides the LAVA overlay (spec: job-format §4)."""

    url: Annotated[Text, Meta(description="where it is")]
    format: Annotated[
        Literal["file", "tar"], Meta(description="a single file, or an archive that is unpacked")
    ]
    path: Annotated[str, Meta(description="absolute, without ..")]
    compression: Annotated[Compression | None, Meta(description="never guessed from the name")] = None
    md5sum: Annotated[str | None, Meta(description="of the bytes as downloaded")] = None
    sha256sum: Annotated[str | None, Meta(description="of the bytes as downloaded")] = None
    sha512sum: Annotated[str | None, Meta(description="of the bytes as downloaded")] = None
    headers: Annotated[dict[str, str], Meta(description="HTTP headers")] = {}

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        where = data["path"]
        if not where.startswith("/") or ".." in where.split("/"):
            yield Problem(
                f"path cannot be {where!r}", path=(*path, "path"), expected="an absolute path without .."
            )


class Resource(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something to download and what to do with it (spec: job-format §4)."""

    url: Annotated[Text, Meta(description="http, https, file, scp or downloads URL; {KEY} from static_info")]
    compression: Annotated[Compression | None, Meta(description="never guessed from the name")] = None
    archive: Annotated[
        Literal["tar"] | None, Meta(description="unpack into a directory named after the key")
    ] = None
    md5sum: Annotated[str | None, Meta(description="of the bytes as downloaded")] = None
    sha256sum: Annotated[str | None, Meta(description="of the bytes as downloaded")] = None
    sha512sum: Annotated[str | None, Meta(description="of the bytes as downloaded")] = None
    headers: Annotated[dict[str, str], Meta(description="HTTP headers")] = {}
    use_cache: Annotated[Flag, Meta(description="fetch through the HTTP cache of the lab")] = None
    image_arg: Annotated[str | None, Meta(description="QEMU arguments; {label} becomes the path")] = None
    overlay: Annotated[bool, Meta(description="this image receives the overlay itself")] = False
    overlays: Annotated[
        dict[str, bool | OverlaySource], Meta(description="lava: true for the LAVA overlay, others by URL")
    ] = {}
    overlay_backend: Annotated[
        Literal["auto", "e2fsprogs", "guestfs"] | None,
        Meta(description="program that writes into the image; auto takes the one that fits"),
    ] = None
    format: Annotated[
        Literal["cpio.newc", "ext4", "tar", "qcow2"] | None,
        Meta(description="what the file is; needed where `overlays` go into it"),
    ] = None
    partition: Annotated[
        Index | None, Meta(description="number of the partition that receives the overlay, from 0")
    ] = None
    root_partition: Annotated[
        Index | None, Meta(description="number of the partition that receives the overlay, from 0")
    ] = None
    sparse: Annotated[Flag, Meta(description="sparse Android image")] = None
    # Of single keys:
    type: Annotated[str | None, Meta(description="kernel: image, zimage or uimage")] = None
    header: Annotated[Literal["u-boot"] | None, Meta(description="ramdisk: has a U-Boot header")] = None
    install_modules: Annotated[Flag, Meta(description="ramdisk, nfsrootfs: unpack `modules` into it")] = None
    install_overlay: Annotated[Flag, Meta(description="ramdisk, nfsrootfs: put the overlay into it")] = None
    prefix: Annotated[
        str | None, Meta(description="nfsrootfs: directory inside the tarball, ends with /")
    ] = None
    rename: Annotated[str | None, Meta(description="mps: name of the file on the board")] = None
    download: Annotated[Flag, Meta(description="flasher: false hands the URL itself to the commands")] = None
    reboot: Annotated[
        Literal["hard-reset", "fastboot-reboot", "fastboot-reboot-bootloader", "fastboot-reboot-fastboot"]
        | None,
        Meta(description="fastboot: after flashing this image"),
    ] = None
    apply_overlay: Annotated[Flag, Meta(description="fastboot: this image receives the overlay")] = (
        msgspec.field(default=None, name="apply-overlay")
    )

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        for key, length in (("md5sum", 32), ("sha256sum", 64), ("sha512sum", 128)):
            value = data.get(key)
            if value is not None and (len(value) != length or set(value.lower()) - set("0123456789abcdef")):
                yield Problem(
                    f"{key} cannot be {value[:140]!r}", path=(*path, key), expected=f"{length} hex digits"
                )
        prefix = data.get("prefix")
        if prefix is not None and (prefix.startswith("/") or not prefix.endswith("/")):
            yield Problem(
                f"prefix cannot be {prefix!r}",
                path=(*path, "prefix"),
                expected="a relative path that ends with /",
            )
        for name, overlay in (data.get("overlays") or {}).items():
            if isinstance(overlay, bool) and name != "lava":
                yield Problem(
                    f"overlay {name} is {str(overlay).lower()}",
                    path=(*path, "overlays", name),
                    expected="a map with url, format and path; only `lava` is true or false",
                )


class PersistentNfs(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A root file system that an NFS server has already (spec: job-format §5)."""

    address: Annotated[Text, Meta(description="host:/path; {KEY} from static_info")]
    install_overlay: Annotated[Flag, Meta(description="put the overlay into it")] = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        if ":" not in data["address"]:
            yield Problem("address has no server", path=(*path, "address"), expected="host:/path")


class DeployParameters(BlockParameters):
    """Keys of every deploy block (spec: job-format §5)."""

    to: Annotated[Text, Meta(description="where to deploy; chooses the method")]
    os: Annotated[
        str | None, Meta(description="operating system of what is deployed; chooses shell and directories")
    ] = None
    authorize: Annotated[Literal["ssh"] | None, Meta(description="let the worker's key in")] = None
    overlay_backend: Annotated[
        Literal["auto", "e2fsprogs", "guestfs"] | None,
        Meta(description="program that writes into images; auto takes the one that fits"),
    ] = None
    connection: Annotated[str | None, Meta(description="old, ignored")] = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        if "repeat" in data:
            yield Problem(
                "a deploy block cannot be repeated",
                path=(*path, "repeat"),
                hint="failure_retry tries it again when it fails",
            )


class AutoLogin(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to log in (spec: job-format §6)."""

    login_prompt: Annotated[Text, Meta(description="regular expression")]
    username: Annotated[Text, Meta(description="sent at the login prompt")]
    password_prompt: Annotated[Text | None, Meta(description="regular expression; needs password")] = None
    password: Annotated[str | None, Meta(description="sent at the password prompt")] = None
    login_commands: Annotated[
        Annotated[list[Text], Meta(min_length=1)] | None,
        Meta(description="sent after login, a prompt is awaited after each"),
    ] = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        for one, other in (("password", "password_prompt"), ("password_prompt", "password")):
            if one in data and other not in data:
                yield Problem(f"{one} without {other}", path=(*path, one), expected="both or none")


class TransferOverlay(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the device fetches the overlay after boot (spec: job-format §6)."""

    unpack_command: Annotated[Text, Meta(description="such as tar -C / -xzf")]
    download_command: Annotated[Text | None, Meta(description="such as wget; not for zmodem")] = None
    transfer_method: Annotated[Literal["http", "nfs", "zmodem"], Meta(description="how it is fetched")] = (
        "http"
    )

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        if data.get("transfer_method", "http") != "zmodem" and "download_command" not in data:
            yield Problem(
                "download_command is missing", path=path, expected="download_command, unless by zmodem"
            )


class BootParameters(BlockParameters):
    """Keys of every boot block (spec: job-format §6)."""

    method: Annotated[Text, Meta(description="how to boot; chooses the method")]
    prompts: Annotated[
        list[Text], Meta(description="regular expressions, any of which is the shell's prompt")
    ] = []
    auto_login: Annotated[AutoLogin | None, Meta(description="log in before the prompts are expected")] = None
    transfer_overlay: Annotated[TransferOverlay | None, Meta(description="fetch the tests after boot")] = None
    parameters: Annotated[
        dict[str, Scalar | list[Any] | dict[str, Any]],
        Meta(description="shutdown-, kernel-start- and bootloader-final-message in place of the device's"),
    ] = {}
    soft_reboot: Annotated[
        str | list[str] | None, Meta(description="commands that reboot, where there is no hard reset")
    ] = None
    ignore_kernel_messages: Annotated[bool, Meta(description="no look-out for kernel faults")] = False
    failure_message: Annotated[str | None, Meta(description="a pattern that ends the boot as failed")] = None
    commands: Annotated[
        str | list[Any] | None,
        Meta(description="name of a command set of the device, or the commands themselves"),
    ] = None
    reset: Annotated[Flag, Meta(description="reset the device first; true by default")] = None
    use_bootscript: Annotated[bool, Meta(description="ipxe, grub: the commands as a script by TFTP")] = False
    media: Annotated[str | None, Meta(description="qemu-iso: img; else ignored")] = None
    connection: Annotated[
        str | None, Meta(description="new_connection, schroot: its name; else old and ignored")
    ] = None

# SPDX-License-Identifier: Apache-2.0
"""Old ways to say things become today's, once, right after parsing; each rewrite is recorded.

The forms are those of spec job-format §13. Works on a copy of the document and touches only what it
understands: whatever has another type than the old form had is left alone, for the checker to complain about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from executor.model.problem import Path, Problem, dotted
from executor.model.timeouts import action_name
from executor.schema.rewrite import RawBlock, Rewriter, flow

MEDIA = ("usb", "sata", "sd")  # deployments onto secondary media: kernel, ramdisk and dtb are paths there
URL_KEYS = (
    "kernel",
    "dtb",
    "ramdisk",
    "initrd",
    "nfsrootfs",
    "modules",
    "tee",
    "preseed",
    "nbdroot",
    "uefi",
    "rootfs",
    "firmware",
    "recovery_image",
    "fw_package",
    "qcomflash",
    "rootfs_image",
)
SUMS = ("md5sum", "sha256sum", "sha512sum")
KERNEL_TYPES = {"bootz": "zimage", "booti": "image", "bootm": "uimage"}
KERNEL_COMMANDS = {kind: command for command, kind in KERNEL_TYPES.items()}
# Architectures whose default machine in QEMU has no IDE bus.
_VIRTIO = ("arm", "arm64", "aarch64", "riscv64")
_STDOUT = {"wget": "-q -O - {DOWNLOAD_URL}", "curl": "-s -S -L {DOWNLOAD_URL}"}


@dataclass
class Normaliser(Rewriter):
    """Rewrites blocks in place, each by itself and then across blocks."""

    arch: object = None  # context.arch, for the default drive of the seeds' form

    def block(self, block: RawBlock) -> None:
        """Everything that can be said of one block alone."""
        p, path = block.parameters, block.path
        self._timeouts(p, path)
        self._protocols(p, path)
        handler: Callable[[dict[str, Any], Path], None] | None = getattr(self, f"_{block.section}", None)
        if handler is not None:
            handler(p, path)

    def across(self, blocks: list[RawBlock]) -> None:
        """What blocks of a namespace say about each other."""
        for number, block in enumerate(blocks):
            if block.section == "deploy" and block.parameters.get("to") in MEDIA:
                boot = _next(blocks[number + 1 :], "boot", block)
                if boot is not None:
                    self._media_paths(block, boot)
            elif block.section == "boot":
                self._kernel_type(block, _next(blocks[number::-1], "deploy", block))

    # one block

    def _timeouts(self, p: dict[str, Any], path: Path) -> None:
        for key in ("timeout", "connection_timeout"):
            self.timeout(p, key, path)
        named = p.get("timeouts")
        if isinstance(named, dict):
            for key in [k for k in named if isinstance(k, str)]:
                self.timeout(named, key, (*path, "timeouts"))
                name = action_name(key)
                if name != key and name not in named:
                    named[name] = named.pop(key)
                    self.move((*path, "timeouts"), key, name)

    def _protocols(self, p: dict[str, Any], path: Path) -> None:
        protocols = p.get("protocols")
        if not isinstance(protocols, dict):
            return
        for name in protocols:
            here: Path = (*path, "protocols", name)
            if isinstance(protocols[name], dict):
                protocols[name] = [protocols[name]]
                self.moved[(*here, 0)] = here
                self.log(here, "a single map", "a list of calls")
            calls = protocols[name]
            for number, call in enumerate(calls if isinstance(calls, list) else ()):
                if isinstance(call, dict):
                    self._call(call, (*here, number))

    def _call(self, call: dict[str, Any], path: Path) -> None:
        for old, new in (("api", "request"), ("id", "messageID")):
            self.rename(call, old, new, path)
        key = call.get("key")
        if isinstance(key, str) and "message" not in call:
            del call["key"]
            call["message"] = {key: f"${key}"}
            self.move(path, "key", "message")
        action = call.get("action")
        if isinstance(action, str) and action_name(action) != action:
            call["action"] = action_name(action)
            self.log((*path, "action"), action, call["action"])
        self.timeout(call, "timeout", path)

    def _deploy(self, p: dict[str, Any], path: Path) -> None:
        to = p.get("to")
        if to == "tmpfs":
            self._tmpfs_image(p, path)
        elif to in (*MEDIA, "u-boot-ums", "usbg-ms"):
            self.url(p, "image", path)
            self.fold(p, "compression", "image", "compression", path)
            if to in MEDIA:
                self._download_tool(p, path)
        if to not in MEDIA:
            for key in URL_KEYS:
                self.url(p, key, path)
        if isinstance(p.get("dtbo"), list):
            for number, item in enumerate(p["dtbo"]):
                if isinstance(item, str):
                    p["dtbo"][number] = {"url": item}
                    self.log((*path, "dtbo", number), item, "{url: …}")
        for group in ("images", "extra_files"):
            if isinstance(p.get(group), dict):
                for label in list(p[group]):
                    self.url(p[group], label, (*path, group))
        self.fold(p, "ramdisk-type", "ramdisk", "header", path)
        self.fold(p, "rootfs_compression", "nfsrootfs", "compression", path)
        self.fold(p, "compression", "nfsrootfs", "compression", path)
        if isinstance(p.get("nfs_url"), str) and "persistent_nfs" not in p:
            p["persistent_nfs"] = {"address": p.pop("nfs_url")}
            self.moved[(*path, "persistent_nfs")] = (*path, "nfs_url")
            self.log(path, "nfs_url", "persistent_nfs.address")
        self._sums(p, path)

    def _tmpfs_image(self, p: dict[str, Any], path: Path) -> None:
        image = p.get("image")
        if not isinstance(image, (str, dict)) or "images" in p:
            return
        resource: dict[str, Any] = {"url": image} if isinstance(image, str) else dict(image)
        bus = "if=virtio," if self.arch in _VIRTIO else ""
        resource.setdefault("image_arg", f"-drive format=raw,{bus}file={{image}}")
        resource.setdefault("overlay", True)
        for key in ("compression", *SUMS):
            if isinstance(p.get(key), str) and key not in resource:
                resource[key] = p.pop(key)
                self.moved[(*path, "images", "image", key)] = (*path, key)
        number = p.get("root_partition")
        if isinstance(number, int) and not isinstance(number, bool):
            del p["root_partition"]
            if number < 1:
                self.problems.append(
                    Problem(
                        f"root_partition cannot be the number {number}",
                        path=(*path, "root_partition"),
                        expected="the number of a partition, from 1",
                    )
                )
            else:
                resource["partition"] = number - 1
                self.log((*path, "root_partition"), str(number), f"partition: {number - 1}, counted from 0")
        del p["image"]
        p["images"] = {"image": resource}
        self.moved[(*path, "images", "image")] = (*path, "image")
        self.moved[(*path, "images")] = (*path, "image")
        self.log(path, "image", "images: {image: …}")

    def _download_tool(self, p: dict[str, Any], path: Path) -> None:
        tool = p.get("download")
        if isinstance(tool, str):
            name = PurePosixPath(tool).name
            p["download"] = {"tool": tool, "options": _STDOUT.get(name, _STDOUT["wget"])}
            self.log((*path, "download"), tool, flow(p["download"]))

    def _sums(self, p: dict[str, Any], path: Path) -> None:
        for kind in SUMS:
            sums = p.get(kind)
            if not isinstance(sums, dict):
                continue
            for label in list(sums):
                images = p.get("images")
                place: Path = (*path, label)
                target = p.get(label)
                if not isinstance(target, dict) and isinstance(images, dict):
                    target, place = images.get(label), (*path, "images", label)
                if isinstance(target, dict) and kind not in target:
                    target[kind] = sums.pop(label)
                    self.moved[(*place, kind)] = (*path, kind, label)
                    self.log(path, f"{kind}.{label}", f"{label}.{kind}")
            if not sums:
                del p[kind]

    def _boot(self, p: dict[str, Any], path: Path) -> None:
        if p.get("method") == "kvm":
            p["method"] = "qemu"
            self.log((*path, "method"), "kvm", "qemu")
        self.rename(p, "UUID", "root_uuid", path)
        if isinstance(p.get("prompts"), str):
            p["prompts"] = [p["prompts"]]  # both are today's form: nothing to tell
            self.moved[(*path, "prompts", 0)] = (*path, "prompts")

    def _test(self, p: dict[str, Any], path: Path) -> None:
        definitions = p.get("definitions")
        for number, item in enumerate(definitions if isinstance(definitions, list) else ()):
            if not isinstance(item, dict) or "name" in item or item.get("from") != "inline":
                continue
            inline = item.get("repository")
            metadata = inline.get("metadata") if isinstance(inline, dict) else None
            name = metadata.get("name") if isinstance(metadata, dict) else None
            if isinstance(name, str) and name:
                item["name"] = name
                here: Path = (*path, "definitions", number)
                self.moved[(*here, "name")] = (*here, "repository", "metadata", "name")
                self.log(here, "no name", f"name: {name}, from the definition's metadata")

    # across blocks

    def _media_paths(self, deploy: RawBlock, boot: RawBlock) -> None:
        """[S] says on the deploy block what the boot loader shall read; today the boot block does."""
        for key in ("kernel", "ramdisk", "dtb", "root_uuid", "UUID", "boot_part"):
            if key not in deploy.parameters or isinstance(deploy.parameters[key], dict):
                continue
            value = deploy.parameters.pop(key)
            new = "root_uuid" if key == "UUID" else key
            boot.parameters.setdefault(new, value)
            self.moved[(*boot.path, new)] = (*deploy.path, key)
            self.log(deploy.path, key, f"{dotted(boot.path)}.{new}")

    def _kernel_type(self, boot: RawBlock, deploy: RawBlock | None) -> None:
        """[S] `type: bootz` of a boot block tells the kernel's type, which today the deploy block does."""
        command = boot.parameters.get("type")
        kind = KERNEL_TYPES.get(command) if isinstance(command, str) else None
        if kind is None:
            return
        here = boot.path
        if "kernel" in boot.parameters:  # secondary media: a path, and its type beside it
            if "kernel_type" not in boot.parameters:
                boot.parameters["kernel_type"] = kind
                self.moved[(*here, "kernel_type")] = (*here, "type")
                self.log((*here, "type"), str(command), f"kernel_type: {kind}")
            return
        kernel = deploy.parameters.get("kernel") if deploy is not None else None
        if not isinstance(kernel, dict) or deploy is None:
            return
        given = kernel.get("type")
        if given is None:
            kernel["type"] = kind
            self.moved[(*deploy.path, "kernel", "type")] = (*here, "type")
            self.log((*here, "type"), str(command), f"{dotted(deploy.path)}.kernel.type: {kind}")
        elif given != kind and given in KERNEL_TYPES.values():
            self.problems.append(
                Problem(
                    f"type: {command} boots a {kind}, but the deploy block has a kernel of type {given}",
                    path=(*here, "type"),
                    expected=f"one of both; {given} needs no type here",
                )
            )


def _next(blocks: list[RawBlock], section: str, of: RawBlock) -> RawBlock | None:
    """The first block of a section that belongs together with `of`."""
    for block in blocks:
        if block.section != section or block.namespace != of.namespace:
            continue
        roles = [_roles(b.parameters.get("role")) for b in (block, of)]
        if not roles[0] or not roles[1] or roles[0] & roles[1]:
            return block
    return None


def _roles(value: object) -> set[str]:
    if isinstance(value, str):
        return {value}
    return {v for v in value if isinstance(v, str)} if isinstance(value, list) else set()

# SPDX-License-Identifier: Apache-2.0
"""An image onto a medium of the board, written by the board itself: it fetches the image and pipes it to dd.

Shared by `to: usb`, `sata` and `sd` (spec: job-format §5, device-config §4 `media`). What was booted before
this block is the first stage that does the work.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta

from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry
from executor.actions.netboot.parameters import archive_problems
from executor.actions.overlay import LavaOverlay
from executor.actions.overlayimage import ApplyOverlayImage
from executor.console.expect import check_patterns
from executor.errors import InfrastructureError, JobError
from executor.model.job import DeployParameters, Resource
from executor.model.launch import Needs
from executor.model.parameters import Text
from executor.model.problem import Path, Problem
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.console.reader import Console
    from executor.model.device import Device
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

IMAGE = "image"  # label of what is written
DD_DONE = (r"\d+\+\d+ records out",)  # the statistics that dd ends with
_DD = "dd of={DEVICE} bs=4M"
_SYNC_SECONDS = 300.0  # for a slow medium to take what is in the memory of the board
_PLACEHOLDERS = ("{DOWNLOAD_URL}", "{DEVICE}")
_WGET = "/usr/bin/wget -q -O - {DOWNLOAD_URL}"  # for jobs that name no tool, as the first V2 jobs


class Tool(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A program on the board."""

    tool: Annotated[Text, Meta(description="absolute path")]
    options: Annotated[str, Meta(description="with {DOWNLOAD_URL} and {DEVICE}")] = ""
    prompt: Annotated[str | None, Meta(description="regular expression: the tool has begun")] = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        if not data["tool"].startswith("/"):
            yield Problem(
                f"tool cannot be {data['tool']!r}", path=(*path, "tool"), expected="an absolute path"
            )


class Completion(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the end of the writing looks."""

    prompts: Annotated[
        list[Text],
        Meta(min_length=1, description="regular expressions, any of which tells that all is written"),
    ]


class StorageParameters(DeployParameters, kw_only=True):
    """Keys of `to: usb`, `sata` and `sd`."""

    device: Annotated[
        Text | None,
        Meta(description="label of the medium in the device file; not needed where it has one only"),
    ] = None
    image: Annotated[Resource | None, Meta(description="image of the whole medium")] = None
    images: Annotated[
        dict[str, Resource], Meta(description="the same, called image, with further files beside it")
    ] = {}
    download: Annotated[
        Tool | None,
        Meta(description="writes {DOWNLOAD_URL} to its output, which goes to the writer, by default dd"),
    ] = None
    writer: Annotated[
        Tool | None, Meta(description="writes to {DEVICE}; alone, it fetches {DOWNLOAD_URL} itself")
    ] = None
    tool: Annotated[Completion | None, Meta(description="in place of the statistics of dd")] = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        images = data.get("images") or {}
        yield from archive_problems(data, path, (IMAGE,))
        yield from archive_problems(images, (*path, "images"), images)
        if (data.get(IMAGE) is None) == (IMAGE not in images):
            yield Problem(
                "one image is to be written", path=path, expected="image, or images with one called image"
            )

    @property
    def files(self) -> dict[str, Resource]:
        """What is downloaded, by label."""
        return dict(self.images) if self.image is None else {IMAGE: self.image}


class StorageDeploy(Action):
    """Download, put the overlay in, let the board write it."""

    name = "storage-deploy"
    summary = "deploy to a medium of the board"
    description = "let the booted first stage write an image to one of the board's media"

    def __init__(self, kind: str, parameters: StorageParameters) -> None:
        self.kind, self.parameters = kind, parameters

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"}))

    def plan(self, site: Site) -> Iterable[Action]:
        given, files = self.parameters, self.parameters.files
        tested = site.needs_overlay
        if tested:
            yield LavaOverlay(given.os)
        for label, resource in files.items():
            yield DownloadRetry(label, resource, (IMAGE,) if given.image is not None else ("images", label))
        if tested:
            yield ApplyOverlayImage(IMAGE, files[IMAGE])
        yield DdImage(self.kind, given)
        if tested:
            yield DeployDeviceEnv()

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()


class DdImage(Action):
    """The dialogue with the first stage."""

    name = "dd-image"
    summary = "write the image"
    description = "let the board fetch the image and write it to the medium"
    timeout_error = InfrastructureError
    default_timeout = 600

    def __init__(self, kind: str, parameters: StorageParameters) -> None:
        self.kind, self.parameters = kind, parameters
        self.medium: dict[str, Any] | None = None
        self.known: list[str] = []
        self.chosen = ""  # label of the medium
        self.first_stage = ""

    def needs(self) -> Needs:
        return Needs(network="host")  # the board connects to us: only the worker's own address is reached

    def plan(self, site: Site) -> Iterable[Action]:
        media = _media(site.device, self.kind)
        self.known = [label for label, entry in media.items() if isinstance(entry, dict)]
        self.chosen = self.parameters.device or (self.known[0] if len(self.known) == 1 else "")
        found = media.get(self.chosen)
        self.medium = found if isinstance(found, dict) else None
        self.first_stage = _booted_before(site)
        return ()

    def validate(self, world: World) -> Iterable[Problem]:
        label = self.chosen
        if self.medium is None:
            known = f"it has {', '.join(self.known)}" if self.known else "it has none of this kind"
            text = f"the device has no {self.kind} medium {label!r}" if label else "no medium is named"
            yield self.problem(text, "device", hint=f"{known}; see parameters.media in the device file")
        elif not self.medium.get("uuid"):  # the node is named by it, whatever `UUID-required` says
            text = f"the device file has no uuid for parameters.media.{self.kind}.{label}"
            yield self.problem(
                text, error_type="Configuration", hint="the name of the medium below /dev/disk/by-id"
            )
        if self.parameters.download is None and self.parameters.writer is None:
            hint = "`download` and `writer` name the tools that the board has"
            yield self.problem(
                f"the image is fetched with {_WGET.partition(' ')[0]}", hint=hint, severity="warning"
            )
        if not self.first_stage:
            text = "nothing is booted before this block, and the board itself writes the image"
            yield self.problem(
                text, hint="boot a first stage, such as a ramdisk, before it", severity="warning"
            )
        for place, pattern in self._patterns():
            for message in check_patterns([pattern]):
                yield self.problem(message, *place)

    def _patterns(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        given = self.parameters
        for key, tool in (("download", given.download), ("writer", given.writer)):
            if tool is not None and tool.prompt:
                yield (key, "prompt"), tool.prompt
        for number, prompt in enumerate(given.tool.prompts if given.tool is not None else ()):
            yield ("tool", "prompts", number), prompt

    def run(self, run: Run) -> None:
        console = run.connected or run.context.namespace(self.first_stage).console
        if console is None:
            raise JobError(
                "nothing is booted that could write the image", "boot a first stage before this block"
            )
        prompts = run.connection.prompts or run.context.namespace(self.first_stage).prompts
        self._serve_and_write(run, console, prompts)
        synced = console.command("sync", prompts, run.deadline, limit=_SYNC_SECONDS)
        if synced.rc != 0:
            raise InfrastructureError(f"sync on the board returned {synced.rc}", "is the medium defective?")
        run.results["device"] = self._device

    def _serve_and_write(self, run: Run, console: Console, prompts: list[str]) -> None:
        """All files lie beside each other: tools look for a block map beside the image."""
        from executor.actions.fileserver import serve_files

        artifacts, worker = run.namespace.artifacts, run.context.worker
        files = {artifact.file_name: artifact.path for artifact in artifacts.values()}
        with serve_files(files, worker.http_ip or worker.dispatcher_ip) as base:
            url = base + quote(artifacts[IMAGE].file_name)
            self._write(run, console, command_line(self.parameters, url, self._device), prompts)

    @property
    def _device(self) -> str:
        return f"/dev/disk/by-id/{(self.medium or {}).get('uuid')}"

    def _write(self, run: Run, console: Console, line: str, prompts: list[str]) -> None:
        """Send the command and see it begin and end. A prompt that comes first means that it failed."""
        given = self.parameters
        console.drain()
        console.send_line(line)
        begun = [tool.prompt for tool in (given.download, given.writer) if tool is not None and tool.prompt]
        for pattern in begun:
            self._await(run, console, [pattern], prompts, "the transfer did not begin")
        done = list(given.tool.prompts) if given.tool is not None else list(DD_DONE)
        self._await(run, console, done, prompts, "the image was not written")
        console.expect(prompts, run.operation)

    def _await(self, run: Run, console: Console, wanted: list[str], prompts: list[str], what: str) -> None:
        run.tell_wait(wanted, run.operation)
        found = console.expect([*wanted, *prompts], run.operation)
        if found.index >= len(wanted):
            raise InfrastructureError(
                f"{what}: the shell came back without {wanted[0]!r}", "what the board said is in the log"
            )


def command_line(given: StorageParameters, url: str, device: str) -> str:
    """What is typed on the board: `download | writer`, or one of them."""
    parts = [
        f"{tool.tool} {tool.options}".strip() for tool in (given.download, given.writer) if tool is not None
    ]
    if given.writer is None:
        parts = [*(parts or [_WGET]), _DD]
    line = " | ".join(parts)
    for name, value in zip(_PLACEHOLDERS, (url, device), strict=True):
        line = line.replace(name, shlex.quote(value))
    return line


def _media(device: Device, kind: str) -> dict[str, Any]:
    found = device.media.get(kind)
    return found if isinstance(found, dict) else {}


def _booted_before(site: Site) -> str:
    """The namespace whose console the first stage has: that of the last boot block before this one."""
    here = site.block.index if site.block is not None else 0
    booted = [block for block in site.job.blocks if block.section == "boot" and block.index < here]
    return booted[-1].connection_namespace if booted else ""

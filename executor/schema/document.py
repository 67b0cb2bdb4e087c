# SPDX-License-Identifier: Apache-2.0
"""The top level of a job file as a typed struct: the one place where its keys and their rules stand.

Blocks are typed by their methods; `timeouts` of the document is read by `executor.model.timeouts`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from executor.model.parameters import Flag, Scalar, Text, TimeoutValue
from executor.model.problem import Path, Problem
from executor.schema.words import nearest

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Variable = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", extra={"expected": "a name of letters, digits and _"}),
]

# Context keys of the field (spec: job-format §10). Templates may know more, so another key is no fault.
_CONTEXT = """
arch machine cpu memory model netdevice serial vga monitor no_kvm no_network extra_options boot_root
boot_console guestfs_size guestfs_interface guestfs_driveid
booti_kernel_addr booti_ramdisk_addr booti_dtb_addr bootm_kernel_addr bootm_ramdisk_addr bootm_dtb_addr
bootz_kernel_addr bootz_ramdisk_addr bootz_dtb_addr
console_device kernel_loglevel custom_kernel_args extra_kernel_args extra_nfsroot_args kernel_start_message
bootloader_prompt menu_interrupt_prompt mustang_menu_list tftp_mac_address uboot_altbank
uboot_needs_interrupt uboot_extra_error_message failure_retry boot_retry deploy_character_delay
boot_character_delay test_character_delay lava_test_results_dir
"""
CONTEXT_KEYS = frozenset(_CONTEXT.split())


class Visibility(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Who may see the job: members of these groups."""

    group: Annotated[list[Text], Meta(min_length=1, description="names of groups")]


class _Closed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base: other keys are refused."""


class Criteria(_Closed):
    """When to tell."""

    status: Annotated[
        Literal["all", "finished", "running", "complete", "canceled", "incomplete"],
        Meta(description="state or end of the job that is told"),
    ]
    type: Annotated[
        Literal["regression", "progression"] | None,
        Meta(description="only when it is worse, or better, than the job before"),
    ] = None
    dependency_query: Annotated[str | None, Meta(description="name of a stored query")] = None


class Address(_Closed):
    """Where to tell it."""

    method: Annotated[Literal["email", "irc"], Meta(description="by which way")]
    user: Annotated[str | None, Meta(description="a user of the master; in place of email or handle")] = None
    email: Annotated[str | None, Meta(description="address")] = None
    handle: Annotated[str | None, Meta(description="nick on IRC")] = None
    server: Annotated[str | None, Meta(description="IRC server")] = None


class Recipient(_Closed):
    """One addressee."""

    to: Annotated[Address, Meta(description="whom")]


class Callback(_Closed):
    """An HTTP request when the job ends."""

    url: Annotated[Text, Meta(description="where to")]
    method: Annotated[Literal["GET", "POST"], Meta(description="which request")] = "GET"
    token: Annotated[str | None, Meta(description="sent as Authorization, or in `header`")] = None
    header: Annotated[str | None, Meta(description="name of the header that carries the token")] = None
    dataset: Annotated[Literal["minimal", "logs", "results", "all"], Meta(description="what is sent")] = (
        "minimal"
    )
    content_type: Annotated[Literal["json", "urlencoded"], Meta(description="how it is sent")] = (
        msgspec.field(default="urlencoded", name="content-type")
    )


class Compare(_Closed):
    """What to compare with."""

    query: Annotated[dict[str, Any] | None, Meta(description="which earlier jobs")] = None
    blacklist: Annotated[list[str], Meta(description="test cases that are left out")] = []


class Notify(_Closed):
    """Who is told of the job's end (spec: job-format §11)."""

    criteria: Annotated[Criteria, Meta(description="when")]
    verbosity: Annotated[
        Literal["verbose", "quiet", "status-only"], Meta(description="how much a message says")
    ] = "quiet"
    recipients: Annotated[list[Recipient], Meta(description="by mail or IRC")] = []
    callback: Annotated[Callback | None, Meta(description="one HTTP request")] = None
    callbacks: Annotated[list[Callback], Meta(description="several HTTP requests")] = []
    compare: Annotated[Compare | None, Meta(description="with earlier jobs")] = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        if "callback" in data and "callbacks" in data:
            yield Problem("callback and callbacks exclude each other", path=(*path, "callback"))


class Xnbd(_Closed):
    """`lava-xnbd`: a port for the NBD server (spec: job-format §9)."""

    port: Annotated[
        Literal["auto"] | Annotated[int, Meta(ge=1, le=65535)],
        Meta(description="port of the server, auto takes a free one"),
    ]


class RoleDocument(_Closed):
    """A role of a multinode submission (spec: multinode §1)."""

    count: Annotated[int | None, Meta(description="jobs of this role; 1 by default")] = None
    device_type: Annotated[Name | None, Meta(description="which devices can run it")] = None
    connection: Annotated[Text | None, Meta(description="such as ssh: no device of its own")] = None
    host_role: Annotated[str | None, Meta(description="whose device a connection shares")] = None
    expect_role: Annotated[str | None, Meta(description="who sends the start signal")] = None
    request: Annotated[Literal["lava-start"] | None, Meta(description="start when told so")] = None
    essential: Annotated[Flag, Meta(description="the group ends when a job of this role fails")] = None
    timeout: Annotated[TimeoutValue | None, Meta(description="how long to wait for the start signal")] = None
    tags: Annotated[list[Text], Meta(description="its device must have all of them")] = []
    context: Annotated[dict[str, Any], Meta(description="beside the job's own")] = {}
    environment: Annotated[dict[Variable, Any], Meta(description="beside the job's own")] = {}
    device: Annotated[str | None, Meta(description="this device and no other")] = None
    worker: Annotated[str | None, Meta(description="a device of this worker")] = None


class MultinodeDocument(_Closed):
    """`lava-multinode` of a submission."""

    roles: Annotated[dict[Text, RoleDocument], Meta(min_length=1, description="what each member does")]
    timeout: Annotated[TimeoutValue | None, Meta(description="of each call of a test")] = None


class MemberDocument(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`lava-multinode` of one job of a group; further keys are copies from its role."""

    role: Annotated[Text, Meta(description="the one of this job")]
    target_group: Annotated[Text, Meta(description="id of the group")]
    group_size: Annotated[int, Meta(ge=1, description="members of the group")] = 1
    sub_id: Annotated[int, Meta(ge=0, description="number of this member")] = 0
    roles: Annotated[dict[str, str], Meta(description="member → role")] = {}
    request: Annotated[str | None, Meta(description="start when told so")] = None
    expect_role: Annotated[str | None, Meta(description="who sends the start signal")] = None
    essential: Annotated[Flag, Meta(description="the group ends when this job fails")] = None
    timeout: Annotated[TimeoutValue | None, Meta(description="of each call of a test")] = None
    start_timeout: Annotated[
        TimeoutValue | None, Meta(description="how long to wait for the start signal; else `timeout`")
    ] = None
    environment: Annotated[
        dict[Variable, Any], Meta(description="of the role; exported in the test shell")
    ] = {}


class JobDocument(_Closed):
    """A job (spec: job-format §1)."""

    job_name: Annotated[Name, Meta(description="for people")]
    actions: Annotated[list[Any], Meta(description="blocks, each a map with one key, in order of execution")]
    device_type: Annotated[Name | None, Meta(description="which devices can run it")] = None
    timeouts: Annotated[
        dict[str, Any], Meta(description="job, action, test, connection, actions, connections, queue")
    ] = {}
    visibility: Annotated[
        Literal["public", "personal"] | Visibility, Meta(description="who may see the job")
    ] = "public"
    priority: Annotated[
        Literal["low", "medium", "high"] | Annotated[int, Meta(ge=0, le=100)],
        Meta(description="higher ones are started first; low, medium, high are 0, 50, 100"),
    ] = "medium"
    context: Annotated[
        dict[Text, Scalar | list[Any] | dict[str, Any]],
        Meta(description="variables of the device type's template"),
    ] = {}
    environment: Annotated[
        dict[Variable, Scalar | list[Any] | dict[Any, Any]], Meta(description="exported in the test shell")
    ] = {}
    secrets: Annotated[
        dict[Variable, str | int | float], Meta(description="for the tests; masked wherever they would show")
    ] = {}
    metadata: Annotated[dict[str | int, Any], Meta(description="stored with the job, not interpreted")] = {}
    tags: Annotated[list[Text], Meta(description="the device must have all of them")] = []
    notify: Annotated[Notify | None, Meta(description="who is told of the end")] = None
    protocols: Annotated[dict[str, Any], Meta(description="lava-multinode, lava-xnbd")] = {}
    device: Annotated[Text | None, Meta(description="this device and no other")] = None
    worker: Annotated[Text | None, Meta(description="a device of this worker")] = None
    reboot_to_fastboot: Annotated[bool, Meta(description="Android: leave the device in fastboot")] = True
    compatibility: Annotated[int, Meta(ge=0, description="level that the executor must have")] = 0
    target: Annotated[Text | None, Meta(description="old: the device's name, in jobs of a group")] = None
    connection: Annotated[Any, Meta(description="found in jobs of a group, ignored")] = None
    host_role: Annotated[Any, Meta(description="found in jobs of a group, ignored")] = None
    role: Annotated[Any, Meta(description="found in jobs of a group, ignored")] = None
    target_group: Annotated[Any, Meta(description="found in jobs of a group, ignored")] = None
    group_size: Annotated[Any, Meta(description="found in jobs of a group, ignored")] = None
    sub_id: Annotated[Any, Meta(description="found in jobs of a group, ignored")] = None
    essential: Annotated[Any, Meta(description="found in jobs of a group, ignored")] = None
    roles: Annotated[Any, Meta(description="found in jobs of a group, ignored")] = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        for key in data.get("context", {}):
            near = "" if key in CONTEXT_KEYS else nearest(key, CONTEXT_KEYS)
            if near and _alike(str(key), near):
                yield Problem(
                    f"context key {key!r} is not one that is known",
                    path=(*path, "context", key),
                    near=near,
                    severity="warning",
                )


def _alike(word: str, known: str) -> bool:
    """Whether a slip of the pen is likely, and not just another variable of a template."""
    one, other = (re.sub(r"[-_]", "", text.lower()) for text in (word, known))
    if one == other or sorted(one) == sorted(other):
        return True
    return min(len(one), len(other)) >= 4 and bool(difflib.get_close_matches(one, [other], 1, 0.88))

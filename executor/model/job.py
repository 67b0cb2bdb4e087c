# SPDX-License-Identifier: Apache-2.0
"""A job as the program works with it: typed where it is interpreted, plain canonical data for the methods.

Made by `executor.schema.job.parse_job`; never changed afterwards.
"""

from __future__ import annotations

from typing import Any

import msgspec

from executor.model.parameters import (
    AutoLogin,
    BlockParameters,
    BootParameters,
    Compression,
    DeployParameters,
    OverlaySource,
    PersistentNfs,
    Resource,
    Timeout,
    TimeoutValue,
    TransferOverlay,
)
from executor.model.problem import Path
from executor.model.timeouts import JobTimeouts

__all__ = [
    "AutoLogin",
    "Block",
    "BlockParameters",
    "BootParameters",
    "Compression",
    "DeployParameters",
    "Job",
    "Member",
    "Multinode",
    "OverlaySource",
    "PersistentNfs",
    "Resource",
    "Role",
    "Timeout",
    "TimeoutValue",
    "TransferOverlay",
]

PRIORITIES = {"low": 0, "medium": 50, "high": 100}


class Block(msgspec.Struct, kw_only=True, frozen=True):
    """One deploy, boot, test or command block, after expansion of repeat blocks."""

    section: str  # deploy, boot, test or command
    index: int  # from 0, over all blocks
    parameters: dict[str, Any]  # canonical form; unknown keys still in it
    namespace: str = "common"
    path: Path = ()  # in the document, for positions
    iteration: int | None = None  # number of the copy, from 0, when it comes from a repeat block
    label: str = ""  # the block's `name`; a test block without one is "test N", N from 1

    @property
    def connection_namespace(self) -> str:
        """The namespace whose console the block uses."""
        return str(self.parameters.get("connection-namespace") or self.namespace)


class Role(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One role of a multinode submission (spec: multinode §1). `timeout` in seconds."""

    name: str
    count: int = 1
    device_type: str | None = None
    connection: str | None = None
    host_role: str | None = None
    expect_role: str | None = None
    request: str | None = None
    essential: bool = False
    timeout: int | None = None
    tags: list[str] = []
    context: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    device: str | None = None
    worker: str | None = None


class Multinode(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """`protocols.lava-multinode` of a submission, before it is split. `timeout` in seconds."""

    roles: dict[str, Role]
    timeout: int | None = None


class Member(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """`protocols.lava-multinode` of one job of a group (spec: multinode §2). `timeout` in seconds."""

    role: str
    target_group: str = ""
    group_size: int = 1
    sub_id: int = 0
    roles: dict[str, str] = {}  # job id -> role
    request: str | None = None
    expect_role: str | None = None
    essential: bool = False
    timeout: int | None = None
    start_timeout: int | None = None  # how long to wait for the start signal, where it has its own limit


class Job(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A job definition (spec: job-format §1)."""

    job_name: str
    device_type: str | None = None
    target: str | None = None  # device name, in old sub-jobs
    timeouts: JobTimeouts = msgspec.field(default_factory=JobTimeouts)
    visibility: str | dict[str, list[str]] = "public"  # public, personal, or {group: [names]}
    priority: int = 50  # 0..100
    blocks: list[Block] = []
    context: dict[str, Any] = {}
    environment: dict[str, Any] = {}  # nested maps and lists are flattened with _ when exported
    secrets: dict[str, str] = {}
    metadata: dict[Any, Any] = {}
    tags: list[str] = []
    notify: dict[str, Any] | None = None
    protocols: dict[str, Any] = {}
    device: str | None = None
    worker: str | None = None
    multinode: Multinode | None = None  # a submission for several devices
    member: Member | None = None  # one job out of such a submission
    compatibility: int = 0
    reboot_to_fastboot: bool = True
    strict: bool = True  # unknown keys are errors
    raw: dict[str, Any] = {}  # the whole document in canonical form

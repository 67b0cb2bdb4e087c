# SPDX-License-Identifier: Apache-2.0
"""What the runner is told beside job and device: /job/worker.yaml (spec: device-config §7)."""

from __future__ import annotations

from typing import Any

import msgspec


class Limits(msgspec.Struct, omit_defaults=True):
    """Bounds of one job, set by the admin. Sizes in bytes, times in seconds."""

    journal_bytes: int = 1 << 30
    work_bytes: int = 64 << 30
    attachment_bytes: int = 25 << 20
    download_bytes: int = 32 << 30
    tftp_file_bytes: int = 4 << 30
    cleanup_seconds: int = 300


class Worker(msgspec.Struct, omit_defaults=True):
    """Facts of the worker and the identity of the run."""

    job_id: str
    worker: str = ""
    submitter: str = ""
    dispatcher_ip: str = ""
    http_ip: str = ""
    nfs_ip: str = ""
    tftp_ip: str = ""
    prefix: str = ""
    http_cache: str = ""
    accelerator: str = "tcg"  # kvm or tcg
    accelerator_reason: str = ""
    image: str = ""
    image_digest: str = ""
    container: str = ""
    attempt_of: str = ""
    environment: dict[str, str] = {}  # env-dut: exported to the device's shell
    limits: Limits = msgspec.field(default_factory=Limits)
    replace: dict[str, str] = {}  # artefact label -> container path (`--set kernel=…`)
    pinned: dict[str, Any] = {}  # reproduce: url -> what was used the first time
    secret_names: list[str] = []  # of all the job's secrets, those that came beside its text included
    strict: bool = True

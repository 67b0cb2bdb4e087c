# SPDX-License-Identifier: Apache-2.0
"""The variables that a device's shell sees, in the order in which later ones win (spec: test-shell §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.job import Job
    from executor.model.worker import Worker


def test_environment(job: Job, device: Device, worker: Worker) -> list[tuple[str, str]]:
    """Pairs for `R/environment`; a name may occur more than once, the last one wins."""
    pairs: list[tuple[str, str]] = []
    pairs += _flatten("", device.environment)
    for prefix, entries in (
        ("LAVA_DEVICE_INFO", device.device_info),
        ("LAVA_STATIC_INFO", device.static_info),
        ("LAVA_STORAGE_INFO", device.storage_info),
    ):
        for number, entry in enumerate(entries):
            pairs += _flatten(f"{prefix}_{number}", entry)
    pairs += _flatten("", job.environment)
    pairs += [
        ("LAVA_JOB_ID", worker.job_id),
        ("LAVA_DISPATCHER_IP", worker.dispatcher_ip),
        ("LAVA_JOB_TAGS", ",".join(job.tags)),
        ("LAVA_DISPATCHER_PREFIX", worker.prefix),
    ]
    if device.hostname:
        pairs.append(("LAVA_DEVICE_HOSTNAME", device.hostname))
    if kind := device.device_type or job.device_type:
        pairs.append(("LAVA_DEVICE_TYPE", kind))
    if worker.http_cache:
        pairs.append(("HTTP_CACHE", worker.http_cache))
    return pairs


def _flatten(prefix: str, value: Any) -> list[tuple[str, str]]:
    """Nested maps and lists joined with `_`; booleans as 1 and 0."""
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flatten(_join(prefix, key), inner)]
    if isinstance(value, list | tuple):
        return [pair for key, inner in enumerate(value) for pair in _flatten(_join(prefix, key), inner)]
    if value is None:
        return []
    if isinstance(value, bool):
        value = int(value)
    return [(prefix, str(value))]


def _join(prefix: str, key: object) -> str:
    return f"{prefix}_{key}" if prefix else str(key)

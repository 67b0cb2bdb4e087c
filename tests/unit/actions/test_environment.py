# SPDX-License-Identifier: Apache-2.0
"""The variables of the test shell: which there are, and which wins."""

from __future__ import annotations

from executor.actions.environment import test_environment as environment
from executor.model.device import Device
from executor.model.job import Job
from executor.model.worker import Worker


def variables(job: Job | None = None, device: Device | None = None, **worker: str) -> dict[str, str]:
    """The last assignment of each name wins, as in a shell."""
    return dict(environment(job or Job(job_name="t"), device or Device(), Worker("42", **worker)))  # type: ignore[arg-type]


def test_facts_of_job_device_and_worker() -> None:
    device = Device(hostname="q1", device_type="qemu")
    found = variables(
        Job(job_name="t", tags=["usb", "hdmi"]),
        device,
        dispatcher_ip="10.0.0.1",
        prefix="lab-",
        http_cache="http://c/%s",
    )
    assert found == {
        "LAVA_JOB_ID": "42",
        "LAVA_DISPATCHER_IP": "10.0.0.1",
        "LAVA_JOB_TAGS": "usb,hdmi",
        "LAVA_DISPATCHER_PREFIX": "lab-",
        "LAVA_DEVICE_HOSTNAME": "q1",
        "LAVA_DEVICE_TYPE": "qemu",
        "HTTP_CACHE": "http://c/%s",
    }


def test_the_jobs_device_type_serves_where_the_device_has_none() -> None:
    assert variables(Job(job_name="t", device_type="kvm"))["LAVA_DEVICE_TYPE"] == "kvm"
    assert "LAVA_DEVICE_TYPE" not in variables()
    assert "LAVA_DEVICE_HOSTNAME" not in variables()


def test_lists_of_the_device_are_numbered() -> None:
    device = Device(
        device_info=[{"board_id": "a"}, {"board_id": "b", "wait_device_board_id": True}],
        static_info=[{"host": "h"}],
        storage_info=[{"SATA": "/dev/disk/by-id/x"}],
    )
    found = variables(device=device)
    assert found["LAVA_DEVICE_INFO_0_board_id"] == "a"
    assert found["LAVA_DEVICE_INFO_1_wait_device_board_id"] == "1"
    assert found["LAVA_STATIC_INFO_0_host"] == "h"
    assert found["LAVA_STORAGE_INFO_0_SATA"] == "/dev/disk/by-id/x"


def test_the_job_wins_over_the_device_and_nesting_is_flattened() -> None:
    device = Device(environment={"A": "device", "B": {"C": [1, {"D": False}], "E": None}})
    found = variables(Job(job_name="t", environment={"A": "job", "N": {"x": 1.5}}), device)
    assert found["A"] == "job"
    assert (found["B_C_0"], found["B_C_1_D"], found["N_x"]) == ("1", "0", "1.5")
    assert "B_E" not in found


def test_a_job_cannot_forge_its_number() -> None:
    assert variables(Job(job_name="t", environment={"LAVA_JOB_ID": "1"}))["LAVA_JOB_ID"] == "42"

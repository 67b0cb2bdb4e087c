# SPDX-License-Identifier: Apache-2.0
"""What the operating system of a deployment means for the test shell (spec: job-format §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.job import Job


class Deployment(msgspec.Struct, frozen=True):
    """Shell and places on the device. `results_dir` holds %s for the job id; `shell_file` may be ""."""

    shell: str = "/bin/sh"
    results_dir: str = "/lava-%s"
    shell_file: str = "~/.bashrc"
    line_separator: str = "\n"


_BASH = Deployment("/bin/bash")
_SH = Deployment("/bin/sh")

DEPLOYMENTS: dict[str, Deployment] = {
    "android": Deployment("/system/bin/sh", "/data/local/tmp/lava-%s", ""),
    "apertis": Deployment("/bin/sh", "/var/lib/lava-%s"),
    "archlinux": _BASH,
    "centos": _BASH,
    "centos_installer": _BASH,
    "debian": _BASH,
    "debian_installer": _BASH,
    "fedora": _BASH,
    "lede": Deployment("/bin/sh", "/tmp/lava-results-%s", ""),  # noqa: S108
    "oe": _SH,
    "qnx": _SH,
    "slackware": _BASH,
    "ubuntu": _SH,
}


def deployment(os: str | None, device: Device, job: Job) -> Deployment:
    """For `os`, or the device's `constants.posix` when it is not said or not known.

    The job's context wins over both, as for every constant (spec: device-config §5).
    """
    known = DEPLOYMENTS.get(os or "")
    if known is None:
        known = Deployment(
            shell=str(device.constant("lava_test_sh_cmd", prefix="posix")),
            results_dir=str(device.constant("lava_test_results_dir", prefix="posix")),
            shell_file=str(device.constant("lava_test_shell_file", prefix="posix", default="") or ""),
        )
    context = job.context
    return msgspec.structs.replace(
        known,
        shell=str(context.get("lava_test_sh_cmd") or known.shell),
        results_dir=str(context.get("lava_test_results_dir") or known.results_dir),
        shell_file=str(context.get("lava_test_shell_file") or known.shell_file),
    )

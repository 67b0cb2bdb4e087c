# SPDX-License-Identifier: Apache-2.0
"""A QEMU job and a device that fit together, in pieces to be put together anew; each call gives new data."""

from __future__ import annotations

import copy
from typing import Any

import yaml

_QEMU: dict[str, Any] = {
    "hostname": "qemu-01",
    "device_type": "qemu",
    "available_architectures": ["amd64", "arm64"],
    "actions": {
        "deploy": {
            "methods": {
                "image": {"parameters": {"guest": {"size": 64, "interface": "virtio", "driveid": "lavatest"}}}
            }
        },
        "boot": {
            "methods": {
                "qemu": {"parameters": {"command": "qemu-system-x86_64", "options": ["-m 512", "-nic none"]}}
            }
        },
    },
    "constants": {},
    "parameters": {},
}
_DEPLOY: dict[str, Any] = {
    "to": "tmpfs",
    "os": "debian",
    "images": {"rootfs": {"url": "http://h/r.img", "image_arg": "-drive format=raw,file={rootfs}"}},
}
_BOOT: dict[str, Any] = {"method": "qemu", "prompts": ["root@debian:"]}


def job(*blocks: dict[str, Any], **keys: Any) -> str:
    """The text of a job with these blocks, by default one of each kind; `keys` are top-level keys."""
    given = {"job_name": "t", "device_type": "qemu", "timeouts": {"job": {"minutes": 10}}, **keys}
    return yaml.safe_dump({**given, "actions": list(blocks or (deploy(), boot(), shell_test()))})


def device(**keys: Any) -> dict[str, Any]:
    """A rendered QEMU device; `keys` replace its top-level keys."""
    return {**copy.deepcopy(_QEMU), **keys}


def deploy(**keys: Any) -> dict[str, Any]:
    """`to: tmpfs` with one disk."""
    return {"deploy": {**copy.deepcopy(_DEPLOY), **keys}}


def boot(**keys: Any) -> dict[str, Any]:
    """`method: qemu` with a prompt."""
    return {"boot": {**copy.deepcopy(_BOOT), **keys}}


def shell_test(*names: str, **keys: Any) -> dict[str, Any]:
    """A test block with one inline definition a name."""
    return {"test": {"definitions": [definition(name) for name in names or ("smoke",)], **keys}}


def definition(name: str = "smoke", **keys: Any) -> dict[str, Any]:
    """An inline definition with one step."""
    metadata = {"format": "Lava-Test Test Definition 1.0", "name": name}
    return {
        "from": "inline",
        "name": name,
        "path": f"inline/{name}.yaml",
        "repository": {"metadata": metadata, "run": {"steps": ["true"]}},
        **keys,
    }

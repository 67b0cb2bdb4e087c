# SPDX-License-Identifier: Apache-2.0
"""Job definitions for the tests: the examples as they are, and variations of the quickest of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from executor.schema.files import absolute_urls
from tests.e2e.farm import EXAMPLES


def example(name: str) -> Path:
    """The file of an example."""
    return EXAMPLES / f"{name}.yaml"


def load(name: str) -> dict[str, Any]:
    """An example as data, with absolute URLs, to be varied."""
    path = example(name)
    data: dict[str, Any] = yaml.safe_load(absolute_urls(path.read_text(encoding="utf-8"), path.parent))
    return data


def absolute(text: str) -> str:
    """The text of an example for another place than theirs."""
    return absolute_urls(text, EXAMPLES)


def text(data: dict[str, Any]) -> str:
    return str(yaml.safe_dump(data, sort_keys=False))


def busybox(*steps: str, **more: Any) -> str:
    """A busybox guest that runs `steps`; `more` are keys of the job."""
    data = load("ramdisk-busybox")
    block(data, "test")["definitions"][0]["repository"]["run"]["steps"] = list(steps)
    return text({**data, **more})


def lines(count: int, pause: float = 0.04) -> str:
    """A step that prints numbered lines, slowly."""
    return f"n=0; while [ $n -lt {count} ]; do echo numbered line $n of it; n=$((n+1)); sleep {pause}; done"


def refused(**more: Any) -> str:
    """A job that a container runs for, without a guest: over in a second or two (exit code 2)."""
    return text({**load("bad-checksum"), **more})


def downloading(url: str) -> str:
    """A job whose kernel comes from `url`."""
    data = load("ramdisk-busybox")
    block(data, "deploy")["images"]["kernel"]["url"] = url
    return text(data)


def block(data: dict[str, Any], section: str) -> dict[str, Any]:
    """The first block of a section."""
    found: dict[str, Any] = next(action[section] for action in data["actions"] if section in action)
    return found

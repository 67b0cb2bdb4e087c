# SPDX-License-Identifier: Apache-2.0
"""Container images in and out of a bundle, by their digest: a name could mean another image elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from executor.errors import InfrastructureError

_SECONDS = 600


class Images(Protocol):
    """Saving and loading; faked in tests."""

    def save(self, digest: str) -> Iterator[bytes]:
        """The image as `docker save` writes it."""

    def load(self, file: Path) -> None:
        """The reverse."""

    def tag(self, digest: str, repository: str, tag: str) -> None:
        """Give it a name, so that a clean-up of nameless images leaves it."""


class DockerImages:
    """Through the engine that DOCKER_HOST names."""

    def __init__(self) -> None:
        from docker.api.client import APIClient
        from docker.errors import DockerException

        try:
            self._api = APIClient(
                base_url=os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock", timeout=_SECONDS
            )
        except DockerException as error:
            raise InfrastructureError(f"the container engine cannot be used: {error}") from None

    def save(self, digest: str) -> Iterator[bytes]:
        """See Images."""
        from docker.errors import APIError

        try:
            yield from self._api.get_image(digest)
        except (APIError, OSError) as error:
            raise InfrastructureError(f"the image {digest} cannot be saved: {error}") from None

    def load(self, file: Path) -> None:
        """See Images."""
        from docker.errors import APIError

        try:
            with file.open("rb") as stream:
                for event in self._api.load_image(stream):  # type: ignore[no-untyped-call]
                    if "error" in event:
                        raise InfrastructureError(f"the engine does not take the image: {event['error']}")
        except (APIError, OSError) as error:
            raise InfrastructureError(f"the engine does not take the image: {error}") from None

    def tag(self, digest: str, repository: str, tag: str) -> None:
        """See Images."""
        from docker.errors import APIError

        try:
            self._api.tag(digest, repository, tag)
        except (APIError, OSError) as error:
            raise InfrastructureError(f"the image {digest} cannot be given a name: {error}") from None

# SPDX-License-Identifier: Apache-2.0
"""What jobs ask containers for, and the actions that would run in one.

A job never reaches the engine: containers beside its own are started by the worker's agent, from images that
the admin allows (design §9, Docker-using tests). No agent does that yet, so a job that needs one is refused
at validation, before a device is touched; planned it can be all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from executor.errors import ConfigurationError
from executor.model.parameters import Text
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.model.problem import Problem
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_HINT = "`lava-exec validate --offline` shows what would run"

ImageName = Annotated[
    str,
    Meta(
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$",
        extra={"expected": "the name of an image, such as debian:bookworm"},
    ),
]


class Login(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to log in to a registry (spec: job-format §5)."""

    registry: Annotated[Text, Meta(description="its address")]
    user: Annotated[Text, Meta(description="name of the account")]
    password: Annotated[Text, Meta(description="password or token of the account")]


class _Container(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Keys of every container that a job asks for."""

    local: Annotated[bool, Meta(description="the image is on the worker, it is not pulled")] = False
    container_name: Annotated[ImageName | None, Meta(description="name of the container")] = None
    network_from: Annotated[Text | None, Meta(description="namespace whose container lends its network")] = (
        None
    )
    login: Annotated[Login | None, Meta(description="log in to the registry first")] = None


class Container(_Container, kw_only=True):
    """`docker` of a block: the image in which its tools or its tests run."""

    image: Annotated[ImageName, Meta(description="image, with its tag")]


class NamedImage(_Container, kw_only=True):
    """`image` of `to: docker` as a map."""

    name: Annotated[ImageName, Meta(description="image, with its tag")]


class ContainerAction(Action):
    """An action whose work is done in a container of its own."""

    def validate(self, world: World) -> Iterable[Problem]:
        if reason := world.containers():
            yield self.problem(reason, hint=_HINT, error_type="Configuration")

    def run(self, run: Run) -> None:
        raise ConfigurationError(f"{self.name}: this worker cannot start containers for jobs", _HINT)

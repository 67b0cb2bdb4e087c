# SPDX-License-Identifier: Apache-2.0
"""`services`: compose files that are started on the worker and stay until the job ends (spec: job-format §7).

The admin allows them device by device: such containers are not held to what a job may have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.containers import ContainerAction
from executor.actions.download import DownloadRetry
from executor.actions.gitclone import check_url
from executor.actions.test.flavours import other_than
from executor.actions.vcs import check_word
from executor.errors import JobError, TestError
from executor.model.job import BlockParameters, Resource
from executor.model.testblocks import Service
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.problem import Problem
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.world import World


class ServicesParameters(BlockParameters, kw_only=True):
    """`services`"""

    services: Annotated[list[Service], Meta(min_length=1, description="compose files, started in order")]


@method("test")
class Services(Method):
    """Start services on the worker."""

    name = "services"
    summary = "compose files on the worker"
    Parameters = ServicesParameters
    needs_overlay = False
    needs_shell = False

    @classmethod
    def accepts(cls, request: Request) -> str:
        return other_than("services", request.parameters)

    @classmethod
    def action(cls, request: Request) -> Action:
        return TestServices(cast("ServicesParameters", request.typed), request.device)


class TestServices(Action):
    """All services of the block."""

    __test__ = False
    name = "lava-test-services"
    summary = "start test services"
    description = "start the block's compose files on the worker"
    timeout_error = TestError

    def __init__(self, parameters: ServicesParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        for number, service in enumerate(self.parameters.services):
            yield TestServiceRetry(service, number)

    def validate(self, world: World) -> Iterable[Problem]:
        if self.device.parameters.get("allow_test_services") is not True:
            yield self.problem(
                "this device does not allow services on its worker",
                "services",
                hint="an admin can: parameters.allow_test_services: true in the device file",
            )


class TestServiceRetry(RetryAction):
    """One service, tried again as a whole."""

    __test__ = False
    name = "lava-test-service-retry"
    summary = "start a service with retry"
    description = "start one compose file, with retry"
    timeout_error = TestError

    def __init__(self, service: Service, number: int) -> None:
        self.service, self.number = service, number

    @property
    def label(self) -> str:
        return self.service.name

    def plan(self, site: Site) -> Iterable[Action]:
        yield TestService(self.service, self.number)


class TestService(ContainerAction):
    """Get the compose file, start what it says."""

    __test__ = False
    name = "lava-test-service"
    summary = "start a service"
    description = "get one compose file and start it"
    timeout_error = TestError

    def __init__(self, service: Service, number: int) -> None:
        self.service, self.number = service, number

    @property
    def label(self) -> str:
        return self.service.name

    def plan(self, site: Site) -> Iterable[Action]:
        if self.service.from_ == "url":
            resource = Resource(
                url=self.service.repository,
                compression=self.service.compression,
                headers=self.service.headers,
                archive="tar",
            )
            yield DownloadRetry(self.service.name, resource, ("services", self.number))

    def validate(self, world: World) -> Iterable[Problem]:
        yield from super().validate(world)
        service, place = self.service, ("services", self.number)
        if service.path.startswith("/") or ".." in service.path.split("/"):
            yield self.problem(f"{service.name}: path {service.path!r} leads out of the repository", *place)
        if service.from_ != "git":
            return
        for key in ("repository", "branch", "revision"):
            value = str(getattr(service, key) or "")
            try:
                check_url(value) if key == "repository" else check_word(value, key)
            except JobError as error:
                yield self.problem(f"{service.name}: {error.message}", *place, key, hint=error.hint)

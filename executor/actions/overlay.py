# SPDX-License-Identifier: Apache-2.0
"""`lava-overlay`: the tarball with helpers and test definitions that goes onto the device (spec: test-shell
§2).

It is built once for all test blocks of a namespace and kept with the job; how it reaches the device is the
deploy's affair.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from executor.actions.definition import Definition
from executor.actions.environment import test_environment
from executor.actions.origin import repository_action
from executor.actions.repositories import bring
from executor.actions.vcs import without_password
from executor.errors import InfrastructureError, JobError, TestError
from executor.model.deployment import DEPLOYMENTS, deployment
from executor.model.launch import Needs
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.problem import Problem
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


_LONGEST_URL = 2000  # characters


def definitions_of(site: Site) -> list[tuple[int, list[Definition]]]:
    """(stage, definitions) of every test block of this namespace that needs an overlay."""
    found = []
    for test in site.tests:
        if test.stage < 0:
            continue
        first = test.first_definition
        given = [
            Definition(first + n, d, test.block, n, test.first_suite + n)
            for n, d in enumerate(test.definitions)
        ]
        found.append((test.stage, given))
    return found


class LavaOverlay(Action):
    """Helpers, definitions, tarball."""

    name = "lava-overlay"
    summary = "overlay the test shell"
    description = "make the tarball that brings helpers and test definitions to the device"

    def __init__(self, os: str | None, *, compress: bool = True) -> None:
        self.os = os
        self.compress = compress  # a container gets the directory itself
        self.wanted = True  # some deployments have this action even where there is no test

    def plan(self, site: Site) -> Iterable[Action]:
        self.wanted = bool(definitions_of(site))
        if not self.wanted:
            return
        if "ssh" in site.device.deploy_methods:
            yield SshAuthorize()
        yield MultinodeOverlay()
        yield Definitions()
        if self.compress:
            yield CompressOverlay(self.os)

    def validate(self, world: World) -> Iterable[Problem]:
        if self.os in DEPLOYMENTS or not self.wanted:
            return
        said = f"os {self.os!r} is not known" if self.os else "no 'os' in the deploy block"
        near = difflib.get_close_matches(self.os or "", DEPLOYMENTS, 1)
        problem = self.problem(f"{said}: the device's shell and directories are taken", severity="warning")
        yield msgspec.structs.replace(problem, near=near[0] if near else "")

    def run(self, run: Run) -> None:
        """Decide shell and results directory for the namespace (spec: job-format §5)."""
        context, namespace = run.context, run.namespace
        data = deployment(self.os, context.device, context.job)
        if "%s" not in data.results_dir:
            raise JobError(f"results directory {data.results_dir!r} has no %s for the job id")
        namespace.results_dir = data.results_dir.replace("%s", context.worker.job_id)
        namespace.shell = data.shell
        namespace.shell_file = data.shell_file


class CreateOverlay(LavaOverlay):
    """The same for one block of its own, such as a test in a container."""

    name = "lava-create-overlay"

    def validate(self, world: World) -> Iterable[Problem]:
        return ()


class SshAuthorize(Action):
    """Put the device's public key beside the overlay, so that a later ssh boot is let in."""

    name = "ssh-authorize"
    summary = "authorise ssh"
    description = "authorise the key that the device file names"

    def run(self, run: Run) -> None:
        if self.block is None or self.block.parameters.get("authorize") != "ssh":
            return
        from executor.actions.sshclient import public_key
        from executor.testshell.archive import Archive

        path = run.context.work / f"authorized-{self.level}.tar.gz"
        with Archive(path) as archive:
            archive.directory("/root", 0o700)
            archive.directory("/root/.ssh", 0o700)
            archive.file("/root/.ssh/authorized_keys", public_key(run.context.device), 0o600)
        run.namespace.overlay_authorized = path


class MultinodeOverlay(Action):
    """The multinode helpers; nothing to do for a job without a group."""

    name = "lava-multinode-overlay"
    summary = "overlay the multinode helpers"
    description = "add the helpers that talk to the other members of the group"


class Definitions(Action):
    """One quartet of actions a definition."""

    name = "test-definition"
    summary = "load test definitions"
    description = "get the test definitions and make their scripts"

    def plan(self, site: Site) -> Iterable[Action]:
        for _, definitions in definitions_of(site):
            for definition in definitions:
                yield repository_action(definition)
                yield DefinitionOverlay(definition)
                yield DefinitionInstall(definition)
                yield DefinitionRunscript(definition)


class _OfDefinition(Action):
    def __init__(self, definition: Definition) -> None:
        self.definition = definition

    @property
    def label(self) -> str:
        return self.definition.name


class DefinitionOverlay(_OfDefinition):
    """Read the definition's YAML."""

    name = "test-overlay"
    summary = "overlay a test definition"
    description = "read the definition's YAML file"

    def run(self, run: Run) -> None:
        from executor.testshell.definition import read_definition
        from executor.testshell.placed import PlacedDefinition

        wanted, namespace = self.definition, run.namespace
        source = namespace.sources[wanted.index]
        file = (source.directory / wanted.path).resolve()
        if not file.is_relative_to(source.directory.resolve()):
            raise JobError(f"{wanted.name}: path {wanted.path!r} leads out of the repository")
        if not file.is_file():
            raise JobError(
                f"{wanted.name}: no file {wanted.path!r} in {_shown(wanted)}",
                "`path` names the YAML file inside the repository",
            )
        parsed = read_definition(file, f"{wanted.name}:{wanted.path}")
        namespace.definitions[wanted.index] = PlacedDefinition(
            index=wanted.suite,
            name=wanted.name or parsed.name,
            uuid=source.uuid,
            source_dir=source.directory,
            definition=parsed,
            parameters=wanted.parameters,
            skip_install=wanted.skip_install,
            lava_signal=wanted.lava_signal,
            repository=_shown(wanted),
            revision=wanted.revision,
            commit_id=source.commit_id,
            path=wanted.path,
            from_=wanted.origin,
            expected=wanted.expected,
        )
        run.results |= {
            "uuid": source.uuid,
            "name": wanted.name or parsed.name,
            "path": wanted.path,
            "from": wanted.origin,
        }


def _shown(wanted: Definition) -> str:
    """The repository for people and results: no password, no archive that stands in the job."""
    text = without_password(wanted.repository_text)
    return text if len(text) <= _LONGEST_URL else f"{text[:_LONGEST_URL]}…"


class DefinitionInstall(_OfDefinition):
    """Get what `install: git-repos` and `bzr-repos` name into the definition's directory."""

    name = "test-install-overlay"
    summary = "overlay the install script"
    description = "make install.sh and get what it needs from version control"
    timeout_error = InfrastructureError

    def needs(self) -> Needs:
        return Needs(network="bridge", tools=frozenset({"git"})) if self.definition.may_clone else Needs()

    def run(self, run: Run) -> None:
        index = self.definition.index
        placed, directory = run.namespace.definitions[index], run.namespace.sources[index].directory
        brought = bring(placed, directory, run)
        if brought:
            run.results["repositories"] = brought


class DefinitionRunscript(_OfDefinition):
    """See that the steps can be turned into run.sh at all."""

    name = "test-runscript-overlay"
    summary = "overlay the run script"
    description = "make run.sh from the definition's steps"

    def run(self, run: Run) -> None:
        placed = run.namespace.definitions[self.definition.index]
        if not placed.definition.run_steps:
            raise TestError(f"{placed.name}: no run steps")


class CompressOverlay(Action):
    """Write the tarball; the secrets go into a second one that is not kept (design §9, Secrets)."""

    name = "compress-overlay"
    summary = "compress the overlay"
    description = "write the overlay tarball and keep it with the job"

    def __init__(self, os: str | None) -> None:
        self.os = os
        self.stages: list[tuple[int, list[Definition]]] = []

    def plan(self, site: Site) -> Iterable[Action]:
        self.stages = definitions_of(site)
        return ()

    def run(self, run: Run) -> None:
        from executor.testshell.overlay import OverlayInput, Stage, build_overlay

        context, namespace = run.context, run.namespace
        placed = namespace.definitions
        stages = [Stage(index=n, definitions=[placed[d.index] for d in given]) for n, given in self.stages]
        secrets = {**context.worker.environment, **context.secrets}  # spec: test-shell §2, `R/secrets`
        built = build_overlay(
            OverlayInput(
                job_id=context.worker.job_id,
                results_dir=namespace.results_dir,
                sh=namespace.shell,
                distro=self.os or "",
                environment=test_environment(context.job, context.device, context.worker),
                secrets={k: str(v) for k, v in secrets.items()},
                stages=stages,
                character_delay=context.device.character_delay("test"),
                target=_target(context.device),
                storage=[(str(k), str(v)) for entry in context.device.storage_info for k, v in entry.items()],
            ),
            context.out / f"overlay-{self.level}.tar.gz",
            context.work / f"overlay-secrets-{self.level}.tar.gz",
        )
        namespace.overlay, namespace.overlay_secrets = built.path, built.secrets_path
        run.log.info(f"overlay: {built.path.name}, {built.files} files, {built.size} bytes")
        run.results |= {"overlay": built.path.name, "size": built.size}


def _target(device: Device) -> dict[str, str]:
    """What lava-target-ip and its like print (spec: device-config §1, §4)."""
    interfaces = device.parameters.get("interfaces") or {}
    target = interfaces.get("target") or {}
    found = {"target-ip": target.get("ip"), "target-mac": target.get("mac")}
    for entry in device.static_info:
        found |= {key.replace("_", "-"): entry[key] for key in ("probe_ip", "probe_channel") if key in entry}
    return {key: str(value) for key, value in found.items() if value}

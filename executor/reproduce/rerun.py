# SPDX-License-Identifier: Apache-2.0
"""From an earlier run to a new one: the same launch spec and image digest, the same bytes for each artefact.

Only what is bound to the host is taken from this one: user, KVM, proxies, CA bundle, memory.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from executor.container.engine import Engine
from executor.container.jobdir import JobDirectory
from executor.container.launch import NODES, relabel
from executor.container.session import Launch
from executor.container.store import Meta, Store
from executor.errors import ConfigurationError, InfrastructureError, UsageError
from executor.model.deadline import Deadline
from executor.model.launch import HostFacts, LaunchSpec
from executor.reproduce.images import Images
from executor.reproduce.manifest import IMAGE
from executor.reproduce.source import Original, pinned_sources

_CA = "/job/ca.crt"
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE")


class Rerun(msgspec.Struct):
    """What a session is started with. `notes`: in what it differs from the original."""

    launch: Launch
    spec: LaunchSpec
    notes: list[str]


def prepare(
    original: Original,
    *,
    job_id: str,
    facts: HostFacts,
    state: Path,
    replace: Mapping[str, Path] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Rerun:
    """A pure function of the earlier run's files and this host's facts.

    `replace`: artefact label -> file of this host. Raises UsageError for an unknown label or a missing
    secret, ConfigurationError where this host's engine cannot hold what the spec promises.
    """
    replace = {label: path.absolute() for label, path in (replace or {}).items()}
    check_labels(replace, [artefact.label for artefact in original.artefacts])
    given = dict(secrets or {})
    lacking = [name for name in original.secret_names if name not in given]
    if lacking:
        raise UsageError(
            f"the job had secrets that are not kept: {', '.join(lacking)}",
            f"Give each with --secret {lacking[0]}=@FILE.",
        )
    spec, notes = adapt(relabel(original.spec, job_id, "", str(state)), facts)
    notes += [f"{label} is {path} instead of what the job names" for label, path in replace.items()]
    kvm = any(node.target == NODES["kvm"] for node in spec.nodes)
    worker = msgspec.structs.replace(
        original.worker,
        job_id=job_id,
        attempt_of=original.job_id,
        accelerator="kvm" if kvm else "tcg",
        accelerator_reason=original.worker.accelerator_reason if kvm else facts.kvm_reason,
        replace={label: str(path) for label, path in replace.items()},
        pinned=dict(pinned_sources(original)),
    )
    launch = Launch(
        text=original.text,
        device=original.device,
        worker=worker,
        device_name=lock_name(original.device),
        secrets=given,
        files=[*replace.values(), *local_files(original)],
        fixed=original.artefacts,
    )
    return Rerun(launch, spec, notes)


def local_files(original: Original) -> list[Path]:
    """Files of this host that the job named; they are taken only when they have the hash of the first run."""
    urls = [urlsplit(artefact.url) for artefact in original.artefacts]
    return [Path(unquote(url.path)) for url in urls if url.scheme == "file"]


def adapt(spec: LaunchSpec, facts: HostFacts) -> tuple[LaunchSpec, list[str]]:
    """The spec for this host, and what had to be changed about it."""
    notes: list[str] = []
    if spec.device_rules and not facts.device_rules:
        raise ConfigurationError(
            f"{facts.engine} {facts.engine_version} does not keep a container from other devices",
            "Use a Docker engine for jobs that need device nodes.",
        )
    nodes, groups = list(spec.nodes), [g for g in spec.groups if g != spec.facts.kvm_gid]
    if any(node.target == NODES["kvm"] for node in nodes):
        if facts.kvm:
            groups += [facts.kvm_gid] if facts.kvm_gid >= 0 else []
        else:
            nodes = [node for node in nodes if node.target != NODES["kvm"]]
            notes.append(f"the original ran with KVM, this host cannot: {facts.kvm_reason or 'no /dev/kvm'}")
    memory = min(spec.memory_mib, facts.memory_mib) if facts.memory_mib else spec.memory_mib
    if memory < spec.memory_mib:
        notes.append(f"the original had {spec.memory_mib} MiB of memory, this host has {memory} MiB")
    cpus = min(spec.cpus, float(facts.cpus)) if facts.cpus else spec.cpus
    environment = {k: v for k, v in spec.environment.items() if k not in spec.facts.http_proxy and v != _CA}
    environment |= facts.http_proxy
    if facts.ca_bundle:
        environment |= dict.fromkeys(_CA_VARIABLES, _CA)
    adapted = msgspec.structs.replace(
        spec,
        user=f"{facts.uid}:{facts.gid}",
        nodes=nodes,
        groups=groups,
        memory_mib=memory,
        cpus=cpus,
        environment=environment,
        facts=facts,
    )
    return adapted, notes


def bring_sources(original: Original, directory: JobDirectory) -> None:
    """Put the kept repositories where the pinned definitions are looked for; before the session starts."""
    if original.sources:
        target = directory.inputs / "sources"
        directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for made in (directory.inputs, target):
            made.mkdir(exist_ok=True)
            made.chmod(0o755)  # the container's user reads them
        for path in original.sources:
            shutil.copyfile(path, target / path.name)
            (target / path.name).chmod(0o644)


def bring_artefacts(original: Original, store: Store) -> int:
    """Artefacts that came in a bundle become objects of the cache; the number of new ones."""
    if original.artefacts_directory is None:
        return 0
    new = 0
    for artefact in original.artefacts:
        path = original.artefacts_directory / artefact.sha256
        if store.meta(artefact.sha256) is not None or not path.is_file():
            continue
        size = path.stat().st_size
        store.make_room(size)
        with store.incoming() as part:
            try:
                os.link(path, part)
            except OSError:
                shutil.copyfile(path, part)
            store.add(part, Meta(artefact.sha256, artefact.sha256, size, size))
        new += 1
    return new


def bring_image(original: Original, engine: Engine, images: Images | None, seconds: float = 600) -> None:
    """See that the image is on this host, out of the bundle if need be. Raises InfrastructureError."""
    digest, reference = original.spec.image_digest, original.spec.image
    if engine.image_digest(digest, Deadline.after(60)):
        return
    file = original.directory / IMAGE
    if images is not None and file.is_file():
        images.load(file)
        if engine.image_digest(digest, Deadline.after(60)):
            images.tag(digest, "lava-exec/bundle", digest.removeprefix("sha256:")[:12])
            return
        raise InfrastructureError(f"the image in the bundle is not {digest}", "The bundle is damaged.")
    raise InfrastructureError(
        f"the image {reference} with the digest {digest} is not on this host",
        "Carry it here: `docker save` where the job ran and `docker load` here, or a bundle with its image.",
    )


def has_image(original: Original) -> bool:
    """Whether the image itself came along."""
    return (original.directory / IMAGE).is_file()


def check_labels(replace: Mapping[str, Path], labels: list[str]) -> None:
    """`--set`: every label is one of the job's and every file is there. Raises UsageError."""
    for label, path in replace.items():
        if label not in labels:
            known = ", ".join(sorted(set(labels))) or "none"
            raise UsageError(f"the job has no artefact {label!r}", f"Its artefacts: {known}.")
        if not path.is_file():
            raise UsageError(f"--set {label}: there is no file {path}")


def lock_name(device: Mapping[str, object]) -> str:
    """The device's name when it is a thing that two jobs must not share; empty for one made of software."""
    commands = device.get("commands")
    real = isinstance(commands, dict) and bool(commands)
    return str(device.get("hostname") or "") if real or device.get("device_info") else ""

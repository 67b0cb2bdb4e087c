# SPDX-License-Identifier: Apache-2.0
"""What this host can do for jobs, seen once and kept: the engine, its images, KVM, proxies, certificates."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
from pathlib import Path

import msgspec

from executor.container import kvm
from executor.container.engine import Engine, EngineInfo
from executor.container.launch import labels
from executor.container.request import Places
from executor.errors import ConfigurationError, InfrastructureError
from executor.model.deadline import Deadline
from executor.model.launch import UID, HostFacts, LaunchSpec, Mount

TAG = "LAVA_EXEC_VERSION"  # names the version of the job images, as in compose.yaml
_SECONDS = 30.0
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # SUSE
)


class _Kept(msgspec.Struct, omit_defaults=True):
    """Answers that took a container to get, each with a hash of what it depends on."""

    kvm_key: str = ""
    kvm: kvm.Answer | None = None
    paths_key: str = ""


def collect(
    engine: Engine,
    state: Path,
    *,
    worker: str = "",
    images: tuple[str, ...] = (),
    probe_kvm: bool = True,
    environment: dict[str, str] | None = None,
) -> HostFacts:
    """All facts. The KVM probe takes about a second when its answer is not kept from earlier.

    Raises InfrastructureError when the engine does not answer, ConfigurationError when an agent in a
    container does not have its state directory at the host's path.
    """
    environment = dict(os.environ) if environment is None else environment
    info = engine.info(Deadline.after(_SECONDS))
    root = os.geteuid() == 0
    facts = HostFacts(
        worker=worker or socket.gethostname(),
        engine=info.kind,
        engine_version=info.version,
        cgroup=info.cgroup,
        uid=UID if root else os.geteuid(),
        gid=UID if root else os.getegid(),
        cpus=info.cpus,
        memory_mib=info.memory_mib,
        device_rules=info.kind != "podman",
        dispatcher_ip=dispatcher_ip(),
        http_proxy=proxies(environment),
        ca_bundle=ca_bundle(environment),
        image_tag=environment.get(TAG) or "latest",
    )
    facts.images = image_digests(engine, images or job_images(facts.image_tag))
    kept = before = _read_kept(state)
    if in_container() and (key := _hash(info.version, str(state), _mount_of(state))) != kept.paths_key:
        check_paths(engine, facts, state)
        kept = msgspec.structs.replace(kept, paths_key=key)
    if probe_kvm:
        kept = _with_kvm(kept, engine, facts, info, state)
        if (answer := kept.kvm) is not None:
            facts.kvm, facts.kvm_reason, facts.kvm_gid = answer.works, answer.reason, answer.gid
    if kept != before:
        with contextlib.suppress(OSError):
            (state / "facts.json").write_bytes(msgspec.json.encode(kept))
    return facts


def job_images(tag: str = "") -> tuple[str, ...]:
    """References of the images that jobs run in: dispatcher, qemu; of the tag that the environment names."""
    tag = tag or os.environ.get(TAG) or "latest"
    return (f"lava-exec/dispatcher:{tag}", f"lava-exec/qemu:{tag}")


def image_digests(engine: Engine, references: tuple[str, ...]) -> dict[str, str]:
    """Config digests of those that are here. Takes milliseconds: asked for each job, images are rebuilt."""
    found = {name: engine.image_digest(name, Deadline.after(_SECONDS)) for name in references}
    return {name: digest for name, digest in found.items() if digest}


def proxies(environment: dict[str, str]) -> dict[str, str]:
    """Those that reach the jobs, in both spellings: tools differ in which one they read."""
    found: dict[str, str] = {}
    for name in _PROXIES:
        value = environment.get(name) or environment.get(name.upper())
        if value:
            found |= {name: value, name.upper(): value}
    return found


def ca_bundle(environment: dict[str, str]) -> str:
    """The host's certificate authorities, a private one included: path of a bundle, or ""."""
    given = [environment.get(name, "") for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")]
    return next((path for path in (*given, *_BUNDLES) if path and Path(path).is_file()), "")


def dispatcher_ip() -> str:
    """The address of the interface with the default route, "" without one. Nothing is sent."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # an address for documentation
        return str(probe.getsockname()[0])
    return ""


def in_container() -> bool:
    """Does this process itself run in a container of Docker or Podman?"""
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()


def check_paths(engine: Engine, facts: HostFacts, state: Path) -> None:
    """Is the state directory at the same path for us and for the engine?

    Raises ConfigurationError if not, InfrastructureError when the engine cannot say it.
    """
    image = next(iter(facts.images), "")
    if not image:
        return
    nonce = secrets.token_hex(16)
    directory = state / f"probe-{secrets.token_hex(4)}"
    directory.mkdir(mode=0o755, parents=True)
    try:
        (directory / "nonce").write_text(nonce + "\n")  # podman shows whole lines only
        spec = LaunchSpec(
            job_id="probe",
            image=image,
            image_digest=facts.images[image],
            command=["cat", "/probe/nonce"],
            user=f"{facts.uid}:{facts.gid}",
            workdir="/",
            mounts=[Mount("/probe", "{job}", read_only=True)],
            memory_mib=64,
            cpus=1.0,
            pids=16,
            labels=labels("", facts.worker, str(state), role="probe"),
            facts=facts,
        )
        seen = _output(engine, spec, Places(directory))
    except InfrastructureError as error:
        if str(directory) not in error.message:  # about something else than the mount
            raise
        seen = error.message
    finally:
        (directory / "nonce").unlink(missing_ok=True)
        directory.rmdir()
    if seen != nonce:
        raise ConfigurationError(
            f"the engine does not see {state} as this container does: {seen[:200]}",
            f"Mount the host's {state} at {state} in the agent's container.",
        )


def _output(engine: Engine, spec: LaunchSpec, places: Places) -> str:
    name = f"lava-exec-probe-{secrets.token_hex(4)}"
    container = engine.create(spec, places, name, Deadline.after(_SECONDS))
    try:
        engine.start(container, Deadline.after(_SECONDS))
        engine.wait(container, Deadline.after(_SECONDS))
        return engine.logs(container, 5, Deadline.after(_SECONDS)).decode("utf-8", "replace").strip()
    finally:
        engine.remove(container, Deadline.after(_SECONDS))


def _with_kvm(kept: _Kept, engine: Engine, facts: HostFacts, info: EngineInfo, state: Path) -> _Kept:
    """The answer of a probe, an earlier one when nothing has changed since."""
    image = next((name for name in facts.images if "qemu" in name), "")
    if not image:
        return _Kept(kvm=kvm.Answer(False, "not probed: the image with QEMU is not here"))
    key = _hash(_boot(), kvm.node_state(), facts.images[image], info.kind, info.version, str(facts.uid))
    if kept.kvm is not None and kept.kvm_key == key:
        return kept
    answer = kvm.probe(engine, facts, image, info.architecture, state)
    return msgspec.structs.replace(kept, kvm_key=key, kvm=answer)


def _read_kept(state: Path) -> _Kept:
    try:
        return msgspec.json.decode((state / "facts.json").read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return _Kept()


def _hash(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return ""


def _mount_of(path: Path) -> str:
    """The line of mountinfo for the file system that `path` is on."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    mounted = [line for line in lines if path.is_relative_to(line.split()[4])]
    return _boot() + max(mounted, key=lambda line: len(line.split()[4]), default="")

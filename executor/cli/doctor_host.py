# SPDX-License-Identifier: Apache-2.0
"""The doctor's looks at this host: state directory, memory for secrets, engine, images, isolation, KVM."""

from __future__ import annotations

import os
import secrets as random
import shutil
from typing import TYPE_CHECKING

from executor.cli.doctor import FAIL, OK, WARN, Check, Checks
from executor.errors import LavaExecError
from executor.model.deadline import Deadline
from executor.report.style import size

if TYPE_CHECKING:
    from executor.cli.app import App
    from executor.container.engine import Engine
    from executor.model.launch import HostFacts

LITTLE, FEW = 2 << 30, 10 << 30  # bytes free: too little, and few
_SECONDS = 60.0
# Says from inside what the launch spec promises, then which lava-exec is in the image.
_INSIDE = """
import executor
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(*(status.get(key, "?").strip() for key in ("Seccomp", "NoNewPrivs", "CapEff")), executor.__version__)
print(open("/probe/nonce").read())
"""


def state(here: App) -> Checks:
    """Can everything be kept, and by nobody else be read?"""
    path = here.state_path
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        yield Check(
            "state", FAIL, f"{path} cannot be made: {error.strerror}", "Name another one with --state."
        )
        return
    seen = path.stat()
    if not os.access(path, os.W_OK | os.X_OK):
        yield Check("state", FAIL, f"{path} cannot be written", f"chown {os.geteuid()} {path}")
        return
    if seen.st_mode & 0o022:
        yield Check("state", FAIL, f"{path} can be written by others", f"chmod go-w {path}")
        return
    disk = os.statvfs(path)
    free = disk.f_bavail * disk.f_frsize
    status = FAIL if free < LITTLE else WARN if free < FEW else OK
    mend = "" if status == OK else "Free some space, or name another place with --state."
    yield Check("state", status, f"{path}, {size(free)} free", mend)
    if disk.f_flag & getattr(os, "ST_NODEV", 4):
        yield Check(
            "state",
            WARN,
            f"{path} is mounted with nodev: jobs that use serial or USB devices cannot run",
            "Mount it without nodev, or name another place with --state.",
        )


def secrets() -> Checks:
    """Is there a place in memory for a job's secrets?"""
    from executor.container.secretplace import memory_directory

    yield Check("secrets", OK, f"kept in memory, {memory_directory()}")


def engine(found: list[Engine]) -> Checks:
    """Does a container engine answer? It is put into `found`."""
    from executor.container.engine import connect

    made = connect()
    info = made.info(Deadline.after(_SECONDS))
    found.append(made)
    what = f"{info.kind} {info.version}, cgroup v{info.cgroup}, {info.cpus} CPUs, {info.memory_mib} MiB"
    if info.kind == "podman":
        yield Check(
            "engine",
            WARN,
            f"{what}; it ignores device rules",
            "Jobs that need device nodes are refused here.",
        )
    else:
        yield Check("engine", OK, what + (", rootless" if info.rootless else ""))


def images(here: App, made: Engine) -> Checks:
    """Are the images here, of this version, and do containers of them get no more than they should?"""
    from executor import __version__
    from executor.container.facts import collect, job_images

    facts = collect(made, here.state_path, probe_kvm=False)
    references = job_images(facts.image_tag)
    for reference in references:
        digest = facts.images.get(reference, "")
        if not digest:
            mend = "make images, or on a host without network: docker load < images.tar"
            yield Check("image", FAIL, f"{reference} is not here", mend)
            continue
        inside = _look_inside(here, made, facts, reference)
        if isinstance(inside, Check):
            yield inside
            continue
        seccomp, new_privileges, capabilities, version = inside
        if version != __version__:
            yield Check(
                "image", FAIL, f"{reference} has lava-exec {version}, this is {__version__}", "make images"
            )
        else:
            yield Check("image", OK, f"{reference} {digest[7:19]}, version {version}")
        wrong = [
            text
            for bad, text in (
                (seccomp != "2", "no seccomp profile"),
                (new_privileges != "1", "new privileges can be gained"),
                (int(capabilities, 16) != 0, f"capabilities {capabilities}"),
            )
            if bad
        ]
        if wrong and reference == references[0]:
            mend = "Let the engine use its default seccomp profile; see its daemon.json."
            yield Check("isolation", WARN, f"seen from inside a container: {', '.join(wrong)}", mend)
        elif reference == references[0]:
            yield Check(
                "isolation", OK, "from inside: seccomp, no new privileges, no capabilities, bind mounts"
            )


def kvm(here: App, made: Engine) -> Checks:
    """Was a guest really run with KVM?"""
    from executor.container.facts import collect

    facts = collect(made, here.state_path, probe_kvm=True)
    if facts.kvm:
        yield Check("kvm", OK, "a guest ran with it")
    else:
        mend = "Guests run emulated, several times slower. Load kvm_intel or kvm_amd; in a VM allow nesting."
        yield Check("kvm", WARN, facts.kvm_reason or "it does not work", mend)


def _look_inside(here: App, made: Engine, facts: HostFacts, reference: str) -> Check | list[str]:
    """Run the least privileged container there is, with a bind mount; its words, or what went wrong."""
    from executor.container.launch import labels
    from executor.container.request import Places
    from executor.model.launch import LaunchSpec, Mount

    nonce = random.token_hex(16)
    directory = here.state_path / f"probe-{random.token_hex(4)}"
    directory.mkdir(mode=0o755)
    name = f"lava-exec-{directory.name}"
    try:
        directory.chmod(0o755)
        (directory / "nonce").write_text(nonce, encoding="ascii")
        spec = LaunchSpec(
            job_id="doctor",
            image=reference,
            image_digest=facts.images[reference],
            command=["python", "-c", _INSIDE],
            user=f"{facts.uid}:{facts.gid}",
            workdir="/",
            mounts=[Mount("/probe", "{job}", read_only=True)],
            memory_mib=256,
            cpus=1.0,
            pids=32,
            labels=labels("", facts.worker, str(here.state_path), role="probe"),
            facts=facts,
        )
        container = made.create(spec, Places(directory), name, Deadline.after(_SECONDS))
        try:
            made.start(container, Deadline.after(_SECONDS))
            code = made.wait(container, Deadline.after(_SECONDS))
            said = made.logs(container, 20, Deadline.after(_SECONDS)).decode("utf-8", "replace").strip()
        finally:
            made.remove(container, Deadline.after(_SECONDS))
    except LavaExecError as error:
        return Check("image", FAIL, f"a container of {reference} does not run: {error.message}", error.hint)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    lines = said.splitlines()
    if code != 0 or len(lines) < 2 or len(lines[0].split()) != 4:
        last = lines[-1] if lines else f"exit code {code}"
        return Check("image", FAIL, f"a container of {reference} does not do its work: {last}", "make images")
    if lines[1] != nonce:
        mend = (
            f"The engine must see {here.state_path} at the same path; mount it there in an agent's container."
        )
        return Check("image", FAIL, "bind mounts from the state directory do not reach containers", mend)
    return lines[0].split()

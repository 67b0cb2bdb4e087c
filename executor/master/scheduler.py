# SPDX-License-Identifier: Apache-2.0
"""Which waiting job gets which device now, and why each of the others waits: a pure function of what is
known.

Order is priority, then time of submission (spec: fleet §4). A unit is one job or all jobs of a multinode
group; it gets all its devices or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from executor.master import states


@dataclass(frozen=True)
class WaitingJob:
    """A job in state Submitted. `device` and `worker` are what the job asks for, "" for any."""

    id: int
    device_type: str
    priority: int = 50
    submitted: float = 0.0
    tags: frozenset[str] = frozenset()
    device: str = ""
    worker: str = ""
    group: str = ""
    queue_until: float = float("inf")  # the job is given up when it still waits then


@dataclass(frozen=True)
class FarmDevice:
    """A device as configured, with what it does now."""

    name: str
    device_type: str
    tags: frozenset[str] = frozenset()
    worker: str = ""  # "": any worker can serve it (a virtual device)
    health: str = states.GOOD
    job: str = ""  # the job that holds it
    problem: str = ""  # its file is wrong


@dataclass(frozen=True)
class FarmWorker:
    name: str
    online: bool = True
    health: str = states.ACTIVE
    running: int = 0
    job_limit: int = 0  # 0: none
    draining: bool = False

    @property
    def obstacle(self) -> str:
        """Why it takes no job, "" when it does."""
        if not self.online:
            return "is offline"
        if self.health != states.ACTIVE:
            return f"is in {self.health.lower()}" if self.health == states.MAINTENANCE else "is retired"
        if self.draining:
            return "is draining"
        if self.job_limit and self.running >= self.job_limit:
            return f"already runs {self.running} jobs, its limit"
        return ""


@dataclass(frozen=True)
class Assignment:
    job: int
    device: str
    worker: str


@dataclass
class Schedule:
    """`start` is to be carried out; `waiting` says why the others wait; `expired` have waited too long."""

    start: list[Assignment] = field(default_factory=list)
    waiting: dict[int, str] = field(default_factory=dict)
    expired: list[int] = field(default_factory=list)


_Wish = tuple[str, frozenset[str], str, str]  # device type, tags, device, worker


class _Farm:
    """The farm while assignments are made."""

    def __init__(self, devices: Iterable[FarmDevice], workers: Iterable[FarmWorker]) -> None:
        self.workers = {worker.name: worker for worker in workers}
        self.running = {worker.name: worker.running for worker in self.workers.values()}
        self.by_type: dict[str, list[FarmDevice]] = {}
        for device in sorted(devices, key=lambda device: device.name):
            self.by_type.setdefault(device.device_type, []).append(device)
        self.taken: dict[str, str] = {}  # device -> job that got it just now
        self._fitting: dict[_Wish, list[FarmDevice]] = {}

    def fitting(self, wish: _Wish) -> list[FarmDevice]:
        """All devices that could ever serve the wish, busy or not."""
        if wish not in self._fitting:
            kind, tags, name, worker = wish
            self._fitting[wish] = [
                device
                for device in self.by_type.get(kind, [])
                if tags <= device.tags
                and name in ("", device.name)
                and (not worker or not device.worker or worker == device.worker)
                and device.health != states.RETIRED
            ]
        return self._fitting[wish]

    def worker_for(self, device: FarmDevice, wanted: str) -> str:
        """The worker that would run a job on `device`, "" when none can now."""
        if device.worker:
            names: Iterable[str] = [device.worker]
        else:
            names = [wanted] if wanted else self.workers
        able = [name for name in names if name in self.workers and not self._obstacle(name)]
        return min(able, key=lambda name: (self.running[name], name), default="")

    def free(self, device: FarmDevice) -> bool:
        return (
            device.health in states.USABLE
            and not device.problem
            and not device.job
            and device.name not in self.taken
        )

    def holder(self, device: FarmDevice) -> str:
        return self.taken.get(device.name) or device.job

    def _obstacle(self, name: str) -> str:
        worker = self.workers[name]
        if worker.job_limit and self.running[name] >= worker.job_limit:
            return f"already runs {self.running[name]} jobs, its limit"
        return worker.obstacle

    def obstacle(self, device: FarmDevice, wanted: str) -> str:
        """Why no worker takes a job for a device that is free."""
        name = device.worker or wanted
        if name and name not in self.workers:
            return f"worker {name} has never been seen"
        if name:
            return f"worker {name} {self._obstacle(name)}"
        if not self.workers:
            return "no worker has ever been seen"
        if len(self.workers) == 1:
            only = next(iter(self.workers))
            return f"worker {only} {self._obstacle(only)}"
        return f"none of the {len(self.workers)} workers takes jobs now"


def schedule(
    jobs: Sequence[WaitingJob], devices: Iterable[FarmDevice], workers: Iterable[FarmWorker], now: float
) -> Schedule:
    """Decide for all waiting jobs at once; `now` is on the clock of `queue_until`."""
    farm = _Farm(devices, workers)
    result = Schedule()
    queues: dict[str, int] = {}
    for unit in _units(jobs):
        if any(now >= job.queue_until for job in unit):
            result.expired.extend(job.id for job in unit)
            continue
        got = _assign(farm, unit)
        if got is not None:
            result.start.extend(got)
            continue
        for job in unit:
            queues[job.device_type] = queues.get(job.device_type, 0) + 1
            result.waiting[job.id] = _reason(farm, job, unit, queues[job.device_type])
    return result


def _units(jobs: Sequence[WaitingJob]) -> list[list[WaitingJob]]:
    units: dict[str, list[WaitingJob]] = {}
    for job in jobs:
        units.setdefault(job.group or f"\0{job.id}", []).append(job)
    return sorted(
        units.values(),
        key=lambda unit: (
            -max(job.priority for job in unit),
            min(job.submitted for job in unit),
            min(job.id for job in unit),
        ),
    )


def _wish(job: WaitingJob) -> _Wish:
    return (job.device_type, job.tags, job.device, job.worker)


def _assign(farm: _Farm, unit: list[WaitingJob]) -> list[Assignment] | None:
    """Devices for the whole unit, or None and nothing is taken."""
    got: list[Assignment] = []
    # the job with the fewest devices to choose from goes first, so that a group does not block itself
    for job in sorted(unit, key=lambda job: (len(farm.fitting(_wish(job))), job.id)):
        for device in farm.fitting(_wish(job)):
            worker = farm.worker_for(device, job.worker) if farm.free(device) else ""
            if worker:
                farm.taken[device.name] = str(job.id)
                farm.running[worker] += 1
                got.append(Assignment(job.id, device.name, worker))
                break
        else:
            for taken in got:
                del farm.taken[taken.device]
                farm.running[taken.worker] -= 1
            return None
    return got


def _reason(farm: _Farm, job: WaitingJob, unit: list[WaitingJob], position: int) -> str:
    """One sentence: why this job waits."""
    fitting = farm.fitting(_wish(job))
    if not fitting:
        return _no_device(farm, job)
    usable = [device for device in fitting if device.health in states.USABLE and not device.problem]
    if not usable:
        return _none_usable(job, fitting)
    free = [device for device in usable if farm.free(device)]
    able = [device for device in free if farm.worker_for(device, job.worker)]
    if able:
        return f"{able[0].name} is free, but group {job.group} waits for all of its {len(unit)} devices"
    if free:
        return f"device {free[0].name} is free, but {farm.obstacle(free[0], job.worker)}"
    where = f"(position {position} in the queue)"
    if len(usable) == 1:
        return f"device {usable[0].name} is busy with job {farm.holder(usable[0])} {where}"
    return f"all {len(usable)} devices of type {job.device_type} that fit are busy {where}"


def _no_device(farm: _Farm, job: WaitingJob) -> str:
    of_type = farm.by_type.get(job.device_type, [])
    if not of_type:
        return f"there is no device of type {job.device_type}"
    if job.device and job.device not in {device.name for device in of_type}:
        return f"there is no device {job.device} of type {job.device_type}"
    words = []
    if job.tags:
        words.append("tags " + ", ".join(sorted(job.tags)))
    if job.worker:
        words.append(f"worker {job.worker}")
    if job.device:
        words.append(f"name {job.device}")
    having = f" has {' and '.join(words)}" if words else " is in service"
    return f"no device of type {job.device_type}{having}"


def _none_usable(job: WaitingJob, fitting: list[FarmDevice]) -> str:
    broken = next((device for device in fitting if device.problem), None)
    if len(fitting) == 1:
        if broken is not None:
            return f"the configuration of device {broken.name} is wrong: {broken.problem}"
        return f"device {fitting[0].name} is in health {fitting[0].health}"
    healths = {device.health for device in fitting}
    if healths == {states.MAINTENANCE}:
        return f"all {len(fitting)} devices of type {job.device_type} are in maintenance"
    return f"none of the {len(fitting)} devices of type {job.device_type} is in service"

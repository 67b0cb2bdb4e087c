# SPDX-License-Identifier: Apache-2.0
"""The scheduler as a table of situations, and its promises over random farms."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from executor.master import states
from executor.master.scheduler import Assignment, FarmDevice, FarmWorker, Schedule, WaitingJob, schedule

W = FarmWorker("w")


def job(id: int, **more: object) -> WaitingJob:
    return WaitingJob(**{"id": id, "device_type": "qemu", "submitted": float(id), **more})  # type: ignore[arg-type]


def device(name: str, **more: object) -> FarmDevice:
    return FarmDevice(**{"name": name, "device_type": "qemu", "worker": "w", **more})  # type: ignore[arg-type]


def run(
    jobs: list[WaitingJob], devices: list[FarmDevice], workers: list[FarmWorker] | None = None, now: float = 0
) -> Schedule:
    return schedule(jobs, devices, [W] if workers is None else workers, now)


def reason(jobs: list[WaitingJob], devices: list[FarmDevice], workers: list[FarmWorker] | None = None) -> str:
    """Why the last of the jobs waits."""
    return run(jobs, devices, workers).waiting[jobs[-1].id]


def test_oldest_first_and_devices_by_name() -> None:
    found = run([job(2), job(1)], [device("b"), device("a")])
    assert found.start == [Assignment(1, "a", "w"), Assignment(2, "b", "w")]
    assert found.waiting == {}


def test_priority_before_age() -> None:
    found = run([job(1), job(2, priority=80)], [device("a")])
    assert found.start == [Assignment(2, "a", "w")]


def test_same_time_goes_by_number() -> None:
    found = run([job(5, submitted=1.0), job(4, submitted=1.0)], [device("a")])
    assert found.start == [Assignment(4, "a", "w")]


def test_tags_must_all_be_there() -> None:
    farm = [device("a", tags=frozenset({"usb"})), device("b", tags=frozenset({"usb", "net"}))]
    found = run([job(1, tags=frozenset({"usb", "net"}))], farm)
    assert found.start == [Assignment(1, "b", "w")]


def test_device_and_worker_that_the_job_names() -> None:
    workers = [W, FarmWorker("v")]
    farm = [device("a"), device("b"), device("c", worker="v")]
    assert run([job(1, device="b")], farm, workers).start == [Assignment(1, "b", "w")]
    assert run([job(1, worker="v")], farm, workers).start == [Assignment(1, "c", "v")]


def test_virtual_device_goes_where_least_runs() -> None:
    workers = [FarmWorker("w", running=3), FarmWorker("v", running=1)]
    farm = [device(name, worker="") for name in "abcd"]
    found = run([job(n) for n in range(1, 5)], farm, workers)
    assert [given.worker for given in found.start] == ["v", "v", "v", "w"]


def test_virtual_device_on_the_worker_that_the_job_names() -> None:
    workers = [FarmWorker("w", running=3), FarmWorker("v")]
    assert run([job(1, worker="w")], [device("a", worker="")], workers).start == [Assignment(1, "a", "w")]


def test_job_limit_counts_what_is_given_now() -> None:
    found = run([job(1), job(2)], [device("a"), device("b")], [FarmWorker("w", job_limit=1)])
    assert [given.job for given in found.start] == [1]
    assert found.waiting == {2: "device b is free, but worker w already runs 1 jobs, its limit"}


def test_busy_device_names_its_job_and_the_place_in_the_queue() -> None:
    assert reason([job(3), job(4), job(5)], [device("z", job="12")]) == (
        "device z is busy with job 12 (position 3 in the queue)"
    )


def test_all_busy() -> None:
    farm = [device("a", job="1"), device("b", job="2")]
    assert reason([job(3)], farm) == "all 2 devices of type qemu that fit are busy (position 1 in the queue)"


def test_reasons_without_a_fitting_device() -> None:
    farm = [device("a", tags=frozenset({"usb"}))]
    assert reason([job(1, device_type="bbb")], farm) == "there is no device of type bbb"
    assert reason([job(1, tags=frozenset({"y", "x"}))], farm) == "no device of type qemu has tags x, y"
    assert reason([job(1, device="b")], farm) == "there is no device b of type qemu"
    assert reason([job(1, worker="v")], farm) == "no device of type qemu has worker v"
    assert reason([job(1)], [device("a", health=states.RETIRED)]) == "no device of type qemu is in service"


def test_reasons_of_health() -> None:
    both = [device("a", health=states.MAINTENANCE), device("b", health=states.MAINTENANCE)]
    assert reason([job(1)], both) == "all 2 devices of type qemu are in maintenance"
    assert reason([job(1)], both[:1]) == "device a is in health Maintenance"
    mixed = [device("a", health=states.MAINTENANCE), device("b", health=states.BAD)]
    assert reason([job(1)], mixed) == "none of the 2 devices of type qemu is in service"
    assert reason([job(1)], [device("a", problem="x.yaml:3: bad")]) == (
        "the configuration of device a is wrong: x.yaml:3: bad"
    )


def test_reasons_of_workers() -> None:
    farm = [device("a")]
    assert reason([job(1)], farm, []) == "device a is free, but worker w has never been seen"
    assert (
        reason([job(1)], farm, [FarmWorker("w", online=False)]) == "device a is free, but worker w is offline"
    )
    maintenance = [FarmWorker("w", health=states.MAINTENANCE)]
    assert reason([job(1)], farm, maintenance) == "device a is free, but worker w is in maintenance"
    assert reason([job(1)], farm, [FarmWorker("w", draining=True)]).endswith("worker w is draining")
    virtual = [device("a", worker="")]
    assert reason([job(1)], virtual, []) == "device a is free, but no worker has ever been seen"
    two = [FarmWorker("w", online=False), FarmWorker("v", health=states.RETIRED)]
    assert reason([job(1)], virtual, two) == "device a is free, but none of the 2 workers takes jobs now"


def test_health_unknown_and_looping_are_usable() -> None:
    farm = [device("a", health=states.UNKNOWN), device("b", health=states.LOOPING)]
    assert len(run([job(1), job(2)], farm).start) == 2


def test_waiting_too_long() -> None:
    found = run([job(1, queue_until=10.0), job(2)], [device("a", job="9")], now=10.0)
    assert found.expired == [1]
    assert list(found.waiting) == [2]


def test_group_gets_all_or_nothing() -> None:
    pair = [job(1, group="g"), job(2, group="g")]
    found = run([*pair, job(3)], [device("a")])
    assert found.start == [Assignment(3, "a", "w")]
    found = run([*pair, job(3)], [device("a"), device("b", job="9")])
    assert found.start == [Assignment(3, "a", "w")]
    assert "group g" in run(pair, [device("a")]).waiting[1] or "busy" in run(pair, [device("a")]).waiting[1]
    assert len(run(pair, [device("a"), device("b")]).start) == 2


def test_group_does_not_block_itself() -> None:
    picky = [job(1, group="g"), job(2, group="g", device="a")]
    found = run(picky, [device("a"), device("b")])
    assert {given.job: given.device for given in found.start} == {1: "b", 2: "a"}


def test_group_goes_by_its_highest_priority() -> None:
    jobs = [job(1), job(2, group="g"), job(3, group="g", priority=90)]
    found = run(jobs, [device("a"), device("b")])
    assert {given.job for given in found.start} == {2, 3}


_types = st.sampled_from(["qemu", "kvm"])
_tags = st.frozensets(st.sampled_from(["x", "y"]), max_size=2)
_workers = st.sampled_from(["w", "v"])
_jobs = st.lists(
    st.builds(
        WaitingJob,
        id=st.integers(1, 1000),
        device_type=_types,
        priority=st.integers(0, 100),
        submitted=st.floats(0, 10),
        tags=_tags,
        device=st.sampled_from(["", "", "", "d1"]),
        worker=st.sampled_from(["", "", "w"]),
        group=st.sampled_from(["", "", "", "g"]),
        queue_until=st.sampled_from([float("inf"), 5.0]),
    ),
    max_size=12,
    unique_by=lambda job: job.id,
)
_devices = st.lists(
    st.builds(
        FarmDevice,
        name=st.sampled_from([f"d{n}" for n in range(8)]),
        device_type=_types,
        tags=_tags,
        worker=st.sampled_from(["", "w", "v"]),
        health=st.sampled_from(states.DEVICE_HEALTHS),
        job=st.sampled_from(["", "", "77"]),
    ),
    max_size=8,
    unique_by=lambda device: device.name,
)
_farm_workers = st.lists(
    st.builds(
        FarmWorker,
        name=_workers,
        online=st.booleans(),
        running=st.integers(0, 2),
        job_limit=st.integers(0, 3),
    ),
    max_size=2,
    unique_by=lambda worker: worker.name,
)


@given(_jobs, _devices, _farm_workers, st.sampled_from([0.0, 5.0]))
def test_promises(
    jobs: list[WaitingJob], devices: list[FarmDevice], workers: list[FarmWorker], now: float
) -> None:
    found = schedule(jobs, devices, workers, now)
    by_id = {job.id: job for job in jobs}
    by_name = {device.name: device for device in devices}
    online = {worker.name: worker for worker in workers if worker.online}
    # each job has exactly one fate, and a reason when it waits
    fates = [*(given.job for given in found.start), *found.waiting, *found.expired]
    assert sorted(fates) == sorted(by_id)
    assert all(found.waiting.values())
    # no device twice, none that is busy, unfit or out of service
    names = [made.device for made in found.start]
    assert len(names) == len(set(names))
    for made in found.start:
        wish, got = by_id[made.job], by_name[made.device]
        assert not got.job
        assert got.health in states.USABLE
        assert got.device_type == wish.device_type
        assert wish.tags <= got.tags
        assert wish.device in ("", got.name)
        assert got.worker in ("", made.worker)
        assert wish.worker in ("", made.worker)
        assert made.worker in online
    for name, worker in online.items():
        given_here = sum(made.worker == name for made in found.start)
        assert not worker.job_limit or not given_here or worker.running + given_here <= worker.job_limit
    # groups whole
    started = {made.job for made in found.start}
    members = {job.id for job in jobs if job.group == "g"}
    assert members <= started or not members & started
    # order of the input does not matter
    assert schedule(jobs[::-1], devices[::-1], workers[::-1], now).start == found.start

# SPDX-License-Identifier: Apache-2.0
"""How fast a journal travels agent → master → following client, and what it costs the master.

    python bench/wire.py [--lines 200000] [--width 180] [--followers 1]

Three processes and real sockets with CURVE, as on a worker host: a stand-in for the agent ships a journal
that lies ready, block after block, each acknowledged when it is on the master's disk; clients follow from the
start. Printed beside the reference of the same run: copying the same bytes to a file with fdatasync. Also:
proportional memory of an idle master.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from executor.model import journal
from executor.model.deadline import Deadline

LIMIT = 120.0  # seconds
BLOCK = 512 << 10
JOB = "job_name: bench\ndevice_type: qemu\n"


def make_journal(lines: int, width: int) -> bytes:
    """Records of `width` bytes each, with a result every thousand lines, and an end."""
    text = "x" * max(1, width - 100)
    records = []
    for seq in range(lines):
        msg: object = text
        level = journal.TARGET
        if seq % 1000 == 999:
            level, msg = journal.RESULTS, {"definition": "0_bench", "case": f"c{seq}", "result": "pass"}
        records.append(
            journal.Record(seq, "2030-01-02T03:04:05.678901+00:00", level, msg, act="lava-test-shell")
        )
    return journal.encode(records)


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def pss_mib() -> float:
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def serve(state: Path, pipe: Connection) -> None:
    """The master's process: tells its address, then its memory, then the CPU seconds it used."""
    import threading

    from executor.master.service import Master
    from executor.master.settings import Settings
    from executor.testing.farm import summary_check, write_configs

    configs = write_configs(state / "configs", "qemu-01")
    master = Master(state, Settings(), configs, summary_check, "tcp://127.0.0.1:*")
    thread = threading.Thread(target=master.run)
    thread.start()
    pipe.send((master.address, pss_mib()))
    before = cpu_seconds()
    pipe.recv()
    pipe.send((cpu_seconds() - before, pss_mib()))
    master.stop()
    thread.join()


def follow(state: Path, address: str, job: str, pipe: Connection) -> None:
    """A client's process: counts lines to the end, checks their order at the block's edges."""
    from executor.wire import messages
    from executor.wire.channel import Channel
    from executor.wire.keys import credentials

    with Channel(address, credentials(state / "keys")) as channel:
        channel.call(messages.Ping(), messages.Pong, Deadline.after(5))
        pipe.send("ready")
        offset = lines = 0
        while True:
            ask = messages.LogRead(job, offset, BLOCK, wait_seconds=20)
            block = channel.call(ask, messages.LogBlock, Deadline.after(LIMIT))
            if block.data:
                first = journal.decode(block.data[: block.data.index(b"\n")])
                assert first.seq == lines, (first.seq, lines)
                lines += block.data.count(b"\n")
            offset = block.next
            if block.ended:
                break
    pipe.send((lines, time.monotonic(), cpu_seconds()))


def ship(state: Path, address: str, data: bytes) -> float:
    """The agent's part, in this process; returns its CPU seconds."""
    from executor.wire import messages
    from executor.wire.keys import credentials
    from executor.wire.link import Link

    held: dict[str, messages.AgentJob] = {}
    link = Link(
        address,
        credentials(state / "keys", "agent"),
        hello=lambda: messages.Hello(jobs=list(held.values())),
        heartbeat=lambda: messages.Heartbeat(jobs=list(held.values())),
    )
    link.start()
    try:
        while True:
            event = link.events.get(timeout=20)
            if isinstance(event, messages.Start):
                break
        job = event.job.id
        held[job] = messages.AgentJob(job, event.job.unique, "running")
        link.call(messages.JobUpdate(held[job]), messages.Done, Deadline.after(LIMIT))
        before, offset = cpu_seconds(), 0
        while offset < len(data):
            end = data.rfind(b"\n", offset, offset + BLOCK) + 1
            block = messages.JournalBlock(job, offset, data[offset:end])
            offset = link.call(block, messages.JournalAck, Deadline.after(LIMIT)).next
        link.call(messages.Finished(job, len(data)), messages.Done, Deadline.after(LIMIT))
        return cpu_seconds() - before
    finally:
        link.close()


def reference(directory: Path, data: bytes) -> float:
    """Seconds to write the same blocks to a file, each forced onto the disk."""
    start = time.monotonic()
    with (directory / "reference").open("wb") as file:
        for at in range(0, len(data), BLOCK):
            file.write(data[at : at + BLOCK])
            file.flush()
            os.fdatasync(file.fileno())
    return time.monotonic() - start


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--width", type=int, default=180)
    parser.add_argument("--followers", type=int, default=1)
    given = parser.parse_args(argv)
    spawn = multiprocessing.get_context("spawn")
    data = make_journal(given.lines, given.width)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        state = Path(name)
        ours, theirs = spawn.Pipe()
        server = spawn.Process(target=serve, args=(state, theirs))
        server.start()
        address, idle = ours.recv()
        from executor.wire import messages
        from executor.wire.channel import Channel
        from executor.wire.keys import credentials

        with Channel(address, credentials(state / "keys")) as channel:
            made = channel.call(messages.Submit(JOB), messages.Submitted, Deadline.after(10))
        pipes, clients = [], []
        for _ in range(given.followers):
            mine, its = spawn.Pipe()
            client = spawn.Process(target=follow, args=(state, address, made.jobs[0], its))
            client.start()
            assert mine.recv() == "ready"
            pipes.append(mine)
            clients.append(client)
        start = time.monotonic()
        agent_cpu = ship(state, address, data)
        shipped = time.monotonic() - start
        ends = [pipe.recv() for pipe in pipes]
        ours.send("stop")
        master_cpu, busy = ours.recv()
        for process in (*clients, server):
            process.join(10)
        floor = reference(state, data)
    assert all(lines == given.lines for lines, _, _ in ends), ends
    last = max(at for _, at, _ in ends) - start
    print(f"{given.lines} lines of {len(data) / given.lines:.0f} bytes, {given.followers} followers")
    print(f"  into the master's disk  {given.lines / shipped:>10,.0f} lines/s   {shipped:.2f} s")
    print(f"  at the last follower    {given.lines / last:>10,.0f} lines/s   {last:.2f} s")
    print(f"  reference, file only    {given.lines / floor:>10,.0f} lines/s   {floor:.2f} s")
    print(f"  master: {master_cpu:.2f} CPU s, that is {given.lines / master_cpu:,.0f} lines per CPU second")
    print(f"  link: {agent_cpu:.2f} CPU s; followers: {sum(c for *_, c in ends):.2f} CPU s with start-up")
    print(f"  master's memory: {idle:.0f} MiB PSS idle, {busy:.0f} MiB after")


if __name__ == "__main__":
    main()

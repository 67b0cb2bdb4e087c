# SPDX-License-Identifier: Apache-2.0
"""Types whose first use is in several threads at once: in a process of its own, for a failure crashes it."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
from __future__ import annotations
import sys, threading
import msgspec
from executor.model.typeinfo import complete_types

sys.setswitchinterval(1e-6)
for n in range(30):
    members = [("a", int, 0), ("c", dict[str, list[int]], {})]
    inner = [msgspec.defstruct(f"Inner{n}_{i}", members) for i in range(20)]
    for kind in inner:
        globals()[kind.__name__] = kind
    fields = {f"f{i}": kind.__name__ for i, kind in enumerate(inner)}
    outer = type(f"Outer{n}", (msgspec.Struct,), {"__annotations__": fields, "__module__": "__main__"})
    complete_types()
    data = {name: {"a": 1, "c": {"k": [1]}} for name in fields}
    together = threading.Barrier(4)

    def use() -> None:
        together.wait()
        msgspec.convert(data, outer)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("whole")
"""


def test_threads_may_share_the_first_use_of_a_completed_type() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr


def test_every_type_of_the_agent_can_be_completed() -> None:
    script = "import executor.agent.main as a; a.complete_types(); a.complete_types()"
    subprocess.run([sys.executable, "-W", "error", "-c", script], timeout=60, check=True)

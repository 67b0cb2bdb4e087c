# SPDX-License-Identifier: Apache-2.0
"""Seconds from the start of a program on a terminal until it has printed a prompt.

    python qemu_alone.py PROMPT PROGRAM ARGUMENT…

Runs by itself in a job's image, where nothing of this project is needed: the reference must not depend on
what is measured beside it.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time

LIMIT = 120.0


def main() -> int:
    prompt, argv = sys.argv[1].encode(), sys.argv[2:]
    began = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)  # noqa: S606
    seen = b""
    while prompt not in seen:
        if not select.select([terminal], [], [], max(0.0, began + LIMIT - time.monotonic()))[0]:
            break
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        seen = (seen + data)[-(65536 + len(prompt)) :]
    seconds = time.monotonic() - began
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    if prompt not in seen:
        sys.stderr.write(f"no prompt after {seconds:.0f} s: {seen[-500:]!r}\n")
        return 1
    print(seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())

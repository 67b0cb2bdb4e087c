# SPDX-License-Identifier: Apache-2.0
"""`python -m executor.runner`: the program inside a job's container."""

import os
import sys

from executor.runner.main import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # all is closed; taking the interpreter apart is a sixth of all that the runner needs

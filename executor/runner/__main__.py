# SPDX-License-Identifier: Apache-2.0
"""`python -m executor.runner`: the program inside a job's container."""

import sys

from executor.runner.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# SPDX-License-Identifier: Apache-2.0
"""`python -m executor.cli`: the same as `lava-exec`, for places where only an interpreter is known."""

from executor.cli.main import main

if __name__ == "__main__":
    main()

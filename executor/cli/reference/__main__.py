# SPDX-License-Identifier: Apache-2.0
"""`python -m executor.cli.reference FOLDER` writes the pages below FOLDER; `make docs` calls it."""

from __future__ import annotations

import sys
from pathlib import Path

from executor.cli.reference import write

for path in write(Path(sys.argv[1])):
    sys.stdout.write(f"{path}\n")

# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for programs of the host: scripts first in PATH that write down how they were called.

tools = StandIns(tmp_path, monkeypatch)
tools.make("dfu-util", says="Download done.")
...
tools.calls("dfu-util")  # [["--alt", "kernel", ...]]
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

_SEPARATOR = "\x1f"
_RECORD = 'for word in "$@"; do printf "%s\\037" "$word"; done >> "{calls}"; echo >> "{calls}"'
# A FAT volume is a file for its node, and a directory beside it for what mtools would find there.
_FAT = {
    "mdir": 'cd "$3.d" && ls -1p | sed "s|^|::/|"',
    "mdeltree": 'node=$2; shift 2; for name; do rm -r "$node.d/${name#::/}"; done',
    "mtype": 'cat "$3.d/${4#::/}"',
    "mcopy": """recursive=
while :; do
  case "$1" in -s) recursive=-r; shift;; -i) node=$2; shift 2; break;; *) shift;; esac
done
for last; do :; done
while [ $# -gt 1 ]; do cp $recursive "$1" "$node.d/${last#::/}" || exit 1; shift; done""",
}


class _Patch(Protocol):
    def setenv(self, name: str, value: str) -> None: ...


class StandIns:
    """Programs below `directory`/tools, found before all others."""

    def __init__(self, directory: Path, monkeypatch: _Patch) -> None:
        self.directory = directory / "tools"
        self.directory.mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv("PATH", f"{self.directory}{os.pathsep}{os.environ['PATH']}")

    def make(self, name: str, says: str = "", code: int = 0, does: str = "") -> Path:
        """A program that runs the shell lines `does`, prints `says` and ends with `code`."""
        words = self.directory / f"{name}.says"
        words.write_text(f"{says}\n" if says else "", encoding="utf-8")
        program = self.directory / name
        lines = ["#!/bin/sh", _RECORD.format(calls=self._calls(name)), does, f'cat "{words}"', f"exit {code}"]
        program.write_text("\n".join(lines) + "\n", encoding="utf-8")
        program.chmod(0o755)
        return program

    def fat(self, node: Path, *names: str) -> Path:
        """A volume at `node` with these files, and what mtools do with it; the directory of its content."""
        for name, does in _FAT.items():
            self.make(name, does=f"({does}) || exit 1")
        node.parent.mkdir(parents=True, exist_ok=True)
        node.touch()
        content = node.with_name(f"{node.name}.d")
        content.mkdir()
        for name in names:
            if name.endswith("/"):
                (content / name).mkdir()
            else:
                (content / name).write_text(f"{name}\n", encoding="utf-8")
        return content

    def calls(self, name: str) -> list[list[str]]:
        """The arguments of each call so far."""
        file = self._calls(name)
        if not file.exists():
            return []
        return [line.split(_SEPARATOR)[:-1] for line in file.read_text(encoding="utf-8").splitlines()]

    def _calls(self, name: str) -> Path:
        return self.directory / f"{name}.calls"

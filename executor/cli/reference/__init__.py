# SPDX-License-Identifier: Apache-2.0
"""The pages of docs/reference, made from the program: typed parameters, actions, errors, commands.

Nothing on these pages is written twice. `make docs` writes them, a test holds them up to date. Each method
has a page of its own, named after it, so that two methods that are added at the same time touch no common
page but the list of actions.
"""

from __future__ import annotations

from pathlib import Path

from executor.cli.reference import actions, commands, devices, errors, jobs, methods, timeouts
from executor.pipeline.method import BuiltinRegistry

MADE = "<!-- SPDX-License-Identifier: Apache-2.0. Made by `make docs` from the program; do not edit. -->\n"


def pages() -> dict[str, str]:
    """Path below docs/reference → text, of all pages."""
    registry = BuiltinRegistry()
    registry.load()
    made = {
        "README.md": _INDEX,
        "cli.md": commands.page(),
        "jobs.md": jobs.page(),
        "timeouts.md": timeouts.page(),
        "devices.md": devices.page(),
        "actions.md": actions.page(),
        "errors.md": errors.page(),
        **methods.pages(registry),
    }
    return {path: MADE + text.rstrip() + "\n" for path, text in made.items()}


def write(folder: Path) -> list[str]:
    """Write what has changed below `folder`, remove pages of what is gone; the paths that were touched."""
    made = pages()
    touched = []
    for path, text in made.items():
        file = folder / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            touched.append(path)
    for file in sorted(folder.rglob("*.md")):
        path = file.relative_to(folder).as_posix()
        if path not in made and file.read_text(encoding="utf-8").startswith(MADE):
            file.unlink()
            touched.append(path)
    return touched


_INDEX = """\
# Reference

| page | what |
|---|---|
| [jobs.md](jobs.md) | the keys of a job, and those that all blocks have |
| [deploy/](deploy/), [boot/](boot/), [test/](test/), [command/](command/) | the keys of each method |
| [timeouts.md](timeouts.md) | how long things may take, and which limit wins |
| [actions.md](actions.md) | the names of all actions, by which jobs set timeouts |
| [devices.md](devices.md) | device files: keys, commands, constants |
| [errors.md](errors.md) | every error: who has to act, exit codes |
| [cli.md](cli.md) | the command line |

`lava-exec schema` prints the JSON schema of job files for editors. `lava-exec validate` says what is wrong
with a job.
"""

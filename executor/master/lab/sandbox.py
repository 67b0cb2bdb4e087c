# SPDX-License-Identifier: Apache-2.0
"""Renders templates of a lab in a process of its own: started by `templates.py`, never imported by it.

A template is a program of somebody else. Jinja2's sandbox keeps it from Python's insides; what a sandbox
cannot bound, time and memory, the kernel does: this process has limits on both, no network and nothing to
write to but its answer.

Reads a request as JSON from each line of stdin, writes each answer as a line of JSON to stdout.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import jinja2.sandbox
from jinja2 import meta, nodes

MAX_TEMPLATE = 1 << 20  # bytes of one template
MAX_TEXT = 1 << 20  # characters of a rendered device
MAX_MEMORY = 768 << 20  # bytes, of which the interpreter itself maps a fourth
MAX_CHAIN = 32
_NAME = re.compile(r"[^\x00-\x1f]{1,200}\Z")


class Fault(Exception):
    """Something to tell with its place."""

    def __init__(self, message: str, file: str = "", line: int = 0) -> None:
        super().__init__(message)
        self.message, self.file, self.line = message, file, line


class Loader(jinja2.BaseLoader):
    """Templates of the given directories and nothing else: no way up, no link out, no huge file."""

    def __init__(self, directories: list[str]) -> None:
        self.directories = [Path(directory).resolve() for directory in directories]
        self.used: dict[str, str] = {}  # name -> path

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        """Text and path of a template; one that is not there, or that may not be read, is not found."""
        if not _NAME.match(template) or template.startswith("/") or ".." in template.split("/"):
            raise jinja2.TemplateNotFound(template, f"{template!r} is not a name below a template directory")
        for directory in self.directories:
            path = (directory / template).resolve()
            if not path.is_file():
                continue
            if not path.is_relative_to(directory):
                raise jinja2.TemplateNotFound(template, f"{template!r} is a link out of {directory}")
            if path.stat().st_size > MAX_TEMPLATE:
                raise jinja2.TemplateNotFound(
                    template, f"{template!r} is larger than {MAX_TEMPLATE >> 20} MiB"
                )
            self.used[template] = str(path)
            return path.read_text(encoding="utf-8"), str(path), lambda: True
        looked = ", ".join(map(str, self.directories))
        raise jinja2.TemplateNotFound(template, f"there is no template {template!r} in {looked}")


def environment(loader: Loader) -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    """As labs' templates expect it: a tag takes its line's end along, `do`, `break` and `continue` exist."""
    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        loader=loader,
        autoescape=False,  # noqa: S701 - the text is YAML, not HTML
        trim_blocks=True,
        extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
        cache_size=64,
    )
    made.filters["yaml_quote"] = _yaml_quote
    made.filters["to_yaml"] = made.filters["toyaml"] = made.filters["yaml"] = _yaml_quote
    return made


def _yaml_quote(value: object) -> str:
    """A value as YAML in one line; JSON is such."""
    return json.dumps(value, ensure_ascii=False, default=str)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Renders `source` (or the file `template`) once for each of `contexts`."""
    loader = Loader(request["directories"])
    env = environment(loader)
    name = request["name"]
    try:
        out: dict[str, Any] = {"extends": _chain(env, loader, request["source"], name)}
        template = env.from_string(request["source"])
        template.filename = name
        first, *others = request["contexts"]
        out["texts"] = [_render(template, first), *(_attempt(template, context) for context in others)]
    except Fault as fault:
        return {"fault": {"message": fault.message, "file": fault.file, "line": fault.line}}
    except jinja2.TemplateSyntaxError as error:
        return {
            "fault": {"message": error.message or "", "file": error.filename or name, "line": error.lineno}
        }
    except MemoryError:
        return _too_much(name)
    except Exception as error:  # a template can raise anything
        file, line = _place(error, name, loader)
        return {"fault": {"message": _said(error), "file": file, "line": line}}
    out["undeclared"] = sorted(_undeclared(env, loader, request["source"]))
    return out


def _attempt(template: jinja2.Template, context: dict[str, Any]) -> str | None:
    """With what a job might give; None where the template cannot take it."""
    try:
        return _render(template, context)
    except MemoryError:
        raise
    except Exception:
        return None


def _render(template: jinja2.Template, context: dict[str, Any]) -> str:
    parts: list[str] = []
    size = 0
    for part in template.generate(context):
        size += len(part)
        if size > MAX_TEXT:
            raise Fault(f"the rendered device is larger than {MAX_TEXT >> 20} MiB", template.filename or "")
        parts.append(part)
    return "".join(parts)


def _chain(env: jinja2.Environment, loader: Loader, source: str, name: str) -> list[str]:
    """The templates that `source` builds on, nearest first; each must name its parent plainly."""
    out: list[str] = []
    text, path = source, name
    while True:
        parents = list(env.parse(text, filename=path).find_all(nodes.Extends))
        if not parents:
            return out
        parent = parents[0].template
        if not isinstance(parent, nodes.Const) or not isinstance(parent.value, str):
            raise Fault("what a template extends must be a name in quotes", path, parents[0].lineno)
        if parent.value in out or len(out) >= MAX_CHAIN:
            raise Fault(
                f"templates extend each other in a circle at {parent.value!r}", path, parents[0].lineno
            )
        out.append(parent.value)
        try:
            text, path, _ = loader.get_source(env, parent.value)
        except jinja2.TemplateNotFound as error:
            raise Fault(str(error.message), path, parents[0].lineno) from error


def _undeclared(env: jinja2.Environment, loader: Loader, source: str) -> set[str]:
    """Names of variables that any of the templates reads before it sets them."""
    texts = [source, *(Path(path).read_text(encoding="utf-8") for path in loader.used.values())]
    found: set[str] = set()
    for text in texts:
        tree = env.parse(text)
        found |= meta.find_undeclared_variables(tree)
        # `{% set x = x | default(1) %}` counts as declared there, though it reads what a job gives.
        found |= {name.name for name in tree.find_all(nodes.Name) if name.ctx == "load"}
    return found


def _place(error: BaseException, name: str, loader: Loader) -> tuple[str, int]:
    """File and line in a template; Jinja2 puts them into the traceback."""
    files = {name, *loader.used.values()}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in files or frame.filename == "<template>":
            return (name if frame.filename == "<template>" else frame.filename), frame.lineno or 0
    return name, 0


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the template calls itself without end"
    if isinstance(error, jinja2.exceptions.SecurityError):
        return f"the template reaches for what is none of its business: {error}"
    if isinstance(error, jinja2.TemplateError):
        return str(error.message or error)
    return f"{type(error).__name__}: {error}"[:500]


def main() -> None:
    """Entry point of the child process: argument 1 is its time on the processor."""
    seconds = int(sys.argv[1])
    for limit, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, MAX_MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(limit, (value, value))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            text = json.dumps(answer(request))
        except MemoryError:
            text = json.dumps(_too_much(request["name"]))
        print(text, flush=True)


def _too_much(name: str) -> dict[str, Any]:
    return {"fault": {"message": "the template needs more memory than it may have", "file": name, "line": 0}}


if __name__ == "__main__":
    main()

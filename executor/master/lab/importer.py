# SPDX-License-Identifier: Apache-2.0
"""A lab's device files become files of device-configs/: what would be written, what stands against it.

Nothing is believed: the files that come out are read and rendered again, and what is rendered must be the
device that went in, for each context that was tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from executor.master.configs import is_name
from executor.master.lab.collect import Collected, collect, read
from executor.master.lab.difference import common, difference, same
from executor.master.lab.files import File, against, dump
from executor.master.lab.needs import Need, needs
from executor.master.lab.probing import Form, Render, probe
from executor.master.lab.proof import CONTROL, NAMES, unfaithful
from executor.master.lab.templates import Rendered, Renderer
from executor.model.problem import Problem
from executor.schema.device import parse_device
from executor.schema.loader import load_yaml

# What tells one board from its sisters stays with the device, even if there is only one of a type.
OWN = (
    "commands",
    "hostname",
    "board_id",
    "board_qdl_id",
    "adb_serial_number",
    "fastboot_serial_number",
    "device_info",
    "static_info",
    "storage_info",
    "environment",
    "usb_vendor_id",
    "usb_product_id",
    "usb_filesystem_label",
)
_ALONE = "-alone"  # behind the name of a device: a type that is this device's only


@dataclass(frozen=True)
class Options:
    """What the admin says beside the files."""

    device_type: str = ""  # of rendered files that do not say theirs
    worker: str = ""
    tags: tuple[str, ...] = ()
    host_network: bool = False
    tools: tuple[str, ...] = ()


@dataclass
class Found:
    """One device of the lab."""

    name: str
    kind: str  # its device type
    source: str
    form: Form
    needs: list[Need] = field(default_factory=list)


@dataclass
class Import:
    """The outcome. Files with errors in `problems` are left out."""

    devices: list[Found] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def errors(self) -> list[Problem]:
        return [p for p in self.problems if p.severity == "error"]


def plan_import(
    paths: Sequence[Path], templates: Sequence[Path], target: Path, options: Options | None = None
) -> Import:
    """Read everything, write nothing. Raises nothing for what the files hold."""
    importer = _Importer(collect(paths, templates), options or Options())
    return importer.result(target)


class _Importer:
    def __init__(self, found: Collected, options: Options) -> None:
        self.found, self.options = found, options
        self.done = Import(problems=list(found.problems))
        self.types: dict[str, Form] = {}

    def result(self, target: Path) -> Import:
        for path in self.found.dictionaries:
            self._guarded(path, self._dictionary)
        for path in self.found.rendered:
            self._guarded(path, self._rendered)
        self._each_name_once()
        for kind in dict.fromkeys(device.kind for device in self.done.devices):
            self._of_type(kind, [d for d in self.done.devices if d.kind == kind])
        self.done.files = [against(file, target) for file in self.done.files]
        self.done.files.sort(key=lambda file: (not file.path.startswith("types/"), file.path))
        return self.done

    def fault(self, message: str, file: str, *, warning: bool = False, **more: Any) -> None:
        severity = "warning" if warning else "error"
        self.done.problems.append(Problem(message, "Configuration", file=file, severity=severity, **more))

    def _guarded(self, path: Path, take: Any) -> None:
        try:
            text = read(path)
        except ValueError as error:
            self.fault(str(error), str(path))
        else:
            take(path, text)

    # reading

    def _dictionary(self, path: Path, source: str) -> None:
        with Renderer(source, str(path), self.found.templates) as renderer:
            rendered = renderer.render([{}])
            base = self._map(rendered, str(path))
            if base is None:
                return
            if not rendered.extends:
                self.fault("extends no device type", str(path), hint="a dictionary begins with {% extends %}")
                return
            form = probe(base, rendered.undeclared, _again(renderer))
        kind = _stem(rendered.extends[0])
        if self._add(path.stem, kind, str(path), form) and kind not in self.types:
            self._type(kind, rendered.extends[0])

    def _type(self, kind: str, template: str) -> None:
        """The type by itself; where it cannot be rendered without a device, its devices tell what it is."""
        with Renderer(f"{{% extends {template!r} %}}\n", template, self.found.templates) as renderer:
            rendered = renderer.render([{}])
            text = rendered.texts[0] if rendered.fault is None else None
            document = load_yaml(text or "", template)
            if isinstance(document.data, dict) and not document.failed:
                self.types[kind] = probe(document.data, rendered.undeclared, _again(renderer))

    def _rendered(self, path: Path, text: str) -> None:
        document = load_yaml(text, str(path))
        parsed = parse_device(text, str(path))
        if parsed.device is None or not isinstance(document.data, dict):
            self.done.problems += parsed.problems
            return
        data = document.data
        name = str(data.get("hostname") or path.stem)
        kind = next((str(data[key]) for key in NAMES[1:] if data.get(key)), self.options.device_type)
        if not kind:
            kind = name
            text = f"does not say its device type, so {name!r} is taken"
            self.fault(text, str(path), warning=True, hint="say it with --device-type, for files of one type")
        self._add(name, kind, str(path), Form(data, seen=[({}, data)]), parsed.problems)

    def _map(self, rendered: Rendered, name: str) -> dict[Any, Any] | None:
        """What was rendered as a map; None, and the fault is told, where it is none."""
        if rendered.fault is not None:
            self.done.problems.append(rendered.fault)
            return None
        text = rendered.texts[0] or ""
        document = load_yaml(text, name)
        if document.failed:
            problem = next(p for p in document.problems if p.severity == "error")
            line = text.split("\n")[max(problem.line - 1, 0)].strip()[:100]
            message = f"what is rendered is no YAML: {problem.message}, in its line {problem.line}: {line!r}"
            self.fault(message, name, hint="the templates of this device, or a value that needs quotes")
        elif not isinstance(document.data, dict):
            self.fault("what is rendered is no map", name)
        return document.data if isinstance(document.data, dict) else None

    def _add(
        self, name: str, kind: str, source: str, form: Form, problems: Sequence[Problem] | None = None
    ) -> bool:
        for word, what in ((name, "device"), (kind, "device type")):
            if not is_name(word):
                text = f"{word!r} cannot be the name of a {what}: letters, digits, '.', '-' and '_'"
                self.fault(text, source)
                return False
        parsed = parse_device(form.seen[0][1], source)
        found = parsed.problems if problems is None else problems
        self.done.problems += [
            msgspec.structs.replace(p, severity="warning") if parsed.device is not None else p for p in found
        ]
        if parsed.device is None:
            return False
        for key in form.fixed:
            text = f"what a job's context does to {key} cannot be carried over: it keeps its default"
            self.fault(text, source, warning=True, hint="write variables or by_context by hand")
        for key in sorted(str(k) for k in form.body if k in CONTROL and k not in NAMES):
            self.fault(f"{key} means something else in device-configs and is left out", source, warning=True)
        self.done.devices.append(Found(name, kind, source, form, needs(parsed.device)))
        return True

    def _each_name_once(self) -> None:
        seen: dict[str, Found] = {}
        for device in list(self.done.devices):
            if device.name in seen:
                self.fault(f"{device.name} stands in {seen[device.name].source} already", device.source)
                self.done.devices.remove(device)
            seen.setdefault(device.name, device)

    # writing

    def _of_type(self, kind: str, devices: list[Found]) -> None:
        own = self.types.get(kind) or _type_of(devices)
        shared = _document(own)
        files = {f"types/{kind}.yaml": dump(shared)}
        for device in devices:
            files[f"devices/{device.name}.yaml"] = dump(self._device(device, kind, own))
        forms = [(device.name, device.form) for device in devices]
        wrong = unfaithful(files, forms)
        for device in devices:
            if device.name in wrong:
                # Its type does not fit it: all that it is goes into a type of its own.
                files[f"types/{device.name}{_ALONE}.yaml"] = dump(_document(device.form))
                alone = {"extends": f"{device.name}{_ALONE}", "device_type": kind, **self._control()}
                files[f"devices/{device.name}.yaml"] = dump(alone)
        for name, what in unfaithful(files, forms, together=True).items():
            source = next(device.source for device in devices if device.name == name)
            self.fault(f"{name} is another device than in the lab {what}", source, warning=True)
        for name, what in unfaithful(files, forms).items():
            source = next(device.source for device in devices if device.name == name)
            self.fault(f"{name} cannot be carried over faithfully: {what}", source)
            del files[f"devices/{name}.yaml"]
            del files[f"types/{name}{_ALONE}.yaml"]
        if any(path.startswith("devices/") for path in files):
            self.done.files += [File(path, text) for path, text in files.items()]

    def _device(self, device: Found, kind: str, own: Form) -> dict[str, Any]:
        form = device.form
        variables = {k: v for k, v in form.variables.items() if not same(v, own.variables.get(k))}
        by_context = {}
        for key, parts in form.by_context.items():
            others = own.by_context.get(key, {})
            if own_parts := {v: part for v, part in parts.items() if not same(part, others.get(v))}:
                by_context[key] = own_parts
        body = difference(_body(own), _body(form))
        return {
            "extends": kind,
            **self._control(),
            **({"variables": variables} if variables else {}),
            **({"by_context": by_context} if by_context else {}),
            **body,
        }

    def _control(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if self.options.worker:
            out["worker"] = self.options.worker
        if self.options.tags:
            out["tags"] = list(self.options.tags)
        container: dict[str, Any] = {}
        if self.options.host_network:
            container["network"] = "host"
        if self.options.tools:
            container["tools"] = list(self.options.tools)
        return {**out, **({"container": container} if container else {})}


def _again(renderer: Renderer) -> Render:
    """Renders for more contexts; what fails or is no YAML is None."""

    def rendered(contexts: list[dict[str, Any]]) -> list[Any]:
        done = renderer.render([{}, *contexts])
        texts = done.texts[1:] if done.fault is None else [None] * len(contexts)
        return [None if text is None else load_yaml(text, "").data for text in texts]

    return rendered


def _stem(template: str) -> str:
    return Path(template).name.removesuffix(".jinja2").removesuffix(".j2")


def _body(form: Form) -> dict[Any, Any]:
    return {key: value for key, value in form.body.items() if key not in CONTROL and key not in NAMES}


def _type_of(devices: list[Found]) -> Form:
    """What rendered devices of a type have in common, but for what is always the device's own."""
    bodies = [{k: v for k, v in _body(d.form).items() if k not in OWN} for d in devices]
    return Form(common(list(bodies)))


def _document(form: Form) -> dict[str, Any]:
    return {
        **({"variables": form.variables} if form.variables else {}),
        **({"by_context": form.by_context} if form.by_context else {}),
        **_body(form),
    }

# SPDX-License-Identifier: Apache-2.0
"""Device dictionaries of an invented lab, rendered by their own process: well-meant ones and hostile ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.master.configs import load_configs
from executor.master.lab.files import write_files
from executor.master.lab.importer import Found, Import, plan_import
from executor.master.lab.templates import Renderer
from executor.master.render import render

LAB = Path(__file__).parent / "lab"


@pytest.fixture(scope="module")
def found() -> Import:
    return plan_import([LAB / "devices"], [], Path("/nonexistent"))


@pytest.fixture(scope="module")
def configs(found: Import, tmp_path_factory: pytest.TempPathFactory) -> Any:
    target = tmp_path_factory.mktemp("configs")
    write_files(found.files, target)
    return load_configs(target)


def device(found: Import, name: str) -> Found:
    return next(device for device in found.devices if device.name == name)


def options(configs: Any, name: str, **context: Any) -> list[str]:
    made: dict[str, Any] = render(configs.devices[name], context)
    return list(made["actions"]["boot"]["methods"]["qemu"]["parameters"]["options"])


def test_types_and_devices(found: Import, configs: Any) -> None:
    assert [file.path for file in found.files] == [
        "types/shelf-board.yaml",
        "types/shelf-qemu.yaml",
        "devices/guest-01.yaml",
        "devices/guest-02.yaml",
        "devices/shelf-01.yaml",
        "devices/shelf-02.yaml",
    ]
    assert found.errors == []
    assert configs.problems == []
    assert {d.device_type for d in configs.devices.values()} == {"shelf-board", "shelf-qemu"}


def test_each_device_is_rendered_as_the_lab_does(found: Import, configs: Any) -> None:
    for one in found.devices:
        for context, wanted in one.form.seen:
            made = render(configs.devices[one.name], context)
            assert {**wanted, "hostname": one.name, "device_type": one.kind} == made


def test_a_job_can_set_what_it_could_in_the_lab(configs: Any) -> None:
    assert options(configs, "guest-02", memory=2048)[0] == "-m 2048"
    assert options(configs, "guest-01", memory=2048)[0] == "-m 1024"  # the dictionary's own
    assert "-cpu cortex-a57" in options(configs, "guest-01", arch="arm64")
    assert "-machine virt,gic-version=3" in options(
        configs, "guest-01", arch="arm64", machine="virt,gic-version=3"
    )
    assert "-enable-kvm" not in options(configs, "guest-01", no_kvm=True)
    made = render(configs.devices["shelf-01"], {"extra_kernel_args": "quiet"})
    commands = made["actions"]["boot"]["methods"]["u-boot"]["ramdisk"]["commands"]
    assert "setenv bootargs 'console=ttyO0,115200n8 root=/dev/ram0 quiet loglevel=8'" in commands
    assert "setenv initrd_size ${filesize}" in commands
    assert "setenv memory ${console_device}" in commands


def test_what_two_choices_at_once_would_change_is_told(found: Import) -> None:
    (warning,) = found.problems
    assert "guest-01 is another device than in the lab with the context" in warning.message
    assert warning.file.endswith("guest-01.jinja2")


def test_needs_are_told(found: Import) -> None:
    needs = {(n.kind, n.where) for n in device(found, "shelf-01").needs}
    assert ("network", "commands.connections.uart0.connect") in needs
    assert ("tool", "commands.power_on") in needs
    assert ("serial", "commands.users.mux.do") in needs
    assert ("shell", "commands.hard_reset") in {(n.kind, n.where) for n in device(found, "shelf-02").needs}


def lab(tmp_path: Path, dictionary: str, **templates: str) -> Import:
    types = tmp_path / "lab" / "device-types"
    (tmp_path / "lab" / "devices").mkdir(parents=True)
    types.mkdir()
    for name, text in {"base": "actions: {}\n{% block body %}{% endblock %}\n", **templates}.items():
        (types / f"{name}.jinja2").write_text(text)
    path = tmp_path / "lab" / "devices" / "bad.jinja2"
    path.write_text(dictionary)
    return plan_import([path.parent], [], tmp_path / "configs")


EXTENDS = "{% extends 'base.jinja2' %}\n"


@pytest.mark.parametrize(
    ("dictionary", "message", "file", "line"),
    [
        ("{% extends 'base.jinja2' %}\n{% set a = %}\n", "Expected an expression", "bad.jinja2", 2),
        ("{% extends 'bsae.jinja2' %}\n", "there is no template 'bsae.jinja2'", "bad.jinja2", 1),
        ("{% extends '../devices/bad.jinja2' %}\n", "is not a name below", "bad.jinja2", 1),
        ("{% extends '/etc/passwd' %}\n", "is not a name below", "bad.jinja2", 1),
        ("{% extends 'out.jinja2' %}\n", "is a link out of", "bad.jinja2", 1),
        ("{% extends name %}\n", "must be a name in quotes", "bad.jinja2", 1),
        ("{% extends 'round.jinja2' %}\n", "in a circle", "round.jinja2", 1),
        (EXTENDS + "{% block body %}\n{{ 1 / 0 }}\n{% endblock %}", "ZeroDivisionError", "bad.jinja2", 3),
        (
            EXTENDS + "{% block body %}{{ x | nofilter }}{% endblock %}",
            "No filter named 'nofilter'",
            "bad.jinja2",
            2,
        ),
        (
            EXTENDS + "{% block body %}{{ nothing.at.all }}{% endblock %}",
            "'nothing' is undefined",
            "bad.jinja2",
            2,
        ),
        (
            EXTENDS + "{% block body %}{% include '../x' %}{% endblock %}",
            "is not a name below",
            "bad.jinja2",
            2,
        ),
        (EXTENDS + "{% block body %}a: [{% endblock %}", "no YAML", "bad.jinja2", 0),
        ("actions: {}\n", "extends no device type", "bad.jinja2", 0),
        ("{% extends 'fault.jinja2' %}", "ZeroDivisionError", "fault.jinja2", 3),
    ],
)
def test_faults_have_file_and_line(
    tmp_path: Path, dictionary: str, message: str, file: str, line: int
) -> None:
    (tmp_path / "out.jinja2").write_text("a: 1\n")
    types = tmp_path / "lab" / "device-types"
    found = None
    real = Path.mkdir

    def mkdir(self: Path, *args: Any, **more: Any) -> None:
        real(self, *args, **more)
        if self == types:
            (types / "out.jinja2").symlink_to(tmp_path / "out.jinja2")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "mkdir", mkdir)
        found = lab(
            tmp_path,
            dictionary,
            round="{% extends 'round.jinja2' %}\n",
            fault="actions: {}\na:\n  {{ 1 / 0 }}\n",
        )
    (problem,) = found.errors
    assert message in problem.message
    assert (Path(problem.file).name, problem.line) == (file, line)
    assert found.files == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("{{ cycler.__init__.__globals__.os.system('id') }}", "unsafe"),
        ("{{ self.__init__.__globals__ }}", "unsafe"),
        ("{{ ('{0.__class__.__init__.__globals__}').format(lipsum) }}", "unsafe"),
        ("{{ [].append(1) }}", "unsafe"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "calls itself without end"),
        ("{% for i in range(99999) %}{{ 'x' * 100 }}{% endfor %}", "larger than 1 MiB"),
        ("{{ 'x' * 10000000000 }}", "memory"),
        ("{{ 'x' | center(10000000000) }}", "memory"),
        ("{{ range(10000000000) | list }}", "Range too big"),
        (
            "{% set n = namespace(x='xx') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
            "memory",
        ),
    ],
)
def test_hostile_templates_end_in_a_clear_error(tmp_path: Path, body: str, message: str) -> None:
    found = lab(tmp_path, EXTENDS + "{% block body %}\n" + body + "\n{% endblock %}\n")
    (problem,) = found.errors
    assert message in problem.message, problem.message
    assert Path(problem.file).name == "bad.jinja2"


def test_endless_templates_are_ended() -> None:
    source = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    with Renderer(source, "endless.jinja2", [], seconds=1) as renderer:
        for _ in range(2):
            fault = renderer.render([{}]).fault
            assert fault is not None
            assert fault.message == "rendering takes more than 1 seconds"


def test_a_device_that_its_type_does_not_fit_has_a_type_of_its_own(tmp_path: Path) -> None:
    """Its dictionary fixes what in its type a job can choose: the type's choice would still happen."""
    fixed = tmp_path / "devices" / "guest-03.jinja2"
    fixed.parent.mkdir()
    fixed.write_text("{% extends 'shelf-qemu.jinja2' %}\n{% set arch = 'amd64' %}\n")
    found = plan_import([fixed], [LAB / "device-types"], tmp_path / "configs")
    assert found.errors == []
    write_files(found.files, tmp_path / "configs")
    loaded = load_configs(tmp_path / "configs").devices["guest-03"]
    assert [file.name for file in loaded.chain] == ["guest-03-alone", "guest-03"]
    assert loaded.device_type == "shelf-qemu"
    made = render(loaded, {"arch": "arm64"})
    assert made["actions"]["boot"]["methods"]["qemu"]["parameters"]["command"] == "qemu-system-x86_64"


def test_a_lab_without_templates_of_its_own(tmp_path: Path) -> None:
    """A type that cannot be rendered by itself is what its devices have in common."""
    found = lab(
        tmp_path,
        "{% extends 'needy.jinja2' %}\n{% set serial = {'id': '12'} %}\n",
        needy="actions: {deploy: {methods: {image: }}, boot: {methods: {qemu: }}}\n"
        "board_id: {{ serial.id }}\n",
    )
    assert found.errors == []
    assert [file.path for file in found.files] == ["types/needy.yaml", "devices/bad.yaml"]
    assert "board_id" not in found.files[0].text

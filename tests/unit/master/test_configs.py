# SPDX-License-Identifier: Apache-2.0
"""device-configs: reading, inheritance, rendering; and the configurations that are shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import ConfigurationError
from executor.master.configs import DeviceConfigs, load_configs, signature
from executor.master.render import render
from executor.schema.device import parse_device

SHIPPED = Path(__file__).parents[3] / "device-configs"


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path)


class Farm:
    """Writes files and renders."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for folder in ("types", "devices"):
            (directory / folder).mkdir()

    def type(self, name: str, text: str) -> None:
        (self.directory / "types" / f"{name}.yaml").write_text(text)

    def device(self, name: str, text: str) -> None:
        (self.directory / "devices" / f"{name}.yaml").write_text(text)

    def load(self) -> DeviceConfigs:
        return load_configs(self.directory)

    def render(self, text: str, **context: Any) -> dict[str, Any]:
        """A device `d` with this file."""
        self.device("d", text)
        rendered = render(self.load().devices["d"], context)
        assert rendered.pop("hostname") == "d"
        return rendered

    def problems(self) -> list[str]:
        return [
            f"{p.where.removeprefix(str(self.directory) + '/')}: {p.message}" for p in self.load().problems
        ]


# ---- reading


def test_device_and_its_farm_keys(farm: Farm) -> None:
    farm.type("base", "description: a board\nextends: root\n")
    farm.type("root", "a: 1\n")
    farm.device("board-01", "extends: base\nworker: lab1\ntags: [usb, net]\n")
    found = farm.load()
    device = found.devices["board-01"]
    assert found.problems == []
    assert (device.device_type, device.worker, device.tags) == ("base", "lab1", frozenset({"usb", "net"}))
    assert (device.description, device.problem) == ("a board", "")
    assert render(device, {}) == {"a": 1, "hostname": "board-01", "device_type": "base"}
    assert found.device_types() == {"base"}


def test_device_type_may_differ_from_the_file_that_is_extended(farm: Farm) -> None:
    farm.type("board-common", "a: 1\n")
    assert farm.render("extends: board-common\ndevice_type: board\n")["device_type"] == "board"


def test_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no directory"):
        load_configs(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: qemuu\n", "devices/d.yaml:1:1: extends: there is no device type 'qemuu'"),
        ("worker: w\n", "devices/d.yaml"),
        ("extends: qemu\ntags: usb\n", "devices/d.yaml:2:1: tags"),
        ("extends: qemu\nworker: [a]\n", "devices/d.yaml:2:1: worker"),
        ("- a\n", "devices/d.yaml:1:1: a device file is a map"),
        ("", "devices/d.yaml:1:1: a device file is a map"),
        ("a: [\n", "not valid YAML"),
        ("extends: qemu\nextends: kvm\n", "stands twice"),
        ("extends: qemu\nby_context: {arch: {arm: 5}}\n", "devices/d.yaml:2:21: by_context.arch.arm"),
        ("extends: qemu\nby_context: {arch: {arm: {variables: 5}}}\n", "variables is a map"),
    ],
)
def test_fault_is_a_problem_with_its_place_and_stays_with_its_device(
    farm: Farm, text: str, said: str
) -> None:
    farm.type("qemu", "a: 1\n")
    farm.device("good", "extends: qemu\n")
    farm.device("d", text)
    assert any(said in problem for problem in farm.problems()), farm.problems()
    found = farm.load()
    assert found.devices["d"].problem
    assert found.devices["good"].problem == ""
    with pytest.raises(ConfigurationError, match="configuration of device d is wrong"):
        render(found.devices["d"], {})


def test_near_miss_of_a_type(farm: Farm) -> None:
    farm.type("qemu", "a: 1\n")
    farm.device("d", "extends: qemuu\n")
    [problem] = farm.load().problems
    assert problem.near == "qemu"


def test_circle_of_types_is_told_once(farm: Farm) -> None:
    farm.type("a", "extends: b\n")
    farm.type("b", "extends: a\n")
    farm.device("d", "extends: a\n")
    said = [p for p in farm.problems() if "circle" in p]
    assert any("d → a → b → a" in problem for problem in said)
    assert farm.load().devices["d"].problem


def test_type_that_extends_itself(farm: Farm) -> None:
    farm.type("a", "extends: a\n")
    assert any("a → a" in problem for problem in farm.problems())


def test_bad_file_name(farm: Farm) -> None:
    farm.device("a b", "extends: x\n")
    assert "is no name" in farm.problems()[0]


def test_misspelled_variable_is_a_warning(farm: Farm) -> None:
    farm.type("qemu", "variables: {memory: 1}\noptions: ['-m ${memroy}', 'setenv x ${filesize}']\n")
    farm.device("d", "extends: qemu\n")
    [problem] = farm.load().problems
    assert (problem.severity, problem.near, problem.line) == ("warning", "memory", 2)
    assert farm.load().devices["d"].problem == ""


def test_signature_changes_with_the_files(farm: Farm) -> None:
    farm.device("d", "extends: x\n")
    first = signature(farm.directory)
    assert signature(farm.directory) == first == farm.load().signature
    farm.device("d", "extends: xy\n")
    second = signature(farm.directory)
    farm.type("x", "a: 1\n")
    assert len({first, second, signature(farm.directory)}) == 3


# ---- merging


def test_maps_merge_and_all_else_replaces(farm: Farm) -> None:
    farm.type("t", "a: {x: 1, y: {p: 1, q: 2}}\nlist: [1, 2]\nword: old\nnull_map: {k: 1}\n")
    found = farm.render("extends: t\na: {y: {q: 3}, z: 4}\nlist: [3]\nword: new\nnull_map:\n")
    assert found == {
        "a": {"x": 1, "y": {"p": 1, "q": 3}, "z": 4},
        "list": [3],
        "word": "new",
        "null_map": None,
        "device_type": "t",
    }


def test_plus_appends_and_minus_takes_away(farm: Farm) -> None:
    farm.type("t", "o: {list: [1], gone: 1}\n")
    found = farm.render("extends: t\no: {+list: [2, 3], +fresh: [4], +one: 5, -gone: , -never: }\n")
    assert found["o"] == {"list": [1, 2, 3], "fresh": [4], "one": [5]}


def test_plus_on_something_else_is_refused_with_its_place(farm: Farm) -> None:
    farm.type("t", "o: {word: x}\n")
    with pytest.raises(
        ConfigurationError, match=r"d\.yaml:3:4: o\.\+word: \+word appends to a list, and word is none"
    ):
        farm.render("extends: t\no:\n   +word: [1]\n")


def test_rendering_changes_nothing_that_is_shared(farm: Farm) -> None:
    farm.type("t", "o: {list: [1], deep: {a: [1]}}\n")
    farm.device("d", "extends: t\no: {+list: [2]}\n")
    device = farm.load().devices["d"]
    first = render(device, {})
    first["o"]["deep"]["a"].append(9)
    assert render(device, {})["o"] == {"list": [1, 2], "deep": {"a": [1]}}


# ---- variables


def test_whole_placeholder_keeps_the_type(farm: Farm) -> None:
    text = (
        "variables: {n: 512, b: true, e: , w: x}\nn: '${n}'\nb: ${b}\ne: ${e}\nt: 'a ${n} ${b} ${e} ${w}'\n"
    )
    farm.type("t", text)
    found = farm.render("extends: t\n")
    assert (found["n"], found["b"], found["e"], found["t"]) == (512, True, None, "a 512 true  x")


def test_lists_are_spliced_into_lists_and_joined_in_texts(farm: Farm) -> None:
    farm.type(
        "t",
        "variables: {l: [a, 1], e: , n: []}\nlist: [x, '${l}', '${e}', '${n}', y]\nt: '-${l}-'\nw: ${l}\n",
    )
    found = farm.render("extends: t\n")
    assert (found["list"], found["t"], found["w"]) == (["x", "a", 1, "y"], "-a 1-", ["a", 1])


def test_unknown_names_and_escapes_stay(farm: Farm) -> None:
    farm.type("t", "variables: {a: 1}\nt: 'setenv ${filesize} $${a} $a ${a'\n")
    assert farm.render("extends: t\n")["t"] == "setenv ${filesize} ${a} $a ${a"


def test_variables_may_use_variables_but_not_in_a_circle(farm: Farm) -> None:
    farm.type("t", "variables: {a: '1${b}', b: '2${c}', c: 3}\nt: ${a}\n")
    assert farm.render("extends: t\n")["t"] == "123"
    with pytest.raises(ConfigurationError, match="a → b → c → a"):
        farm.render("extends: t\nvariables: {c: '${a}'}\n")


def test_device_over_type_and_job_over_device(farm: Farm) -> None:
    farm.type("t", "variables: {memory: 1, machine: a}\nm: ${memory}\nk: ${machine}\n")
    assert farm.render("extends: t\nvariables: {memory: 2}\n")["m"] == 2
    assert farm.render("extends: t\nvariables: {memory: 2}\n", memory=3, machine="b")["m"] == 3


def test_job_sets_only_names_of_the_context(farm: Farm) -> None:
    farm.type("t", "variables: {port: 7001}\nconnect: telnet x ${port}\n")
    assert farm.render("extends: t\n", port=22, memory=5)["connect"] == "telnet x 7001"


def test_what_the_job_gives_is_taken_literally(farm: Farm) -> None:
    farm.type(
        "t", "variables: {password: geheim, extra_options: []}\nopt: ['${extra_options}']\nx: ${password}\n"
    )
    found = farm.render("extends: t\n", extra_options=["-name ${password}"])
    assert found["opt"] == ["-name ${password}"]


def test_by_context(farm: Farm) -> None:
    farm.type(
        "t",
        """
variables: {arch: amd64, command: none, no_network: false}
command: ${command}
by_context:
  arch:
    amd64: {variables: {command: qemu-x86}, only: pc}
    arm64: {variables: {command: qemu-arm}, +opts: [-a]}
  no_network:
    true: {net: none}
opts: [-m]
""",
    )
    assert farm.render("extends: t\n") == {
        "command": "qemu-x86",
        "only": "pc",
        "opts": ["-m"],
        "device_type": "t",
    }
    arm = farm.render("extends: t\n", arch="arm64", no_network=True)
    assert arm == {"command": "qemu-arm", "opts": ["-m", "-a"], "net": "none", "device_type": "t"}
    assert farm.render("extends: t\n", arch="mips")["command"] == "none"
    assert farm.render("extends: t\nvariables: {arch: arm64}\n")["command"] == "qemu-arm"
    assert farm.render("extends: t\nvariables: {command: mine}\n")["command"] == "mine"
    assert farm.render("extends: t\nonly: device\n")["only"] == "device"


def test_replaced_text_is_bounded(farm: Farm) -> None:
    variables = ", ".join(f"v{n}: '${{v{n + 1}}}${{v{n + 1}}}'" for n in range(20))
    farm.type("t", f"variables: {{{variables}, v20: 'xxxxxxxx'}}\nt: 'a${{v0}}'\n")
    with pytest.raises(ConfigurationError, match="longer than"):
        farm.render("extends: t\n")


_yaml = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab${}+-", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab+-", max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(_yaml, _yaml, _yaml)
def test_any_files_render_or_are_refused(base: Any, top: Any, value: Any) -> None:
    import tempfile

    import yaml

    with tempfile.TemporaryDirectory() as name:
        farm = Farm(Path(name))
        farm.type("t", yaml.safe_dump({"variables": {"a": value, "b": 1}, "x": base}))
        farm.device("d", yaml.safe_dump({"extends": "t", "x": top}))
        device = farm.load().devices["d"]
        try:
            render(device, {"memory": value})
        except ConfigurationError as error:
            assert error.message  # noqa: PT017


# ---- what is shipped


def shipped() -> DeviceConfigs:
    return load_configs(SHIPPED)


def test_shipped_configs_have_no_problem() -> None:
    found = shipped()
    assert found.problems == []
    assert set(found.devices) == {"qemu-01", "qemu-02", "kvm-01"}
    assert found.devices["kvm-01"].device_type == "kvm"
    assert found.devices["qemu-01"].worker == ""


@pytest.mark.parametrize(
    ("arch", "command", "machine"),
    [
        ("amd64", "qemu-system-x86_64", "pc"),
        ("x86_64", "qemu-system-x86_64", "pc"),
        ("arm64", "qemu-system-aarch64", "virt"),
        ("aarch64", "qemu-system-aarch64", "virt"),
        ("arm", "qemu-system-arm", "virt,highmem=off"),
    ],
)
def test_shipped_qemu_for_each_architecture(arch: str, command: str, machine: str) -> None:
    rendered = render(
        shipped().devices["qemu-01"], {"arch": arch, "memory": 777, "extra_options": ["-smp 2"]}
    )
    parsed = parse_device(rendered)
    assert parsed.problems == []
    assert parsed.device is not None
    parameters = parsed.device.boot_methods["qemu"]["parameters"]
    assert parameters["command"] == command
    assert f"-machine {machine}" in parameters["options"]
    assert "-m 777" in parameters["options"]
    assert parameters["extra"] == ["-smp 2"]
    assert arch in parsed.device.available_architectures
    words = " ".join(parameters["options"])
    assert "kvm" not in words
    assert "${" not in words


@pytest.mark.parametrize("context", [{"no_network": True}, {"netdevice": "none"}])
def test_shipped_qemu_without_network(context: dict[str, Any]) -> None:
    parameters = render(shipped().devices["kvm-01"], context)["actions"]["boot"]["methods"]["qemu"][
        "parameters"
    ]
    assert "-nic none" in parameters["options"]
    assert not any("user" in option for option in parameters["options"])


def test_shipped_qemu_takes_the_disk_of_the_tests_from_the_context() -> None:
    rendered = render(shipped().devices["qemu-01"], {"guestfs_size": 64, "guestfs_interface": "ide"})
    guest = rendered["actions"]["deploy"]["methods"]["image"]["parameters"]["guest"]
    assert guest == {"size": 64, "interface": "ide", "driveid": "lavatest"}

# SPDX-License-Identifier: Apache-2.0
"""The real helpers, run on this machine by every shell that it has, read by the real reader."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from executor.errors import TestError
from executor.testing.hostdevice import SECONDS, HostDevice, define
from executor.testshell import events
from executor.testshell.attachments import AttachmentReader
from executor.testshell.events import CaseResult, Event, RunSettled
from executor.testshell.kept import parse_kept
from executor.testshell.results import Bookkeeper
from executor.testshell.stream import SignalStream

DEVICE = Path(__file__).parents[2] / "executor" / "testshell" / "device"
SHELLS = {
    "dash": shutil.which("dash"),
    "busybox": f"{busybox} sh" if (busybox := shutil.which("busybox")) else None,
    "bash": shutil.which("bash"),
    "bash-posix": f"{bash} --posix" if (bash := shutil.which("bash")) else None,
    "mksh": shutil.which("mksh"),
}


@pytest.fixture(params=[name for name, path in SHELLS.items() if path])
def shell(request: pytest.FixtureRequest) -> str:
    return str(SHELLS[request.param])


def read(device: HostDevice, text: str, run: str = "k1") -> tuple[SignalStream, list[Event]]:
    stream = SignalStream([d.for_stream() for d in device.definitions], run=run)
    return stream, stream.feed(text)


def results(found: list[Event]) -> list[tuple[str, str, str, str]]:
    return [(e.definition, e.set, e.case, e.result) for e in found if isinstance(e, CaseResult)]


def ran(tmp_path: Path, shell: str, *steps: str, **fields: object) -> tuple[HostDevice, list[Event], str]:
    device = HostDevice(tmp_path, [define("smoke", *steps, **fields)], shell)
    text = device.run("k1")
    stream, found = read(device, text)
    assert stream.complete, text
    return device, found, text


# -- test cases ------------------------------------------------------------------------------------------


def test_a_shell_line_runs_as_one_and_words_keep_their_quoting(tmp_path: Path, shell: str) -> None:
    _, found, text = ran(
        tmp_path,
        shell,
        "lava-test-case line --shell 'echo one; echo two; false'",
        "lava-test-case words --shell test 'a  b' = \"a  b\"",
        "lava-test-case builtin --shell exit 3",
        "lava-test-case where --shell 'test \"$TEST_CASE_ID\" = where'",
        'lava-test-case awk --shell "echo x y | awk \'{exit \\$2 != \\"y\\"}\'"',
        "lava-test-case missing --shell no-such-command-anywhere",
    )
    assert results(found) == [
        ("0_smoke", "", "line", "fail"),
        ("0_smoke", "", "words", "pass"),
        ("0_smoke", "", "builtin", "fail"),
        ("0_smoke", "", "where", "pass"),
        ("0_smoke", "", "awk", "pass"),
        ("0_smoke", "", "missing", "fail"),
    ]
    assert "one\ntwo\n" in text


def test_results_with_measurements_sets_references_and_names(tmp_path: Path, shell: str) -> None:
    (tmp_path / "output").write_text("from a file\n")
    device, found, text = ran(
        tmp_path,
        shell,
        "lava-test-set start 'quick ones'",
        f"lava-test-case speed --result pass --measurement 12.5 --units MB/s --output {tmp_path}/output",
        "lava-test-set stop",
        "lava-test-suite-name other",
        "lava-test-reference page --result skip --reference 'https://h/?a=1 2'",
    )
    speed, page = (e for e in found if isinstance(e, CaseResult))
    assert (speed.set, speed.measurement, speed.units) == ("quick_ones", 12.5, "MB/s")
    assert (page.definition, page.result, page.reference) == ("0_other", "skip", "https://h/?a=1_2")
    assert "from a file\n" in text
    files = {path.name: path.read_text() for path in device.root.glob("0/results/*/results/speed/*")}
    assert files == {"result": "pass\n", "measurement": "12.5\n", "units": "MB/s\n"}


def test_odd_names_do_not_break_a_signal(tmp_path: Path, shell: str) -> None:
    names = [
        "with blank",
        "a>b",
        "<LAVA_SIGNAL_TESTCASE",
        "it's",
        'a"b',
        "a\\nb",
        "$HOME",
        "café",
        "a*",
        "-n",
        "%s",
    ]
    steps = []
    for name in names:
        quoted = "'" + name.replace("'", "'\\''") + "'"
        steps += [f"lava-test-case {quoted} --result pass", f"lava-test-case {quoted} --shell true"]
    _, found, _ = ran(tmp_path, shell, *steps)
    wanted = [name.translate({ord(c): "_" for c in " <>"}) for name in names]
    assert results(found) == [("0_smoke", "", name, "pass") for name in wanted for _ in range(2)]


def test_lines_and_tabs_in_values_become_one_word(tmp_path: Path, shell: str) -> None:
    steps = ["lava-test-event 'one\n\ttwo -> three'", "lava-test-case 'x\ty\nz' --result pass"]
    _, found, _ = ran(tmp_path, shell, *steps)
    assert [e.message for e in found if isinstance(e, events.Announced)] == ["one  two -) three"]
    assert results(found) == [("0_smoke", "", "x_y_z", "pass")]


def test_wrong_use_is_said_and_ends_the_run(tmp_path: Path, shell: str) -> None:
    device = HostDevice(tmp_path, [define("smoke", "true")], shell)
    for arguments in (
        ["lava-test-case"],
        ["lava-test-case", "x", "--result"],
        ["lava-test-case", "x", "--units", "s"],
        ["lava-test-case", "x", "--shell"],
        ["lava-test-set", "start"],
        ["lava-test-reference", "x", "--result", "pass"],
        ["lava-test-event"],
        ["lava-test-feedback", "x"],
        ["lava-background-process-start", "x"],
    ):
        assert "usage: " in device.command(*arguments), arguments
    _, found = read(device, device.run("k1"))
    assert results(found) == []


def test_a_raise_ends_the_run(tmp_path: Path, shell: str) -> None:
    steps = ["lava-test-raise 'no network <yet>'", "lava-test-case never --result pass"]
    _, found, _ = ran(tmp_path, shell, *steps)
    assert [e.message for e in found if isinstance(e, events.Raised)] == ["no network (yet)"]
    assert results(found) == []
    assert [e.outcome for e in found if isinstance(e, RunSettled)] == ["fail"]


# -- definitions -----------------------------------------------------------------------------------------


def test_definitions_run_in_order_and_a_failing_step_ends_only_its_own(tmp_path: Path, shell: str) -> None:
    device = HostDevice(
        tmp_path,
        [
            define("first", "cd /", "pwd", "false", "lava-test-case never --result pass"),
            define(
                "second",
                'lava-test-case two --shell test "$FOO" = "it\'s"',
                index=1,
                parameters={"FOO": "it's"},
            ),
            define("third", "true", index=2, install_steps=["exit 4"], has_install=True),
            define(
                "fourth",
                "lava-test-case four --shell test -e installed",
                index=3,
                install_steps=["> installed"],
                has_install=True,
            ),
        ],
        shell,
    )
    stream, found = read(device, device.run("k1"))
    assert stream.complete
    assert results(found) == [("1_second", "", "two", "pass"), ("3_fourth", "", "four", "pass")]
    assert [e.definition for e in found if isinstance(e, events.InstallFailed)] == ["2_third"]
    assert {e.definition: e.outcome for e in found if isinstance(e, RunSettled)} == {
        "0_first": "fail",
        "1_second": "pass",
        "2_third": "",
        "3_fourth": "pass",
    }
    codes = {path.parent.name[:7]: path.read_text() for path in device.root.glob("0/results/*/*return_code")}
    assert codes == {"0_first": "1\n", "1_secon": "0\n", "2_third": "4\n", "3_fourt": "0\n"}


def test_a_new_order_runs_the_block_again_and_a_reboot_does_not(tmp_path: Path, shell: str) -> None:
    device = HostDevice(tmp_path, [define("smoke", "lava-test-case a --result pass")], shell)
    for run in ("k1", "k2", "k3"):
        stream, found = read(device, device.run(run), run)
        assert results(found) == [("0_smoke", "", "a", "pass")]
        assert stream.complete
    assert results(read(device, device.run("k3"), "k3")[1]) == []
    assert results(read(device, device.run(), "k3")[1]) == []
    assert len(list(device.root.glob("0/results/0_smoke-*"))) == 3


def test_an_install_script_of_the_repository_is_not_ours(tmp_path: Path, shell: str) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "install.sh").write_text("exit 9\n")
    _, found, _ = ran(tmp_path, shell, "lava-test-case a --shell '! sh ./install.sh'", source_dir=repository)
    assert results(found) == [("0_smoke", "", "a", "pass")]


def test_signals_are_not_traced_but_steps_are(tmp_path: Path, shell: str) -> None:
    _, _, text = ran(tmp_path, shell, "lava-test-case a --result pass")
    assert text.count("STARTRUN") == text.count("ENDRUN") == text.count("RESULT=pass") == 1
    assert "+ lava-test-case a --result pass\n" in text


def test_output_that_a_pipe_swallowed_is_in_the_devices_file(tmp_path: Path, shell: str) -> None:
    step = "lava-test-case a --shell echo x | grep -q nothing || true"
    device = HostDevice(tmp_path, [define("smoke", step)], shell)
    stream, found = read(device, device.run("k1"))
    assert results(found) == []
    assert results(stream.restore(device.kept(stream.wanted()))) == [("0_smoke", "", "a", "pass")]


def test_writers_in_the_background_take_different_numbers(tmp_path: Path, shell: str) -> None:
    one = "(for m in 1 2 3 4 5; do lava-test-case $n-$m --result pass; done) &"
    device, found, _ = ran(tmp_path, shell, f"for n in 1 2 3 4 5 6 7 8; do {one} done; wait")
    assert len(set(results(found))) == 40
    kept = parse_kept(device.kept(), "k1")
    assert sorted(one.seq for _, one in kept.signals) == list(range(1, 44))


# -- devices with less -----------------------------------------------------------------------------------


def tools(directory: Path, *names: str) -> str:
    """A directory with only these programs."""
    directory.mkdir()
    for name in names:
        (directory / name).symlink_to(str(shutil.which(name)))
    return str(directory)


NEEDED = ("cat", "date", "grep", "mkdir", "mv", "rm", "sed", "sh", "sleep", "wc")


def test_a_device_without_cksum_computes_it_with_awk(tmp_path: Path, shell: str) -> None:
    path = tools(tmp_path / "tools", *NEEDED, "awk")
    step = "lava-test-case café --result pass"
    device = HostDevice(tmp_path, [define("smoke", step)], shell, {"PATH": path})
    if "busybox" in shell:
        pytest.skip("busybox brings its own cksum")
    stream, found = read(device, device.run("k1"))
    assert results(found) == [("0_smoke", "", "café", "pass")]
    assert stream.complete
    assert stream.wanted() == ""


def test_a_device_without_both_prints_plain_signals(tmp_path: Path, shell: str) -> None:
    path = tools(tmp_path / "tools", *NEEDED)
    if "busybox" in shell:
        pytest.skip("busybox brings its own cksum")
    device = HostDevice(tmp_path, [define("smoke", "lava-test-case a --result pass")], shell, {"PATH": path})
    text = device.run("k1")
    assert "#k1" not in text
    stream, found = read(device, text)
    assert results(found) == [("0_smoke", "", "a", "pass")]
    assert stream.complete


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
def test_a_device_that_cannot_keep_signals_still_prints_them(tmp_path: Path, shell: str) -> None:
    block = 'rm -rf "$LAVA_SIGNAL_DIR" && : >"$LAVA_SIGNAL_DIR"'  # nothing can be made below a file
    device = HostDevice(tmp_path, [define("smoke", block, "lava-test-case a --result pass")], shell)
    text = device.run("k1")
    _, found = read(device, text)
    assert results(found) == [("0_smoke", "", "a", "pass")]
    assert ":p" in text  # a number of the process alone


def test_the_delay_between_signals_and_a_missing_kmsg_do_no_harm(tmp_path: Path, shell: str) -> None:
    device = HostDevice(
        tmp_path,
        [define("smoke", "lava-test-case a --result pass", lava_signal="stdout")],
        shell,
        character_delay=1,
    )
    assert "CHARACTER_DELAY=0.001" in (device.root / "0/tests/0_smoke/run.sh").read_text()
    assert results(read(device, device.run("k1"))[1]) == [("0_smoke", "", "a", "pass")]


# -- the rest of the helpers -----------------------------------------------------------------------------


def test_background_processes_start_and_end_with_all_their_children(tmp_path: Path, shell: str) -> None:
    mark = tmp_path / "mark"
    script = tmp_path / "script"
    script.write_text(f"sh -c 'echo $$ >{mark}; sleep 600; :' & wait\n")
    lives = f"grep -q '^State:.[RS]' /proc/$(cat {mark})/status"
    _, found, _ = ran(
        tmp_path,
        shell,
        f'lava-background-process-start stress --cmd "sh {script}"',
        f"for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s {mark} ] && break; sleep 0.2; done",
        f'lava-test-case alive --shell "{lives}"',
        f"lava-background-process-stop stress --attach {mark} text/plain --attach {mark}",
        f'lava-test-case gone --shell "{lives}"',
    )
    assert results(found) == [("0_smoke", "", "alive", "pass"), ("0_smoke", "", "gone", "fail")]
    assert [e.name for e in found if isinstance(e, events.Attached)] == ["mark", "2-mark"]


def test_attachments_arrive_whole_and_damaged_lines_are_asked_for_again(tmp_path: Path, shell: str) -> None:
    content = bytes(range(256)) * 20
    (tmp_path / "data.bin").write_bytes(content)
    (tmp_path / "log.txt").write_text("one\ntwo\n")
    device, found, _ = ran(
        tmp_path,
        shell,
        f"lava-test-case-attach boot {tmp_path}/data.bin application/x-data",
        f"lava-test-run-attach {tmp_path}/log.txt",
        "lava-test-run-attach /no/such/file",
    )
    attached = [(e.name, e.size) for e in found if isinstance(e, events.Attached)]
    assert attached == [("data.bin", 5120), ("log.txt", 8)]
    stage = str(device.root / "0")
    reader = AttachmentReader()
    lines = device.command("lava-attachments", stage, "100000").replace("\n", "\r\n").split("\n")
    reader.take("\n".join(line for number, line in enumerate(lines) if number % 7 != 5))
    again = reader.missing()
    assert again
    reader.take(device.command("lava-attachments", stage, "100000", *again.split()))
    assert reader.missing() == ""
    assert reader.listed
    assert {(f.definition, f.case, f.name, f.data) for f in reader.files()} == {
        ("0_smoke", "boot", "data.bin", content),
        ("0_smoke", "", "log.txt", b"one\ntwo\n"),
    }
    assert {f.name: f.mime for f in reader.files()}["data.bin"] == "application/x-data"
    small = AttachmentReader()
    small.take(device.command("lava-attachments", stage, "100"))
    assert {f.name: f.skipped for f in small.files()} == {"data.bin": True, "log.txt": False}


def test_attachments_without_base64(tmp_path: Path) -> None:
    path = tools(tmp_path / "tools", *NEEDED, "awk", "cksum", "od")
    (tmp_path / "data.bin").write_bytes(bytes(range(256)))
    device = HostDevice(
        tmp_path, [define("smoke", f"lava-test-run-attach {tmp_path}/data.bin")], "/bin/dash", {"PATH": path}
    )
    device.run("k1")
    reader = AttachmentReader()
    reader.take(device.command("lava-attachments", str(device.root / "0"), "100000"))
    assert [f.data for f in reader.files()] == [bytes(range(256))]


def test_metadata_is_captured(tmp_path: Path, shell: str) -> None:
    device, found, _ = ran(tmp_path, shell, "lava-test-case-metadata kernel --shell echo 6.1")
    marks = [type(e) for e in found if isinstance(e, events.MetadataStarted | events.MetadataEnded)]
    assert marks == [events.MetadataStarted, events.MetadataEnded]
    (file,) = device.root.glob("0/results/*/extra_metadata")
    assert file.read_text() == 'kernel: "6.1"\n'


def test_values_of_the_device_file(tmp_path: Path, shell: str) -> None:
    device = HostDevice(
        tmp_path,
        [],
        shell,
        target={"target-ip": "10.0.0.9", "probe-channel": "it's 3"},
        storage=[("SATA", "/dev/disk/by-id/a b"), ("SATA", "/dev/sdb"), ("USB", "/dev/sdc")],
    )
    assert device.command("lava-target-ip") == "10.0.0.9\n"
    assert device.command("lava-probe-channel") == "it's 3\n"
    assert "does not say" in device.command("lava-target-mac")
    assert device.command("lava-target-storage", "SATA") == "/dev/disk/by-id/a b\n/dev/sdb\n"
    assert device.command("lava-target-storage", "MMC") == ""
    assert device.command("lava-target-storage").splitlines()[2] == "\tUSB\t/dev/sdc"


def test_what_the_system_says_of_itself(tmp_path: Path, shell: str) -> None:
    device = HostDevice(tmp_path, [], shell, distro="debian")
    assert len(device.command("lava-os-build").splitlines()) == 1
    assert "127.0.0.1" in device.command("lava-echo-ipv4", "lo") or not shutil.which("ip")
    assert "no IPv4" in device.command("lava-echo-ipv4", "no-such-interface")
    if shutil.which("dpkg-query"):
        assert device.command("lava-installed-packages").startswith("package: ")


def test_generic_package_helpers_only_say_so(tmp_path: Path, shell: str) -> None:
    step = "lava-test-case x --shell lava-install-packages a b"
    device = HostDevice(tmp_path, [define("smoke", step)], shell)
    assert results(read(device, device.run("k1"))[1]) == [("0_smoke", "", "x", "pass")]


def test_packages_are_tried_five_times(tmp_path: Path) -> None:
    path = tools(tmp_path / "tools", *NEEDED, "awk", "cksum")
    tried = tmp_path / "tried"
    apt = tmp_path / "tools" / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >>{tried}\ntest "$1" = update\n')
    apt.chmod(0o755)
    device = HostDevice(tmp_path, [], "/bin/sh", {"PATH": path, "LAVA_INSTALL_PAUSE": "0"}, distro="debian")
    assert "gave up after 5 attempts: a b" in device.command("lava-install-packages", "a", "b")
    assert tried.read_text() == "update -q\ninstall -q -y a b\n" * 5


# -- the whole way ---------------------------------------------------------------------------------------


def test_over_a_terminal_with_its_echo_and_line_ends(tmp_path: Path, shell: str) -> None:
    """A terminal turns line ends into two characters and shows what is typed."""
    steps = ["lava-test-case a --shell true", "lava-test-case b --shell false"]
    device = HostDevice(tmp_path, [define("smoke", *steps)], shell)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["/bin/sh", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=device.environment,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        os.write(ours, f"{device.root}/bin/lava-test-runner {device.root}/0 k1\n".encode())
        stream = SignalStream([d.for_stream() for d in device.definitions], run="k1")
        found: list[Event] = []
        deadline = time.monotonic() + SECONDS
        while not stream.exited and time.monotonic() < deadline:
            found += stream.feed(os.read(ours, 100).decode())
        os.write(ours, b"exit\n")
        process.wait(SECONDS)
    os.close(ours)
    assert stream.complete
    assert results(found) == [("0_smoke", "", "a", "pass"), ("0_smoke", "", "b", "fail")]


def test_records_of_a_whole_block(tmp_path: Path) -> None:
    steps = ["lava-test-case a --shell true", "lava-test-raise broken"]
    device = HostDevice(tmp_path, [define("smoke", *steps, expected=["a", "z"])])
    records: list[dict[str, object]] = []
    book = Bookkeeper(
        device.definitions,
        namespace="common",
        emit=records.append,
        note=lambda _level, _text: None,
        level="3.1",
        clock=lambda: 7.0,
    )
    _, found = read(device, device.run("k1"))
    raised = None
    for event in found:
        try:
            book.take(event)
        except TestError as error:
            raised = error
    assert str(raised) == "broken"
    case, missing, run = records
    assert (case["case"], case["result"]) == ("a", "pass")
    assert int(str(case["starttc"])) < int(str(case["endtc"]))
    assert (missing["case"], missing["result"], missing["level"]) == ("z", "fail", "3.1")
    assert (run["definition"], run["case"], run["result"]) == ("lava", "0_smoke", "fail")


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck")
def test_shellcheck_has_nothing_to_say() -> None:
    scripts = sorted(p for p in DEVICE.glob("*/lava-*") if p.suffix != ".awk")
    # From the directory of the common functions: that is how shellcheck finds what is sourced.
    own = [p.name if p.parent.name == "generic" else f"../{p.parent.name}/{p.name}" for p in scripts]
    done = subprocess.run(
        ["shellcheck", "-x", "-s", "sh", *own],
        cwd=DEVICE / "generic",
        capture_output=True,
        text=True,
        check=False,
    )
    assert len(scripts) > 30
    assert done.stdout == ""
    assert done.returncode == 0

# SPDX-License-Identifier: Apache-2.0
"""What builds the project is code too: scripts parse, locks have hashes, help names each target."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = sorted(
    path
    for folder in ("scripts", "images", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.read_bytes().startswith(b"#!")
)
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)==\S+(?: ; .*?)? \\$", re.MULTILINE)


def name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def locked(file: str) -> dict[str, str]:
    """Package name -> the text of its entry."""
    text = (ROOT / file).read_text()
    starts = list(REQUIREMENT.finditer(text))
    ends = [m.start() for m in starts[1:]] + [len(text)]
    return {name(m[1]): text[m.start() : end] for m, end in zip(starts, ends, strict=True)}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_script_is_executable_and_parses(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert os.access(script, os.X_OK)
    assert lines[1].startswith("# SPDX-License-Identifier: Apache-2.0")
    shell = "bash" if "bash" in lines[0] else "sh"
    checked = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_scripts_pass_shellcheck() -> None:
    scripts = [str(p) for p in SCRIPTS if "initramfs" not in p.parts]  # that one is read by busybox
    checked = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False, cwd=ROOT)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("file", "wanted"), [("requirements.lock", "dependencies"), ("requirements-dev.lock", "dev")]
)
def test_lock_has_every_dependency_by_hash(file: str, wanted: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    direct = list(project["project"]["dependencies"])
    if wanted == "dev":
        direct += project["dependency-groups"]["dev"]
    entries = locked(file)
    assert {name(d) for d in direct} <= set(entries)
    assert [n for n, entry in entries.items() if "--hash=sha256:" not in entry] == []


def test_both_locks_agree() -> None:
    runtime, dev = locked("requirements.lock"), locked("requirements-dev.lock")
    assert {n: e.split()[0] for n, e in runtime.items()} == {n: dev[n].split()[0] for n in runtime}


def test_help_names_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony
    targets = set(phony[1].split())
    shown = subprocess.run(["make", "help"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert set(re.findall(r"^  make (\S+)", shown, re.MULTILINE)) == targets
    assert targets == set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))


def test_images_are_built_without_asking_a_registry() -> None:
    for file in (ROOT / "images").rglob("Dockerfile"):
        text = file.read_text()
        assert "syntax=" not in text
        for source in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
            stages = re.findall(r" AS (\w+)$", text, re.MULTILINE)
            assert source.startswith("${") or source in stages, f"{file}: FROM {source}"


def test_every_file_of_text_names_its_licence() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False)
    if listed.returncode:
        pytest.skip("not a checkout")
    data = re.compile(r"LICENSE$|\.lock$|\.(json|png|txt|ndjson|typed)$|/golden/|/recordings/|/differences/")
    files = [ROOT / name for name in listed.stdout.split("\n") if name and not data.search(name)]
    without = [
        str(f)
        for f in files
        if f.is_file() and b"SPDX-License-Identifier: Apache-2.0" not in f.read_bytes()[:400]
    ]
    assert without == []

# SPDX-License-Identifier: Apache-2.0
"""One farm for all end-to-end tests, and jobs that run in it while other tests are under way.

These tests need an engine, the job images and the guests of `make assets`. What is missing skips them, or
fails them where LAVA_EXEC_REQUIRE_E2E is set, as `make test` does.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from executor.container.facts import job_images
from tests.e2e import jobs
from tests.e2e.farm import ASSETS, ROOT, Cli, Farm, Running
from tests.e2e.gitserver import GitServer
from tests.e2e.leftovers import nothing_left_at_all

IMAGES = job_images()
REQUIRE = "LAVA_EXEC_REQUIRE_E2E"
# Jobs of the shared farm, the long ones first: they start with the first test and run beside the others.
EXAMPLE_JOBS = (
    "install-deps",
    "qemu-debian",
    "qemu-seed",
    "qemu-arm64",
    "failing-test",
    "timeout",
    "panic",
    "ramdisk-busybox",
    "bad-checksum",
    "repeat-block",
    "two-guests",
    "monitors",
    "interactive",
    "user-command",
    "attachments",
    "kmsg",
)


def unavailable(reason: str) -> None:
    """Skip, or fail where everything must be there."""
    if os.environ.get(REQUIRE):
        pytest.fail(f"{reason} ({REQUIRE} is set)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engine() -> None:
    """An engine with the job images, and guests to boot."""
    if not (ASSETS / "SHA256SUMS").exists():
        unavailable(f"no guests in {ASSETS}: run `make assets`")
    for image in IMAGES:
        try:
            done = subprocess.run(
                ["docker", "image", "inspect", image], capture_output=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            unavailable(f"no container engine: {error}")
        if done.returncode:
            unavailable(f"no image {image}: run `make images`; {done.stderr.decode().strip()}")


@pytest.fixture(scope="session")
def farm(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Shared; two devices of type qemu and one of type kvm. At its end nothing may be left."""
    made = Farm(tmp_path_factory.mktemp("farm"))
    try:
        made.start()
        yield made
        made.cancel_all()
        nothing_left_at_all(made)
    finally:
        made.stop()


@pytest.fixture
def new_farm(engine: None, tmp_path: Path) -> Iterator[Callable[..., Farm]]:
    """Makes farms for one test that kills or fills them; started, and stopped with the test."""
    made: list[Farm] = []

    def make(**options: object) -> Farm:
        farm = Farm(tmp_path / f"farm-{len(made)}", **options)  # type: ignore[arg-type]
        made.append(farm)
        farm.start()
        return farm

    try:
        yield make
        for farm in made:
            farm.cancel_all()
            nothing_left_at_all(farm)
    finally:
        for farm in made:
            farm.stop()


@pytest.fixture
def lone_cli(engine: None, tmp_path: Path) -> Iterator[Cli]:
    """The command line of somebody with an empty home and no master."""
    configs = str(ROOT / "device-configs")
    cli = Cli(tmp_path / "home", LAVA_EXEC_STATE=str(tmp_path / "state"), LAVA_EXEC_DEVICE_CONFIGS=configs)
    yield cli
    cli.close()


@pytest.fixture(scope="session")
def examples(farm: Farm) -> dict[str, Running]:
    """`lava-exec submit examples/NAME.yaml --wait` for each of them, all at once."""
    return {name: farm.cli.begin("submit", jobs.example(name), "--wait") for name in EXAMPLE_JOBS}


def _asks_for_examples(item: pytest.Item) -> bool:
    return "examples" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two groups, each with a farm and a process of its own: who looks at the examples, and who does not."""
    here = Path(__file__).parent
    mine = [item for item in items if item.path.is_relative_to(here)]
    with_examples = {item.path for item in mine if _asks_for_examples(item)}
    for item in mine:
        item.add_marker(pytest.mark.xdist_group("examples" if item.path in with_examples else "farm"))


@pytest.fixture(scope="module", autouse=True)
def _early(request: pytest.FixtureRequest) -> None:
    """The examples run from the first module on that looks at one of them."""
    if any(item.path == request.path and _asks_for_examples(item) for item in request.session.items):
        request.getfixturevalue("examples")


@pytest.fixture(scope="session")
def git_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with GitServer(tmp_path_factory.mktemp("git")) as server:
        yield server

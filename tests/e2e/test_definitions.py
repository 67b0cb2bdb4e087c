# SPDX-License-Identifier: Apache-2.0
"""Every origin of test definitions with a real guest, and the hostile ones that must not reach it."""

from __future__ import annotations

import io
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from executor.container.facts import job_images
from executor.testing.web import WebServer
from tests.e2e import jobs
from tests.e2e.farm import EXAMPLES, Farm, Running, cases, records
from tests.e2e.gitserver import GitServer, bridge_gateway, git
from tests.e2e.leftovers import nothing_left

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(300)]

SMOKE = """\
metadata: {format: Lava-Test Test Definition 1.0, name: smoke}
run:
  steps:
  - lava-test-case %s --shell test %s
"""


class Folder(SimpleHTTPRequestHandler):
    """Files of a directory, without a word."""

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def bzr_server(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A branch with two revisions, made by the job image's own brz, behind plain HTTP; its URL."""
    top = tmp_path_factory.mktemp("bzr")
    script = """
set -e
export BRZ_HOME=/tmp BRZ_EMAIL=a@example.org PATH=/usr/bin:/bin PYTHONPATH=
brz init -q /w/tests
cd /w/tests
printf '%s' "$1" >smoke.yaml; brz add -q smoke.yaml; brz commit -q -m one
echo later >later.txt; brz add -q later.txt; brz commit -q -m two
chmod -R a+rX /w
"""
    text = SMOKE % ("first-revision", "! -e later.txt")
    argv = ["docker", "run", "--rm", "--user", "0", "--network", "none", "-v", f"{top}:/w", job_images()[0]]
    subprocess.run([*argv, "sh", "-c", script, "sh", text], check=True, timeout=60)
    server = ThreadingHTTPServer((bridge_gateway(), 0), partial(Folder, directory=str(top)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield "http://{}:{}/tests".format(*server.server_address[:2])
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def repositories(git_server: GitServer) -> GitServer:
    """tools, and tests with tools as a submodule and a branch `stable`."""
    git_server.commit(
        "tools.git", {"smoke.yaml": SMOKE % ("from-submodule", "-e word.txt -a -e tools/smoke.yaml")}
    )
    git_server.commit("tests.git", {"word.txt": "x"})
    path = git_server.root / "tests.git"
    git(path, "submodule", "--quiet", "add", git_server.url("tools.git"), "tools")
    git_server.commit("tests.git", {"again.txt": "x"})
    git_server.commit(
        "tests.git", {"smoke.yaml": SMOKE % ("no-history", "! -e .git -a ! -e tools/smoke.yaml")}, "stable"
    )
    git(path, "checkout", "--quiet", "main")
    return git_server


def archive(member: str, text: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
    return made.getvalue()


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


@pytest.fixture(scope="module")
def local(farm: Farm) -> Running:
    return farm.cli.begin("submit", jobs.example("definitions-file"), "--wait")


@pytest.fixture(scope="module")
def network(farm: Farm, repositories: GitServer, web: WebServer, bzr_server: str) -> Running:
    """The example with addresses of this test."""
    url = web.put(
        "/tests-1.0.tar.gz", archive("tests-1.0/smoke.yaml", SMOKE % ("unpacked", "1 = 1")), etag='"1"'
    )
    text = (EXAMPLES / "definitions-network.yaml").read_text()
    text = text.replace("https://git.example.org", repositories.address)
    text = text.replace("https://www.example.org/tests-1.0.tar.gz", url)
    text = text.replace("https://bzr.example.org/tests", bzr_server)
    path = farm.root / "examples" / "definitions-network.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(jobs.absolute(text))
    return farm.cli.begin("submit", path, "--wait")


def ended(running: Running) -> str:
    """The id of a job that must have ended well."""
    done = running.wait(280)
    assert done.code == 0, done
    return done.out.split()[0]


def test_definitions_from_files_archives_and_the_job_itself(farm: Farm, local: Running) -> None:
    results = farm.results(ended(local))
    assert cases(results, "0_inline") == {"here": "pass"}
    expected = dict.fromkeys(("library-is-there", "install-ran", "parameters"), "pass")
    assert cases(results, "1_directory") == expected
    assert cases(results, "2_one-file") == {"alone": "pass"}
    assert cases(results, "3_archive") == {"unpacked": "pass"}


def test_definitions_from_git_url_and_bzr(farm: Farm, network: Running, web: WebServer) -> None:
    job = ended(network)
    results = farm.results(job)
    assert cases(results, "0_git") == {"no-history": "pass"}
    assert cases(results, "1_submodule") == {"from-submodule": "pass"}
    assert cases(results, "2_archive") == {"unpacked": "pass"}
    assert cases(results, "3_bzr") == {"first-revision": "pass"}
    assert cases(results, "4_install") == {"git-repos": "pass", "bzr-repos": "pass"}
    commits = {
        r.msg["case"]: r.msg.get("commit_id") for r in records(farm.journal(job)) if r.lvl == "results"
    }
    assert commits["3_bzr"] == "1"
    assert ("x-example", "a header that the server gets") in web.requests[-1][1].items()
    nothing_left(farm, job)


def refused(farm: Farm, **definition: Any) -> tuple[int, str]:
    """How a job with this definition ends: exit code and cause; no guest is started."""
    data = jobs.load("ramdisk-busybox")
    jobs.block(data, "test")["definitions"] = [{"name": "hostile", "path": "smoke.yaml", **definition}]
    job = farm.submit(jobs.text(data))
    code = farm.wait(job)
    assert not farm.has(job, "start: 2 boot-image-retry")
    return code, str(farm.results(job)["cause"]["message"])


def test_a_repository_with_a_link_out_of_it_is_refused(farm: Farm, git_server: GitServer) -> None:
    git_server.commit("hostile.git", {"smoke.yaml": SMOKE % ("x", "1")})
    (git_server.root / "hostile.git/secret").symlink_to("/etc/passwd")
    git_server.commit("hostile.git", {"more.txt": ""})
    code, cause = refused(farm, **{"from": "git", "repository": git_server.url("hostile.git")})
    assert code == 2
    assert "secret is a link out of the repository" in cause


def test_an_archive_that_leads_out_and_a_directory_that_is_not_allowed_are_refused(
    farm: Farm, web: WebServer
) -> None:
    url = web.put("/hostile.tar.gz", archive("../../../tmp/smoke.yaml", "x"))
    code, cause = refused(farm, **{"from": "url", "repository": url})
    assert code == 2
    assert "leads out of the tree" in cause
    code, cause = refused(farm, **{"from": "file", "repository": "/etc"})
    assert code == 2
    assert "not below a directory that jobs may read files from" in cause
    assert not Path("/tmp/smoke.yaml").exists()  # noqa: S108

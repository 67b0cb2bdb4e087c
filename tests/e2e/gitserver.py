# SPDX-License-Identifier: Apache-2.0
"""A git repository behind git's own HTTP program, at the address by which containers reach their host."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

_IDENTITY = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


class GitServer:
    """`url(name)` of each repository made with `repository`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.requests: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

            def do_GET(self) -> None:
                server._answer(self)

            do_POST = do_GET

        self._server = ThreadingHTTPServer((bridge_gateway(), 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.address = "http://{}:{}".format(*self._server.server_address[:2])

    def __enter__(self) -> GitServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"

    def commit(self, name: str, files: dict[str, str], branch: str = "main") -> str:
        """Add a commit to a branch, which is made when it is not there; its id."""
        path = self.root / name
        if not path.exists():
            git(self.root, "init", "--quiet", "--initial-branch", "main", name)
            git(path, "config", "receive.denyCurrentBranch", "ignore")
            git(path, "config", "uploadpack.allowAnySHA1InWant", "true")
            (path / ".git" / "git-daemon-export-ok").touch()
        elif git(path, "branch", "--list", branch):
            git(path, "checkout", "--quiet", branch)
        else:
            git(path, "checkout", "--quiet", "-b", branch)
        for file, text in files.items():
            (path / file).write_text(text, encoding="utf-8")
        git(path, "add", "--all")
        git(path, "commit", "--quiet", "--message", f"change {', '.join(files)}")
        return git(path, "rev-parse", "HEAD")

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        """CGI: the request as environment and stdin, the answer as headers and a body."""
        self.requests.append(request.path)
        url = urlsplit(request.path)
        length = int(request.headers.get("Content-Length") or 0)
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "REQUEST_METHOD": request.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"],
            input=request.rfile.read(length),
            env=env,
            capture_output=True,
            check=False,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        request.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


def git(directory: Path, *words: str) -> str:
    """The output of git there, in nobody's name."""
    env = {"PATH": os.environ["PATH"], "HOME": str(directory), **_IDENTITY}
    done = subprocess.run(["git", *words], cwd=directory, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def bridge_gateway() -> str:
    """The host's address on the engine's default network."""
    done = subprocess.run(["docker", "network", "inspect", "bridge"], capture_output=True, check=True)
    given = json.loads(done.stdout)[0]["IPAM"]["Config"][0]
    return str(given.get("Gateway") or next(ip_network(given["Subnet"]).hosts()))

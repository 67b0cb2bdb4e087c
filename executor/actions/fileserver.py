# SPDX-License-Identifier: Apache-2.0
"""Files by HTTP, for as long as a device needs them.

Spec: job-format §6 (`transfer_overlay`) and §5 (`{DOWNLOAD_URL}` of images for a board's own media).
"""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from executor.errors import InfrastructureError

_IDLE_SECONDS = 30.0  # that a client may keep a connection without asking or taking anything
_POLL_SECONDS = 0.05  # in which the server notices that it shall end


@contextmanager
def serve_file(path: Path, address: str) -> Iterator[str]:
    """Serve one file; gives its URL."""
    with serve_files({path.name: path}, address) as base:
        yield base + quote(path.name)


@contextmanager
def serve_files(files: Mapping[str, Path], address: str) -> Iterator[str]:
    """Serve `files` by their names at `address` on a free port; gives the URL of their directory, which
    nobody can guess.

    Raises InfrastructureError when the address is not one of this machine's.
    """
    directory = f"/{secrets.token_urlsafe(12)}/"
    places = {directory + quote(name): path for name, path in files.items()}
    handler = type("Handler", (_Handler,), {"places": places})
    try:
        server = ThreadingHTTPServer((address, 0), handler)
    except OSError as error:
        raise InfrastructureError(
            f"files cannot be served at {address or 'no address'}: {error.strerror or error}",
            "the worker's http_ip or dispatcher_ip must be an address of its own that devices reach",
        ) from error
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(
        target=server.serve_forever, args=(_POLL_SECONDS,), name="overlay-server", daemon=True
    )
    thread.start()
    host = f"[{address}]" if ":" in address else address
    try:
        yield f"http://{host}:{server.server_address[1]}{directory}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    places: Mapping[str, Path] = {}  # path in the URL → file
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        if (path := self._begin()) is not None:
            with path.open("rb") as file:
                shutil.copyfileobj(file, self.wfile)

    def do_HEAD(self) -> None:
        self._begin()

    def _begin(self) -> Path | None:
        path = self.places.get(self.path)
        if path is None:
            self.send_error(404)
            return None
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(path.stat().st_size))
        self.end_headers()
        return path

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """The device's side is in the log already."""

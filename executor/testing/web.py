# SPDX-License-Identifier: Apache-2.0
"""A small web server that can misbehave on purpose: cuts, wrong lengths, redirects, versions.

>>> with WebServer() as web:
...     url = web.put("/image", b"bytes", etag='"1"')
"""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_HOLD_SECONDS = 30.0


@dataclass
class Page:
    """What one path answers. `cut_after` breaks the connection after so many bytes, once for each entry."""

    body: bytes = b""
    etag: str = ""
    modified: str = ""
    status: int = 200
    location: str = ""
    cut_after: list[int] = field(default_factory=list)
    ranges: bool = True
    length: int | None = None  # a wrong Content-Length; -1: none at all
    hold: threading.Event | None = None  # the last byte of the body waits for it
    head: int = 0  # status that HEAD gets; 0: the same as GET


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that went away is nothing to print."""


class WebServer:
    """`pages` may be changed at any time; `requests` are (path, headers with small letters) as they came."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.methods: list[str] = []  # of the same requests
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

            def do_GET(self) -> None:
                web._answer(self)

            do_HEAD = do_GET

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def put(self, path: str, body: bytes = b"", **options: Any) -> str:
        """Set a page; returns its URL."""
        self.pages[path] = Page(body, **options)
        return self.address + path

    def __enter__(self) -> WebServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for page in self.pages.values():
            if page.hold is not None:
                page.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.path, headers))
        self.methods.append(request.command)
        page = self.pages.get(request.path, Page(b"no such page", status=404))
        if request.command == "HEAD":
            request.send_response(page.head or page.status)
            _body(request, replace(page, cut_after=[], hold=None, length=0), b"")
            return
        unchanged = page.etag and headers.get("if-none-match") == page.etag
        if unchanged or (page.modified and headers.get("if-modified-since") == page.modified):
            request.send_response(304)
            request.end_headers()
            return
        start = 0
        if (
            "range" in headers
            and page.ranges
            and headers.get("if-range", "") in ("", page.etag, page.modified)
        ):
            start = int(headers["range"].removeprefix("bytes=").removesuffix("-"))
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(page.body) - 1}/{len(page.body)}")
        else:
            request.send_response(page.status)
        _body(request, page, page.body[start:])


def _body(request: BaseHTTPRequestHandler, page: Page, body: bytes) -> None:
    named = {"ETag": page.etag, "Last-Modified": page.modified, "Location": page.location}
    for name, value in named.items():
        if value:
            request.send_header(name, value)
    if page.length != -1:
        request.send_header("Content-Length", str(len(body) if page.length is None else page.length))
    request.end_headers()
    broken = page.length is not None
    if page.cut_after:
        body, broken = body[: page.cut_after.pop(0)], True
    try:
        if page.hold is not None:
            request.wfile.write(body[:-1])
            page.hold.wait(_HOLD_SECONDS)
            body = body[-1:]
        request.wfile.write(body)
        if broken:
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # the reader went away
        request.close_connection = True

# SPDX-License-Identifier: Apache-2.0
"""The world as `validate` sees it from here: does each URL answer? Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from executor.pipeline.world import FarmWorld

_SECONDS = (5, 10)  # to connect, to answer
_NO_HEAD = (403, 405, 501)  # servers that answer GET only


class OnlineWorld(FarmWorld):
    """Asks with HEAD, each URL once. Tools are in the job's image, not here, so they count as there."""

    def __init__(self) -> None:
        self._asked: dict[str, str] = {}

    def url(self, url: str, headers: dict[str, str]) -> str:
        """ "" when it answers, else why not."""
        if url not in self._asked:
            scheme = urlsplit(url).scheme
            if scheme in ("http", "https"):
                self._asked[url] = _http(url, headers)
            elif scheme == "file":
                self._asked[url] = _file(url)
            else:
                self._asked[url] = ""
        return self._asked[url]


def _file(url: str) -> str:
    path = Path(unquote(urlsplit(url).path))
    return "" if path.is_file() else f"there is no file {path}"


def _http(url: str, headers: dict[str, str]) -> str:
    import requests

    try:
        answer = requests.head(url, headers=headers, timeout=_SECONDS, allow_redirects=True)
        if answer.status_code in _NO_HEAD:
            with requests.get(url, headers=headers, timeout=_SECONDS, stream=True) as answer:
                return _status(answer.status_code, url)
        return _status(answer.status_code, url)
    except requests.RequestException as error:
        return f"{url} does not answer: {type(error).__name__}"


def _status(code: int, url: str) -> str:
    return "" if code < 400 else f"{url} answers with status {code}"

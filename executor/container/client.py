# SPDX-License-Identifier: Apache-2.0
"""One request over http or https: redirects are checked again, and no credentials but the job's own headers
travel: never ~/.netrc, never on to another server.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

from executor.container.cancel import Cancellation
from executor.errors import InfrastructureError, InfrastructureTimeout, JobError
from executor.model.deadline import Deadline

if TYPE_CHECKING:
    import requests

SCHEMES = ("http", "https")
MAX_REDIRECTS = 10
CONNECT_SECONDS = 15.0
SILENCE_SECONDS = 60.0  # a server that sends nothing for so long is given up


class Client:
    """Asks for one URL, as often as it takes."""

    def __init__(
        self,
        url: str,
        *,
        headers: dict[str, str],
        deadline: Deadline,
        cancellation: Cancellation,
        verify: str | bool = True,
    ) -> None:
        import requests

        self.url = url
        self._headers = headers
        self._deadline = deadline
        self._cancellation = cancellation
        self._session = requests.Session()
        self._session.trust_env = False
        # Redirects are ours: requests would read the whole body of one before it says so.
        self._session.get_redirect_target = lambda response: None  # type: ignore[method-assign,assignment]
        self._session.verify = verify

    def ask(self, extra: dict[str, str], method: str = "GET") -> requests.Response:
        """The response behind all redirects, its body unread.

        Raises InfrastructureError when nobody answers, InfrastructureTimeout, JobCanceled, JobError for a URL
        that is none.
        """
        from requests.exceptions import RequestException
        from requests.utils import get_environ_proxies

        url, headers = self.url, self._headers
        _check_url(url)
        for _ in range(MAX_REDIRECTS):
            self.check_time()
            left = max(0.1, self._deadline.remaining)
            try:
                response = self._session.request(
                    method,
                    url,
                    headers={"Accept-Encoding": "identity", "User-Agent": "lava-exec"} | headers | extra,
                    stream=True,
                    allow_redirects=False,
                    timeout=(min(CONNECT_SECONDS, left), min(SILENCE_SECONDS, left)),
                    proxies=get_environ_proxies(url),
                )
            except (RequestException, ValueError) as error:
                self.check_time()
                raise InfrastructureError(f"{display(url)} cannot be reached: {_reason(error)}") from None
            target = response.headers.get("Location", "")
            if response.status_code not in (301, 302, 303, 307, 308) or not target:
                return response
            response.close()
            self._session.cookies.clear()
            before, url = url, _joined(url, target)
            _check_url(url)
            if _origin(before) != _origin(url):
                headers = {}
        raise InfrastructureError(f"{display(self.url)} redirects more than {MAX_REDIRECTS} times")

    def check_time(self) -> None:
        """Raises InfrastructureTimeout or JobCanceled when it is over."""
        self._cancellation.check()
        if self._deadline.expired:
            raise InfrastructureTimeout(
                f"the download of {display(self.url)} did not end within {self._deadline.limit:.0f} s"
            )

    def close(self) -> None:
        """Let go of the connections; harmless when repeated."""
        self._session.close()


def display(url: str) -> str:
    """A URL for people: without user name, password and query, which may be secrets."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "the URL"
    return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in SCHEMES and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise JobError(f"{display(url)} is not an http or https URL", "Redirects must lead to one as well.")


def _joined(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError:
        return target  # no URL, which is found out next


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2]


def _reason(error: Exception) -> str:
    """The innermost cause, which is what a person can act on."""
    cause: BaseException = error
    seen = 0
    while seen < 8:
        inner = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
        if not isinstance(inner, BaseException):
            break
        cause, seen = inner, seen + 1
    return re.sub(r"\(Caused by .*", "", str(cause))[:300] or type(error).__name__

# SPDX-License-Identifier: Apache-2.0
"""The service's REST interface, as far as a job needs it: log in, upload firmware, start and stop a board.

The user's token comes from the job's secrets and goes into the body of one request; what the service gives
for it lives in this object only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.actions.avh.transport import Body, exchange, form, text
from executor.errors import ConfigurationError, InfrastructureError, JobError

if TYPE_CHECKING:
    from executor.model.deadline import Deadline
    from executor.pipeline.context import JobContext

SECRET = "avh_api_token"  # noqa: S105 - its name among the job's secrets
_REQUEST_SECONDS = 60.0
_POLL_SECONDS = 2.0
_GOOD = 200
_REFUSED = (401, 403)


class Service:
    """One session. Every call raises InfrastructureError, or JobError where the service refuses the job."""

    def __init__(self, endpoint: str, deadline: Deadline) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.deadline = deadline
        self._token = ""

    def log_in(self, api_token: str) -> None:
        """Change the user's token for one of this session."""
        self._token = str(self._call("POST", "auth/login", _json({"apiToken": api_token})).get("token", ""))
        if not self._token:
            raise InfrastructureError(f"{self.endpoint} gave no token", "is api_endpoint the service's API?")

    def project(self, name: str) -> str:
        """The id of a project of the user."""
        return str(self._named("projects", "name", name)["id"])

    def flavor(self, model: str) -> str:
        """What the service calls this model of a board."""
        return str(self._named("models", "model", model)["flavor"])

    def upload(self, project: str, name: str, package: Path) -> str:
        """Give a firmware package to the service; the id of the image."""
        fields = {"type": "fwpackage", "encoding": "plain", "name": name, "project": project}
        made = self._call("POST", "images", form(fields, "file", package), self.deadline.remaining)
        return str(made["id"])

    def start(self, project: str, name: str, flavor: str, image: str, boot_options: dict[str, str]) -> str:
        """Have a board made; its id."""
        wanted = {
            "project": project,
            "name": name,
            "flavor": flavor,
            "fwpackage": image,
            "os": "1.0",
            "bootOptions": boot_options,
        }
        return str(self._call("POST", "instances", _json(wanted))["id"])

    def wait_for(self, instance: str, tell: Callable[[str], object]) -> None:
        """Wait until the board runs."""
        before = ""
        while True:
            state = str(self._call("GET", f"instances/{instance}").get("state", ""))
            if state != before:
                tell(state)
            if state == "on":
                return
            if state == "error":
                raise InfrastructureError("the service could not start the board", "its web page tells more")
            if self.deadline.expired:
                raise InfrastructureError(f"the board is {state!r} and does not start")
            before = state
            time.sleep(min(_POLL_SECONDS, self.deadline.remaining))

    def console(self, instance: str) -> str:
        """URL of the board's console; it holds a key, so it is a secret."""
        return str(self._call("GET", f"instances/{instance}/console")["url"])

    def remove(self, kind: str, identity: str) -> None:
        """Take away an image or a board."""
        self._call("DELETE", f"{kind}/{identity}")

    def _named(self, kind: str, key: str, name: str) -> Any:
        every = self._call("GET", kind)
        found = [entry for entry in every if entry.get(key) == name]
        if not found:
            known = ", ".join(sorted(str(entry.get(key)) for entry in every))
            raise JobError(f"the service has no {kind[:-1]} {name!r}", f"it has {known or 'none'}")
        return found[0]

    def _call(self, verb: str, path: str, body: Body | None = None, seconds: float = _REQUEST_SECONDS) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        limit = max(0.1, min(seconds, self.deadline.remaining))
        status, content = exchange(verb, f"{self.endpoint}/v1/{path}", headers, body, limit)
        if status in _REFUSED:
            raise JobError(f"the service refuses the secret {SECRET}", "is the token still good?")
        if not _GOOD <= status < _GOOD + 100:
            raise InfrastructureError(f"{verb} {path}: the service answers {status}")
        try:
            return json.loads(content) if content else {}
        except ValueError:
            raise InfrastructureError(f"{verb} {path}: the service's answer is no JSON") from None


def _json(value: dict[str, Any]) -> Body:
    return text(json.dumps(value).encode())


def log_in(context: JobContext, endpoint: str, deadline: Deadline) -> Service:
    """A session of the job's user. Raises ConfigurationError, JobError."""
    if not endpoint.startswith(("https://", "http://")):
        raise ConfigurationError("the device file has no api_endpoint for avh", "https://…/api")
    token = context.secrets.get(SECRET, "")
    if not token:
        raise JobError(f"the job has no secret {SECRET}", "secrets: {avh_api_token: …} in the job")
    service = Service(endpoint, deadline)
    service.log_in(token)
    return service

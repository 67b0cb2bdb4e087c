# SPDX-License-Identifier: Apache-2.0
"""The world as a job sees it before it begins: tools of its container, and URLs by way of the agent."""

from __future__ import annotations

from executor.model.deadline import Deadline
from executor.model.doorbell import Fetch
from executor.pipeline.world import LocalWorld
from executor.runner.doorbell import Doorbell

_SECONDS = 30.0  # for all URLs of a job together; what is not asked by then is left to the downloads
_EACH = 10.0


class AgentWorld(LocalWorld):
    """Asks the agent whether each URL can be had, once."""

    def __init__(self, bell: Doorbell) -> None:
        self._bell = bell
        self._deadline = Deadline.after(_SECONDS)
        self._asked: dict[str, str] = {}

    def url(self, url: str, headers: dict[str, str]) -> str:
        if url not in self._asked:
            if self._deadline.expired:
                return ""
            self._asked[url] = self._bell.probe(Fetch(url, headers=headers), self._deadline.within(_EACH))
        return self._asked[url]

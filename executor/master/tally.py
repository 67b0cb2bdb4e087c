# SPDX-License-Identifier: Apache-2.0
"""Results of running jobs, gathered in memory for a moment so that a fast journal does not mean a slow store.

Nothing is lost by that: after a restart the journal is read again from the offset that the store has.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from executor.master import index
from executor.master.store import Store
from executor.model import journal
from executor.model.journal import End
from executor.wire.messages import ResultRow

MANY = 500  # rows of one job that are stored without waiting for the timer
FAR = 16 << 20  # bytes without results after which the offset is stored all the same


@dataclass
class _Job:
    stored: int  # rows in the store
    cases: dict[str, int]
    offset: int  # of the journal, up to which results are in `rows` or in the store
    saved_offset: int
    end: End | None
    rows: list[ResultRow] = field(default_factory=list)
    changed: bool = False


class Tally:
    """Takes blocks of journal, stores results at `flush`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs: dict[int, _Job] = {}

    def take(self, job: int, data: bytes, offset: int) -> None:
        """Look through whole lines that end at `offset` of the journal."""
        known = self._known(job)
        if known is None:
            return
        for record in index.find(data):
            if record.lvl == journal.END:
                known.end = index.end_of(record) or known.end
                known.changed = True
            elif (row := index.result_row(record)) is not None:
                known.rows.append(row)
                known.changed = True
                if row.suite != "lava":
                    known.cases[row.result] = known.cases.get(row.result, 0) + 1
        known.offset = offset
        if len(known.rows) >= MANY or offset - known.saved_offset > FAR:
            known.changed = True
            self.flush(job)

    def end(self, job: int) -> End | None:
        """The journal's last record, when it has been seen."""
        known = self._known(job)
        return None if known is None else known.end

    def flush(self, job: int | None = None) -> bool:
        """Put what was gathered (of one job, or of all) into the store; True when there was something."""
        did = False
        for id in list(self._jobs) if job is None else [job]:
            known = self._jobs.get(id)
            if known is None or not known.changed:
                continue
            self._store.add_results(id, known.stored, known.rows)
            known.stored += len(known.rows)
            known.rows = []
            self._store.update_job(
                id,
                results=known.stored,
                cases=known.cases,
                indexed=known.offset,
                end=None if known.end is None else msgspec.to_builtins(known.end),
            )
            known.saved_offset, known.changed = known.offset, False
            did = True
        return did

    def forget(self, job: int) -> None:
        """The job has ended; call after `flush`."""
        self._jobs.pop(job, None)

    def clear(self) -> list[int]:
        """Forget what was gathered; returns the jobs whose journals must be looked through again."""
        jobs = list(self._jobs)
        self._jobs.clear()
        return jobs

    def _known(self, job: int) -> _Job | None:
        known = self._jobs.get(job)
        if known is None:
            record = self._store.job(job)
            if record is None:
                return None
            known = _Job(record.results, dict(record.cases), record.indexed, record.indexed, record.end)
            self._jobs[job] = known
        return known

"""How far the library is embedded for the model that the settings name. Scans: for a reader thread."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from damfs.catalog import job_table
from damfs.catalog.database import Connection

EMBEDDERS = ("embedding", "wording")
PLANNED_FOR = "planned-for"
"""Property that holds what `Planner.situation` was when every blob was last asked about."""
FOREVER_NS = (1 << 63) - 1
PACE_NS = 60_000_000_000
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Progress:
    done: int
    steps: int

    @property
    def share(self) -> float:
        return self.done / self.steps if self.steps else 1.0


def progress_of(connection: Connection) -> Progress:
    counts = job_table.counts(connection, FOREVER_NS)
    states = [counts.get(name, {}) for name in EMBEDDERS]
    steps = sum(sum(each.values()) for each in states)
    return Progress(steps - sum(each.get("waiting", 0) + each.get("leased", 0) for each in states), steps)


class Pace:
    """Steps done in the last minute. Loop's thread only, but for `per_second`."""

    def __init__(self) -> None:
        self._ends: deque[int] = deque()

    def note(self, now_ns: int) -> None:
        self._ends.append(now_ns)
        self._forget(now_ns)

    def per_second(self, now_ns: int) -> float:
        ends = [end for end in tuple(self._ends) if end > now_ns - PACE_NS]
        if len(ends) < 2:  # one alone has no pace
            return 0.0
        return len(ends) * SECOND_NS / max(SECOND_NS, now_ns - ends[0])

    def _forget(self, now_ns: int) -> None:
        while self._ends and self._ends[0] <= now_ns - PACE_NS:
            self._ends.popleft()

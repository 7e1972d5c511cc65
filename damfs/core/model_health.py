"""Whether the model can be used: one line of trouble instead of a failed job for each file, and when to try again.

Concurrency: loop's thread only. Kept in memory: a start tries anew.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_WAIT_NS = 60_000_000_000
LONGEST_WAIT_NS = 3600_000_000_000
SUSPECT = 2
"""Jobs in a row that died or hung before it is taken for the model's fault and not the files'."""


class ModelHealth:
    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._wait_ns = FIRST_WAIT_NS
        self._in_a_row = 0
        self.trouble = ""
        """What is wrong and what to do; empty: nothing is known to be."""
        self.retry_ns = 0
        """No job asks the model before."""

    @property
    def resting(self) -> bool:
        return self._clock() < self.retry_ns

    def well(self) -> None:
        """A job was done, or another model is in use."""
        self.trouble, self.retry_ns = "", 0
        self._wait_ns, self._in_a_row = FIRST_WAIT_NS, 0

    def failed(self, reason: str) -> None:
        """It cannot be had: every job would fail in the same way."""
        self.trouble = reason
        self.retry_ns = self._clock() + self._wait_ns
        self._wait_ns = min(LONGEST_WAIT_NS, 2 * self._wait_ns)

    def suspected(self, reason: str) -> None:
        """A job died or hung."""
        self._in_a_row += 1
        if self._in_a_row >= SUSPECT:
            self.failed(f'{reason}, {self._in_a_row} times in a row: name a smaller model in model.name, or "none"')

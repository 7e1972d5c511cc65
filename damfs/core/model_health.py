"""Whether the model can be used: one line of trouble instead of a failed job for each file, and when to try again.

Concurrency: loop's thread only. Kept in memory: a start tries anew.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_WAIT_NS = 60_000_000_000
LONGEST_WAIT_NS = 3600_000_000_000
SUSPECT = 2
"""Jobs in a row that died or hung before it is taken for the model's fault and not the files'."""


SILENT_NS = 60_000_000_000
"""Longer than any model that was loaded takes for a batch; one that has to be fetched first may take as long."""
SECOND_NS = 1_000_000_000


class ModelHealth:
    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._wait_ns = FIRST_WAIT_NS
        self._in_a_row = 0
        self.trouble = ""
        """What is wrong and what to do; empty: nothing is known to be."""
        self.retry_ns = 0
        """No job asks the model before."""
        self._pending = 0
        self._heard_ns = 0
        """When it was last asked after a rest, or answered."""

    @property
    def resting(self) -> bool:
        return self._clock() < self.retry_ns

    @property
    def notice(self) -> str:
        """That there may be trouble: what it is asked has not been answered for long."""
        silent_ns = self._clock() - self._heard_ns
        if self.trouble or not self._pending or silent_ns < SILENT_NS:
            return ""
        return (
            f"has not answered for {silent_ns // SECOND_NS} s: it is being fetched or loaded, or hangs; "
            "wait, or choose another with: damfs model use"
        )

    def asked(self) -> None:
        """A job waits for it."""
        if not self._pending:
            self._heard_ns = self._clock()
        self._pending += 1

    def ended(self) -> None:
        """That job waits no more, whatever became of it."""
        self._pending -= 1
        self._heard_ns = self._clock()

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

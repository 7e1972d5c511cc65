"""Why programs were refused something in the mount, the last ones: all that they show themselves is an error number.

Concurrency: any thread. Crash rule: nothing here is kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime

KEPT = 50
SECOND_NS = 1_000_000_000


class Refusals:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """By its words: when it was said last, and how often."""

    def add(self, words: str, at_ns: int) -> None:
        """What is said again and again takes one line."""
        with self._lock:
            _, times = self._said.pop(words, (0, 0))
            self._said[words] = at_ns, times + 1
            while len(self._said) > KEPT:
                self._said.popitem(last=False)

    def text(self) -> str:
        """A line for each, the last one last: local time, operation, reason."""
        with self._lock:
            said = list(self._said.items())
        return "".join(f"{_clock(at_ns)}  {_line(words)}{_times(times)}\n" for words, (at_ns, times) in said)


def _clock(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // SECOND_NS).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _line(words: str) -> str:
    """Names may hold anything."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in words)


def _times(times: int) -> str:
    return f" ({times:,} times)" if times > 1 else ""

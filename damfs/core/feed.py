"""News of what was committed, for those who follow inside this process.

Concurrency: loop's thread only. A follower sees every batch published after it began to follow, in order; what came
before it reads from the change table. Crash rule: nothing here is kept; the table is.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import trio

from damfs.model import Change

Batch = tuple[Change, ...]


class Feed:
    def __init__(self) -> None:
        self._followers: set[trio.MemorySendChannel[Batch]] = set()

    def publish(self, changes: Sequence[Change]) -> None:
        """Hand one transaction's changes to every follower; never blocks."""
        if not changes:
            return
        for follower in self._followers:
            follower.send_nowait(tuple(changes))

    @contextmanager
    def follow(self) -> Iterator[AsyncIterator[Batch]]:
        """Batches from now on: one for each transaction."""
        send, receive = trio.open_memory_channel[Batch](math.inf)
        self._followers.add(send)
        try:
            yield receive
        finally:
            self._followers.discard(send)
            send.close()

"""News of what was committed, for those who follow inside this process.

Concurrency: loop's thread only. A follower sees every batch that concerns it and was published after it began to
follow, in order; what came before it reads from the change table. Crash rule: nothing here is kept; the table is.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager

import trio

from damfs.model import Change

Batch = tuple[Change, ...]
Concerns = Callable[[Change], bool]


class Feed:
    """Of one library. Who follows is handed what changed; who hears only that something did."""

    def __init__(self) -> None:
        self._followers: dict[trio.MemorySendChannel[Batch], Concerns | None] = {}
        self._hearers: list[Callable[[], None]] = []
        self.first: Callable[[Batch], None] = lambda _: None
        """Handed each batch before anything else is done or answered. It must be quick, and must not raise."""

    def publish(self, changes: Sequence[Change]) -> None:
        """Hand one transaction's changes to every follower that any of them concerns; never blocks."""
        if not changes:
            return
        batch = tuple(changes)
        self.first(batch)
        for follower, concerns in self._followers.items():
            if concerns is None or any(map(concerns, batch)):
                follower.send_nowait(batch)
        for told in self._hearers:
            told()

    @contextmanager
    def follow(self, concerns: Concerns | None = None) -> Iterator[AsyncIterator[Batch]]:
        """Batches from now on: one for each transaction. ``concerns``: which changes to be woken for, if not for all:
        a thousand files that arrive are not to wake everybody a thousand times."""
        send, receive = trio.open_memory_channel[Batch](math.inf)
        self._followers[send] = concerns
        try:
            yield receive
        finally:
            del self._followers[send]
            send.close()

    @contextmanager
    def hear(self, told: Callable[[], None]) -> Iterator[None]:
        """Have somebody called at each commit who only wants to know that there was one. It must be quick, and must
        not raise: it runs in the task of whoever committed."""
        self._hearers.append(told)
        try:
            yield
        finally:
            self._hearers.remove(told)


class News:
    """That there was something, for one who takes up together what came soon after each other."""

    def __init__(self) -> None:
        self._first = trio.Event()
        self._number = 0

    def told(self) -> None:
        """For `Feed.hear`."""
        self._number += 1
        self._first.set()

    async def gathered(self, quiet_s: float, patience_s: float) -> None:
        """Until there was something since the last time, and then nothing for a while, or patience ends."""
        await self._first.wait()
        with trio.move_on_after(patience_s):
            number = -1
            while number != self._number:
                number = self._number
                await trio.sleep(quiet_s)
        self._first = trio.Event()

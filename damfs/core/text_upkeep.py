"""Keeps full-text search in step with the catalog: takes in what the triggers noted, some at a time.

Concurrency: on the loop, in small transactions. Crash rule: what was taken in, and that it was, are one transaction.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import trio

from damfs.catalog import full_text
from damfs.catalog.database import Database
from damfs.core.counters import Counters
from damfs.core.feed import Feed, News
from damfs.core.outlasting import outlast
from damfs.errors import NoSpace, Unavailable

AT_ONCE = 10
"""Notes taken in one transaction, for which everybody waits: less than a millisecond."""
BEFORE_SEARCH = 100
"""So many steps are done before a search, so that it finds what was just written; more go on behind it."""
AGAIN_S = 30.0
QUIET_S = 0.2
"""Notes are taken in when nothing was committed for so long: what changes twice is then written once."""
PATIENCE_S = 1.0
"""So long at most. What one second notes, the steps before a search can take in."""


@dataclass(frozen=True, slots=True)
class TextUpkeep:
    db: Database
    counters: Counters
    feed: Feed

    def step(self) -> bool:
        """Take in some of what is due; whether there may be more. Raises NoSpace, Unavailable."""
        due = full_text.list_due(self.db.writer, AT_ONCE)
        if not due:
            return False
        assets = {each.asset for each in due}
        with self.db.transaction() as tx:
            full_text.refresh(tx, assets)
            full_text.forget_due(tx, due[-1].id)
        self.counters["texts_refreshed"] += len(assets)
        return True

    async def catch_up(self) -> None:
        with suppress(NoSpace, Unavailable):  # a search finds what it can
            for _ in range(BEFORE_SEARCH):
                if not self.step():
                    return
                await trio.lowlevel.checkpoint()

    async def follow(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        news = News()
        with self.feed.hear(news.told):
            task_status.started()
            while True:
                if await outlast("full-text search", self._take_all, AGAIN_S):
                    await news.gathered(QUIET_S, PATIENCE_S)

    async def _take_all(self) -> None:
        while self.step():
            await trio.lowlevel.checkpoint()

"""Who searches now: a few at a time, each with the vectors of its words if they come in time.

Concurrency: on the loop; the search itself runs in a reader thread, inside the turn. Others wait for theirs, and when
too many wait, the next is told so at once: they must not take all the calls that a mount answers at a time.
Crash rule: nothing here is kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from damfs.catalog.query_language import sentences
from damfs.core.counters import Counters
from damfs.core.query_vectors import QueryVectors
from damfs.core.searching import Asked
from damfs.errors import BadQuery, Unavailable

WAITING_LIMIT = 32
KEPT = 64
NO_MODEL = "no model runs here"


class SearchTurns:
    """``catch_up``: awaited before each search. ``vectors``: None where no model can be asked."""

    def __init__(self, at_once: int, counters: Counters, catch_up: Callable[[], Awaitable[None]]) -> None:
        self._limiter = trio.CapacityLimiter(at_once)
        self._counters = counters
        self._catch_up = catch_up
        self.vectors: QueryVectors | None = None
        self._asked: OrderedDict[str, Asked] = OrderedDict()
        self.most_at_once = 0

    @asynccontextmanager
    async def turn(self, text: str) -> AsyncIterator[Asked]:
        """Raises Unavailable when too many wait."""
        if self._limiter.statistics().tasks_waiting >= WAITING_LIMIT:
            self._counters["searches_turned_away"] += 1
            raise Unavailable("too many searches wait for their turn; try again in a moment")
        async with self._limiter:
            self._counters["searches"] += 1
            self.most_at_once = max(self.most_at_once, int(self._limiter.borrowed_tokens))
            await self._catch_up()
            asked = await self._ask(text)
            self._asked[text] = asked
            self._asked.move_to_end(text)
            while len(self._asked) > KEPT:
                self._asked.popitem(last=False)
            yield asked

    def asked(self, text: str) -> Asked:
        """As it was at the last turn of this query."""
        return self._asked.get(text, Asked(trouble=NO_MODEL))

    async def _ask(self, text: str) -> Asked:
        try:
            wanted = sentences(text)
        except BadQuery:
            return Asked()
        if not wanted:
            return Asked()
        if self.vectors is None:
            return Asked(trouble=NO_MODEL)
        found, trouble = {}, ""
        for words in wanted:
            vectors = await self.vectors.of(words)
            if vectors is None:
                trouble = trouble or self.vectors.trouble
            else:
                found[words] = vectors
        return Asked(found, trouble, any(map(self.vectors.is_pending, wanted)))

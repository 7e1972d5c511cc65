"""Vectors of the words people search for: asked of the model worker, waited for only so long, and remembered.

Concurrency: on the loop. A model that is missing, loading or hanging costs a search at most the time it is given, and
those that come meanwhile nothing; what arrives late is there for the next. Crash rule: nothing here is kept.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import trio

from damfs.errors import DamfsError

Vectors = Mapping[str, bytes]
"""By the id of the space (embedding.model) in which they can be compared."""
Ask = Callable[[str], Awaitable[Vectors]]

KEPT = 256
PENDING_LIMIT = 8
"""So many are asked of a model at a time; while it does not answer, others are not even asked."""
REST_S = 30.0
"""A model that could not be had is not asked for again before."""
LOADING = "the model does not answer yet"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class QueryVectors:
    """``ask``: raises damfs errors. ``nursery``: for questions that outlive the search which asked them."""

    ask: Ask
    nursery: trio.Nursery
    limit_s: float
    trouble: str = ""
    """Why the last search got no vectors; '' when it did."""
    asked: int = 0
    space: Callable[[], str] = str
    """The model that answers now: what another one said of the same words is of no use."""
    _space: str = ""
    _round: int = 0
    """Counts the models: a question belongs to the one that it was asked of."""
    _known: OrderedDict[str, Vectors] = field(default_factory=OrderedDict)
    _pending: dict[str, trio.Event] = field(default_factory=dict)
    _since: float = 0.0
    _rest_until: float = -1.0

    def forget(self) -> None:
        """Another model may answer now: what the one before said, or why it said nothing, is of no use. Whoever waits
        asks again."""
        self._space, self._round = self.space(), self._round + 1
        self._known.clear()
        self._pending.clear()
        self._rest_until, self.trouble = -1.0, ""

    async def of(self, words: str) -> Vectors | None:
        """Within the time limit, or None."""
        if self.space() != self._space:
            self.forget()
        if words in self._known:
            self._known.move_to_end(words)
            self.trouble = ""
            return self._known[words]
        if trio.current_time() < self._rest_until:
            return None
        answered, asked_in = self._begun(words), self._round
        left = self._since + self.limit_s - trio.current_time()
        with trio.move_on_after(max(0.0, left)):
            await answered.wait()
        if asked_in != self._round and answered.is_set():
            return await self.of(words)
        if words not in self._known and not self.trouble:
            self.trouble = LOADING
        return self._known.get(words)

    def is_pending(self, words: str) -> bool:
        return words in self._pending

    def _begun(self, words: str) -> trio.Event:
        if words in self._pending:
            return self._pending[words]
        answered = trio.Event()
        if len(self._pending) >= PENDING_LIMIT:
            return answered
        if not self._pending:
            self._since = trio.current_time()
        self._pending[words] = answered
        self.nursery.start_soon(self._learn, words, answered, self._round)
        return answered

    async def _learn(self, words: str, answered: trio.Event, asked_in: int) -> None:
        self.asked += 1
        try:
            found = await self.ask(words)
            if self._is_of_now(asked_in):
                self._known[words], self.trouble = found, ""
        except DamfsError as error:
            log.info("no vectors for a search: %s", error)
            if self._is_of_now(asked_in):
                self.trouble, self._rest_until = str(error), trio.current_time() + REST_S
        finally:
            if asked_in == self._round:
                del self._pending[words]
                self._since = trio.current_time()
            answered.set()
        while len(self._known) > KEPT:
            self._known.popitem(last=False)

    def _is_of_now(self, asked_in: int) -> bool:
        if self.space() != self._space:
            self.forget()
        return asked_in == self._round

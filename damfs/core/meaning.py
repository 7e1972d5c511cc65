"""What words mean in the space that answers: asks the model worker, and remembers.

Concurrency: on the loop; a question waits for the batch of jobs that is under way (about a second), and where the model
is not loaded, for that (ten and more). Crash rule: nothing is kept.
"""

from __future__ import annotations

from collections import OrderedDict

from damfs.catalog import spaces
from damfs.catalog.spaces import Space
from damfs.core.library import Library
from damfs.core.meant import Meant
from damfs.core.processors.asking import vector_of_words
from damfs.core.processors.processor import Worker
from damfs.core.worker_pool import JobTimedOut, WorkerDied, WorkerPool
from damfs.errors import ModelUnavailable

TIMEOUT_S = 120.0
KEPT = 512
LONGEST = 4_000
"""Characters of a question that are looked at."""


class Meaning:
    def __init__(self, library: Library, pool: WorkerPool) -> None:
        self._library = library
        self._pool = pool
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    async def of_words(self, text: str) -> Meant:
        """Raises ModelUnavailable with one line that says why, and what to do."""
        import numpy as np

        space = spaces.answering(self._library.db.writer)
        if space is None:
            trouble = self._library.model_health.trouble
            raise ModelUnavailable(trouble or "nothing has been embedded yet, so words can be compared with nothing")
        vector = await self._vector(space, text[:LONGEST])
        return Meant(space, np.frombuffer(vector, dtype="<f4"))

    async def _vector(self, space: Space, text: str) -> bytes:
        key = (space.id, text)
        vector = self._kept.get(key)
        if vector is None:
            vector = self._kept[key] = await self._ask(space, text)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return vector

    async def _ask(self, space: Space, text: str) -> bytes:
        threads = self._library.settings.model.threads
        try:
            answer = await self._pool.ask(Worker.MODEL, TIMEOUT_S, vector_of_words, space.name, space.id, threads, text)
        except (JobTimedOut, WorkerDied) as error:
            raise ModelUnavailable(f'the model "{space.name}" gives no answer: {error}') from None
        if isinstance(answer, str):
            raise ModelUnavailable(answer)
        return answer

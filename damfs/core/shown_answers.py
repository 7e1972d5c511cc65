"""By which answer each asset was shown last: what user.damfs.score and user.damfs.why tell of.

An asset is one inode in all places, and the kernel asks about the inode. Concurrency: any thread. Crash rule: none.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from damfs.catalog.database import Connection
from damfs.core.search_answer import Answer, Told
from damfs.model import AssetId

REMEMBERED = 20_000


class ShownAnswers:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: OrderedDict[AssetId, Answer] = OrderedDict()

    def note(self, answer: Answer, shown: Iterable[AssetId]) -> None:
        with self._lock:
            for asset in shown:
                self._last[asset] = answer
                self._last.move_to_end(asset)
            while len(self._last) > REMEMBERED:
                self._last.popitem(last=False)

    def told(self, connection: Connection, asset: AssetId) -> Told | None:
        with self._lock:
            answer = self._last.get(asset)
        return None if answer is None else answer.told(connection, asset)

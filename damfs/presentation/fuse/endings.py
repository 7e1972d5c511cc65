"""Last closes that are not done with: nobody writes the file any more, and it is not being sealed yet, or is dropped.

Concurrency: loop's thread only. Crash rule: none; see `drafts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from damfs.model import AssetId
from damfs.presentation.fuse.draft_files import Draft


class Endings:
    def __init__(self) -> None:
        self._under_way: list[tuple[AssetId, trio.Event]] = []

    def assets(self) -> set[AssetId]:
        return {asset for asset, _ in self._under_way}

    @contextmanager
    def of(self, draft: Draft) -> Iterator[None]:
        """Whoever else leaves the draft meanwhile leaves its file open."""
        self._under_way.append(ending := (draft.asset, trio.Event()))  # the draft may be another's afterwards
        draft.readers += 1
        try:
            yield
        finally:
            draft.readers -= 1
            self._under_way.remove(ending)
            ending[1].set()

    async def done(self, asset: AssetId) -> bool:
        """Wait for those of the asset; whether there were any."""
        waited = False
        while (ending := next((done for each, done in self._under_way if each == asset), None)) is not None:
            await ending.wait()
            waited = True
        return waited

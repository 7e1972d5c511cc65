"""What the requests do about things that belong together: sidecars and originals, duplicates.

Runs on the loop of whoever owns the library. One pass at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio

from damfs.core.deduplicating import dedupe
from damfs.core.duplicate_groups import Sort
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.sidecar_pass import sync_all
from damfs.integration.wire import Progress
from damfs.integration.wire_pairs import Dedupe, SyncSidecars

ACTOR = "cli"


class Pairing:
    def __init__(self, library: Library, reception: Reception) -> None:
        self._library = library
        self._reception = reception
        self._syncing = trio.Lock()

    async def answer(self, request: SyncSidecars | Dedupe, report: Callable[[Progress], None]) -> object:
        """Raises damfs errors."""
        is_dedupe = isinstance(request, Dedupe)

        def forward(done: int, total: int) -> None:
            report(Progress("groups" if is_dedupe else "sidecars", done, total))

        async with self._syncing:
            if isinstance(request, Dedupe):
                wanted = [sort for sort, asked in ((Sort.EXACT, request.exact), (Sort.NEAR, request.near)) if asked]
                answer = await dedupe(self._library, self._reception, wanted, apply=request.apply, report=forward)
                return msgspec.to_builtins(answer)
            found = await sync_all(self._library, self._reception, ACTOR, write=request.write, report=forward)
        return msgspec.to_builtins(found)

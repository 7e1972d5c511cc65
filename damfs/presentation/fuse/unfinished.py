"""Recordings that are closed before they are finished: programs that write in turns open them again in a moment.

Each close would make a version of its own, and jobs that fail. So a file that lacks its end by the table of
`core.finished` waits a little, and goes on being received where it is opened again; what stays as it is arrives then.
Concurrency: on the loop, a task for each file that waits. Crash rule: nothing is kept; start-up stores what was closed.
"""

from __future__ import annotations

from collections.abc import Callable, KeysView

import trio

from damfs.core.finished import what_it_lacks
from damfs.core.library import Library
from damfs.core.media_types import media_of_name
from damfs.model import AssetId, Media
from damfs.presentation.fuse.draft_files import LITTLE, Draft, quickly

WAIT_S = 8.0
"""From a close on; those who write in turns do so every few seconds."""
RECORDED = (Media.VIDEO, Media.AUDIO)


class Unfinished:
    """``arrive`` is called with what has waited for long enough."""

    def __init__(self, nursery: trio.Nursery, arrive: Callable[[AssetId], None]) -> None:
        self._nursery, self._arrive = nursery, arrive
        self._waiting: dict[AssetId, trio.CancelScope] = {}

    def __contains__(self, asset: AssetId) -> bool:
        return asset in self._waiting

    def keys(self) -> KeysView[AssetId]:
        return self._waiting.keys()

    def wait(self, asset: AssetId) -> None:
        self.forget(asset)
        scope = self._waiting[asset] = trio.CancelScope()
        self._nursery.start_soon(self._wait, asset, scope)

    def forget(self, asset: AssetId) -> None:
        if (scope := self._waiting.pop(asset, None)) is not None:
            scope.cancel()

    async def _wait(self, asset: AssetId, scope: trio.CancelScope) -> None:
        with scope:
            await trio.sleep(WAIT_S)
            self._arrive(asset)


def has_an_end(library: Library, asset: AssetId) -> bool:
    """Whether an end could be missing: sound and pictures that move."""
    known = library.asset(asset)
    return known is not None and media_of_name(known.name) in RECORDED


async def is_unfinished(library: Library, draft: Draft) -> bool:
    """Of what was just closed."""
    if not has_an_end(library, draft.asset):
        return False
    if draft.size <= LITTLE:
        return await quickly(library, _lacks_something, draft.fd)
    return await trio.to_thread.run_sync(_lacks_something, draft.fd)


def _lacks_something(descriptor: int) -> bool:
    try:
        return what_it_lacks(descriptor) is not None
    except OSError:
        return False

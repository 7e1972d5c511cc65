"""Recordings that are closed before they are finished: programs that write in turns open them again in a moment.

Each close would make a version of its own, and jobs that fail. So a file that lacks its end by the table of
`core.finished` waits a little, and one that has no end (it may always grow) for a moment; it goes on being received
where it is opened again, and what stays as it is arrives then.
Concurrency: on the loop, a task for each file that waits. Crash rule: nothing is kept; start-up stores what was closed.
"""

from __future__ import annotations

from collections.abc import Callable, KeysView

import trio

from damfs.core.arriving import QUIET_S
from damfs.core.finished import may_grow, what_it_lacks
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
        self._in_turns: set[AssetId] = set()
        """Were opened again while they waited: so they may be once more."""

    def __contains__(self, asset: AssetId) -> bool:
        return asset in self._waiting

    def keys(self) -> KeysView[AssetId]:
        return self._waiting.keys()

    def wait(self, asset: AssetId, wait_s: float) -> None:
        self.goes_on(asset)
        scope = self._waiting[asset] = trio.CancelScope()
        self._nursery.start_soon(self._wait, asset, WAIT_S if asset in self._in_turns else wait_s, scope)

    def goes_on(self, asset: AssetId) -> None:
        """Somebody writes it again, or did."""
        if self._stop(asset):
            self._in_turns.add(asset)

    def forget(self, asset: AssetId) -> None:
        self._stop(asset)
        self._in_turns.discard(asset)

    def _stop(self, asset: AssetId) -> bool:
        scope = self._waiting.pop(asset, None)
        if scope is not None:
            scope.cancel()
        return scope is not None

    async def _wait(self, asset: AssetId, wait_s: float, scope: trio.CancelScope) -> None:
        with scope:
            await trio.sleep(wait_s)
            self._arrive(asset)


def has_an_end(library: Library, asset: AssetId) -> bool:
    """Whether an end could be missing: sound and pictures that move."""
    known = library.asset(asset)
    return known is not None and may_lack_an_end(known.name)


def may_lack_an_end(name: str) -> bool:
    return media_of_name(name) in RECORDED


async def wait_of(library: Library, draft: Draft) -> float:
    """Seconds that what was just closed waits."""
    if not has_an_end(library, draft.asset):
        return 0
    if draft.size <= LITTLE:
        return await quickly(library, _wait_of, draft.fd)
    return await trio.to_thread.run_sync(_wait_of, draft.fd)


def _wait_of(descriptor: int) -> float:
    try:
        if what_it_lacks(descriptor) is not None:
            return WAIT_S
        return QUIET_S if may_grow(descriptor) else 0
    except OSError:
        return 0

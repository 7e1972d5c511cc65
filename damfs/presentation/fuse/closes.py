"""Last closes of files that are received: into the catalog, and once more where it does not take them.

Concurrency: on the loop. Crash rule: what the catalog has not taken nobody knows to be whole at the next start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace

import trio

from damfs.core.closing import CloseReceived, LastClose
from damfs.core.library import Library
from damfs.errors import DamfsError
from damfs.model import AssetId
from damfs.presentation.fuse.draft_files import ACTOR, Draft, Shown

log = logging.getLogger(__name__)

AGAIN_S = 1.0


class Closes:
    """``held_back``: what people are told of files that are not assets yet. ``seal`` is called with each that was
    entered at last, and its size."""

    def __init__(
        self, library: Library, nursery: trio.Nursery, held_back: MutableMapping[AssetId, str],
        seal: Callable[[AssetId, int], None],
    ) -> None:  # fmt: skip
        self._library, self._nursery, self._held_back, self._seal = library, nursery, held_back, seal
        self._late: dict[AssetId, LastClose] = {}

    def keys(self) -> set[AssetId]:
        """Of those that the catalog has not taken."""
        return set(self._late)

    def shown(self, asset: AssetId) -> Shown | None:
        late = self._late.get(asset)
        return None if late is None else Shown(late.size, late.mtime_ns)

    def forget(self, asset: AssetId) -> None:
        """Somebody writes it again."""
        self._late.pop(asset, None)

    def cut(self, asset: AssetId, size: int) -> None:
        if asset in self._late:
            self._late[asset] = LastClose(asset, size, None)

    def dated(self, asset: AssetId) -> None:
        """A time was set that is in the catalog."""
        if asset in self._late:
            self._late[asset] = replace(self._late[asset], mtime_ns=None)

    def enter(self, drafts: Sequence[Draft]) -> bool:
        """Whether the catalog knows now that what was received is whole."""
        closes = [LastClose(draft.asset, draft.size, draft.mtime_ns) for draft in drafts]
        try:
            self._library.perform(CloseReceived(closes), ACTOR, quiet=True)
        except DamfsError as error:
            log.warning("a received file could not be entered into the catalog and will be tried again: %s", error)
            if not self._late:
                self._nursery.start_soon(self._try_again)
            for each in closes:
                self._late[each.asset] = each
                self._held_back[each.asset] = str(error)
            return False
        return True

    async def _try_again(self) -> None:
        while self._late:
            await trio.sleep(AGAIN_S)
            self._once_more()

    def _once_more(self) -> None:
        closes = list(self._late.values())
        try:
            self._library.perform(CloseReceived(closes), ACTOR, quiet=True)
        except DamfsError as error:
            log.debug("the catalog still does not take what was received: %s", error)
            return
        self._late = {}
        for each in closes:
            self._held_back.pop(each.asset, None)
            self._seal(each.asset, each.size)

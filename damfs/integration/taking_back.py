"""What the requests do that take something back: the trash, restoring, undo.

Runs on the loop of whoever owns the library. One undo at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from damfs.catalog import trash
from damfs.catalog.trash import Trashed
from damfs.core.library import Library
from damfs.core.trashing import DAY_NS, restore_assets, settle, trash_assets
from damfs.core.undo import take_back
from damfs.core.undo_groups import Group, list_groups
from damfs.errors import NotFound, Refused
from damfs.integration.wire import GetTrash, GetUndo, RestoreAssets, TakingBack, TrashAssets, UndoLast
from damfs.model import AssetId

ACTOR = "cli"
EXAMPLES = 3
"""Reasons told for changes that could not be taken back."""


class Returns:
    """``asset_at``: the asset of a file in a store, by its path."""

    def __init__(self, library: Library, asset_at: Callable[[bytes], AssetId]) -> None:
        self._library = library
        self._asset_at = asset_at
        self._undoing = trio.Lock()

    async def answer(self, request: TakingBack, _report: object) -> object:
        match request:
            case TrashAssets():
                return await self._trash(request)
            case RestoreAssets():
                return await self._restore(request)
            case GetTrash():
                return [self._shown(each) for each in await self._library.db.read(trash.list_trashed)]
            case UndoLast():
                async with self._undoing:
                    return await self._undo()
            case GetUndo():
                groups = await self._library.db.read(lambda connection: list_groups(connection, request.limit))
                return [_told(group) for group in groups]

    async def _trash(self, request: TrashAssets) -> object:
        ids = self._known([*request.assets, *map(self._asset_at, request.paths)])
        await trash_assets(self._library, ids, ACTOR)
        return {"trashed": len(ids)}

    async def _restore(self, request: RestoreAssets) -> object:
        named = [await self._named(name) for name in request.names]
        ids = self._known([*request.assets, *named])
        await restore_assets(self._library, ids, ACTOR)
        return {"restored": len(ids)}

    def _known(self, ids: list[int]) -> list[AssetId]:
        return list(dict.fromkeys(self._library.known(AssetId(id_)).id for id_ in ids))

    async def _named(self, name: str) -> AssetId:
        """Raises NotFound, or Refused when it is not clear which one is meant."""
        found = [each.asset for each in await self._library.db.read(trash.list_trashed) if each.name == name]
        if not found:
            raise NotFound(f'no "{name}" in the trash; see: damfs trash --list {self._library.path}')
        if len(found) > 1:
            raise Refused(f'{len(found)} assets named "{name}" are in the trash; name one by its path in trash/')
        return found[0]

    def _shown(self, row: Trashed) -> object:
        """``until_ns``: 0: for ever."""
        days = self._library.settings.trash.days
        until_ns = 0 if row.held or not days else row.at_ns + days * DAY_NS
        return {
            "asset": row.asset, "name": row.name, "size": row.size, "from": row.place,
            "trashed_ns": row.at_ns, "until_ns": until_ns,
        }  # fmt: skip

    async def _undo(self) -> object:
        groups = await self._library.db.read(lambda connection: list_groups(connection, 1))
        if not groups:
            raise NotFound("there is nothing to undo")
        answer = await take_back(self._library, groups[0])
        await settle(self._library, answer.moved)
        left_out = {"left_out": len(answer.left_out), "reasons": answer.left_out[:EXAMPLES]}
        return {**_told(groups[0]), "done": answer.done, **left_out}


def _told(group: Group) -> dict[str, object]:
    return {"what": group.words(), "changes": len(group.changes), "by": group.actor, "at_ns": group.at_ns}

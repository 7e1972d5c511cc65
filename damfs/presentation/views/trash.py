"""trash/: what was removed and is kept until its retention ends. Moving something out of it restores it."""

from __future__ import annotations

from typing import ClassVar

from damfs.catalog.database import Connection
from damfs.catalog.predicates import InTrash, Predicate
from damfs.core.commands import Trash
from damfs.core.trash_commands import Restore
from damfs.errors import Refused
from damfs.model import AssetId
from damfs.presentation.views.facet import FlatView
from damfs.presentation.views.view import WRITE_DIRECTORY, Arrival, Commands, Place


class TrashView(FlatView):
    name = "trash"
    predicate: ClassVar[Predicate] = InTrash()
    takes_whole = True

    def mode(self, place: Place) -> int:
        return WRITE_DIRECTORY

    def arrive(self, connection: Connection, place: Place, arrival: Arrival) -> Commands:
        return [Trash(arrival.asset, arrival.origin)]

    def leave(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        raise Refused("the trash is emptied by retention only (trash.days in damfs.toml)")

    def leave_by_move(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        return [Restore(asset)]

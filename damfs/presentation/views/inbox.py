"""inbox/: what was received and is not yet triaged; the drop zone."""

from __future__ import annotations

from typing import ClassVar

from damfs.catalog import vocabulary
from damfs.catalog.database import Connection
from damfs.catalog.predicates import InInbox, Predicate
from damfs.core.commands import Abandon, Trash, Triage
from damfs.core.trash_commands import Untriage
from damfs.model import AssetId, AssetState
from damfs.presentation.views.facet import FlatView
from damfs.presentation.views.view import Commands, Place


class Inbox(FlatView):
    name = "inbox"
    only_receives = True
    predicate: ClassVar[Predicate] = InInbox()

    def receive(self, place: Place) -> bool:
        return False

    def enter(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        """Only out of the trash: nothing else comes back to be triaged again."""
        known = self.library.asset(asset)
        if known is None or known.state is not AssetState.TRASHED:
            raise self.refusal(place)
        return [Untriage(asset)]

    def leave(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        """`rm inbox/x` trashes (the bytes are kept). An asset that carries a term only leaves the inbox: `mv` onto
        another name of the same asset arrives as this very call, and must not trash what was just filed."""
        known = self.library.asset(asset)
        if known is not None and known.state is AssetState.RECEIVING:
            return [Abandon(asset)]
        return [Triage(asset)] if vocabulary.terms_of(connection, asset) else [Trash(asset)]

    def leave_by_move(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        return [Triage(asset)]

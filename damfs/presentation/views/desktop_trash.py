""".Trash-<uid>/{files,info}: the trash as file managers know it, at the top of the mount.

Moving an asset into files/ trashes it, moving it out restores it; what is removed from files/ is only shown there no
more, its bytes stay until the retention ends. info/ holds the small texts that file managers write beside. It is always
there for who asks for his own, and listed nowhere. GNOME empties by moving into expunged/, which is reached by name:
nothing ever lies there.
"""

from __future__ import annotations

import re

from damfs.catalog import desktop_trash, predicates
from damfs.catalog.database import Connection
from damfs.catalog.desktop_trash import Named, Note
from damfs.core.asset_names import is_text
from damfs.core.commands import Trash
from damfs.core.trash_commands import HideInTrash, NameInTrash, Restore
from damfs.model import AssetId, Facet
from damfs.presentation.views.view import Arrival, Commands, Entry, Place, Thing, ThingKind, View

FILES, INFO, EXPUNGED = "files", "info", "expunged"
PRIVATE_DIRECTORY, NOTE_FILE = 0o700, 0o600
_NAME = re.compile(r"\.Trash-(0|[1-9]\d{0,9})")


class DesktopTrash(View):
    name = ".Trash"
    listed = False
    takes_whole = True
    own_names = True

    def at_root(self, name: str) -> Place | None:
        found = _NAME.fullmatch(name)
        return None if found is None else Place(self.name, (found[1],))

    def owner(self, place: Place) -> int | None:
        return int(place.path[0]) if place.path else None

    def keeps_notes(self, place: Place) -> bool:
        return place.path[1:] == (INFO,)

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if len(place.path) == 1:
            return self._directory(place, name) if name in {FILES, INFO, EXPUNGED} else None
        if len(place.path) != 2 or place.path[1] == EXPUNGED or not is_text(name):
            return None
        if self.keeps_notes(place):
            note = desktop_trash.note_named(connection, _uid(place), name)
            return None if note is None else note_entry(note)
        named = desktop_trash.named(connection, _uid(place), name)
        return None if named is None else _file(named)

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if len(place.path) == 1:
            return [self._directory(place, each) for each in (FILES, INFO)]
        if len(place.path) != 2 or place.path[1] == EXPUNGED:
            return []
        if self.keeps_notes(place):
            return [note_entry(note) for note in desktop_trash.list_notes(connection, _uid(place))]
        return [_file(named) for named in desktop_trash.list_named(connection, _uid(place))]

    def from_top(self, connection: Connection, place: Place) -> tuple[str, ...] | None:
        return (f"{self.name}-{place.path[0]}", *place.path[1:]) if place.path else None

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        return frozenset({predicates.DESKTOP_TRASH_FACET}) if place.path[1:] else frozenset()

    def mode(self, place: Place) -> int:
        return PRIVATE_DIRECTORY

    def arrive(self, connection: Connection, place: Place, arrival: Arrival) -> Commands:
        if place.path[1:] == (EXPUNGED,):
            return self._expunge(connection, place, arrival)
        if place.path[1:] != (FILES,):
            raise self.refusal(place)
        return [Trash(arrival.asset, arrival.origin), NameInTrash(_uid(place), arrival.name, arrival.asset)]

    def _expunge(self, connection: Connection, place: Place, arrival: Arrival) -> Commands:
        named = desktop_trash.name_of(connection, arrival.asset)
        if named is None or named[0] != _uid(place):
            raise self.refusal(place)
        return [HideInTrash(arrival.asset, arrival.name)]

    def rename(self, place: Place, asset: AssetId, name: str) -> Commands:
        return [NameInTrash(_uid(place), name, asset)]

    def leave(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        return [HideInTrash(asset)]

    def leave_by_move(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        return [HideInTrash(asset), Restore(asset)]

    def _directory(self, place: Place, name: str) -> Entry:
        return Entry(name, Place(self.name, (*place.path, name)), 0, 0, PRIVATE_DIRECTORY)


def _uid(place: Place) -> int:
    return int(place.path[0])


def _file(row: Named) -> Entry:
    return Entry(row.name, Thing(ThingKind.ASSET, row.asset), row.size, row.mtime_ns, row.mode)


def note_entry(note: Note) -> Entry:
    return Entry(note.name, Thing(ThingKind.NOTE, note.id), note.size, note.at_ns, NOTE_FILE)

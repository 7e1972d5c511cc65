"""editors/<editor>/…: the folders of originals/ with proxies where that editor looks for them by itself.

Originals are the assets and proxies the renditions (or the camera's own) that they are everywhere: same inode, same
bytes. A proxy that is not finished is absent, and so is a camera's copy that does not conform: editors would attach it.
Point reads; `list` scans a folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from damfs.catalog import folders, predicates, stand_ins, stores
from damfs.catalog.database import Connection
from damfs.catalog.stand_ins import StandIn
from damfs.core.asset_names import ENDING_LIMIT, NAME_LIMIT, is_text, size_of
from damfs.core.editors import EDITORS, Editor, share_of
from damfs.core.folders import is_own
from damfs.core.library import Library
from damfs.core.processors.profiles import shown_first
from damfs.model import CopyId, Facet, FolderId, StoreId
from damfs.presentation.views.facet import stand_in_entry
from damfs.presentation.views.names import qualified, qualifiers, shown_names
from damfs.presentation.views.originals import Originals, file_entry, listed_folders
from damfs.presentation.views.view import READ_DIRECTORY, Entries, Entry, Place, Thing, View

ROLE_BITS, EDITOR_BITS = 2, 4
LONGEST_WHOLE = NAME_LIMIT - 2 * ENDING_LIMIT
"""Of names that are longer the stem may have been cut."""
HASHED = re.compile(r"([0-9a-f]{32})\.mp4")
BY_NAME = {editor.name: number for number, editor in enumerate(EDITORS)}


class Role(IntEnum):
    FOLDER = 0
    """A folder of a store."""
    PROXIES = 1
    """The directory with the proxies of a folder."""
    APART = 2
    """The directory with the proxies of one file; its row is the copy's."""


class Spot(NamedTuple):
    """What the id of a place says."""

    editor: Editor
    role: Role
    row: int


class Editors(View):
    name = "editors"
    place_kind = 40
    raw_names = True
    indexed = True

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._originals = Originals(library)

    def _profiles(self) -> tuple[str, ...]:
        """Which proxy is shown, first choice first: as in proxies/."""
        return shown_first(self.library.settings.proxy.profile)

    # --- places ---------------------------------------------------------------------------------------------------

    def _place(self, editor: Editor, role: Role, row: int) -> Place:
        return self.place_of((row << EDITOR_BITS | BY_NAME[editor.name]) << ROLE_BITS | role)

    def _spot(self, place: Place) -> Spot | None:
        """None for places that no row stands for. A number that the table has no editor for any more: none either."""
        if place.id is None:
            return None
        number = place.id >> ROLE_BITS & (1 << EDITOR_BITS) - 1
        role = place.id & (1 << ROLE_BITS) - 1
        if number >= len(EDITORS) or role > max(Role):
            return None
        return Spot(EDITORS[number], Role(role), place.id >> ROLE_BITS + EDITOR_BITS)

    def path(self, connection: Connection, place: Place) -> tuple[str, ...] | None:
        if place.id is None:
            return place.path
        spot = self._spot(place)
        folder = None if spot is None else self._folder_of(connection, spot)
        below = None if folder is None else self._originals.path(connection, Place("originals", (), folder))
        if spot is None or below is None:
            return None
        if spot.role is Role.FOLDER:
            return (spot.editor.name, *below)
        if spot.role is Role.PROXIES:
            return (spot.editor.name, *below, spot.editor.directory)
        copy = stores.copy(connection, CopyId(spot.row))
        assert copy is not None  # its folder was just found by it
        return (spot.editor.name, *below, spot.editor.directory, os.fsdecode(copy.name))

    def _folder_of(self, connection: Connection, spot: Spot) -> FolderId | None:
        if spot.role is not Role.APART:
            return FolderId(spot.row)
        copy = stores.copy(connection, CopyId(spot.row))
        return None if copy is None else copy.folder

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        spot = self._spot(place)
        if spot is None:
            hashed = predicates.HASHES_FACET if len(place.path) > 1 else predicates.STORES_FACET
            return frozenset({hashed}) if place.path else frozenset()
        folder = self._folder_of(connection, spot)
        if folder is None:
            return frozenset()
        own = {predicates.folder_facet(folder)} if spot.role is Role.FOLDER else set[Facet]()
        return frozenset({predicates.proxies_facet(folder), *own})

    def mode(self, place: Place) -> int:
        return READ_DIRECTORY

    # --- what is in them ------------------------------------------------------------------------------------------

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        spot = self._spot(place)
        if spot is None:
            return self._lookup_above(connection, place, name) if is_text(name) else None
        if spot.role is Role.FOLDER:
            return self._in_folder(connection, spot.editor, FolderId(spot.row), name)
        if spot.role is Role.PROXIES:
            return self._in_proxies(connection, spot.editor, FolderId(spot.row), name)
        return next((each for each in self._apart(connection, spot) if each.name == name), None)

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        spot = self._spot(place)
        if spot is None:
            return self._list_above(connection, place)
        if spot.role is Role.FOLDER:
            return self._list_folder(connection, spot.editor, FolderId(spot.row))
        if spot.role is Role.PROXIES:
            return self._list_proxies(connection, spot.editor, FolderId(spot.row))
        return self._apart(connection, spot)

    def lists(self, connection: Connection, place: Place, name: str) -> Entry | None:
        """Of several names of a proxy that resolve, the listed one is the bare one where it has that."""
        entry, spot = self.lookup(connection, place, name), self._spot(place)
        if entry is None or spot is None or not isinstance(entry.node, Thing) or not spot.editor.by_stem:
            return entry
        for id_ in qualifiers(name):
            for row in stand_ins.of_asset(connection, self._profiles(), FolderId(spot.row), id_):
                bare = spot.editor.named(os.fsdecode(row.name), row.ending)
                found = self.lookup(connection, place, bare) if qualified(bare, id_) == name else None
                if found is not None and found.node == entry.node:
                    return None
        return entry

    def _lookup_above(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if not place.path:
            return self._directory(Place(self.name, (name,)), name) if name in BY_NAME else None
        editor = EDITORS[BY_NAME[place.path[0]]]
        if len(place.path) > 1:
            digest = HASHED.fullmatch(name)
            row = None if digest is None else stand_ins.of_hash(connection, self._profiles(), digest[1])
            return None if row is None else stand_in_entry(name, row)
        if editor.by_hash and name == editor.directory:
            return self._directory(Place(self.name, (editor.name, name)), name)
        store = stores.store_named(connection, name)
        return None if store is None else self._store(connection, editor, store.id, name)

    def _list_above(self, connection: Connection, place: Place) -> Entries:
        if not place.path:
            return [self._directory(Place(self.name, (name,)), name) for name in BY_NAME]
        editor = EDITORS[BY_NAME[place.path[0]]]
        if len(place.path) > 1:
            return [
                stand_in_entry(editor.file.format(hash=digest), row)
                for digest, row in stand_ins.list_hashes(connection, self._profiles())
            ]
        own = editor.directory if editor.by_hash else ""
        shared = [self._directory(Place(self.name, (editor.name, own)), own)] if own else []
        return shared + [
            self._store(connection, editor, store.id, store.name)
            for store in stores.all_stores(connection)
            if store.name != own
        ]

    def _store(self, connection: Connection, editor: Editor, store: StoreId, name: str) -> Entry:
        return self._directory(self._place(editor, Role.FOLDER, stores.root_folder(connection, store)), name)

    def _in_folder(self, connection: Connection, editor: Editor, folder: FolderId, name: str) -> Entry | None:
        raw = os.fsencode(name)
        below = stores.folder_named(connection, folder, raw)
        if below is not None and below.live:
            return None if is_own(raw) else self._directory(self._place(editor, Role.FOLDER, below.id), name)
        found = stores.shown(connection, folder, raw) or folders.destined(connection, folder, raw)
        if found is not None and not stand_ins.is_refused(connection, folder, raw):
            return file_entry(found)
        if name == editor.directory and not editor.by_hash:
            any_ = stand_ins.is_any(connection, self._profiles(), folder)
            return self._directory(self._place(editor, Role.PROXIES, folder), name) if any_ else None
        return None if editor.directory else self._by_stem(connection, editor, folder, name)

    def _list_folder(self, connection: Connection, editor: Editor, folder: FolderId) -> Entries:
        below = listed_folders(connection, folder)
        names = {each.name for each in below}
        entries = [self._directory(self._place(editor, Role.FOLDER, each.id), os.fsdecode(each.name)) for each in below]
        files = [*stores.list_shown(connection, folder), *folders.list_destined(connection, folder)]
        names |= stand_ins.list_refused(connection, folder)
        entries += [file_entry(row) for row in files if row.name not in names]
        taken = {entry.name for entry in entries}
        if not editor.directory:
            beside = proxy_entries(editor, stand_ins.list_of_folder(connection, self._profiles(), folder), taken)
            return entries + [entry for entry in beside if entry.name not in taken]
        if (
            not editor.by_hash
            and editor.directory not in taken
            and stand_ins.is_any(connection, self._profiles(), folder)
        ):
            entries.append(self._directory(self._place(editor, Role.PROXIES, folder), editor.directory))
        return entries

    def _in_proxies(self, connection: Connection, editor: Editor, folder: FolderId, name: str) -> Entry | None:
        if not editor.each_apart:
            return self._by_stem(connection, editor, folder, name)
        copy = stores.copy_at(connection, folder, os.fsencode(name))
        row = None if copy is None else stand_ins.of_copy(connection, self._profiles(), copy.id)
        fits = row is not None and share_of(row.height, row.original_height) is not None
        return self._directory(self._place(editor, Role.APART, row.copy), name) if fits and row is not None else None

    def _list_proxies(self, connection: Connection, editor: Editor, folder: FolderId) -> Entries:
        rows = stand_ins.list_of_folder(connection, self._profiles(), folder)
        if not editor.each_apart:
            return proxy_entries(editor, rows, frozenset())
        return [
            self._directory(self._place(editor, Role.APART, row.copy), os.fsdecode(row.name))
            for row in rows
            if share_of(row.height, row.original_height) is not None
        ]

    def _apart(self, connection: Connection, spot: Spot) -> Entries:
        row = stand_ins.of_copy(connection, self._profiles(), CopyId(spot.row))
        share = None if row is None else share_of(row.height, row.original_height)
        return [] if row is None or share is None else [stand_in_entry(spot.editor.file.format(share=share), row)]

    def _by_stem(self, connection: Connection, editor: Editor, folder: FolderId, name: str) -> Entry | None:
        """By its qualified name, else the lowest asset of that stem: what a listing shows."""
        for id_ in qualifiers(name):
            for row in stand_ins.of_asset(connection, self._profiles(), folder, id_):
                if qualified(editor.named(os.fsdecode(row.name), row.ending), id_) == name:
                    return stand_in_entry(name, row)
        rows = self._rows_of_stem(connection, editor, folder, name)
        found = (row for row in rows if editor.named(os.fsdecode(row.name), row.ending) == name)
        return next((stand_in_entry(name, row) for row in found), None)

    def _rows_of_stem(self, connection: Connection, editor: Editor, folder: FolderId, name: str) -> Sequence[StandIn]:
        if size_of(name) > LONGEST_WHOLE:
            return stand_ins.list_of_folder(connection, self._profiles(), folder)
        stem = editor.stem_of(name)
        return () if stem is None else stand_ins.of_stem(connection, self._profiles(), folder, os.fsencode(stem))

    def _directory(self, place: Place, name: str) -> Entry:
        return Entry(name, place, 0, 0, READ_DIRECTORY)


def proxy_entries(editor: Editor, rows: Sequence[StandIn], taken: set[str] | frozenset[str]) -> list[Entry]:
    """By the names that they have beside each other and beside what has the names that are taken."""
    once = {(row.asset, editor.named(os.fsdecode(row.name), row.ending)): row for row in rows}
    free = {key: row for key, row in once.items() if key[1] not in taken}
    names = shown_names([asset for asset, _ in free], [name for _, name in free], taken)
    return [stand_in_entry(name, row) for name, row in zip(names, free.values(), strict=True)]

"""previews/…: the folders of originals/ with what shows the files in them: posters, contact sheets, sprites, waveforms.

What is not made yet is absent. Cues (``.vtt``) name the sprite as it is called beside them, so they are made when they
are opened: the same bytes may lie in two folders under two names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from urllib.parse import quote

from damfs.catalog import predicates, preview_rows, stores
from damfs.catalog.database import Connection
from damfs.catalog.preview_rows import ShownPreview
from damfs.core import preview_names
from damfs.core.folders import is_own
from damfs.core.library import Library
from damfs.core.preview_names import CUES, ENDINGS, preview_name
from damfs.errors import NotFound
from damfs.model import AssetId, CopyId, Facet, FolderId
from damfs.presentation.views.originals import Originals, listed_folders
from damfs.presentation.views.view import READ_FILE, Commands, Entry, Place, Thing, ThingKind
from damfs.storage.disk_errors import disk_errors

SPRITE = "sprite.jpg"
"""What the rendition calls the picture that its cues are about."""
SPRITE_ENDING = b".sprite.jpg"


class Previews(Originals):
    name = "previews"
    place_kind = 43
    thumbnails = False

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if place.id is None:
            return super().lookup(connection, place, name)
        raw = os.fsencode(name)
        folder = stores.folder_named(connection, FolderId(place.id), raw)
        if folder is not None and folder.live:
            return None if is_own(folder.name) else self._folder_entry(connection, folder)
        parts = preview_names.parts(raw)
        if parts is None:
            return None
        rows = preview_rows.of_file(connection, FolderId(place.id), parts[0])
        copy = preview_names.marked(parts[0])
        if copy is not None and preview_rows.folder_of(connection, copy) == place.id:
            rows += preview_rows.of_copy(connection, copy)
        return next((entry for entry in entries_of(rows) if entry.name == name), None)

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if place.id is None:
            return super().list(connection, place)
        folder = FolderId(place.id)
        found = [self._folder_entry(connection, each) for each in listed_folders(connection, folder)]
        names = {entry.name for entry in found}
        for entry in entries_of(preview_rows.list_previews(connection, folder)):
            if entry.name not in names:
                names.add(entry.name)
                found.append(entry)
        return found

    def receive(self, place: Place) -> bool:
        raise self.refusal(place)

    def writable(self, connection: Connection, place: Place) -> bool:
        return False

    def mtime_ns(self, connection: Connection, place: Place) -> int | None:
        return None

    def enter(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        raise self.refusal(place)

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        if place.id is None:
            return frozenset({predicates.STORES_FACET})
        return frozenset({predicates.proxies_facet(FolderId(place.id))})


def entries_of(rows: Iterable[ShownPreview]) -> list[Entry]:
    return [preview_entry(row) for row in rows if (row.kind, row.profile) in ENDINGS]


def preview_entry(row: ShownPreview) -> Entry:
    name = os.fsdecode(preview_name(row.name, row.copy, ENDINGS[row.kind, row.profile]))
    if (row.kind, row.profile) != CUES:
        return Entry(name, Thing(ThingKind.RENDITION, row.rendition), row.size, row.made_ns, READ_FILE)
    size = row.size + row.cells * (len(sprite_name(row)) - len(SPRITE))
    return Entry(name, Thing(ThingKind.CUES, row.copy), size, row.made_ns, READ_FILE)


def sprite_name(row: ShownPreview) -> str:
    """As a URI has it, relative to the cues."""
    return quote(preview_name(row.name, row.copy, SPRITE_ENDING))


def cues_of(connection: Connection, thing: Thing) -> ShownPreview | None:
    rows = preview_rows.of_copy(connection, CopyId(thing.id))
    return next((row for row in rows if (row.kind, row.profile) == CUES), None)


def cues_text(library: Library, connection: Connection, thing: Thing) -> bytes:
    """Blocks. Raises NotFound, Unavailable."""
    row = cues_of(connection, thing)
    if row is None:
        raise NotFound("the cues are gone")
    path = library.renditions / row.key
    with disk_errors(path):
        return path.read_bytes().replace(f"\n{SPRITE}#".encode(), f"\n{sprite_name(row)}#".encode())

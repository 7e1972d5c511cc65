"""Whether the volume of a store is there: a mount point where files should be is one that is not mounted (P11).

`is_away` blocks; the others run on the loop. A store that is away is written into by nobody, for what was put into a
bare mount point would hide that, and then lie below the volume. Crash rule: only the row of the store is kept.
"""

from __future__ import annotations

import functools
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from damfs.catalog import derived, standing
from damfs.core import store_notes
from damfs.core.commands import SetOnline
from damfs.core.library import Library
from damfs.model import Store
from damfs.storage.folder_steps import is_bare
from damfs.storage.note_file import NoteFile
from damfs.storage.tree_walk import NOTES

NOTES_INODE = "notes-inode"
"""Property: the inode of the notes of the library's own store, on its volume."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalog knows of the root of a store."""

    root: Path
    expects_files: bool
    first_line: bytes = b""
    """Of the notes that lie there; none in a read-only store."""
    notes_inode: int = 0


def is_away(known: Known) -> bool:
    """Whether files are known to be there, and nothing is but what damfs may have written into a mount point. The very
    file of notes that lay on the volume says that it is there, and that somebody emptied it. Raises OSError."""
    return known.expects_files and is_bare(os.fsencode(known.root)) and not _has_its_notes(known)


def _has_its_notes(known: Known) -> bool:
    notes = known.root / os.fsdecode(NOTES)
    with suppress(FileNotFoundError):
        return notes.stat().st_ino == known.notes_inode and NoteFile(notes).first() == known.first_line
    return False


async def known_of(library: Library, store: Store) -> Known:
    expected = await library.db.read(functools.partial(standing.expects_files, store=store.id))
    if store.root:
        return Known(Path(store.root), expected)
    connection = library.db.writer
    name, inode = derived.property_value(connection, "library-id"), derived.property_value(connection, NOTES_INODE)
    return Known(library.originals, expected, store_notes.first_line(name or ""), int(inode or 0))


def set_online(library: Library, store: Store, actor: str, *, online: bool) -> None:
    """Nobody writes into it while it is not."""
    library.blob_store(store.id).is_away = not online
    if store.online != online:
        library.perform(SetOnline(store.id, online=online), actor)


async def look(library: Library, actor: str) -> bool:
    """Whether the volume of the library's own store is there, before anything is written into it."""
    store = library.library_store()
    known = await known_of(library, store)
    try:
        away = await trio.to_thread.run_sync(is_away, known)
    except OSError:
        away = True
    set_online(library, store, actor, online=not away)
    return not away


def keep_inode(library: Library, inode: int) -> None:
    """Of the notes, which are on the volume now."""
    if derived.property_value(library.db.writer, NOTES_INODE) != str(inode):
        with library.db.transaction() as tx:
            derived.set_property(tx, NOTES_INODE, str(inode))

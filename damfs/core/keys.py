"""Where in the writable store a file goes: readable keys by day and name, and which of them are free.

`keys_for` is pure, `is_taken` a point read on the loop, `link_or_take` blocks. Crash rule: a name that a crash left in
the store before its row was committed is the first free key again, and is taken then.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from damfs.catalog import stores
from damfs.catalog.database import Connection
from damfs.core.asset_names import NAME_LIMIT, clean_name, fit, size_of, split_ending
from damfs.errors import Conflict, NotFound, Unavailable
from damfs.model import AssetId, Key, StoreId
from damfs.storage.blob_store import BlobStore, FileFact
from damfs.storage.droppings import is_dropping

_VERSION = re.compile(rb"(.+)~v[0-9]+(?:~[0-9]+)?(\.[^.]*)?", re.DOTALL)
TRIES = 10_000
"""Files of one name under one day."""


def keys_for(name: str, day: str) -> Iterator[Key]:
    """Keys to try in order: 2026/11/22/clip.mov, then clip~2.mov, clip~3.mov … Unavailable when none was free."""
    folder = day.replace("-", "/")
    if name.startswith(".") or is_dropping(name):
        name = clean_name("_" + name)  # walks of a store pass hidden names by
    stem, ending = split_ending(name)
    yield Key(os.fsencode(f"{folder}/{name}"))
    for number in range(2, TRIES):
        mark = f"~{number}{ending}"
        yield Key(os.fsencode(f"{folder}/{fit(stem, NAME_LIMIT - size_of(mark))}{mark}"))
    raise Unavailable(f"{name}: no name is free under {folder} of the writable store; rename the file and try again")


def version_keys(key: Key, number: int) -> Iterator[Key]:
    """Where an earlier version of the file at ``key`` goes, in order: clip~v1.mov, clip~v1~2.mov … beside it.
    Unavailable when none was free."""
    folders, slash, name = key.rpartition(b"/")
    stem, ending = split_ending(os.fsdecode(name))
    for attempt in range(1, TRIES):
        mark = f"~v{number}" + (f"~{attempt}" if attempt > 1 else "") + ending
        fitting = fit(stem, NAME_LIMIT - size_of(mark)) + mark
        yield Key(folders + slash + os.fsencode(fitting))
    raise Unavailable(f"{os.fsdecode(key)}: no name is free beside it for its version {number}; rename such files")


def versioned_name(name: bytes) -> bytes | None:
    """The name of the file of which one of this name would be an earlier version; None when it is no such name."""
    found = _VERSION.fullmatch(name)
    return None if found is None else found[1] + (found[2] or b"")


def is_taken(connection: Connection, store: StoreId, key: Key, owner: AssetId) -> bool:
    """Whether the key is another asset's, even if its file is missing now: it may come back."""
    folders, name = stores.split_key(key)
    folder = stores.folder_at(connection, store, folders)
    copy = None if folder is None else stores.copy_at(connection, folder, name)
    return copy is not None and copy.asset != owner


def link_or_take(files: BlobStore, key: Key, new_key: Key) -> FileFact:
    """A second name for the bytes at ``key``; also one that a crash left there. Conflict when it is another file's."""
    try:
        return files.link(key, new_key)
    except Conflict:
        try:
            there = files.stat(new_key)
        except NotFound:
            there = None
        if there is None or there.inode != files.stat(key).inode:
            raise
        return there

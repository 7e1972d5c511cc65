"""Where in the writable store a file goes: readable keys by day and name, and which of them are free.

`keys_for` is pure, `is_taken` a point read on the loop, what links blocks. Crash rule: a name that a crash left in
the store before its row was committed is the first free key again, and is taken then.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from damfs.catalog import stores
from damfs.catalog.database import Connection
from damfs.core.asset_names import NAME_LIMIT, clean_name, split_ending
from damfs.errors import Conflict, DamfsError, NotFound, Unavailable
from damfs.model import TRASH_FOLDER, AssetId, Copy, Key, StoreId
from damfs.storage.blob_store import BlobStore, FileFact
from damfs.storage.droppings import is_dropping

_VERSION = re.compile(rb"(.+)~v[0-9]+(?:~[0-9]+)?(\.[^.]*)?", re.DOTALL)
TRIES = 10_000
"""Files of one name under one day, or in one folder."""
_NUMBERED = re.compile(rb"\d+(?:~\d+)?-(.+)", re.DOTALL)
"""Names in the trash folder."""


def keys_for(name: str, day: str) -> Iterator[Key]:
    """Keys to try in order: 2026/11/22/clip.mov, then clip~2.mov, clip~3.mov … Unavailable when none was free."""
    folder = day.replace("-", "/")
    if name.startswith(".") or is_dropping(name):
        name = clean_name("_" + name)  # `ls` of the folders would not show it
    return keys_beside(Key(os.fsencode(f"{folder}/{name}")))


def version_keys(key: Key, number: int) -> Iterator[Key]:
    """Where an earlier version of the file at ``key`` goes, in order: clip~v1.mov, clip~v1~2.mov … beside it.
    Unavailable when none was free."""
    folders, slash, name = key.rpartition(b"/")
    stem, ending = split_ending(os.fsdecode(name))
    for attempt in range(1, TRIES):
        mark = os.fsencode(f"~v{number}" + (f"~{attempt}" if attempt > 1 else "") + ending)
        yield Key(folders + slash + _fit(os.fsencode(stem), NAME_LIMIT - len(mark)) + mark)
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


def link_read(files: BlobStore, read: FileFact, new_key: Key) -> FileFact | None:
    """A second name for the very file that was read at its key; None, and no such name, when another lies there by now:
    a next version may take a key at any moment. Conflict as `link_or_take`."""
    try:
        placed = link_or_take(files, read.key, new_key)
        if replace(placed, key=read.key) == read or files.stat(read.key) == read:  # the latter where bytes were copied
            return placed
        forget_second_name(files, read.key, placed)
    except NotFound:
        pass
    return None


def forget_second_name(files: BlobStore, first: Key, second: FileFact) -> None:
    """Only if both lead to the same file. Blocks."""
    with suppress(DamfsError):
        if files.stat(first).inode == files.stat(second.key).inode:
            files.remove(second.key)


def is_trash(key: Key) -> bool:
    """Whether it is one of the trash folder. Pure."""
    return key.startswith(TRASH_FOLDER + b"/")


def aside_keys(copy: Copy) -> Iterator[Key]:
    """``.damfs-trash/17-clip.mov``: the copy's number, which is never given again, and the file's name. Pure."""
    for number in range(1, TRIES):
        mark = b"%d-" % copy.id if number == 1 else b"%d~%d-" % (copy.id, number)
        yield Key(TRASH_FOLDER + b"/" + mark + _fit(copy.name, NAME_LIMIT - len(mark)))


def _fit(name: bytes, limit: int) -> bytes:
    """Cut, the ending kept, on a boundary of UTF-8 where it is text."""
    stem, dot, ending = name.rpartition(b".")
    if not dot or len(ending) >= limit:
        stem, dot, ending = name, b"", b""
    cut = stem[: limit - len(dot + ending)]
    while cut != stem and cut and stem[len(cut)] & 0xC0 == 0x80:
        cut = cut[:-1]
    return cut + dot + ending


def name_in_trash(name: bytes) -> bytes:
    """The file's own name, of a name in the trash folder. Pure."""
    found = _NUMBERED.fullmatch(name)
    return name if found is None else found[1]


def keys_beside(key: Key) -> Iterator[Key]:
    """The key, then ``clip~2.mov``, ``clip~3.mov`` … in its folder. Pure."""
    yield key
    folders, _, name = key.rpartition(b"/")
    stem, ending = split_ending(os.fsdecode(name))
    for number in range(2, TRIES):
        mark = os.fsencode(f"~{number}{ending}")
        beside = _fit(os.fsencode(stem), NAME_LIMIT - len(mark)) + mark
        yield Key(folders + b"/" + beside if folders else beside)
    where = os.fsdecode(folders)
    raise Unavailable(f"{os.fsdecode(name)}: no name is free in {where} of the writable store; rename it and try again")

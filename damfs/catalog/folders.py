"""Folders that people arrange in the writable store: where a file that is being received goes, what was set of a
folder, and folders that are renamed or removed.

Point reads, or inside a transaction; functions named ``list_…`` may scan (reader thread).
"""

from __future__ import annotations

from typing import NamedTuple

from damfs.catalog import stores
from damfs.catalog.database import Connection
from damfs.catalog.stores import Folder, Shown
from damfs.model import AssetId, BlobId, Copy, CopyId, FolderId, Key, StoreId


class Destination(NamedTuple):
    """Where a file that is being received is shown and will lie."""

    folder: FolderId
    name: bytes


class Attribute(NamedTuple):
    mode: int
    mtime_ns: int | None
    """None: when its content last changed."""


class Move(NamedTuple):
    """A folder that is just being renamed."""

    folder: FolderId
    parent: FolderId
    name: bytes


def destination(connection: Connection, asset: AssetId) -> Destination | None:
    row = connection.row("SELECT folder, name FROM destination WHERE asset = ?", asset)
    return None if row is None else Destination._make(row)


def is_destined(connection: Connection, folder: FolderId, name: bytes) -> bool:
    """Whether a file that is being received will lie there."""
    return connection.row("SELECT 1 FROM destination WHERE folder = ? AND name = ?", folder, name) is not None


def set_destination(tx: Connection, asset: AssetId, folder: FolderId, name: bytes) -> None:
    tx.run(
        "INSERT INTO destination (asset, folder, name) VALUES (?, ?, ?)"
        " ON CONFLICT (asset) DO UPDATE SET folder = excluded.folder, name = excluded.name",
        asset, folder, name,
    )  # fmt: skip


def rename_destination(tx: Connection, asset: AssetId, name: bytes) -> None:
    """Nothing happens where there is none, or where the name is another's: the file keeps the name it has there."""
    tx.run("UPDATE OR IGNORE destination SET name = ? WHERE asset = ?", name, asset)


def clear_destination(tx: Connection, asset: AssetId) -> bool:
    """Whether there was one."""
    return bool(tx.run("DELETE FROM destination WHERE asset = ?", asset))


DESTINED = (
    "SELECT d.name, d.asset, a.size, a.mtime_ns, a.mode FROM destination AS d JOIN asset AS a ON a.id = d.asset"
    " WHERE d.folder = ? AND a.state = 'receiving'"
)


def list_destined(connection: Connection, folder: FolderId) -> list[Shown]:
    """The files of a folder that are being received."""
    return [Shown._make(row) for row in connection.rows(DESTINED + " ORDER BY d.name", folder)]


def destined(connection: Connection, folder: FolderId, name: bytes) -> Shown | None:
    row = connection.row(DESTINED + " AND d.name = ?", folder, name)
    return None if row is None else Shown._make(row)


def mark_placed(tx: Connection, folder: FolderId, name: bytes) -> None:
    tx.run("INSERT OR IGNORE INTO placed SELECT id FROM copy WHERE folder = ? AND name = ?", folder, name)


def is_placed(connection: Connection, copy: CopyId) -> bool:
    return connection.exists("SELECT 1 FROM placed WHERE copy = ?", copy)


def lose_place(tx: Connection, copy: CopyId) -> None:
    """A file that is missing was last seen under a name that another has now."""
    tx.run("UPDATE copy SET name = CAST('/' || id AS BLOB) WHERE id = ? AND state = 'missing'", copy)  # no file has '/'


def attribute(connection: Connection, folder: FolderId) -> Attribute | None:
    row = connection.row("SELECT mode, mtime_ns FROM folder_attribute WHERE folder = ?", folder)
    return None if row is None else Attribute._make(row)


def is_writable(connection: Connection, folder: FolderId) -> bool:
    """Whether it is a folder of a writable store."""
    return connection.exists(
        "SELECT 1 FROM folder AS f JOIN store AS s ON s.id = f.store WHERE f.id = ? AND s.kind = 'writable'", folder
    )


def set_attribute(tx: Connection, folder: FolderId, mode: int, mtime_ns: int | None) -> None:
    tx.run(
        "INSERT INTO folder_attribute (folder, mode, mtime_ns) VALUES (?, ?, ?)"
        " ON CONFLICT (folder) DO UPDATE SET mode = excluded.mode, mtime_ns = excluded.mtime_ns",
        folder, mode, mtime_ns,
    )  # fmt: skip


def set_owner(tx: Connection, asset: AssetId, uid: int, gid: int) -> None:
    tx.run("INSERT OR REPLACE INTO asset_owner (asset, uid, gid) VALUES (?, ?, ?)", asset, uid, gid)


def set_folder_owner(tx: Connection, folder: FolderId, uid: int, gid: int) -> None:
    """Of a folder whose attributes were set before."""
    tx.run("UPDATE folder_attribute SET uid = ?, gid = ? WHERE folder = ?", uid, gid, folder)


def owners(connection: Connection) -> list[tuple[AssetId, int, int]]:
    """Assets that belong to others, with uid and gid."""
    return connection.rows("SELECT asset, uid, gid FROM asset_owner")


def folder_owners(connection: Connection) -> list[tuple[FolderId, int, int]]:
    """Folders that belong to others, with uid and gid."""
    return connection.rows("SELECT folder, uid, gid FROM folder_attribute WHERE uid IS NOT NULL")


def content_changed(tx: Connection, folder: FolderId) -> None:
    """The time that a program set of it holds no more."""
    tx.run("UPDATE folder_attribute SET mtime_ns = NULL WHERE folder = ? AND mtime_ns IS NOT NULL", folder)


def holds_anything(connection: Connection, folder: FolderId) -> bool:
    """Whether anything is listed in it."""
    return connection.exists(
        "SELECT 1 FROM folder WHERE parent = ?1 AND live"
        " UNION ALL SELECT 1 FROM copy AS c JOIN asset AS a ON a.id = c.asset"
        " WHERE c.folder = ?1 AND c.state <> 'missing' AND a.visible AND c.blob = a.blob"
        " UNION ALL SELECT 1 FROM destination WHERE folder = ?1 LIMIT 1",
        folder,
    )


def unlisted_files(connection: Connection, folder: FolderId) -> list[Copy]:
    """Files that lie right in a folder and are not listed there: their assets are in the trash, or have other bytes."""
    rows = connection.rows(
        "SELECT c.id FROM copy AS c JOIN asset AS a ON a.id = c.asset"
        " WHERE c.folder = ? AND c.state <> 'missing' AND (NOT a.visible OR c.blob <> a.blob)",
        folder,
    )
    return [found for (id_,) in rows if (found := stores.copy(connection, CopyId(id_))) is not None]


def lies_in(connection: Connection, folder: FolderId, outer: FolderId) -> bool:
    """Whether it is that folder, or lies somewhere below it."""
    current: FolderId | None = folder
    while current is not None and current != outer:
        row = stores.folder(connection, current)
        current = None if row is None else row.parent
    return current is not None


def remove_folder(tx: Connection, folder: FolderId) -> None:
    """List it no more, and free its name. The row goes away unless files that are missing were last seen in it."""
    tx.run("DELETE FROM folder_attribute WHERE folder = ?", folder)
    used = tx.exists("SELECT 1 FROM copy WHERE folder = ?1 UNION ALL SELECT 1 FROM folder WHERE parent = ?1", folder)
    if used:
        tx.run("UPDATE folder SET live = 0, name = CAST('/' || id AS BLOB) WHERE id = ?", folder)  # no file has a '/'
    else:
        tx.run("DELETE FROM folder WHERE id = ?", folder)


def move_folder(tx: Connection, folder: FolderId, parent: FolderId, name: bytes) -> None:
    """Give it another name or parent. One that has that name must be empty, and goes away; a file that was just begun
    there is one of this folder."""
    there = stores.folder_named(tx, parent, name)
    if there is not None and there.id != folder:
        tx.run("UPDATE OR IGNORE destination SET folder = ? WHERE folder = ?", folder, there.id)
        tx.run("DELETE FROM destination WHERE folder = ?", there.id)
        remove_folder(tx, there.id)
    tx.run("UPDATE folder SET parent = ?, name = ? WHERE id = ?", parent, name, folder)


def begin_move(tx: Connection, move: Move) -> None:
    tx.run("INSERT OR REPLACE INTO folder_move (folder, parent, name) VALUES (?, ?, ?)", *move)


def end_move(tx: Connection, folder: FolderId) -> None:
    tx.run("DELETE FROM folder_move WHERE folder = ?", folder)


def moves(connection: Connection) -> list[Move]:
    """Those that were begun and not ended."""
    return [Move._make(row) for row in connection.rows("SELECT folder, parent, name FROM folder_move ORDER BY folder")]


NOWHERE = Key(b"")
"""In place of a new key: the name is to be removed."""
LEADS = b"/"
"""Behind a key: the name is to lead to other bytes."""
VANISHES = b"//"
"""Behind two numbers: the asset of the name becomes the next version of another one, with these bytes."""


def vanishing(target: AssetId, blob: BlobId) -> Key:
    return Key(b"%d/%d" % (target, blob) + VANISHES)


def is_about_names(key: Key) -> bool:
    """Whether no file is being renamed to it."""
    return key == NOWHERE or key.endswith(LEADS)


def begin_file_move(tx: Connection, copy: CopyId, key: Key) -> None:
    tx.run("INSERT OR REPLACE INTO file_move (copy, key) VALUES (?, ?)", copy, key)


def end_file_move(tx: Connection, copy: CopyId) -> None:
    tx.run("DELETE FROM file_move WHERE copy = ?", copy)


def file_moves(connection: Connection) -> list[tuple[CopyId, Key]]:
    """Those that were begun and not ended."""
    return [(CopyId(copy), Key(key)) for copy, key in connection.rows("SELECT copy, key FROM file_move ORDER BY copy")]


def list_listed(connection: Connection, store: StoreId) -> dict[Key, Folder]:
    """Every listed folder of a store by its path. Builds each path once."""
    rows = connection.rows("SELECT id, store, parent, name, live FROM folder WHERE store = ?", store)
    by_id = {row[0]: Folder._make(row) for row in rows}
    paths: dict[int, bytes] = {}

    def path(row: Folder) -> bytes:
        if row.id not in paths:
            above = b"" if row.parent is None else path(by_id[row.parent])
            paths[row.id] = above + b"/" + row.name if above else row.name
        return paths[row.id]

    return {Key(path(row)): row for row in by_id.values() if row.live and row.parent is not None}

"""The trash: which assets are in it, where their files lay, and what a file manager called them.

Point reads, or inside a transaction; functions named ``list_…`` may scan (reader thread).
"""

from __future__ import annotations

from typing import NamedTuple

from damfs.catalog import field_values
from damfs.catalog.database import Connection
from damfs.catalog.stores import folder_named, root_folder
from damfs.model import TRASH_FOLDER, AssetId, BlobId, CopyId, FolderId, Key, StoreId


class Trashed(NamedTuple):
    asset: AssetId
    name: str
    size: int
    at_ns: int
    """Since when it is in the trash."""
    place: str
    """Path in the mount at which it was removed; '': elsewhere."""
    held: int
    """Whether a file of it lies in a read-only store: it never expires."""


TRASHED = (
    "SELECT a.id, a.name, a.size, t.at_ns, t.place, EXISTS (SELECT 1 FROM copy AS c JOIN store AS s ON s.id = c.store"
    " WHERE c.asset = a.id AND s.kind = 'read-only' AND c.state <> 'missing')"
    " FROM trashed AS t JOIN asset AS a ON a.id = t.asset"
)


def put(tx: Connection, asset: AssetId, at_ns: int, place: str) -> None:
    tx.run("INSERT OR REPLACE INTO trashed (asset, at_ns, place) VALUES (?, ?, ?)", asset, at_ns, place)


def take(tx: Connection, asset: AssetId) -> None:
    tx.run("DELETE FROM trashed WHERE asset = ?", asset)


def trashed(connection: Connection, asset: AssetId) -> Trashed | None:
    row = connection.row(TRASHED + " WHERE t.asset = ?", asset)
    return None if row is None else Trashed._make(row)


def list_trashed(connection: Connection) -> list[Trashed]:
    """Latest first."""
    return [Trashed._make(row) for row in connection.rows(TRASHED + " ORDER BY t.at_ns DESC, a.id DESC")]


def list_expired(connection: Connection, before_ns: int, limit: int) -> list[AssetId]:
    """In the trash since before a time, oldest first."""
    rows = connection.rows(
        "SELECT asset FROM trashed AS t WHERE at_ns < ? AND NOT EXISTS (SELECT 1 FROM copy AS c"
        " JOIN store AS s ON s.id = c.store WHERE c.asset = t.asset AND s.kind = 'read-only' AND c.state <> 'missing')"
        " AND t.asset NOT IN (SELECT asset FROM rewrite) ORDER BY at_ns LIMIT ?",
        before_ns,
        limit,
    )
    return [asset for (asset,) in rows]


def trash_folder(connection: Connection, store: StoreId) -> FolderId | None:
    """None: nothing of the store was ever trashed."""
    found = folder_named(connection, root_folder(connection, store), TRASH_FOLDER)
    return None if found is None else found.id


def list_misplaced(connection: Connection) -> list[AssetId]:
    """Assets in the trash with a file that still lies where it lay, and others with a file that is out of the way."""
    rows = connection.rows(
        """WITH hidden (id) AS (
             SELECT f.id FROM folder AS f JOIN folder AS root ON root.id = f.parent AND root.parent IS NULL
             JOIN store AS s ON s.id = f.store AND s.kind = 'writable' WHERE f.name = ?)
           SELECT c.asset FROM trashed AS t JOIN copy AS c ON c.asset = t.asset JOIN store AS s ON s.id = c.store
           WHERE s.kind = 'writable' AND c.state <> 'missing' AND c.folder NOT IN (SELECT id FROM hidden)
           UNION SELECT c.asset FROM hidden AS h JOIN copy AS c ON c.folder = h.id
           WHERE c.state <> 'missing' AND c.asset NOT IN (SELECT asset FROM trashed)""",
        TRASH_FOLDER,
    )
    return [asset for (asset,) in rows]


def set_place(tx: Connection, copy: CopyId, folder: FolderId, name: bytes, mtime_ns: int, inode: int) -> None:
    """damfs itself moved the file. A stale row that held that key goes away."""
    tx.run("DELETE FROM copy WHERE folder = ? AND name = ? AND id <> ?", folder, name, copy)
    tx.run(
        "UPDATE copy SET folder = ?, name = ?, mtime_ns = ?, inode = ? WHERE id = ?",
        folder, name, mtime_ns, inode, copy,
    )  # fmt: skip


def set_aside(tx: Connection, copy: CopyId, key: Key, *, unfinished: bool) -> None:
    """``key``: where the file lay, or is to go when it comes back."""
    tx.run("INSERT OR REPLACE INTO aside (copy, key, unfinished) VALUES (?, ?, ?)", copy, key, int(unfinished))


def finish_aside(tx: Connection, copy: CopyId) -> None:
    """The file has its old name no more."""
    tx.run("UPDATE aside SET unfinished = 0 WHERE copy = ? AND unfinished", copy)


def drop_aside(tx: Connection, copy: CopyId) -> None:
    tx.run("DELETE FROM aside WHERE copy = ?", copy)


def former_key(connection: Connection, copy: CopyId) -> Key | None:
    """Where a file in the trash lay; None when that is not known any more."""
    key = connection.value(bytes, "SELECT key FROM aside WHERE copy = ?", copy)
    return None if key is None else Key(key)


def list_unfinished(connection: Connection) -> list[tuple[CopyId, Key]]:
    rows = connection.rows("SELECT copy, key FROM aside WHERE unfinished ORDER BY copy")
    return [(copy, Key(key)) for copy, key in rows]


def doom(tx: Connection, store: StoreId, key: Key) -> None:
    tx.run("INSERT OR IGNORE INTO doomed (store, key) VALUES (?, ?)", store, key)


def spare(tx: Connection, store: StoreId, key: Key) -> None:
    """The file is gone."""
    tx.run("DELETE FROM doomed WHERE store = ? AND key = ?", store, key)


def list_doomed(connection: Connection) -> list[tuple[StoreId, Key]]:
    return [(store, Key(key)) for store, key in connection.rows("SELECT store, key FROM doomed")]


def users_of_blob(connection: Connection, blob: BlobId, other_than: AssetId) -> list[AssetId]:
    """Other assets one of whose versions has these bytes."""
    rows = connection.rows(
        "SELECT DISTINCT asset FROM version WHERE blob = ? AND asset <> ? ORDER BY asset", blob, other_than
    )
    return [asset for (asset,) in rows]


def blobs_of(connection: Connection, asset: AssetId) -> list[BlobId]:
    """The bytes of all versions and files of an asset."""
    rows = connection.rows(
        "SELECT blob FROM version WHERE asset = ?1 UNION SELECT blob FROM copy WHERE asset = ?1 ORDER BY blob", asset
    )
    return [blob for (blob,) in rows]


def drop_blob_if_unused(tx: Connection, blob: BlobId) -> list[str]:
    """Forget bytes that no asset, version or file has, with what was derived; keys of renditions without a row now."""
    if tx.exists(
        "SELECT 1 FROM asset WHERE blob = ?1 UNION ALL SELECT 1 FROM version WHERE blob = ?1"
        " UNION ALL SELECT 1 FROM copy WHERE blob = ?1 LIMIT 1",
        blob,
    ):
        return []
    keys = [key for (key,) in tx.rows("SELECT key FROM rendition WHERE blob = ?", blob)]
    tx.run("DELETE FROM job WHERE blob = ?", blob)
    tx.run("DELETE FROM fact WHERE blob = ?", blob)
    field_values.forget(tx, blob)
    tx.run("DELETE FROM rendition WHERE blob = ?", blob)
    tx.run("DELETE FROM embedding WHERE blob = ?", blob)
    tx.run("DELETE FROM blob WHERE id = ?", blob)
    return keys

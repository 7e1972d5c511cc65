"""Stores, folders, blobs and copies: which bytes lie where. Keys are made of folder rows, so a folder has an id.

Point reads, or inside a transaction; functions named ``list_…`` may scan (reader thread).
"""

from __future__ import annotations

from typing import NamedTuple

from damfs.catalog.database import Connection, Row
from damfs.errors import NotFound
from damfs.model import (
    TRASH_FOLDER,
    AssetId,
    BlobId,
    Copy,
    CopyId,
    CopyState,
    Digest,
    FolderId,
    Key,
    Store,
    StoreId,
    StoreKind,
)

COPY = "c.id, c.blob, c.asset, c.store, c.folder, c.name, c.size, c.mtime_ns, c.inode, c.state"


def _store(row: Row) -> Store:
    id_, name, kind, root, online = row
    return Store(id_, name, StoreKind(kind), root, bool(online))


def copy_of_row(row: Row) -> Copy:
    id_, blob, asset, store, folder, name, size, mtime_ns, inode, state = row
    return Copy(id_, blob, asset, store, folder, name, size, mtime_ns, inode, CopyState(state))


def all_stores(connection: Connection) -> list[Store]:
    return [_store(row) for row in connection.rows("SELECT id, name, kind, root, online FROM store ORDER BY id")]


def store_named(connection: Connection, name: str) -> Store | None:
    row = connection.row("SELECT id, name, kind, root, online FROM store WHERE name = ?", name)
    return None if row is None else _store(row)


def add_store(tx: Connection, name: str, kind: StoreKind, root: str, at_ns: int) -> StoreId:
    store = tx.insert(
        "INSERT INTO store (name, kind, root, created_ns) VALUES (?, ?, ?, ?)", name, str(kind), root, at_ns
    )
    tx.run("INSERT INTO folder (store, parent, name) VALUES (?, NULL, x'')", store)
    return StoreId(store)


def set_online(tx: Connection, store: StoreId, online: bool) -> None:  # a setter
    tx.run("UPDATE store SET online = ? WHERE id = ?", int(online), store)


class Folder(NamedTuple):
    id: FolderId
    store: StoreId
    parent: FolderId | None
    name: bytes
    live: int
    """Whether it is listed."""


def root_folder(connection: Connection, store: StoreId) -> FolderId:
    return FolderId(connection.integer("SELECT id FROM folder WHERE store = ? AND parent IS NULL", store))


def folder(connection: Connection, id_: FolderId) -> Folder | None:
    row = connection.row("SELECT id, store, parent, name, live FROM folder WHERE id = ?", id_)
    return None if row is None else Folder._make(row)


def folder_named(connection: Connection, parent: FolderId, name: bytes) -> Folder | None:
    row = connection.row("SELECT id, store, parent, name, live FROM folder WHERE parent = ? AND name = ?", parent, name)
    return None if row is None else Folder._make(row)


def folder_at(connection: Connection, store: StoreId, parts: list[bytes]) -> FolderId | None:
    """The folder at a path below the store's root."""
    current: FolderId | None = root_folder(connection, store)
    for part in parts:
        found = None if current is None else folder_named(connection, current, part)
        current = None if found is None else found.id
    return current


def list_folders(connection: Connection, parent: FolderId) -> list[Folder]:
    """Those that hold files, in them or below."""
    rows = connection.rows(
        "SELECT id, store, parent, name, live FROM folder WHERE parent = ? AND live ORDER BY name", parent
    )
    return [Folder._make(row) for row in rows]


class Child(NamedTuple):
    """A folder that its parent began or ceased to list."""

    parent: FolderId
    name: bytes


def ensure_folder(tx: Connection, store: StoreId, parts: list[bytes]) -> tuple[FolderId, list[Child]]:
    """The folder at a path below the store's root, made where missing; and the folders that are listed from now on.

    damfs's own folder at the top of a store is never listed.
    """
    current, grown, listed = root_folder(tx, store), [], not is_hidden(parts)
    for part in parts:
        found = folder_named(tx, current, part)
        if listed and (found is None or not found.live):
            grown.append(Child(current, part))
        if found is None:
            current = FolderId(
                tx.insert(
                    "INSERT INTO folder (store, parent, name, live) VALUES (?, ?, ?, ?)",
                    store, current, part, int(listed),
                )
            )  # fmt: skip
        else:
            current = found.id
            tx.run("UPDATE folder SET live = 1 WHERE id = ? AND NOT live AND ?", current, int(listed))
    return current, grown


def is_hidden(parts: list[bytes]) -> bool:
    """Whether a path leads into a folder of damfs's own."""
    return bool(parts) and parts[0] == TRASH_FOLDER


def list_empty_folders(connection: Connection, store: StoreId) -> list[Folder]:
    """Listed folders without a file in them or below, deepest first. Scans the store's copies."""
    rows = connection.rows(
        "WITH RECURSIVE used (id) AS (SELECT folder FROM copy WHERE store = ?1 AND state = 'present'"
        " UNION SELECT f.parent FROM folder AS f JOIN used ON f.id = used.id WHERE f.parent IS NOT NULL)"
        " SELECT id, store, parent, name, live FROM folder"
        " WHERE store = ?1 AND live AND parent IS NOT NULL AND id NOT IN (SELECT id FROM used) ORDER BY id DESC",
        store,
    )
    return [Folder._make(row) for row in rows]


def hide_folder(tx: Connection, id_: FolderId) -> bool:
    """List it no more, if there is still no file and no listed folder in it. Whether that was so."""
    return bool(
        tx.run(
            "UPDATE folder SET live = 0 WHERE id = ?1 AND live"
            " AND NOT EXISTS (SELECT 1 FROM copy WHERE folder = ?1 AND state = 'present')"
            " AND NOT EXISTS (SELECT 1 FROM folder WHERE parent = ?1 AND live)"
            " AND NOT EXISTS (SELECT 1 FROM destination WHERE folder = ?1)",
            id_,
        )
    )


def key_of(connection: Connection, folder_id: FolderId, name: bytes) -> Key:
    """The key of a file in a folder. One point read for each level."""
    parts = [name]
    current: FolderId | None = folder_id
    while current is not None:
        row = folder(connection, current)
        if row is None or row.parent is None:
            break
        parts.append(row.name)
        current = row.parent
    return Key(b"/".join(reversed(parts)))


def split_key(key: Key) -> tuple[list[bytes], bytes]:
    *folders, name = key.split(b"/")
    return folders, name


def blob_of(connection: Connection, digest: Digest) -> BlobId | None:
    id_ = connection.value(int, "SELECT id FROM blob WHERE digest = ?", digest)
    return None if id_ is None else BlobId(id_)


def digest_of(connection: Connection, blob: BlobId) -> Digest:
    """Raises NotFound."""
    digest = connection.value(bytes, "SELECT digest FROM blob WHERE id = ?", blob)
    if digest is None:
        raise NotFound(f"no blob {blob}")
    return Digest(digest)


def ensure_blob(tx: Connection, digest: Digest, size: int) -> BlobId:
    found = blob_of(tx, digest)
    return found if found is not None else BlobId(
        tx.insert("INSERT INTO blob (digest, size) VALUES (?, ?)", digest, size)
    )  # fmt: skip


def add_copy(
    tx: Connection, blob: BlobId, asset: AssetId, store: StoreId, folder_id: FolderId, name: bytes,
    size: int, mtime_ns: int, inode: int, at_ns: int,
) -> None:  # fmt: skip
    """A copy just read and found to be the blob. Takes over a row that is there for the key."""
    tx.run(
        "INSERT INTO copy (blob, asset, store, folder, name, size, mtime_ns, inode, state, verified_ns)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'present', ?)"
        " ON CONFLICT (folder, name) DO UPDATE SET blob = excluded.blob, asset = excluded.asset,"
        " size = excluded.size, mtime_ns = excluded.mtime_ns, inode = excluded.inode, state = 'present',"
        " verified_ns = excluded.verified_ns",
        blob, asset, store, folder_id, name, size, mtime_ns, inode, at_ns,
    )  # fmt: skip


def move_copy(
    tx: Connection, copy: CopyId, folder_id: FolderId, name: bytes, mtime_ns: int, inode: int, at_ns: int
) -> None:
    """The copy was found (and read) at another key. A stale row that held that key goes away."""
    tx.run("DELETE FROM copy WHERE folder = ? AND name = ? AND id <> ?", folder_id, name, copy)
    tx.run(
        "UPDATE copy SET folder = ?, name = ?, mtime_ns = ?, inode = ?, state = 'present', verified_ns = ?"
        " WHERE id = ?",
        folder_id, name, mtime_ns, inode, at_ns, copy,
    )  # fmt: skip


def set_copy_state(tx: Connection, copy: CopyId, state: CopyState) -> None:
    tx.run("UPDATE copy SET state = ? WHERE id = ?", str(state), copy)


def set_copy_stat(tx: Connection, copy: CopyId, mtime_ns: int, inode: int, at_ns: int) -> None:
    """The bytes were read and are the same; only what the file system says of them moved."""
    tx.run(
        "UPDATE copy SET mtime_ns = ?, inode = ?, state = 'present', verified_ns = ? WHERE id = ?",
        mtime_ns, inode, at_ns, copy,
    )  # fmt: skip


def copy_at(connection: Connection, folder_id: FolderId, name: bytes) -> Copy | None:
    row = connection.row(f"SELECT {COPY} FROM copy AS c WHERE folder = ? AND name = ?", folder_id, name)  # noqa: S608  # constant columns
    return None if row is None else copy_of_row(row)


def copy(connection: Connection, id_: CopyId) -> Copy | None:
    row = connection.row(f"SELECT {COPY} FROM copy AS c WHERE id = ?", id_)  # noqa: S608  # as above
    return None if row is None else copy_of_row(row)


def copies_of_blob(connection: Connection, blob: BlobId) -> list[Copy]:
    rows = connection.rows(f"SELECT {COPY} FROM copy AS c WHERE blob = ? ORDER BY store, id", blob)  # noqa: S608  # as above
    return [copy_of_row(row) for row in rows]


def copies_of_asset(connection: Connection, asset: AssetId) -> list[Copy]:
    rows = connection.rows(f"SELECT {COPY} FROM copy AS c WHERE asset = ? ORDER BY id", asset)  # noqa: S608  # as above
    return [copy_of_row(row) for row in rows]


def list_copies(connection: Connection, store: StoreId) -> list[tuple[Key, Copy]]:
    """Every copy of a store with its key: what a scan compares with. Builds each folder's path once."""
    paths = _folder_paths(connection, store)
    copies = [copy_of_row(row) for row in connection.rows(f"SELECT {COPY} FROM copy AS c WHERE store = ?", store)]  # noqa: S608  # as above
    return [(Key(paths[copy.folder] + copy.name), copy) for copy in copies]


def list_copy_counts(connection: Connection) -> dict[tuple[int, str], int]:
    """Number of copies by store and state."""
    rows = connection.rows("SELECT store, state, count(*) FROM copy GROUP BY store, state")
    return {(store, state): number for store, state, number in rows}


def _folder_paths(connection: Connection, store: StoreId) -> dict[int, bytes]:
    """Folder id to its path with a slash behind it; b"" for the root."""
    rows: dict[int, tuple[int | None, bytes]] = {
        id_: (parent, name)
        for id_, parent, name in connection.rows("SELECT id, parent, name FROM folder WHERE store = ?", store)
    }
    paths: dict[int, bytes] = {}

    def path(id_: int) -> bytes:
        if id_ not in paths:
            parent, name = rows[id_]
            paths[id_] = b"" if parent is None else path(parent) + name + b"/"
        return paths[id_]

    return {id_: path(id_) for id_ in rows}


class Shown(NamedTuple):
    """A file of a folder as its listing needs it."""

    name: bytes
    asset: AssetId
    size: int
    mtime_ns: int
    mode: int


SHOWN = (
    "SELECT c.name, c.asset, a.size, a.mtime_ns, a.mode FROM copy AS c JOIN asset AS a ON a.id = c.asset"
    " WHERE c.folder = ? AND c.state <> 'missing' AND a.visible AND c.blob = a.blob"
)


def list_shown(connection: Connection, folder_id: FolderId) -> list[Shown]:
    """The files of a folder, by name."""
    return [Shown._make(row) for row in connection.rows(SHOWN + " ORDER BY c.name", folder_id)]


def shown(connection: Connection, folder_id: FolderId, name: bytes) -> Shown | None:
    row = connection.row(SHOWN + " AND c.name = ?", folder_id, name)
    return None if row is None else Shown._make(row)


def remove_copy(tx: Connection, copy: CopyId) -> None:
    """Its file is gone, or only a further name of another copy's."""
    tx.run("DELETE FROM copy WHERE id = ?", copy)


def give_copy(tx: Connection, copy: CopyId, asset: AssetId) -> None:
    """The file is another asset's from now on."""
    tx.run("UPDATE copy SET asset = ? WHERE id = ?", asset, copy)

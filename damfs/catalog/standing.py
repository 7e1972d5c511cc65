"""What the catalog knows of assets and folders of the writable store that their files do not say by themselves: earlier
versions, where files in the trash lay, permissions and owners; and putting it back into a catalog made anew.

Point reads, or inside a transaction; functions named ``list_…`` may scan (reader thread).
"""

from __future__ import annotations

from dataclasses import dataclass

from damfs.catalog import folders, stores, trash, versions
from damfs.catalog.database import Connection
from damfs.model import AssetId, AssetState, BlobId, Digest, FolderId, Key, StoreId

ORDINARY_MODE = 0o644


@dataclass(frozen=True, slots=True)
class VersionNote:
    number: int
    digest: bytes
    size: int
    mtime_ns: int
    created_ns: int
    keys: tuple[bytes, ...] = ()
    """Where the bytes lie in the writable store."""


@dataclass(frozen=True, slots=True)
class TrashNote:
    at_ns: int
    """Since when it is in the trash."""
    place: str
    former: tuple[tuple[bytes, bytes], ...] = ()
    """Where each file lies, and where it lay."""


@dataclass(frozen=True, slots=True)
class AssetNote:
    name: str
    mode: int
    versions: tuple[VersionNote, ...]
    """Oldest first; the last is the current one."""
    owner: tuple[int, int] | None = None
    """uid and gid, where it belongs to another user than the one that runs damfs."""
    trash: TrashNote | None = None


@dataclass(frozen=True, slots=True)
class FolderNote:
    key: bytes
    mode: int
    mtime_ns: int | None = None
    owner: tuple[int, int] | None = None


def expects_files(connection: Connection, store: StoreId) -> bool:
    """Whether any file is known to be there."""
    return connection.exists("SELECT 1 FROM copy WHERE store = ? AND state <> 'missing' LIMIT 1", store)


def list_standing(connection: Connection) -> list[AssetId]:
    """Assets of which something is to be noted."""
    rows = connection.rows(
        "SELECT asset FROM version WHERE number > 1 UNION SELECT asset FROM trashed"
        " UNION SELECT asset FROM asset_owner UNION SELECT id FROM asset WHERE mode <> ?",
        ORDINARY_MODE,
    )
    return [asset for (asset,) in rows]


def list_below(connection: Connection, folder: FolderId) -> list[AssetId]:
    """Assets with a file somewhere below it."""
    rows = connection.rows(
        "WITH RECURSIVE below (id) AS"
        " (SELECT ? UNION ALL SELECT f.id FROM below AS b CROSS JOIN folder AS f ON f.parent = b.id)"
        " SELECT DISTINCT c.asset FROM below AS b CROSS JOIN copy AS c ON c.folder = b.id",
        folder,
    )
    return [asset for (asset,) in rows]


def standing(connection: Connection, id_: AssetId, store: StoreId) -> AssetNote | None:
    """None: there is no such asset, it is still being received, or its files say all. ``store``: the writable one."""
    row = connection.row("SELECT name, mode, state FROM asset WHERE id = ?", id_)
    if row is None or row[2] == AssetState.RECEIVING:
        return None
    name, mode, _ = row
    owner = connection.row("SELECT uid, gid FROM asset_owner WHERE asset = ?", id_)
    trashed = trash.trashed(connection, id_)
    known = versions.of_asset(connection, id_)
    if len(known) == 1 and known[0].number == 1 and (owner, trashed, mode) == (None, None, ORDINARY_MODE):
        return None
    keys = _keys(connection, id_, store)
    return AssetNote(
        name, mode, tuple(_version(each, keys) for each in known),
        None if owner is None else (owner[0], owner[1]),
        None if trashed is None else TrashNote(trashed.at_ns, trashed.place, _former(connection, id_)),
    )  # fmt: skip


def _keys(connection: Connection, id_: AssetId, store: StoreId) -> dict[BlobId, tuple[bytes, ...]]:
    found: dict[BlobId, tuple[bytes, ...]] = {}
    for copy in stores.copies_of_asset(connection, id_):
        if copy.store == store:
            key = bytes(stores.key_of(connection, copy.folder, copy.name))
            found[copy.blob] = (*found.get(copy.blob, ()), key)
    return found


def _version(each: versions.Version, keys: dict[BlobId, tuple[bytes, ...]]) -> VersionNote:
    return VersionNote(
        each.number, bytes(each.digest), each.size, each.mtime_ns, each.created_ns, keys.get(each.blob, ())
    )


def _former(connection: Connection, id_: AssetId) -> tuple[tuple[bytes, bytes], ...]:
    found = []
    for copy in stores.copies_of_asset(connection, id_):
        former = trash.former_key(connection, copy.id)
        if former is not None:
            found.append((bytes(stores.key_of(connection, copy.folder, copy.name)), bytes(former)))
    return tuple(found)


def list_folders(connection: Connection, store: StoreId) -> dict[FolderId, FolderNote]:
    """What programs set of folders of the writable store."""
    rows = connection.rows(
        "SELECT a.folder, f.parent, f.name, a.mode, a.mtime_ns, a.uid, a.gid FROM folder_attribute AS a"
        " JOIN folder AS f ON f.id = a.folder WHERE f.store = ? AND f.parent IS NOT NULL",
        store,
    )
    return {
        FolderId(id_): FolderNote(
            bytes(stores.key_of(connection, parent, name)), mode, mtime_ns, None if uid is None else (uid, gid)
        )
        for id_, parent, name, mode, mtime_ns, uid, gid in rows
    }


def restore_versions(tx: Connection, id_: AssetId, noted: tuple[VersionNote, ...]) -> None:
    """Before the only version that it has in a new catalog; that is the last of them where the bytes are the same."""
    now = versions.current(tx, id_)
    if now is None or not noted or len(versions.of_asset(tx, id_)) > 1:
        return
    last = noted[-1]
    is_last = last.digest == now.digest
    number, mtime_ns, created_ns = last.number + 1, now.mtime_ns, now.created_ns
    if is_last:
        number, mtime_ns, created_ns = last.number, last.mtime_ns, last.created_ns
    tx.run(
        "UPDATE version SET number = ?, mtime_ns = ?, created_ns = ? WHERE id = ?", number, mtime_ns, created_ns, now.id
    )
    tx.run("UPDATE asset SET mtime_ns = ? WHERE id = ?", mtime_ns, id_)
    for each in noted[:-1] if is_last else noted:
        blob = stores.ensure_blob(tx, Digest(each.digest), each.size)
        tx.run(
            "INSERT INTO version (asset, number, blob, mtime_ns, created_ns) VALUES (?, ?, ?, ?, ?)",
            id_, each.number, blob, each.mtime_ns, each.created_ns,
        )  # fmt: skip


def restore_folder(tx: Connection, store: StoreId, note: FolderNote) -> bool:
    """Whether the folder is there."""
    found = stores.folder_at(tx, store, note.key.split(b"/"))
    if found is None:
        return False
    folders.set_attribute(tx, found, note.mode, note.mtime_ns)
    if note.owner is not None:
        folders.set_folder_owner(tx, found, *note.owner)
    return True


def restore_trashed(tx: Connection, id_: AssetId, note: TrashNote, store: StoreId) -> None:
    trash.put(tx, id_, note.at_ns, note.place)
    for key, former in note.former:
        parts, name = stores.split_key(Key(key))
        folder = stores.folder_at(tx, store, parts)
        copy = None if folder is None else stores.copy_at(tx, folder, name)
        if copy is not None and copy.asset == id_:
            trash.set_aside(tx, copy.id, Key(former), unfinished=False)

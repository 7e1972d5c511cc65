"""Many received files at once: what is known of them, and the rows that make assets of them, in a few statements.

Questions are point reads in bulk, for the loop; changes run inside a transaction. Crash rule: rows only, the bytes are
where they say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec

from damfs.catalog.assets import COLUMNS, of_row
from damfs.catalog.database import Connection
from damfs.model import Asset, AssetId, BlobId, Digest, FolderId, Media, StoreId, VersionId


class Received(NamedTuple):
    """An asset that is being received. ``folder`` and ``name``: where a person put it; None: nowhere in particular."""

    asset: Asset
    day: str
    folder: FolderId | None
    name: bytes | None


class Arrived(NamedTuple):
    """What its rows say from now on. ``key_name``: of its file, in ``folder``."""

    asset: AssetId
    blob: BlobId
    size: int
    mtime_ns: int
    media: Media
    day: str
    store: StoreId
    folder: FolderId
    key_name: bytes
    file_mtime_ns: int
    file_inode: int


def reserve_numbers(tx: Connection, number: int) -> AssetId:
    """The first of so many ids that no asset has or is given, but by `add_made`."""
    tx.run("INSERT INTO sqlite_sequence (name, seq) SELECT 'asset', 0 WHERE NOT EXISTS"
           " (SELECT 1 FROM sqlite_sequence WHERE name = 'asset')")  # fmt: skip
    tx.run("UPDATE sqlite_sequence SET seq = ? + max(seq, coalesce((SELECT max(id) FROM asset), 0))"
           " WHERE name = 'asset'", number)  # fmt: skip
    return AssetId(tx.integer("SELECT seq FROM sqlite_sequence WHERE name = 'asset'") - number + 1)


def add_made(tx: Connection, asset: Asset, day: str, at_ns: int) -> None:
    """A file that is being received, under an id that was reserved."""
    tx.run(
        "INSERT INTO asset (id, name, media, state, triaged, closed, size, mtime_ns, mode, day, created_ns)"
        " VALUES (?, ?, ?, 'receiving', ?, ?, ?, ?, ?, ?, ?)",
        asset.id,
        asset.name,
        str(asset.media),
        int(asset.triaged),
        int(asset.closed),
        asset.size,
        asset.mtime_ns,
        asset.mode,
        day,
        at_ns,
    )


def received(connection: Connection, ids: Collection[AssetId]) -> dict[AssetId, Received]:
    """Those of the assets that are being received."""
    rows = connection.rows(
        f"SELECT {COLUMNS}, a.day, d.folder, d.name FROM asset AS a LEFT JOIN destination AS d ON d.asset = a.id"  # noqa: S608  # constant columns
        " WHERE a.id IN (SELECT value FROM json_each(?)) AND a.state = 'receiving'",
        _text(list(ids)),
    )
    return {row[0]: Received(of_row(row[:-3]), *row[-3:]) for row in rows}


def known_digests(connection: Connection, digests: Iterable[Digest]) -> set[Digest]:
    """Those of which there are bytes already."""
    rows = connection.rows(
        "SELECT digest FROM blob WHERE digest IN (SELECT unhex(value) FROM json_each(?))",
        _text([digest.hex() for digest in digests]),
    )
    return {Digest(digest) for (digest,) in rows}


def taken_names(connection: Connection, folder: FolderId, names: Iterable[bytes]) -> set[bytes]:
    """Those that files of a folder have, even if they are missing now."""
    rows = connection.rows(
        "SELECT name FROM copy WHERE folder = ? AND name IN (SELECT unhex(value) FROM json_each(?))",
        folder,
        _text([name.hex() for name in names]),
    )
    return {name for (name,) in rows}


def add_blobs(tx: Connection, sizes: Sequence[tuple[Digest, int]]) -> list[BlobId]:
    """Of digests that are not known."""
    return [BlobId(tx.insert("INSERT INTO blob (digest, size) VALUES (?, ?)", *each)) for each in sizes]


def settle(tx: Connection, arrived: Sequence[Arrived], at_ns: int) -> None:
    """Their first versions and copies; they are present from now on, and no longer on their way anywhere."""
    versions = [
        VersionId(
            tx.insert(
                "INSERT INTO version (asset, number, blob, mtime_ns, created_ns) VALUES (?, 1, ?, ?, ?)",
                each.asset, each.blob, each.mtime_ns, at_ns,
            )
        )
        for each in arrived
    ]  # fmt: skip
    tx.run_many(
        "UPDATE asset SET state = 'present', version = ?, blob = ?, size = ?, mtime_ns = ?, media = ?, day = ?,"
        " captured_ns = NULL WHERE id = ?",
        (
            (version, each.blob, each.size, each.mtime_ns, str(each.media), each.day, each.asset)
            for version, each in zip(versions, arrived, strict=True)
        ),
    )
    tx.run_many(
        "INSERT INTO copy (blob, asset, store, folder, name, size, mtime_ns, inode, state, verified_ns)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'present', ?)",
        (
            (each.blob, each.asset, each.store, each.folder, each.key_name, each.size, each.file_mtime_ns,
             each.file_inode, at_ns)
            for each in arrived
        ),
    )  # fmt: skip


def settle_placed(tx: Connection, ids: Sequence[AssetId]) -> None:
    """A person put them where they are: they are not filed elsewhere."""
    some = _text(list(ids))
    tx.run("INSERT OR IGNORE INTO placed SELECT id FROM copy WHERE asset IN (SELECT value FROM json_each(?))", some)
    tx.run("DELETE FROM destination WHERE asset IN (SELECT value FROM json_each(?))", some)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()

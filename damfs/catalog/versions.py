"""Versions of an asset: which there are, which is current, and what goes when one is pruned.

Point reads, or inside a transaction; functions named ``list_…`` may scan (reader thread).
"""

from __future__ import annotations

from typing import NamedTuple

from damfs.catalog import field_values
from damfs.catalog.assets import Listed
from damfs.catalog.database import Connection
from damfs.model import AssetId, BlobId, Digest, VersionId

SELECT = (
    "SELECT v.id, v.asset, v.number, v.blob, b.size, v.mtime_ns, v.created_ns, b.digest, v.id = a.version"
    " FROM version AS v JOIN blob AS b ON b.id = v.blob JOIN asset AS a ON a.id = v.asset"
)


class Version(NamedTuple):
    id: VersionId
    asset: AssetId
    number: int
    blob: BlobId
    size: int
    mtime_ns: int
    created_ns: int
    digest: Digest
    current: int


def version(connection: Connection, id_: VersionId) -> Version | None:
    row = connection.row(SELECT + " WHERE v.id = ?", id_)
    return None if row is None else Version._make(row)


def numbered(connection: Connection, asset: AssetId, number: int) -> Version | None:
    row = connection.row(SELECT + " WHERE v.asset = ? AND v.number = ?", asset, number)
    return None if row is None else Version._make(row)


def current(connection: Connection, asset: AssetId) -> Version | None:
    """None while the asset is being received."""
    row = connection.row(SELECT + " WHERE v.asset = ?1 AND v.id = a.version", asset)
    return None if row is None else Version._make(row)


def of_asset(connection: Connection, asset: AssetId) -> list[Version]:
    """Oldest first."""
    rows = connection.rows(SELECT + " WHERE v.asset = ? ORDER BY v.number", asset)
    return [Version._make(row) for row in rows]


def has(connection: Connection, asset: AssetId, blob: BlobId) -> bool:
    """Whether the blob's bytes are or were the asset's."""
    return connection.exists("SELECT 1 FROM version WHERE asset = ? AND blob = ?", asset, blob)


def list_overwritten(connection: Connection) -> list[Listed]:
    """The visible assets that have more than one version, lowest id first."""
    rows = connection.rows(
        "SELECT a.id, a.name, a.size, a.mtime_ns, a.mode FROM asset AS a"
        " WHERE a.visible AND a.id IN (SELECT asset FROM version WHERE number > 1) ORDER BY a.id"
    )
    return [Listed._make(row) for row in rows]


def overwritten_namesakes(connection: Connection) -> set[AssetId]:
    """Those of `list_overwritten` that another visible asset of a lower id has the name of."""
    rows = connection.rows(
        "SELECT a.id FROM asset AS a WHERE a.visible AND a.id IN (SELECT asset FROM version WHERE number > 1)"
        " AND EXISTS (SELECT 1 FROM asset AS b WHERE b.name = a.name AND b.id < a.id AND b.visible)"
    )
    return {id_ for (id_,) in rows}


def list_many(connection: Connection, limit: int) -> list[AssetId]:
    """Assets that have more versions than that."""
    rows = connection.rows(
        "SELECT asset FROM version WHERE asset IN (SELECT asset FROM version WHERE number > 1)"
        " GROUP BY asset HAVING count(*) > ? ORDER BY asset",
        limit,
    )
    return [asset for (asset,) in rows]


def remove(tx: Connection, id_: VersionId) -> None:
    tx.run("DELETE FROM version WHERE id = ?", id_)


def is_used(connection: Connection, blob: BlobId, apart_from: VersionId) -> bool:
    """Whether another version, or an asset, is made of the bytes."""
    return connection.exists(
        "SELECT 1 FROM version WHERE blob = ?1 AND id <> ?2 UNION ALL SELECT 1 FROM asset WHERE blob = ?1",
        blob,
        apart_from,
    )


def forget_blob(tx: Connection, blob: BlobId) -> None:
    """With all that was derived from it, if no file has its bytes any more; files of renditions are tidied later."""
    if tx.exists("SELECT 1 FROM copy WHERE blob = ?", blob):
        return
    tx.run("DELETE FROM job WHERE blob = ?", blob)
    tx.run("DELETE FROM fact WHERE blob = ?", blob)
    field_values.forget(tx, blob)
    tx.run("DELETE FROM rendition WHERE blob = ?", blob)
    tx.run("DELETE FROM embedding WHERE blob = ?", blob)
    tx.run("DELETE FROM blob WHERE id = ?", blob)


def give(tx: Connection, id_: VersionId, asset: AssetId) -> None:
    """A version of another asset becomes the newest of this one's earlier versions."""
    tx.run(
        "UPDATE version SET asset = ?2, number = (SELECT coalesce(max(number), 0) + 1 FROM version WHERE asset = ?2)"
        " WHERE id = ?1",
        id_,
        asset,
    )

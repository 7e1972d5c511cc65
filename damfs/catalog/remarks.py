"""What people and their programs say of an asset beside its terms: a rating, a comment, extended attributes.

Point reads, or inside a transaction. An asset without a row says nothing: rating 0, no comment.
"""

from __future__ import annotations

from typing import NamedTuple

from damfs.catalog.database import Connection
from damfs.model import AssetId


class Remark(NamedTuple):
    rating: int
    """0..10, two for each star; 0: not rated."""
    comment: str


SILENT = Remark(0, "")
COPY_ATTRIBUTES = " INTO attribute (asset, name, value) SELECT ?2, name, value FROM attribute WHERE asset = ?1"


def remark(connection: Connection, asset: AssetId) -> Remark:
    row = connection.row("SELECT rating, comment FROM remark WHERE asset = ?", asset)
    return SILENT if row is None else Remark._make(row)


def set_rating(tx: Connection, asset: AssetId, rating: int) -> None:
    tx.run(
        "INSERT INTO remark (asset, rating, comment) VALUES (?, ?, '')"
        " ON CONFLICT (asset) DO UPDATE SET rating = excluded.rating",
        asset,
        rating,
    )


def set_comment(tx: Connection, asset: AssetId, comment: str) -> None:
    tx.run(
        "INSERT INTO remark (asset, rating, comment) VALUES (?, 0, ?)"
        " ON CONFLICT (asset) DO UPDATE SET comment = excluded.comment",
        asset,
        comment,
    )


def attribute(connection: Connection, asset: AssetId, name: bytes) -> bytes | None:
    return connection.value(bytes, "SELECT value FROM attribute WHERE asset = ? AND name = ?", asset, name)


def attribute_names(connection: Connection, asset: AssetId) -> list[bytes]:
    return [name for (name,) in connection.rows("SELECT name FROM attribute WHERE asset = ? ORDER BY name", asset)]


def attributes_size(connection: Connection, asset: AssetId, besides: bytes) -> int:
    """Bytes of names and values of all attributes but one."""
    return connection.integer(
        "SELECT sum(length(name) + length(value)) FROM attribute WHERE asset = ? AND name <> ?", asset, besides
    )


def set_attribute(tx: Connection, asset: AssetId, name: bytes, value: bytes) -> None:
    tx.run("INSERT OR REPLACE INTO attribute (asset, name, value) VALUES (?, ?, ?)", asset, name, value)


def remove_attribute(tx: Connection, asset: AssetId, name: bytes) -> bool:
    """Whether it was there."""
    return bool(tx.run("DELETE FROM attribute WHERE asset = ? AND name = ?", asset, name))


def carry_over(tx: Connection, source: AssetId, target: AssetId, *, wins: bool) -> None:
    """Let the target say what the source says. ``wins``: also where the target says something else itself."""
    theirs, own = remark(tx, source), remark(tx, target)
    if theirs.rating and (wins or not own.rating):
        set_rating(tx, target, theirs.rating)
    if theirs.comment and (wins or not own.comment):
        set_comment(tx, target, theirs.comment)
    insert = "INSERT OR REPLACE" if wins else "INSERT OR IGNORE"
    tx.run(insert + COPY_ATTRIBUTES, source, target)

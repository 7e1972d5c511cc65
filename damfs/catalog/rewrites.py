"""Assets that are being written again: rows of the table `rewrite`, whose bytes lie in staging.

Point reads and writes of one row; the table holds as many rows as files are being overwritten.
"""

from __future__ import annotations

from typing import NamedTuple

from damfs.catalog.database import Connection
from damfs.model import AssetId


class Rewrite(NamedTuple):
    asset: AssetId
    closed: int
    size: int
    mtime_ns: int
    dated: int


def of(connection: Connection, asset: AssetId) -> Rewrite | None:
    row = connection.row("SELECT asset, closed, size, mtime_ns, dated FROM rewrite WHERE asset = ?", asset)
    return None if row is None else Rewrite._make(row)


def every(connection: Connection) -> list[Rewrite]:
    rows = connection.rows("SELECT asset, closed, size, mtime_ns, dated FROM rewrite ORDER BY asset")
    return [Rewrite._make(row) for row in rows]


def begin(tx: Connection, asset: AssetId, size: int, mtime_ns: int) -> None:
    """Also where one was begun already: then it is no more closed."""
    tx.run(
        "INSERT INTO rewrite (asset, closed, size, mtime_ns, dated) VALUES (?1, 0, ?2, ?3, 0)"
        " ON CONFLICT (asset) DO UPDATE SET closed = 0, size = ?2",
        asset,
        size,
        mtime_ns,
    )


def set_size(tx: Connection, asset: AssetId, size: int) -> None:
    tx.run("UPDATE rewrite SET size = ? WHERE asset = ?", size, asset)


def set_mtime(tx: Connection, asset: AssetId, mtime_ns: int) -> bool:
    """Whether there is one."""
    return bool(tx.run("UPDATE rewrite SET mtime_ns = ?, dated = 1 WHERE asset = ?", mtime_ns, asset))


def close(tx: Connection, asset: AssetId, size: int, mtime_ns: int, dated: bool) -> None:  # a setter
    """What is staged is whole."""
    tx.run(
        "INSERT INTO rewrite (asset, closed, size, mtime_ns, dated) VALUES (?1, 1, ?2, ?3, ?4)"
        " ON CONFLICT (asset) DO UPDATE SET closed = 1, size = ?2, mtime_ns = ?3, dated = ?4",
        asset,
        size,
        mtime_ns,
        int(dated),
    )


def end(tx: Connection, asset: AssetId) -> None:
    tx.run("DELETE FROM rewrite WHERE asset = ?", asset)

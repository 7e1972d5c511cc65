"""Searches that people keep: the text of each query, as it was written.

Point reads, or inside a transaction.
"""

from __future__ import annotations

from damfs.catalog.database import Connection


def save(tx: Connection, query: str, at_ns: int) -> bool:
    """Whether it was not kept before."""
    return bool(tx.run("INSERT OR IGNORE INTO saved_search (query, saved_ns) VALUES (?, ?)", query, at_ns))


def forget(tx: Connection, query: str) -> bool:
    """Whether it was kept."""
    return bool(tx.run("DELETE FROM saved_search WHERE query = ?", query))


def is_saved(connection: Connection, query: str) -> bool:
    return connection.exists("SELECT 1 FROM saved_search WHERE query = ?", query)


def list_saved(connection: Connection) -> list[str]:
    return [query for (query,) in connection.rows("SELECT query FROM saved_search ORDER BY query")]

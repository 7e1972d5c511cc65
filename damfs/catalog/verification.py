"""Which copies a verification still has to read.

A verification is a pass over the copies of one store or all; the property ``verifying:<scope>`` holds when the pass
began, so that the next run goes on where this one stopped. ``list_…`` scans (reader thread); the others are for inside
a transaction.
"""

from __future__ import annotations

from typing import NamedTuple

from damfs.catalog.database import Connection
from damfs.model import CopyId, StoreId


class Unread(NamedTuple):
    """A copy that the pass has not read."""

    copy: CopyId
    size: int


def list_unread(connection: Connection, store: StoreId, began_ns: int) -> list[Unread]:
    """Those that were not verified since, oldest first; then the ones known to be damaged or missing."""
    rows = connection.rows(
        "SELECT id, size FROM copy WHERE store = ? AND (state <> 'present' OR verified_ns < ?)"
        " ORDER BY state <> 'present', verified_ns, id",
        store,
        began_ns,
    )
    return [Unread(CopyId(id_), size) for id_, size in rows]


def pass_began_ns(connection: Connection, scope: str) -> int | None:
    """When the unfinished pass over these stores began; None when there is none."""
    text = connection.value(str, "SELECT value FROM property WHERE name = ?", _property(scope))
    return None if text is None else int(text)


def begin_pass(tx: Connection, scope: str, at_ns: int) -> None:
    tx.run("INSERT OR REPLACE INTO property (name, value) VALUES (?, ?)", _property(scope), str(at_ns))


def end_pass(tx: Connection, scope: str) -> None:
    tx.run("DELETE FROM property WHERE name = ?", _property(scope))


def _property(scope: str) -> str:
    return f"verifying:{scope}"

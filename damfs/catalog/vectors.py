"""Vectors as rows, and what an index of them has to know: which came, which went, whose they are.

Point reads, or inside a transaction; functions named ``list_…`` may scan. A row id is given once: a vector that is
made anew has a new one, and the trigger of schema.sql tells of the one that went.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from damfs.catalog.database import Connection
from damfs.model import AssetId, BlobId

ASSETS_AT_ONCE = 4_096


class Owner(NamedTuple):
    """A visible asset whose current bytes a vector describes. ``at_ns``: a moment in it; None: the whole."""

    vector: int
    at_ns: int | None
    asset: AssetId


def list_owners(connection: Connection, ids: Iterable[int]) -> list[Owner]:
    rows = connection.rows(
        "SELECT e.id, e.at_ns, a.id FROM json_each(?) AS wanted CROSS JOIN embedding AS e ON e.id = wanted.value"
        " CROSS JOIN asset AS a ON a.blob = e.blob WHERE a.visible ORDER BY e.id, a.id",
        _json(ids),
    )
    return [_owner(*row) for row in rows]


def _owner(vector: int, at_ns: int, asset: AssetId) -> Owner:
    return Owner(vector, None if at_ns < 0 else at_ns, asset)


def list_pages(connection: Connection, model: str, after: int, page: int) -> Iterator[list[tuple[int, bytes]]]:
    """Ids and vectors of a model, by id, from behind ``after``."""
    while rows := connection.rows(
        "SELECT id, vector FROM embedding WHERE model = ? AND id > ? ORDER BY id LIMIT ?", model, after, page
    ):
        after = rows[-1][0]
        yield [(id_, vector) for id_, vector in rows]


def list_of_assets(
    connection: Connection, model: str, assets: Iterable[AssetId]
) -> Iterator[list[tuple[Owner, bytes]]]:
    """Vectors of the current bytes of these assets, and whose they are; a vector comes once for each of its assets."""
    wanted = sorted(assets)
    for start in range(0, len(wanted), ASSETS_AT_ONCE):
        # CROSS JOIN: without statistics SQLite would look for each vector of the model among the wanted assets.
        rows = connection.rows(
            "SELECT e.id, e.at_ns, a.id, e.vector FROM json_each(?) AS wanted CROSS JOIN asset AS a"
            " ON a.id = wanted.value CROSS JOIN embedding AS e ON e.blob = a.blob AND e.model = ? WHERE a.visible",
            _json(wanted[start : start + ASSETS_AT_ONCE]),
            model,
        )
        yield [(_owner(vector, at_ns, asset), data) for vector, at_ns, asset, data in rows]


def more_than(connection: Connection, model: str, number: int) -> bool:
    """Whether a model has more vectors than that; reads no more index entries than it must."""
    return connection.exists("SELECT 1 FROM embedding WHERE model = ? LIMIT 1 OFFSET ?", model, number)


def last_id(connection: Connection, model: str) -> int:
    return connection.integer("SELECT max(id) FROM embedding WHERE model = ?", model)


def list_ids(connection: Connection, model: str) -> list[int]:
    return [id_ for (id_,) in connection.rows("SELECT id FROM embedding WHERE model = ?", model)]


def dimension(connection: Connection, model: str) -> int | None:
    """Numbers in each vector of a model; None: it has none."""
    size = connection.value(int, "SELECT length(vector) FROM embedding WHERE model = ? ORDER BY id DESC LIMIT 1", model)
    return None if size is None else size // 4


def moments_of(connection: Connection, blob: BlobId, model: str) -> list[tuple[int, bytes]]:
    """Vectors of moments of a video with their times, in order."""
    rows = connection.rows(
        "SELECT at_ns, vector FROM embedding WHERE blob = ? AND model = ? AND at_ns >= 0 ORDER BY at_ns", blob, model
    )
    return [(at_ns, vector) for at_ns, vector in rows]


def drop_of_blob(tx: Connection, blob: BlobId, model: str) -> None:
    tx.run("DELETE FROM embedding WHERE blob = ? AND model = ?", blob, model)


def last_dropped(connection: Connection) -> int:
    """Sequence number of the vector that was removed last."""
    return connection.integer("SELECT max(seq) FROM dropped_vector")


def dropped_since(connection: Connection, model: str, seq: int) -> list[tuple[int, int]]:
    """Sequence number and id of what was removed of a model after ``seq``."""
    rows = connection.rows(
        "SELECT seq, vector FROM dropped_vector WHERE model = ? AND seq > ? ORDER BY seq", model, seq
    )
    return [(number, vector) for number, vector in rows]


def forget_dropped(tx: Connection, seq: int) -> None:
    """Every loaded index has heard of what was removed up to ``seq``."""
    tx.run("DELETE FROM dropped_vector WHERE seq <= ?", seq)


def _json(ids: Iterable[int]) -> str:
    return msgspec.json.encode(list(ids)).decode()

"""Assets and versions: rows, listings of a place, lookups by name, and what each asset touches.

Blocking: functions named ``list_…`` and ``find_…`` may scan (reader thread); the others are point reads or belong in a
transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from damfs.catalog import field_values, predicates, proposals, vocabulary
from damfs.catalog.database import Connection, Row
from damfs.catalog.predicates import ALONE, Predicate
from damfs.errors import NotFound
from damfs.model import Asset, AssetId, AssetState, BlobId, Facet, Media, VersionId

COLUMNS = "a.id, a.name, a.media, a.state, a.triaged, a.closed, a.size, a.mtime_ns, a.mode, a.blob"


ListedRow = tuple[AssetId, str, int, int, int]
"""As `Listed`, without names for its fields: a listing may hold a hundred thousand."""


class Listed(NamedTuple):
    """One asset of a listing."""

    id: AssetId
    name: str
    size: int
    mtime_ns: int
    mode: int


def of_row(row: Row) -> Asset:
    """Of the columns `COLUMNS`."""
    id_, name, media, state, triaged, closed, size, mtime_ns, mode, blob = row
    return Asset(
        id_, name, Media(media), AssetState(state), bool(triaged), bool(closed), size, mtime_ns, mode, blob
    )  # fmt: skip


def asset(connection: Connection, id_: AssetId) -> Asset | None:
    row = connection.row(f"SELECT {COLUMNS} FROM asset AS a WHERE id = ?", id_)  # noqa: S608  # constant columns
    return None if row is None else of_row(row)


def day_of(connection: Connection, id_: AssetId) -> str:
    """Raises NotFound."""
    day = connection.value(str, "SELECT day FROM asset WHERE id = ?", id_)
    if day is None:
        raise NotFound(f"no asset {id_}")
    return day


def list_place(connection: Connection, predicate: Predicate) -> list[Listed]:
    """The assets of a place, lowest id first."""
    return list(map(Listed._make, list_rows(connection, predicate)))


def list_rows(connection: Connection, predicate: Predicate) -> list[ListedRow]:
    """The same as plain rows."""
    clause, values = predicate.clause()
    return connection.rows(
        f"SELECT a.id, a.name, a.size, a.mtime_ns, a.mode FROM asset AS a WHERE {clause} ORDER BY a.id",  # noqa: S608  # clauses hold marks, never values
        *values,
    )


def list_ids(connection: Connection, predicate: Predicate) -> list[AssetId]:
    clause, values = predicate.clause()
    return [id_ for (id_,) in connection.rows(f"SELECT a.id FROM asset AS a WHERE {clause}", *values)]  # noqa: S608  # as above


def newest_ids(connection: Connection, predicate: Predicate, limit: int) -> list[AssetId]:
    """The last that came first."""
    clause, values = predicate.clause()
    rows = connection.rows(f"SELECT a.id FROM asset AS a WHERE {clause} ORDER BY a.id DESC LIMIT ?", *values, limit)  # noqa: S608  # as above
    return [id_ for (id_,) in rows]


def list_rows_of(connection: Connection, ids: Sequence[AssetId]) -> list[ListedRow]:
    """Those of the assets that are shown anywhere, in this order."""
    rows = connection.rows(
        "SELECT a.id, a.name, a.size, a.mtime_ns, a.mode FROM asset AS a"  # noqa: S608  # constant condition
        f" WHERE a.id IN (SELECT value FROM json_each(?)) AND {ALONE}",
        msgspec.json.encode(ids).decode(),
    )
    known = {row[0]: row for row in rows}
    return [known[id_] for id_ in ids if id_ in known]


def names_of(connection: Connection, predicate: Predicate, limit: int) -> list[str]:
    """Of the assets of a place, each of them once, so many at most."""
    clause, values = predicate.clause()
    sql = f"SELECT DISTINCT a.name FROM asset AS a WHERE {clause} LIMIT ?"  # noqa: S608  # as above
    return [name for (name,) in connection.rows(sql, *values, limit)]


def first_of_name(connection: Connection, predicate: Predicate, name: str) -> Asset | None:
    """The asset that keeps its bare name in the place: the one with the lowest id."""
    clause, values = predicate.row_clause()
    row = connection.row(
        f"SELECT {COLUMNS} FROM asset AS a WHERE a.name = ? AND {clause} ORDER BY a.id LIMIT 1",  # noqa: S608  # as above
        name,
        *values,
    )
    return None if row is None else of_row(row)


def in_place(connection: Connection, predicate: Predicate, id_: AssetId) -> Asset | None:
    """The asset when it is in the place."""
    clause, values = predicate.row_clause()
    row = connection.row(f"SELECT {COLUMNS} FROM asset AS a WHERE a.id = ? AND {clause}", id_, *values)  # noqa: S608  # as above
    return None if row is None else of_row(row)


def find_twin(connection: Connection, blob: BlobId, name: str, other_than: AssetId) -> Asset | None:
    """An asset with the same bytes and the same name that a received file becomes."""
    row = connection.row(
        f"SELECT {COLUMNS} FROM asset AS a WHERE blob = ? AND name = ? AND id <> ?"  # noqa: S608  # constant columns
        " AND state IN ('present', 'missing') ORDER BY state DESC, id LIMIT 1",
        blob,
        name,
        other_than,
    )
    return None if row is None else of_row(row)


def named(connection: Connection, name: str, limit: int) -> list[Asset]:
    """Visible assets of that very name, lowest id first."""
    rows = connection.rows(
        f"SELECT {COLUMNS} FROM asset AS a WHERE a.name = ? AND a.visible ORDER BY a.id LIMIT ?",  # noqa: S608  # as above
        name,
        limit,
    )
    return [of_row(row) for row in rows]


def of_blob(connection: Connection, blob: BlobId) -> list[Asset]:
    """Every asset whose current bytes are the blob's."""
    rows = connection.rows(f"SELECT {COLUMNS} FROM asset AS a WHERE blob = ? ORDER BY id", blob)  # noqa: S608  # as above
    return [of_row(row) for row in rows]


def list_blobs(connection: Connection) -> list[BlobId]:
    """What visible assets are made of. Scans."""
    rows = connection.rows("SELECT DISTINCT blob FROM asset WHERE visible AND blob IS NOT NULL ORDER BY blob")
    return [blob for (blob,) in rows]


def list_receiving(connection: Connection) -> list[Asset]:
    rows = connection.rows(f"SELECT {COLUMNS} FROM asset AS a WHERE state = 'receiving'")  # noqa: S608  # as above
    return [of_row(row) for row in rows]


def list_state_counts(connection: Connection) -> dict[str, int]:
    """Number of assets by state. Scans."""
    rows = connection.rows("SELECT state, count(*) FROM asset GROUP BY state ORDER BY state")
    return dict(rows)


def list_periods(connection: Connection, period: str, length: int) -> list[str]:
    """The next longer periods that hold assets: of '' the years, of '2024' its months. O(number of answers)."""
    rows = connection.rows(
        """WITH RECURSIVE found (part) AS (
             SELECT (SELECT substr(min(day), 1, ?1) FROM asset WHERE day >= ?2 AND day < ?2 || '~' AND visible)
             UNION ALL
             SELECT (SELECT substr(min(day), 1, ?1) FROM asset
                     WHERE day > found.part || '~' AND day < ?2 || '~' AND visible)
             FROM found WHERE found.part IS NOT NULL)
           SELECT part FROM found WHERE part IS NOT NULL""",
        length,
        period,
    )
    return [part for (part,) in rows]


def has_period(connection: Connection, period: str) -> bool:
    return connection.exists("SELECT 1 FROM asset WHERE day >= ? AND day < ? AND visible LIMIT 1", period, period + "~")


def insert_receiving(
    tx: Connection, name: str, media: Media, mode: int, day: str, at_ns: int, *, triaged: bool
) -> AssetId:
    return AssetId(
        tx.insert(
            "INSERT INTO asset (name, media, state, triaged, closed, size, mtime_ns, mode, day, created_ns)"
            " VALUES (?, ?, 'receiving', ?, 0, 0, ?, ?, ?, ?)",
            name,
            str(media),
            int(triaged),
            at_ns,
            mode,
            day,
            at_ns,
        )
    )


def insert_present(
    tx: Connection, name: str, media: Media, blob: BlobId, size: int, mtime_ns: int, mode: int, day: str, at_ns: int
) -> AssetId:
    """An asset that was found in a store, with its first version; triaged: nobody put it into the inbox."""
    id_ = AssetId(
        tx.insert(
            "INSERT INTO asset (name, media, state, triaged, size, mtime_ns, mode, day, blob, created_ns)"
            " VALUES (?, ?, 'present', 1, ?, ?, ?, ?, ?, ?)",
            name,
            str(media),
            size,
            mtime_ns,
            mode,
            day,
            blob,
            at_ns,
        )
    )
    add_version(tx, id_, blob, size, mtime_ns, at_ns)
    return id_


def add_version(tx: Connection, id_: AssetId, blob: BlobId, size: int, mtime_ns: int, at_ns: int) -> VersionId:
    """A new current version; the asset's state becomes present."""
    version = tx.insert(
        "INSERT INTO version (asset, number, blob, mtime_ns, created_ns)"
        " VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM version WHERE asset = ?1), ?2, ?3, ?4)",
        id_,
        blob,
        mtime_ns,
        at_ns,
    )
    tx.run(
        "UPDATE asset SET state = 'present', version = ?, blob = ?, size = ?, mtime_ns = ? WHERE id = ?",
        version,
        blob,
        size,
        mtime_ns,
        id_,
    )
    return VersionId(version)


def set_name(tx: Connection, id_: AssetId, name: str) -> None:
    tx.run("UPDATE asset SET name = ? WHERE id = ?", name, id_)


def set_state(tx: Connection, id_: AssetId, state: AssetState) -> None:
    tx.run("UPDATE asset SET state = ? WHERE id = ?", str(state), id_)


def set_triaged(tx: Connection, id_: AssetId, triaged: bool = True) -> None:  # a setter
    tx.run("UPDATE asset SET triaged = ? WHERE id = ?", int(triaged), id_)


def set_mtime(tx: Connection, id_: AssetId, mtime_ns: int) -> None:
    """Of the asset, and of its current version, which it repeats."""
    tx.run("UPDATE asset SET mtime_ns = ? WHERE id = ?", mtime_ns, id_)
    tx.run("UPDATE version SET mtime_ns = ? WHERE id = (SELECT version FROM asset WHERE id = ?)", mtime_ns, id_)


def set_closed(tx: Connection, id_: AssetId, closed: bool) -> None:  # a setter
    tx.run("UPDATE asset SET closed = ? WHERE id = ?", int(closed), id_)


def set_size(tx: Connection, id_: AssetId, size: int) -> None:
    tx.run("UPDATE asset SET size = ? WHERE id = ? AND state = 'receiving'", size, id_)


def close(tx: Connection, id_: AssetId, size: int, mtime_ns: int | None) -> None:
    """Of one that is being received."""
    tx.run(
        "UPDATE asset SET closed = 1, size = ?, mtime_ns = coalesce(?, mtime_ns) WHERE id = ? AND state = 'receiving'",
        size,
        mtime_ns,
        id_,
    )


def set_mode(tx: Connection, id_: AssetId, mode: int) -> None:
    tx.run("UPDATE asset SET mode = ? WHERE id = ?", mode, id_)


def set_day(tx: Connection, id_: AssetId, day: str, captured_ns: int | None) -> None:
    tx.run("UPDATE asset SET day = ?, captured_ns = ? WHERE id = ?", day, captured_ns, id_)


def set_media(tx: Connection, id_: AssetId, media: Media) -> None:
    tx.run("UPDATE asset SET media = ? WHERE id = ?", str(media), id_)


def delete(tx: Connection, id_: AssetId) -> None:
    """Only for an asset that never was: provisional or abandoned while receiving."""
    tx.run("DELETE FROM asset WHERE id = ?", id_)


def facets(connection: Connection, id_: AssetId) -> frozenset[Facet]:
    """What the asset's name, size and state touch, beside the folders that its files lie in."""
    row = connection.row("SELECT media, day, triaged, state FROM asset WHERE id = ?", id_)
    if row is None:
        return frozenset()
    media, day, triaged, state = row
    terms = vocabulary.terms_of(connection, id_)
    found = {predicates.ALL_FACET, predicates.media_facet(Media(media)), *predicates.day_facets(day)}
    found.update(predicates.tag_facet(term) for term in terms)
    for proposed in proposals.terms_proposed_for(connection, id_):
        found |= predicates.proposed_facets(proposed)
    found |= field_values.facets_of(connection, id_)
    if not terms:
        found.add(predicates.UNTAGGED_FACET)
    if not triaged:
        found.add(predicates.INBOX_FACET)
    if state == AssetState.TRASHED:
        found.add(predicates.TRASH_FACET)
    return frozenset(found)

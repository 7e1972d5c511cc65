"""Duplicates: assets made of the same bytes, files of one blob in several places, and blobs that look alike.

Functions named ``list_…`` scan (reader thread); the others are point reads or belong in a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from damfs.catalog.database import Connection
from damfs.model import AssetId, BlobId

ALONE = "a.visible AND a.blob IS NOT NULL AND a.id NOT IN (SELECT asset FROM sidecar)"


class Near(NamedTuple):
    """Another blob that looks like one."""

    other: BlobId
    distance: float
    reason: str


class Pair(NamedTuple):
    blob: BlobId
    other: BlobId
    distance: float
    reason: str


class Member(NamedTuple):
    """An asset of a group."""

    blob: BlobId
    asset: AssetId
    name: str
    size: int
    mtime_ns: int
    mode: int


def set_near(tx: Connection, blob: BlobId, found: Sequence[Near], mark: str) -> None:
    """All that looks like a blob, as found by the comparison of that version."""
    if not tx.exists("SELECT 1 FROM blob WHERE id = ?", blob):  # it expired meanwhile
        return
    tx.run("DELETE FROM near WHERE blob = ?", blob)
    tx.run("DELETE FROM near WHERE other = ?", blob)
    for near in found:
        tx.run(
            "INSERT OR REPLACE INTO near (blob, other, distance, reason)"
            " SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM blob WHERE id = ?5)",
            min(blob, near.other),
            max(blob, near.other),
            near.distance,
            near.reason,
            near.other,
        )
    tx.run("INSERT OR REPLACE INTO compared (blob, mark) VALUES (?, ?)", blob, mark)


def set_clip_marks(tx: Connection, blob: BlobId, values: Sequence[int]) -> None:
    tx.run("DELETE FROM clip_mark WHERE blob = ?", blob)
    if not tx.exists("SELECT 1 FROM blob WHERE id = ?", blob):
        return
    tx.run_many("INSERT INTO clip_mark (value, blob) VALUES (?, ?)", ((value, blob) for value in values))


def blobs_with_marks(connection: Connection, values: Sequence[int], other_than: BlobId, limit: int) -> list[BlobId]:
    """Clips that have most of the marks, most first. A mark that a hundred clips have says nothing."""
    counts: dict[BlobId, int] = {}
    for value in values:
        rows = connection.rows("SELECT blob FROM clip_mark WHERE value = ? LIMIT 101", value)
        for (blob,) in rows if len(rows) <= 100 else ():
            if blob != other_than:
                counts[blob] = counts.get(blob, 0) + 1
    return sorted(counts, key=lambda blob: (-counts[blob], blob))[:limit]


def near(connection: Connection, blob: BlobId) -> list[Near]:
    rows = connection.rows(
        "SELECT other, distance, reason FROM near WHERE blob = ?1"
        " UNION ALL SELECT blob, distance, reason FROM near WHERE other = ?1 ORDER BY 2, 1",
        blob,
    )
    return [Near._make(row) for row in rows]


def list_pairs(connection: Connection) -> list[Pair]:
    """Pairs of which both are made visible by some asset."""
    rows = connection.rows(
        "SELECT blob, other, distance, reason FROM near AS n"  # noqa: S608  # constant
        f" WHERE EXISTS (SELECT 1 FROM asset AS a WHERE a.blob = n.blob AND {ALONE})"
        f" AND EXISTS (SELECT 1 FROM asset AS a WHERE a.blob = n.other AND {ALONE}) ORDER BY blob, other"
    )
    return [Pair._make(row) for row in rows]


def list_uncompared(connection: Connection, processor: str, mark: str) -> list[BlobId]:
    """Blobs with a fingerprint that was not compared by that version of the comparison."""
    rows = connection.rows(
        "SELECT blob FROM fact WHERE processor = ? AND blob NOT IN (SELECT blob FROM compared WHERE mark = ?)"
        " ORDER BY blob",
        processor,
        mark,
    )
    return [blob for (blob,) in rows]


def list_repeated_blobs(connection: Connection) -> list[BlobId]:
    """Bytes that several visible assets are made of, or that one has in several places (sidecars aside)."""
    rows = connection.rows(
        f"SELECT a.blob FROM asset AS a WHERE {ALONE} GROUP BY a.blob HAVING count(*) > 1"  # noqa: S608  # constant
        f" UNION SELECT a.blob FROM asset AS a JOIN copy AS c ON c.asset = a.id AND c.blob = a.blob"
        f" AND c.state = 'present' WHERE {ALONE} GROUP BY a.id HAVING count(*) > 1 ORDER BY 1"
    )
    return [blob for (blob,) in rows]


def members(connection: Connection, blob: BlobId) -> list[Member]:
    """The visible assets made of a blob, lowest id first."""
    rows = connection.rows(
        f"SELECT a.blob, a.id, a.name, a.size, a.mtime_ns, a.mode FROM asset AS a WHERE a.blob = ? AND {ALONE}"  # noqa: S608  # constant
        " ORDER BY a.id",
        blob,
    )
    return [Member._make(row) for row in rows]


def fingerprint(connection: Connection, blob: BlobId, processor: str) -> str | None:
    """Facts of a processor as JSON."""
    return connection.value(str, "SELECT facts FROM fact WHERE blob = ? AND processor = ?", blob, processor)

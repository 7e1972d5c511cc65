"""What was derived from blobs: facts, renditions, embeddings. All of it may be deleted and made again.

Point reads, or inside a transaction; functions named ``list_…`` may scan.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from damfs.catalog import field_values
from damfs.catalog.database import Connection, Row
from damfs.catalog.fields import tells_values
from damfs.model import AssetId, BlobId, Facts, Rendition, RenditionId, RenditionKind


def set_facts(tx: Connection, blob: BlobId, processor: str, facts: Facts) -> frozenset[str]:
    """In place of what the processor found before; the fields whose values changed by it."""
    tx.run(
        "INSERT OR REPLACE INTO fact (blob, processor, facts) VALUES (?, ?, ?)",
        blob,
        processor,
        msgspec.json.encode(facts).decode(),
    )
    if not tells_values(processor):
        return frozenset()
    return field_values.refresh(tx, blob, facts_of(tx, blob))


def drop_facts(tx: Connection, blob: BlobId, processor: str) -> None:
    tx.run("DELETE FROM fact WHERE blob = ? AND processor = ?", blob, processor)


def facts_of(connection: Connection, blob: BlobId) -> Mapping[str, Facts]:
    """Everything found out about a blob, by processor."""
    return {
        processor: msgspec.json.decode(facts, type=dict[str, object])
        for processor, facts in connection.rows("SELECT processor, facts FROM fact WHERE blob = ?", blob)
    }


def facts_by(connection: Connection, blob: BlobId, processor: str) -> Facts:
    """What one processor found out; {} where it found nothing, or never looked."""
    found = connection.value(str, "SELECT facts FROM fact WHERE blob = ? AND processor = ?", blob, processor)
    return {} if found is None else msgspec.json.decode(found, type=dict[str, object])


COLUMNS = "r.id, r.blob, r.kind, r.profile, r.key, r.size, r.made_ns"


def _rendition(row: Row) -> Rendition:
    id_, blob, kind, profile, key, size, made_ns = row
    return Rendition(id_, blob, RenditionKind(kind), profile, key, size, made_ns)


def rendition(connection: Connection, id_: RenditionId) -> Rendition | None:
    row = connection.row(f"SELECT {COLUMNS} FROM rendition AS r WHERE id = ?", id_)  # noqa: S608  # constant columns
    return None if row is None else _rendition(row)


def renditions_of(connection: Connection, blob: BlobId) -> list[Rendition]:
    rows = connection.rows(f"SELECT {COLUMNS} FROM rendition AS r WHERE blob = ? ORDER BY id", blob)  # noqa: S608  # as above
    return [_rendition(row) for row in rows]


def rendition_of(connection: Connection, blob: BlobId, kind: RenditionKind, profile: str) -> Rendition | None:
    row = connection.row(
        f"SELECT {COLUMNS} FROM rendition AS r WHERE blob = ? AND kind = ? AND profile = ?",  # noqa: S608  # as above
        blob,
        str(kind),
        profile,
    )
    return None if row is None else _rendition(row)


def detail_of(connection: Connection, id_: RenditionId) -> Facts:
    """What its maker says of a rendition; nothing where there is none."""
    found = connection.value(str, "SELECT detail FROM rendition WHERE id = ?", id_)
    return {} if found is None else msgspec.json.decode(found, type=dict[str, object])


def list_of_kind(connection: Connection, blob: BlobId, kind: RenditionKind) -> list[Rendition]:
    rows = connection.rows(
        f"SELECT {COLUMNS} FROM rendition AS r WHERE blob = ? AND kind = ? ORDER BY profile",  # noqa: S608  # as above
        blob,
        str(kind),
    )
    return [_rendition(row) for row in rows]


def list_on_demand(connection: Connection) -> list[Rendition]:
    """All that was made because somebody asked for it: pieces and frames."""
    rows = connection.rows(f"SELECT {COLUMNS} FROM rendition AS r WHERE kind IN ('clip', 'frame')")  # noqa: S608  # as above
    return [_rendition(row) for row in rows]


def size_on_demand(connection: Connection) -> int:
    return connection.integer("SELECT coalesce(sum(size), 0) FROM rendition WHERE kind IN ('clip', 'frame')")


def list_with(connection: Connection, kind: RenditionKind) -> list[tuple[AssetId, str, bool]]:
    """The visible assets that have renditions of an on-demand kind: id, name, whether the bare name means this one."""
    rows = connection.rows(
        "SELECT a.id, a.name, a.id = (SELECT min(id) FROM asset WHERE name = a.name AND visible) FROM asset AS a"
        " WHERE a.visible AND a.blob IN (SELECT blob FROM rendition WHERE kind = ? AND kind IN ('clip', 'frame'))"
        " ORDER BY a.id",
        str(kind),
    )
    return [(id_, name, bool(first)) for id_, name, first in rows]


def thumbnail(connection: Connection, blob: BlobId, profile: str) -> Rendition | None:
    """A point read."""
    row = connection.row(
        f"SELECT {COLUMNS} FROM rendition AS r WHERE blob = ? AND kind = 'thumbnail' AND profile = ?",  # noqa: S608  # as above
        blob,
        profile,
    )
    return None if row is None else _rendition(row)


def set_rendition(
    tx: Connection, blob: BlobId, kind: RenditionKind, profile: str, key: str, size: int, detail: Facts, at_ns: int
) -> RenditionId:
    """A new row (and so a new inode) in place of an older rendition: its bytes differ."""
    tx.run("DELETE FROM rendition WHERE blob = ? AND kind = ? AND profile = ?", blob, str(kind), profile)
    return RenditionId(
        tx.insert(
            "INSERT INTO rendition (blob, kind, profile, key, size, made_ns, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
            blob,
            str(kind),
            profile,
            key,
            size,
            at_ns,
            msgspec.json.encode(detail).decode(),
        )
    )


def drop_rendition(tx: Connection, id_: RenditionId) -> None:
    tx.run("DELETE FROM rendition WHERE id = ?", id_)


def list_renditions(connection: Connection, after: int = 0, limit: int = -1) -> list[Rendition]:
    """By id, from behind ``after``; all without a limit."""
    rows = connection.rows(
        f"SELECT {COLUMNS} FROM rendition AS r WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608  # as above
        after,
        limit,
    )
    return [_rendition(row) for row in rows]


def is_rendition(connection: Connection, key: str) -> bool:
    """Whether a row names the file at a key."""
    return connection.exists("SELECT 1 FROM rendition WHERE key = ?", key)


def proxy_reports(connection: Connection, blob: BlobId) -> dict[str, Facts]:
    """What the gate found, by profile."""
    rows = connection.rows("SELECT profile, detail FROM rendition WHERE blob = ? AND kind = 'proxy' ORDER BY id", blob)
    return {profile: msgspec.json.decode(detail, type=dict[str, object]) for profile, detail in rows}


def set_embedding(tx: Connection, blob: BlobId, model: str, at_ns: int | None, vector: bytes) -> None:
    """A new row id in place of an older vector: the index is keyed by it."""
    at = -1 if at_ns is None else at_ns
    tx.run("DELETE FROM embedding WHERE blob = ? AND model = ? AND at_ns = ?", blob, model, at)
    tx.insert("INSERT INTO embedding (blob, model, at_ns, vector) VALUES (?, ?, ?, ?)", blob, model, at, vector)


def models_of(connection: Connection, blob: BlobId) -> list[str]:
    rows = connection.rows("SELECT model FROM embedding WHERE blob = ? AND at_ns = -1", blob)
    return [model for (model,) in rows]


def models_of_moments(connection: Connection, blob: BlobId) -> list[str]:
    rows = connection.rows("SELECT DISTINCT model FROM embedding WHERE blob = ? AND at_ns >= 0", blob)
    return [model for (model,) in rows]


def vector_of(connection: Connection, blob: BlobId, model: str) -> bytes | None:
    return connection.value(
        bytes, "SELECT vector FROM embedding WHERE blob = ? AND model = ? AND at_ns = -1", blob, model
    )


def property_value(connection: Connection, name: str) -> str | None:
    return connection.value(str, "SELECT value FROM property WHERE name = ?", name)


def set_property(tx: Connection, name: str, value: str) -> None:
    tx.run("INSERT OR REPLACE INTO property (name, value) VALUES (?, ?)", name, value)


def forget_property(tx: Connection, name: str) -> None:
    tx.run("DELETE FROM property WHERE name = ?", name)

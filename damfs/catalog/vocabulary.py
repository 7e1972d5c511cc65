"""Terms and taggings: the controlled vocabulary and who says that an asset carries what.

A term implies its broader ones: `terms_of` answers with them. Point reads, or inside a transaction; `list_…` may scan.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from damfs.catalog import proposals
from damfs.catalog.database import Connection, Row
from damfs.catalog.proposals import NOBODY, Origin, Proposal
from damfs.model import AssetId, TagSource, Term, TermId


def _term(row: Row) -> Term:
    return Term(*row)


def term_named(connection: Connection, name: str) -> Term | None:
    row = connection.row("SELECT id, name, broader FROM term WHERE name = ?", name)
    return None if row is None else _term(row)


def term(connection: Connection, id_: TermId) -> Term | None:
    row = connection.row("SELECT id, name, broader FROM term WHERE id = ?", id_)
    return None if row is None else _term(row)


def list_narrower(connection: Connection, broader: TermId | None) -> list[Term]:
    """The terms right below one; of None the top terms."""
    rows = connection.rows("SELECT id, name, broader FROM term WHERE broader IS ? ORDER BY name", broader)
    return [_term(row) for row in rows]


def some_narrower(connection: Connection, broader: TermId, limit: int) -> list[Term]:
    rows = connection.rows("SELECT id, name, broader FROM term WHERE broader = ? LIMIT ?", broader, limit)
    return [_term(row) for row in rows]


def list_terms(connection: Connection) -> list[Term]:
    """All of them."""
    return [_term(row) for row in connection.rows("SELECT id, name, broader FROM term ORDER BY name")]


def names(connection: Connection) -> list[str]:
    return [name for (name,) in connection.rows("SELECT name FROM term ORDER BY name")]


def with_narrower(connection: Connection, id_: TermId) -> tuple[TermId, ...]:
    """The term and everything below it."""
    rows = connection.rows(
        "WITH RECURSIVE below (id) AS (SELECT ? UNION SELECT t.id FROM term AS t JOIN below ON t.broader = below.id)"
        " SELECT id FROM below",
        id_,
    )
    return tuple(found for (found,) in rows)


def with_broader(connection: Connection, id_: TermId) -> tuple[TermId, ...]:
    """The term and everything it implies."""
    rows = connection.rows(
        "WITH RECURSIVE above (id, broader) AS (SELECT id, broader FROM term WHERE id = ?"
        " UNION SELECT t.id, t.broader FROM term AS t JOIN above ON t.id = above.broader) SELECT id FROM above",
        id_,
    )
    return tuple(found for (found,) in rows)


def carried_below(connection: Connection, asset: AssetId, id_: TermId) -> tuple[TermId, ...]:
    """Of the terms an asset was given the term itself and narrower ones. Asks what is above those, not what is below
    the term: that may be the whole vocabulary."""
    given = tagged_terms(connection, asset)
    return tuple(term.id for term in given if id_ in with_broader(connection, term.id))


def terms_of(connection: Connection, asset: AssetId) -> frozenset[TermId]:
    """The terms an asset carries, broader ones included."""
    rows = connection.rows(
        "WITH RECURSIVE carried (id) AS (SELECT term FROM tagging WHERE asset = ?"
        " UNION SELECT t.broader FROM term AS t JOIN carried ON t.id = carried.id WHERE t.broader IS NOT NULL)"
        " SELECT id FROM carried",
        asset,
    )
    return frozenset(found for (found,) in rows)


def tagged_terms(connection: Connection, asset: AssetId) -> list[Term]:
    """The terms an asset was given, without what they imply."""
    rows = connection.rows(
        "SELECT t.id, t.name, t.broader FROM tagging AS g JOIN term AS t ON t.id = g.term"
        " WHERE g.asset = ? ORDER BY t.name",
        asset,
    )
    return [_term(row) for row in rows]


class Tagging(NamedTuple):
    source: TagSource
    confidence: float
    origin: Origin = NOBODY


def tagging(connection: Connection, asset: AssetId, id_: TermId) -> Tagging:
    """Who says that the asset carries the term; it must."""
    row = connection.row(
        "SELECT source, confidence, processor, model FROM tagging WHERE asset = ? AND term = ?", asset, id_
    )
    assert row is not None
    return Tagging(TagSource(row[0]), row[1], Origin(*row[2:]))


class GivenTag(NamedTuple):
    """A tagging as a change tells of it: enough to give it again."""

    term: str
    source: TagSource
    confidence: float
    processor: str = ""
    model: str = ""


def taggings(connection: Connection, asset: AssetId) -> list[GivenTag]:
    """What the asset was given, without what that implies."""
    rows = connection.rows(
        "SELECT t.name, g.source, g.confidence, g.processor, g.model FROM tagging AS g JOIN term AS t ON t.id = g.term"
        " WHERE g.asset = ? ORDER BY t.name",
        asset,
    )
    return [GivenTag(name, TagSource(source), *rest) for name, source, *rest in rows]


def carriers(connection: Connection, ids: tuple[TermId, ...], limit: int) -> list[tuple[AssetId, str]]:
    """Some visible assets that were given any of the terms, with their names: as many as are asked for are read."""
    rows = connection.rows(
        "SELECT DISTINCT a.id, a.name FROM tagging AS g CROSS JOIN asset AS a ON a.id = g.asset"
        " WHERE g.term IN (SELECT value FROM json_each(?)) AND a.visible LIMIT ?",
        _text(ids),
        limit,
    )
    return [(id_, name) for id_, name in rows]


def some_carriers(connection: Connection, ids: tuple[TermId, ...], limit: int) -> list[AssetId]:
    """Assets, whatever their state, that were given any of the terms."""
    sql = "SELECT asset FROM tagging WHERE term IN (SELECT value FROM json_each(?)) LIMIT ?"
    rows = connection.rows(sql, _text(ids), limit)
    return sorted({asset for (asset,) in rows})


def taggings_of_many(
    connection: Connection, assets: tuple[AssetId, ...], ids: tuple[TermId, ...]
) -> list[tuple[AssetId, str, str, float, str, str]]:
    """Asset, term, source, confidence, processor and model of what the assets were given of the terms."""
    return connection.rows(
        "SELECT g.asset, t.name, g.source, g.confidence, g.processor, g.model FROM tagging AS g"
        " JOIN term AS t ON t.id = g.term WHERE g.term IN (SELECT value FROM json_each(?))"
        " AND g.asset IN (SELECT value FROM json_each(?)) ORDER BY g.asset, t.name",
        _text(ids),
        _text(assets),
    )


def names_of_assets(connection: Connection, assets: tuple[AssetId, ...]) -> list[str]:
    sql = "SELECT DISTINCT name FROM asset WHERE id IN (SELECT value FROM json_each(?)) ORDER BY name"
    return [name for (name,) in connection.rows(sql, _text(assets))]


def list_counts(connection: Connection) -> list[tuple[Term, int]]:
    """Every term with the number of visible assets that were given it."""
    rows = connection.rows(
        "SELECT t.id, t.name, t.broader, (SELECT count(*) FROM tagging AS g JOIN asset AS a ON a.id = g.asset"
        " WHERE g.term = t.id AND a.visible) FROM term AS t ORDER BY t.name"
    )
    return [(_term(row[:3]), row[3]) for row in rows]


def in_use(connection: Connection, id_: TermId) -> bool:
    """Whether an asset (also a trashed or missing one) carries the term, or a narrower term exists."""
    return connection.exists(
        "SELECT 1 FROM tagging WHERE term = ?1 UNION ALL SELECT 1 FROM term WHERE broader = ?1 LIMIT 1", id_
    )


def in_use_but_by_models(connection: Connection, id_: TermId) -> bool:
    """As `in_use`, models' tags aside."""
    return connection.exists(
        "SELECT 1 FROM tagging WHERE term = ?1 AND source <> 'model'"
        " UNION ALL SELECT 1 FROM term WHERE broader = ?1 LIMIT 1",
        id_,
    )


def detach_models(tx: Connection, id_: TermId) -> bool:
    """Untag what models gave the term. Whether anything changed."""
    return bool(tx.run("DELETE FROM tagging WHERE term = ? AND source = 'model'", id_))


def define(tx: Connection, name: str, broader: TermId | None, at_ns: int) -> TermId:
    return TermId(tx.insert("INSERT INTO term (name, broader, created_ns) VALUES (?, ?, ?)", name, broader, at_ns))


def rename(tx: Connection, id_: TermId, name: str) -> None:
    tx.run("UPDATE term SET name = ? WHERE id = ?", name, id_)


def move(tx: Connection, id_: TermId, broader: TermId | None) -> None:
    tx.run("UPDATE term SET broader = ? WHERE id = ?", broader, id_)


def remove(tx: Connection, id_: TermId) -> None:
    tx.run("DELETE FROM term WHERE id = ?", id_)


class Attached(NamedTuple):
    """``proposal``: of a model, which is settled by that."""

    changed: bool
    proposal: Proposal | None


def attach(
    tx: Connection, asset: AssetId, id_: TermId, source: TagSource, confidence: float, at_ns: int,
    origin: Origin = NOBODY,
) -> Attached:  # fmt: skip
    """Tag; a person's word replaces a rule's and that a model's, never the other way."""
    changed = tx.run(
        "INSERT INTO tagging (asset, term, source, confidence, created_ns, processor, model)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (asset, term) DO UPDATE SET source = excluded.source,"
        " confidence = excluded.confidence, processor = excluded.processor, model = excluded.model"
        " WHERE (tagging.source, excluded.source)"
        " IN (VALUES ('model', 'rule'), ('model', 'person'), ('rule', 'person'))",
        asset, id_, str(source), confidence, at_ns, origin.processor, origin.model,
    )  # fmt: skip
    proposal = proposals.take(tx, asset, id_)
    if proposal is not None and source is TagSource.PERSON:
        proposals.judge(tx, asset, id_, proposal, at_ns)
    return Attached(bool(changed), proposal)


def detach(tx: Connection, asset: AssetId, ids: tuple[TermId, ...]) -> bool:
    """Untag from each of the terms. Whether anything changed."""
    sql = "DELETE FROM tagging WHERE asset = ? AND term IN (SELECT value FROM json_each(?))"
    return bool(tx.run(sql, asset, _text(ids)))


def detach_many(tx: Connection, assets: tuple[AssetId, ...], ids: tuple[TermId, ...]) -> None:
    """Untag each of the assets from each of the terms."""
    tx.run(
        "DELETE FROM tagging WHERE term IN (SELECT value FROM json_each(?))"
        " AND asset IN (SELECT value FROM json_each(?))",
        _text(ids),
        _text(assets),
    )


def _text(ids: tuple[int, ...]) -> str:
    return msgspec.json.encode(ids).decode()

"""Rows of one term that become another's: taggings, proposals, judgements, labels, notes and relations.

Inside a transaction. What the other term has already stays as it is there, but that a person's word wins, a refusal
over a machine's tag as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from damfs.catalog.database import Connection
from damfs.model import AssetId, TermId

TAGGED, PROPOSED, JUDGED = "tagging", "proposal", "judgement"

TAKE_OVER = (
    "UPDATE OR IGNORE tagging SET term = ?2 WHERE term = ?1 AND asset IN (SELECT value FROM json_each(?3))",
    "UPDATE OR IGNORE judgement SET term = ?2 WHERE term = ?1 AND asset IN (SELECT value FROM json_each(?3))",
    "UPDATE OR IGNORE proposal SET term = ?2 WHERE term = ?1 AND asset IN (SELECT value FROM json_each(?3))",
)
DROP_REFUSED = (
    "DELETE FROM tagging WHERE term = ?2 AND source <> 'person' AND asset IN (SELECT value FROM json_each(?3))"
    " AND asset IN (SELECT asset FROM judgement WHERE term = ?1)"
    " AND asset NOT IN (SELECT asset FROM tagging WHERE term = ?1)"
)
CLEAR = (
    "DELETE FROM tagging WHERE term = ? AND asset IN (SELECT value FROM json_each(?))",
    "DELETE FROM judgement WHERE term = ? AND asset IN (SELECT value FROM json_each(?))",
    "DELETE FROM proposal WHERE term = ? AND asset IN (SELECT value FROM json_each(?))",
)
INSERT = {
    TAGGED: "INSERT OR REPLACE INTO tagging (asset, term, confidence, processor, model, created_ns, source)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM asset WHERE id = ?1)",
    PROPOSED: "INSERT OR REPLACE INTO proposal (asset, term, confidence, processor, model, created_ns)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM asset WHERE id = ?1)",
    JUDGED: "INSERT OR REPLACE INTO judgement (asset, term, confidence, processor, model, created_ns)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM asset WHERE id = ?1)",
}


class Carried(NamedTuple):
    """A row about an asset and a term: enough to make it again."""

    table: str
    asset: int
    source: str
    confidence: float | None
    processor: str
    model: str
    created_ns: int


def some_assets(connection: Connection, term: TermId, limit: int) -> list[AssetId]:
    """Assets, whatever their state, that something is said of with the term."""
    rows = connection.rows(
        "SELECT asset FROM tagging WHERE term = ?1 UNION SELECT asset FROM proposal WHERE term = ?1"
        " UNION SELECT asset FROM judgement WHERE term = ?1 LIMIT ?2",
        term,
        limit,
    )
    return [asset for (asset,) in rows]


def carried(connection: Connection, assets: Sequence[AssetId], term: TermId) -> list[Carried]:
    rows = connection.rows(
        "SELECT 'tagging', asset, source, confidence, processor, model, created_ns FROM tagging"
        " WHERE term = ?1 AND asset IN (SELECT value FROM json_each(?2))"
        " UNION ALL SELECT 'proposal', asset, '', confidence, processor, model, created_ns FROM proposal"
        " WHERE term = ?1 AND asset IN (SELECT value FROM json_each(?2))"
        " UNION ALL SELECT 'judgement', asset, '', confidence, processor, model, created_ns FROM judgement"
        " WHERE term = ?1 AND asset IN (SELECT value FROM json_each(?2))",
        term,
        _text(assets),
    )
    return [Carried(*row) for row in rows]


def move(tx: Connection, assets: Sequence[AssetId], source: TermId, target: TermId) -> None:
    ids = _text(assets)
    tx.run(
        "DELETE FROM tagging WHERE term = ?2 AND source <> 'person' AND asset IN (SELECT value FROM json_each(?3))"
        " AND asset IN (SELECT asset FROM tagging WHERE term = ?1 AND source = 'person')",
        source, target, ids,
    )  # fmt: skip
    for refused, given in ((source, target), (target, source)):
        tx.run(DROP_REFUSED, refused, given, ids)
    for take_over in TAKE_OVER:
        tx.run(take_over, source, target, ids)
    _clear(tx, source, ids)
    tx.run(
        "DELETE FROM proposal WHERE term = ?1 AND asset IN (SELECT value FROM json_each(?2))"
        " AND asset IN (SELECT asset FROM tagging WHERE term = ?1 UNION SELECT asset FROM judgement WHERE term = ?1)",
        target, ids,
    )  # fmt: skip


def put_back(
    tx: Connection, moved: Sequence[Carried], source: TermId, had: Sequence[Carried], target: TermId
) -> list[AssetId]:
    """As before `move`, for assets that are still there. Answers with those of which something else was said since:
    they stay as they are. What `move` had left is found by doing it once more."""
    assets = sorted({AssetId(each.asset) for each in moved})
    before = (moved, source), (had, target)
    now = (carried(tx, assets, source), source), (carried(tx, assets, target), target)
    _fill(tx, assets, before)
    move(tx, assets, source, target)
    later = _words(carried(tx, assets, target)) ^ _words(now[1][0]) | _words(now[0][0])
    kept = {row.asset for row in later}
    _fill(tx, [each for each in assets if each not in kept], before)
    _fill(tx, [each for each in assets if each in kept], now)
    return [each for each in assets if each in kept]


def _words(rows: Sequence[Carried]) -> set[Carried]:
    """All but proposals, which a model makes anew."""
    return {row for row in rows if row.table != PROPOSED}


def _fill(tx: Connection, assets: Sequence[AssetId], sides: Sequence[tuple[Sequence[Carried], TermId]]) -> None:
    """Of these assets nothing but these rows is said with the terms."""
    meant = set(assets)
    for rows, term in sides:
        _clear(tx, term, _text(assets))
        for row in rows:
            if row.asset in meant:
                _insert(tx, row, term)


def _clear(tx: Connection, term: TermId, ids: str) -> None:
    for clear in CLEAR:
        tx.run(clear, term, ids)


def _insert(tx: Connection, row: Carried, term: TermId) -> None:
    values = row.confidence, row.processor, row.model, row.created_ns
    tx.run(INSERT[row.table], row.asset, term, *values, *((row.source,) if row.table == TAGGED else ()))


def absorb(tx: Connection, source: TermId, target: TermId) -> None:
    """Labels, notes and relations become the other's; the term, which nothing refers to any more, is gone."""
    tx.run("UPDATE OR IGNORE term_label SET term = ?2, preferred = 0 WHERE term = ?1", source, target)
    tx.run("DELETE FROM term_label WHERE term = ?1 AND name = (SELECT name FROM term WHERE id = ?1)", target)
    tx.run("UPDATE OR IGNORE term_note SET term = ?2 WHERE term = ?1", source, target)
    tx.run(
        "INSERT OR IGNORE INTO term_relation (term, other) SELECT min(o, ?2), max(o, ?2) FROM"
        " (SELECT other AS o FROM term_relation WHERE term = ?1 UNION SELECT term FROM term_relation WHERE other = ?1)"
        " WHERE o <> ?2",
        source, target,
    )  # fmt: skip
    tx.run("DELETE FROM term WHERE id = ?", source)


def _text(ids: Sequence[int]) -> str:
    return msgspec.json.encode(ids).decode()

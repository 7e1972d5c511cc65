"""What models propose, and what people made of it.

A proposal waits until a person judges it; a judgement is kept, so that the term is never proposed for that asset again.
Whether it was accepted says the tagging. Point reads, or inside a transaction; `list_…` may scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from damfs.catalog.database import Connection
from damfs.model import AssetId, TermId


class Origin(NamedTuple):
    """Who proposed or gave a term, where that was no person: ``auto_tag/2``, and the id of its model."""

    processor: str = ""
    model: str = ""


NOBODY = Origin()


class Proposal(NamedTuple):
    confidence: float
    processor: str
    model: str


class Proposed(NamedTuple):
    """A proposal as a person sees it."""

    asset: AssetId
    name: str
    term: str
    confidence: float
    processor: str
    model: str


def propose(tx: Connection, asset: AssetId, term: TermId, origin: Origin, confidence: float, at_ns: int) -> bool:
    """Remember a proposal, unless the asset carries the term, or a person has judged that. Whether it is new."""
    known = tx.exists("SELECT 1 FROM proposal WHERE asset = ? AND term = ?", asset, term)
    made = tx.run(
        "INSERT OR REPLACE INTO proposal (asset, term, processor, model, confidence, created_ns)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS (SELECT 1 FROM tagging WHERE asset = ?1 AND term = ?2)"
        " AND NOT EXISTS (SELECT 1 FROM judgement WHERE asset = ?1 AND term = ?2)",
        asset, term, origin.processor, origin.model, confidence, at_ns,
    )  # fmt: skip
    return bool(made) and not known


def proposal(connection: Connection, asset: AssetId, term: TermId) -> Proposal | None:
    row = connection.row("SELECT confidence, processor, model FROM proposal WHERE asset = ? AND term = ?", asset, term)
    return None if row is None else Proposal(*row)


def take(tx: Connection, asset: AssetId, term: TermId) -> Proposal | None:
    """The proposal, which is gone by that."""
    row = tx.row(
        "DELETE FROM proposal WHERE asset = ? AND term = ? RETURNING confidence, processor, model", asset, term
    )
    return None if row is None else Proposal(*row)


def withdraw(tx: Connection, asset: AssetId, processor: str, but: Sequence[TermId]) -> list[TermId]:
    """A processor, whatever its version, does not propose any but these terms any more. The terms it took back."""
    rows = tx.rows(
        "DELETE FROM proposal WHERE asset = ? AND processor GLOB ? AND term NOT IN (SELECT value FROM json_each(?))"
        " RETURNING term",
        asset,
        f"{processor}/*",
        msgspec.json.encode(but).decode(),
    )
    return [term for (term,) in rows]


def judge(tx: Connection, asset: AssetId, term: TermId, proposed: Proposal | None, at_ns: int) -> None:
    """A person has decided. What had been proposed before stays known when it is decided again."""
    confidence, processor, model = proposed or (None, "", "")
    tx.run(
        "INSERT INTO judgement (asset, term, confidence, processor, model, created_ns) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (asset, term) DO UPDATE SET created_ns = excluded.created_ns",
        asset, term, confidence, processor, model, at_ns,
    )  # fmt: skip


def judge_taken_away(tx: Connection, asset: AssetId, terms: Sequence[TermId], at_ns: int) -> None:
    """A person is about to take these terms from the asset; of a model's the confidence counts."""
    judge_many_taken_away(tx, [asset], terms, at_ns)


def judge_many_taken_away(tx: Connection, assets: Sequence[AssetId], terms: Sequence[TermId], at_ns: int) -> None:
    tx.run(
        "INSERT OR IGNORE INTO judgement (asset, term, confidence, processor, model, created_ns)"
        " SELECT asset, term, CASE source WHEN 'model' THEN confidence END, processor, model, ? FROM tagging"
        " WHERE asset IN (SELECT value FROM json_each(?)) AND term IN (SELECT value FROM json_each(?))",
        at_ns,
        msgspec.json.encode(assets).decode(),
        msgspec.json.encode(terms).decode(),
    )


def judged_among(
    connection: Connection, assets: Sequence[AssetId], terms: Sequence[TermId]
) -> list[tuple[AssetId, str]]:
    """Which of the assets a person has judged with which of the terms, by their names."""
    return connection.rows(
        "SELECT j.asset, t.name FROM judgement AS j JOIN term AS t ON t.id = j.term"
        " WHERE j.asset IN (SELECT value FROM json_each(?)) AND j.term IN (SELECT value FROM json_each(?))",
        msgspec.json.encode(assets).decode(),
        msgspec.json.encode(terms).decode(),
    )


def is_judged(connection: Connection, asset: AssetId, term: TermId) -> bool:
    return connection.exists("SELECT 1 FROM judgement WHERE asset = ? AND term = ?", asset, term)


def refused_of(connection: Connection, asset: AssetId) -> list[TermId]:
    """What a person did not want said of the asset."""
    rows = connection.rows(
        "SELECT term FROM judgement AS j WHERE asset = ?"
        " AND NOT EXISTS (SELECT 1 FROM tagging AS g WHERE g.asset = j.asset AND g.term = j.term) ORDER BY term",
        asset,
    )
    return [term for (term,) in rows]


def forget_judgement(tx: Connection, asset: AssetId, term: TermId) -> None:
    tx.run("DELETE FROM judgement WHERE asset = ? AND term = ?", asset, term)


def learnt_from(connection: Connection, term: TermId, origin: Origin) -> tuple[list[float], list[float]]:
    """The confidences of what people accepted, and of what they refused, of all that one origin had proposed: those of
    another model, or of another version of the processor, are on another scale."""
    rows = connection.rows(
        "SELECT j.confidence, g.asset IS NOT NULL FROM judgement AS j"
        " LEFT JOIN tagging AS g ON g.asset = j.asset AND g.term = j.term AND g.source = 'person'"
        " WHERE j.term = ? AND j.confidence IS NOT NULL AND j.processor = ? AND j.model = ?",
        term,
        origin.processor,
        origin.model,
    )
    return [c for c, accepted in rows if accepted], [c for c, accepted in rows if not accepted]


def terms_proposed_for(connection: Connection, asset: AssetId) -> list[TermId]:
    return [term for (term,) in connection.rows("SELECT term FROM proposal WHERE asset = ?", asset)]


def of_asset(connection: Connection, asset: AssetId) -> list[Proposed]:
    """Surest first."""
    rows = connection.rows(
        "SELECT a.id, a.name, t.name, p.confidence, p.processor, p.model FROM proposal AS p"
        " JOIN asset AS a ON a.id = p.asset JOIN term AS t ON t.id = p.term"
        " WHERE p.asset = ? ORDER BY p.confidence DESC, t.name",
        asset,
    )
    return [Proposed(*row) for row in rows]


def list_proposed(connection: Connection, above: float, term: TermId | None) -> list[Proposed]:
    """What waits for a person, surest first; of one term, or of all."""
    rows = connection.rows(
        "SELECT a.id, a.name, t.name, p.confidence, p.processor, p.model FROM proposal AS p"
        " JOIN asset AS a ON a.id = p.asset JOIN term AS t ON t.id = p.term"
        " WHERE a.visible AND p.confidence >= ?1 AND (?2 IS NULL OR p.term = ?2)"
        " ORDER BY p.confidence DESC, a.id, t.name",
        above,
        term,
    )
    return [Proposed(*row) for row in rows]


def list_terms(connection: Connection) -> list[tuple[TermId, str]]:
    """The terms that are proposed for any visible asset."""
    return connection.rows(
        "SELECT t.id, t.name FROM term AS t WHERE EXISTS (SELECT 1 FROM proposal AS p JOIN asset AS a ON a.id = p.asset"
        " WHERE p.term = t.id AND a.visible) ORDER BY t.name"
    )


def any_of_term(connection: Connection, term: TermId) -> bool:
    return connection.exists(
        "SELECT 1 FROM proposal AS p JOIN asset AS a ON a.id = p.asset WHERE p.term = ? AND a.visible LIMIT 1", term
    )

"""What terms are called beside their own names, and what else is said of them: labels, notes, details, relations.

A label leads to its term wherever the term's own name would; an own name wins over a label, and of two terms that share
a label the older one has it. Point reads, or inside a transaction; `list_…` may scan.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from damfs.catalog.database import Connection
from damfs.model import AssetId, Term, TermId


class Label(NamedTuple):
    """``language``: BCP 47, '' when it is not told. ``preferred``: what the term is called in that language."""

    language: str
    name: str
    preferred: bool = False


class Detail(NamedTuple):
    """``language``: of the term's own name. ``prompt``: '' for the usual one. ``grouping``: only holds others."""

    language: str = ""
    prompt: str = ""
    uri: str = ""
    grouping: bool = False


PLAIN = Detail()


class Described(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is said of a term beside its name, or a part of it: as a change tells of it."""

    labels: list[Label] = []
    notes: dict[str, str] = {}
    detail: Detail = PLAIN
    related: list[str] = []


def resolve(connection: Connection, name: str) -> Term | None:
    """The term that a name leads to: its own, or one of its labels."""
    row = connection.row(
        "SELECT id, name, broader FROM term WHERE name = ?1"
        " UNION ALL SELECT * FROM (SELECT t.id, t.name, t.broader FROM term_label AS l JOIN term AS t ON t.id = l.term"
        " WHERE l.name = ?1 ORDER BY l.term LIMIT 1) LIMIT 1",
        name,
    )
    return None if row is None else Term(*row)


def list_all(connection: Connection) -> list[str]:
    """Every name that leads to a term."""
    return [name for (name,) in connection.rows("SELECT name FROM term UNION SELECT name FROM term_label")]


def labels(connection: Connection, term: TermId) -> list[Label]:
    rows = connection.rows(
        "SELECT language, name, preferred FROM term_label WHERE term = ? ORDER BY language, name", term
    )
    return [Label(language, name, bool(preferred)) for language, name, preferred in rows]


def list_labels(connection: Connection) -> list[tuple[TermId, Label]]:
    rows = connection.rows("SELECT term, language, name, preferred FROM term_label ORDER BY term, language, name")
    return [(term, Label(language, name, bool(preferred))) for term, language, name, preferred in rows]


def names_of(connection: Connection, terms: Iterable[TermId]) -> list[str]:
    """Every name of some terms, labels in all languages included, each once. For search: see `names_for_search`."""
    ids = msgspec.json.encode(sorted(set(terms))).decode()
    rows = connection.rows(
        "SELECT name FROM term WHERE id IN (SELECT value FROM json_each(?1))"
        " UNION SELECT name FROM term_label WHERE term IN (SELECT value FROM json_each(?1)) ORDER BY 1",
        ids,
    )
    return [name for (name,) in rows]


def names_for_search(connection: Connection, asset: AssetId) -> list[str]:
    """Every name of the terms that an asset carries, of those that they imply, and all their synonyms."""
    rows = connection.rows(
        "WITH RECURSIVE carried (id) AS (SELECT term FROM tagging WHERE asset = ?"
        " UNION SELECT t.broader FROM term AS t JOIN carried ON t.id = carried.id WHERE t.broader IS NOT NULL)"
        " SELECT name FROM term WHERE id IN carried"
        " UNION SELECT name FROM term_label WHERE term IN carried ORDER BY 1",
        asset,
    )
    return [name for (name,) in rows]


def add_label(tx: Connection, term: TermId, label: Label) -> None:
    tx.run(
        "INSERT INTO term_label (term, language, name, preferred) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (term, language, name) DO UPDATE SET preferred = excluded.preferred",
        term,
        label.language,
        label.name,
        int(label.preferred),
    )


def remove_label(tx: Connection, term: TermId, name: str) -> None:
    """In every language."""
    tx.run("DELETE FROM term_label WHERE term = ? AND name = ?", term, name)


def remove_label_in(tx: Connection, term: TermId, language: str, name: str) -> None:
    tx.run("DELETE FROM term_label WHERE term = ? AND language = ? AND name = ?", term, language, name)


def is_described(connection: Connection, term: TermId) -> bool:
    """Whether anything is said of a term, or was judged with it, beside its name and its taggings."""
    return connection.exists(
        "SELECT 1 FROM term_label WHERE term = ?1 UNION ALL SELECT 1 FROM term_note WHERE term = ?1"
        " UNION ALL SELECT 1 FROM term_detail WHERE term = ?1 UNION ALL SELECT 1 FROM judgement WHERE term = ?1"
        " UNION ALL SELECT 1 FROM term_relation WHERE term = ?1"
        " UNION ALL SELECT 1 FROM term_relation WHERE other = ?1 LIMIT 1",
        term,
    )


def notes(connection: Connection, term: TermId) -> dict[str, str]:
    """By language."""
    return dict(connection.rows("SELECT language, note FROM term_note WHERE term = ? ORDER BY language", term))


def list_notes(connection: Connection) -> list[tuple[TermId, str, str]]:
    return connection.rows("SELECT term, language, note FROM term_note ORDER BY term, language")


def set_note(tx: Connection, term: TermId, language: str, note: str) -> None:
    """'' takes it away."""
    if note:
        tx.run("INSERT OR REPLACE INTO term_note (term, language, note) VALUES (?, ?, ?)", term, language, note)
    else:
        tx.run("DELETE FROM term_note WHERE term = ? AND language = ?", term, language)


def detail(connection: Connection, term: TermId) -> Detail:
    row = connection.row("SELECT language, prompt, uri, grouping FROM term_detail WHERE term = ?", term)
    return PLAIN if row is None else Detail(row[0], row[1], row[2], bool(row[3]))


def list_details(connection: Connection) -> dict[TermId, Detail]:
    rows = connection.rows("SELECT term, language, prompt, uri, grouping FROM term_detail")
    return {term: Detail(language, prompt, uri, bool(grouping)) for term, language, prompt, uri, grouping in rows}


def set_detail(tx: Connection, term: TermId, what: Detail) -> None:
    if what == PLAIN:
        tx.run("DELETE FROM term_detail WHERE term = ?", term)
    else:
        tx.run(
            "INSERT OR REPLACE INTO term_detail (term, language, prompt, uri, grouping) VALUES (?, ?, ?, ?, ?)",
            term, what.language, what.prompt, what.uri, int(what.grouping),
        )  # fmt: skip


def of_uri(connection: Connection, uri: str) -> TermId | None:
    """The term that a concept was imported as."""
    row = connection.row("SELECT term FROM term_detail WHERE uri = ?1 AND uri <> '' ORDER BY term LIMIT 1", uri)
    return None if row is None else TermId(row[0])


def related(connection: Connection, term: TermId) -> list[Term]:
    rows = connection.rows(
        "SELECT t.id, t.name, t.broader FROM term AS t WHERE t.id IN"
        " (SELECT other FROM term_relation WHERE term = ?1 UNION SELECT term FROM term_relation WHERE other = ?1)"
        " ORDER BY t.name",
        term,
    )
    return [Term(*row) for row in rows]


def described(connection: Connection, term: TermId) -> Described:
    others = [each.name for each in related(connection, term)]
    return Described(labels(connection, term), notes(connection, term), detail(connection, term), others)


def list_related(connection: Connection) -> list[tuple[TermId, TermId]]:
    return connection.rows("SELECT term, other FROM term_relation ORDER BY term, other")


def relate(tx: Connection, one: TermId, other: TermId) -> None:
    tx.run("INSERT OR IGNORE INTO term_relation (term, other) VALUES (?, ?)", min(one, other), max(one, other))


def unrelate(tx: Connection, one: TermId, other: TermId) -> None:
    tx.run("DELETE FROM term_relation WHERE term = ? AND other = ?", min(one, other), max(one, other))


def prompts(connection: Connection) -> list[tuple[str, str, str]]:
    """Name, prompt and name of the broader term ('': none) of each term that may be proposed."""
    return connection.rows(
        "SELECT t.name, coalesce(d.prompt, ''), coalesce(b.name, '') FROM term AS t"
        " LEFT JOIN term_detail AS d ON d.term = t.id LEFT JOIN term AS b ON b.id = t.broader"
        " WHERE NOT coalesce(d.grouping, 0) ORDER BY t.name"
    )

"""Full-text search: what is written of an asset (its name, folders, comment, what was read and heard in it).

The index is a cache that follows the table text_due, to which triggers append whoever changes a row; `refresh` takes
what is due. Concurrency: `refresh` and `forget_due` inside a transaction; `find_…` and `list_…` may scan (reader
thread). Crash rule: a text and the end of its being due are one transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

import msgspec

from damfs.catalog import derived
from damfs.catalog.asked_predicates import Says
from damfs.catalog.database import Connection
from damfs.catalog.predicates import ALONE, Predicate, joined
from damfs.catalog.term_clauses import one_of, term_marks
from damfs.catalog.word_breaks import VERSION, is_unspaced, name_words, spread
from damfs.model import LIBRARY_STORE, AssetId, TermId

COLUMNS = ("name", "folders", "comment", "fields", "transcript")
WEIGHTS = "4.0, 1.0, 3.0, 2.0, 1.0"
WRITTEN = "SELECT a.id FROM asset_text AS w CROSS JOIN asset AS a ON a.id = w.rowid WHERE asset_text MATCH ?"
FACTS = {"caption": "fields", "keywords": "fields"} | dict.fromkeys(
    ("transcript", "text", "ocr", "subtitles"), "transcript"
)
"""Facts of any processor that are texts for people: a string, a list of strings, or objects with such members. Beside
them stand the fields that are declared as text (see `fields`)."""
RANKED_BELOW = 3_000
"""Of so many hits each is weighed; what more assets than these hold tells little, and the newest come first."""
TERM_WORDS = 3
"""So many words of a query may each be answered by a term in place of the text."""
TRANSCRIPT_LIMIT = 200_000
FILLED = "texts"
"""Name of the catalog's property that says of which `word_breaks.VERSION` the index is."""


class Due(NamedTuple):
    id: int
    asset: AssetId


def list_due(connection: Connection, limit: int) -> list[Due]:
    return [Due(*row) for row in connection.rows("SELECT id, asset FROM text_due ORDER BY id LIMIT ?", limit)]


def is_due(connection: Connection) -> bool:
    return connection.exists("SELECT 1 FROM text_due LIMIT 1")


def last_due(connection: Connection) -> int:
    """Number of the last note, whether it was taken in or not."""
    return connection.integer("SELECT seq FROM sqlite_sequence WHERE name = 'text_due'")


def forget_due(tx: Connection, up_to: int) -> None:
    tx.run("DELETE FROM text_due WHERE id <= ?", up_to)


def refresh(tx: Connection, ids: Iterable[AssetId]) -> None:
    """Write the texts of the assets anew, and forget those of assets that are gone."""
    wanted = sorted(set(ids))
    some = msgspec.json.encode(wanted).decode()
    names: dict[AssetId, str] = dict(
        tx.rows("SELECT id, name FROM asset WHERE id IN (SELECT value FROM json_each(?))", some)
    )
    texts: dict[AssetId, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for asset, name in names.items():
        texts[asset]["name"] = [name_words(name)]
    for asset, comment in tx.rows(
        "SELECT asset, comment FROM remark WHERE asset IN (SELECT value FROM json_each(?))", some
    ):
        texts[asset]["comment"].append(comment)
    for asset, folder in _folders(tx, some):
        texts[asset]["folders"].append(name_words(folder))
    for asset, text in tx.rows(
        "SELECT a.id, f.text FROM asset AS a JOIN field_text AS f ON f.blob = a.blob"
        " WHERE a.id IN (SELECT value FROM json_each(?)) ORDER BY a.id, f.field, f.key",
        some,
    ):
        texts[asset]["fields"].append(text)
    for asset, column, text in _facts(tx, some):
        texts[asset][column].append(text)
    gone = [(asset,) for asset in wanted if asset not in names]
    tx.run_many("DELETE FROM asset_text WHERE rowid = ?", iter(gone))
    tx.run_many(
        "INSERT OR REPLACE INTO asset_text (rowid, name, folders, comment, fields, transcript)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            (asset, *(spread("\n".join(text[column])[:TRANSCRIPT_LIMIT]) for column in COLUMNS))
            for asset, text in texts.items()
        ),
    )


def renew(tx: Connection) -> bool:
    """Have everything written anew if the words of a text are others than when it was; whether that is so. Blocks."""
    if derived.property_value(tx, FILLED) == str(VERSION):
        return False
    tx.run("INSERT INTO text_due (asset) SELECT id FROM asset ORDER BY id")
    derived.set_property(tx, FILLED, str(VERSION))
    return True


def _folders(tx: Connection, some: str) -> list[tuple[AssetId, str]]:
    """Names of the folders of each asset's files, and of their stores; numbers, which dates make, say nothing."""
    rows = tx.rows(
        """WITH RECURSIVE up (asset, folder) AS (
             SELECT asset, folder FROM copy WHERE asset IN (SELECT value FROM json_each(?))
             UNION SELECT up.asset, f.parent FROM up JOIN folder AS f ON f.id = up.folder WHERE f.parent IS NOT NULL)
           SELECT up.asset, CASE WHEN f.parent IS NULL THEN CAST(s.name AS BLOB) ELSE f.name END
           FROM up JOIN folder AS f ON f.id = up.folder JOIN store AS s ON s.id = f.store
           WHERE f.parent IS NOT NULL OR s.name <> ?""",
        some,
        LIBRARY_STORE,
    )
    named = ((asset, name.decode("utf-8", "replace")) for asset, name in rows)
    return [(asset, name) for asset, name in named if not name.isdigit() and not name.startswith(".")]


def _facts(tx: Connection, some: str) -> list[tuple[AssetId, str, str]]:
    """Asset, column and text of each fact that people read."""
    keys = msgspec.json.encode([*FACTS, *(f"$.{key}" for key in FACTS)]).decode()
    rows = tx.rows(
        """SELECT a.id, said.key, said.path, said.atom FROM asset AS a JOIN fact AS f ON f.blob = a.blob,
             json_tree(CASE WHEN json_valid(f.facts) THEN f.facts ELSE '{}' END) AS said
           WHERE a.id IN (SELECT value FROM json_each(?1)) AND said.type = 'text'
           AND (said.key IN (SELECT value FROM json_each(?2)) OR said.path IN (SELECT value FROM json_each(?2)))
           ORDER BY a.id, f.processor, said.id""",
        some,
        keys,
    )
    return [
        (asset, FACTS[key] if key in FACTS else FACTS[path.removeprefix("$.")], text) for asset, key, path, text in rows
    ]


class TextHits(NamedTuple):
    """Best first. ``tagged``: those that some word is a term of; ``written``: those that hold every word themselves."""

    tagged: list[AssetId]
    written: list[AssetId]


def find_texts(connection: Connection, words: Sequence[Says], where: Predicate, limit: int) -> TextHits:
    """The visible assets of which every word is written, or said by a term, and that ``where`` holds of."""
    if not words:
        return TextHits([], [])
    with_terms = [each for each in words if each.terms][:TERM_WORDS]
    tagged: dict[AssetId, None] = {}
    for size in range(len(with_terms), 0, -1):
        for chosen in combinations(with_terms, size):
            written = [each for each in words if each not in chosen]
            tagged |= dict.fromkeys(_tagged(connection, chosen, written, where, limit))
    return TextHits(list(tagged)[:limit], _written(connection, words, where, limit))


def _written(connection: Connection, words: Sequence[Says], where: Predicate, limit: int) -> list[AssetId]:
    pattern, (clause, values) = match_of(words), where.row_clause()
    if _is_common(connection, pattern):
        sql = f"{WRITTEN} AND {ALONE} AND {clause} ORDER BY w.rowid DESC LIMIT ?"
    else:
        sql = f"{WRITTEN} AND {ALONE} AND {clause} ORDER BY bm25(asset_text, {WEIGHTS}), w.rowid LIMIT ?"
    return [id_ for (id_,) in connection.rows(sql, pattern, *values, limit)]


def _is_common(connection: Connection, pattern: str) -> bool:
    hits = "SELECT rowid FROM asset_text WHERE asset_text MATCH ? ORDER BY rowid DESC LIMIT ?"
    return len(connection.rows(hits, pattern, RANKED_BELOW + 1)) > RANKED_BELOW


def _tagged(
    connection: Connection, terms: Sequence[Says], written: Sequence[Says], where: Predicate, limit: int
) -> list[AssetId]:
    """The newest whose terms say the first words, and whose texts the others. The candidates come from the texts that
    match, or else from whatever carries the first terms."""
    others = [one_of(each.terms) for each in (terms if written else terms[1:])]
    clause, values = joined([(ALONE, ()), where.row_clause(), *others])
    if written:
        sql = f"{WRITTEN} AND {clause} ORDER BY a.id DESC LIMIT ?"
        return [id_ for (id_,) in connection.rows(sql, match_of(written), *values, limit)]
    marks, carried = term_marks(terms[0].terms)
    sql = f"SELECT DISTINCT a.id FROM (SELECT asset FROM tagging WHERE term IN ({marks})) AS w"  # noqa: S608  # marks only
    sql += f" CROSS JOIN asset AS a ON a.id = w.asset WHERE {clause} ORDER BY a.id DESC LIMIT ?"
    return [id_ for (id_,) in connection.rows(sql, *carried, *values, limit)]


def match_of(words: Sequence[Says]) -> str:
    return " AND ".join(each.pattern() for each in words)


def columns_saying(connection: Connection, asset: AssetId, words: Sequence[Says]) -> list[str]:
    """Which of its texts hold any of the words."""
    pattern = " OR ".join(each.pattern() for each in words)
    return [
        column
        for column in COLUMNS
        if words
        and connection.exists(
            "SELECT 1 FROM asset_text WHERE asset_text MATCH ? AND rowid = ?", f"{{{column}}} : ({pattern})", asset
        )
    ]


def terms_saying(connection: Connection, words: str, *, prefix: bool, limit: int) -> list[TermId]:
    """Terms whose name holds the words, in their order."""
    if is_unspaced(words):  # the triggers that fill the index know nothing of such scripts: walk the vocabulary
        return _terms_holding(connection, words, limit)
    rows = connection.rows(
        "SELECT rowid FROM term_text WHERE term_text MATCH ? ORDER BY rowid LIMIT ?",
        Says(words, prefix).pattern(),
        limit,
    )
    return [id_ for (id_,) in rows]


def _terms_holding(connection: Connection, text: str, limit: int) -> list[TermId]:
    rows = connection.rows(
        "SELECT t.id FROM term AS t WHERE instr(t.name, ?1)"
        " OR EXISTS (SELECT 1 FROM term_label AS l WHERE l.term = t.id AND instr(l.name, ?1)) ORDER BY t.id LIMIT ?2",
        text,
        limit,
    )
    return [id_ for (id_,) in rows]

"""The models whose vectors are kept: which names their vectors go by, and which of them answers.

Point reads, or inside a transaction; functions named ``list_…`` may scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from damfs.catalog import derived
from damfs.catalog.database import Connection, Row

ANSWERING = "answering-space"
COLUMNS = "id, name, visual, meeting, words, dimensions"


@dataclass(frozen=True, slots=True)
class Space:
    """``visual``, ``meeting``, ``words``: the ids (embedding.model) of its vectors of pictures, of pictures to compare
    with words, and of texts. Two models, or two lengths of vectors, never share an id."""

    id: str
    name: str
    """As model.name of the settings has it."""
    visual: str | None
    meeting: str | None
    words: str
    dimensions: Mapping[str, int]

    @property
    def pictures(self) -> list[str]:
        return sorted({model for model in (self.visual, self.meeting) if model is not None})

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(sorted(self.dimensions))


def _space(row: Row) -> Space:
    id_, name, visual, meeting, words, dimensions = row
    return Space(id_, name, visual, meeting, words, msgspec.json.decode(dimensions, type=dict[str, int]))


def space(connection: Connection, id_: str) -> Space | None:
    row = connection.row(f"SELECT {COLUMNS} FROM space WHERE id = ?", id_)  # noqa: S608  # constant columns
    return None if row is None else _space(row)


def named(connection: Connection, name: str) -> Space | None:
    """The one that was loaded last under a name: its weights may have been changed."""
    row = connection.row(
        f"SELECT {COLUMNS} FROM space WHERE name = ? ORDER BY made_ns DESC, id LIMIT 1",  # noqa: S608  # as above
        name,
    )
    return None if row is None else _space(row)


def list_spaces(connection: Connection) -> list[Space]:
    return [_space(row) for row in connection.rows(f"SELECT {COLUMNS} FROM space ORDER BY made_ns, id")]  # noqa: S608  # as above


def learn(tx: Connection, found: Space, at_ns: int) -> bool:
    """Whether it is new, or has come back under its name."""
    before = named(tx, found.name)
    if before is not None and before.id == found.id:
        return False
    tx.run(
        "INSERT OR REPLACE INTO space (id, name, visual, meeting, words, dimensions, made_ns)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        found.id,
        found.name,
        found.visual,
        found.meeting,
        found.words,
        msgspec.json.encode(found.dimensions).decode(),
        at_ns,
    )
    return True


def drop(tx: Connection, id_: str) -> None:
    """Also that anything was done for it: if it comes back it is made anew."""
    tx.run("DELETE FROM fact WHERE json_extract(facts, '$.space.id') = ?", id_)
    tx.run("DELETE FROM space WHERE id = ?", id_)


def drop_vectors(tx: Connection, models: tuple[str, ...], limit: int) -> int:
    """How many went."""
    marks = ", ".join("?" * len(models))
    return tx.run(
        f"DELETE FROM embedding WHERE id IN (SELECT id FROM embedding WHERE model IN ({marks}) LIMIT ?)",  # noqa: S608  # marks only
        *models,
        limit,
    )


def answering(connection: Connection) -> Space | None:
    """The space that answers; None: the built-in descriptor does."""
    id_ = derived.property_value(connection, ANSWERING)
    return None if id_ is None else space(connection, id_)


def set_answering(tx: Connection, id_: str) -> None:
    derived.set_property(tx, ANSWERING, id_)


def list_count(connection: Connection, models: tuple[str, ...]) -> int:
    """Number of blobs that have a vector of any of the models."""
    marks = ", ".join("?" * len(models))
    return connection.integer(
        f"SELECT count(DISTINCT blob) FROM embedding WHERE model IN ({marks})",  # noqa: S608  # marks only
        *models,
    )

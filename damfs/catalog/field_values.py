"""The values of fields by which assets are found: rows made of the facts of their bytes.

`refresh` belongs in the transaction that changed the facts; the others are point reads, except ``list_…``, which may
scan (reader thread). Crash rule: the rows are derived, and are made again whenever facts are set.
"""

from __future__ import annotations

from collections.abc import Mapping

from damfs.catalog.database import Connection
from damfs.catalog.field_predicates import field_facet, value_facets
from damfs.catalog.fields import BROWSABLE, BY_NAME, NumberValue, TextValue, key_of, values_of
from damfs.model import AssetId, BlobId, Facet, Facts

BROWSED = ", ".join(f"'{name}'" for name in BROWSABLE)


def refresh(tx: Connection, blob: BlobId, facts: Mapping[str, Facts]) -> frozenset[str]:
    """Let the values be those of these facts, all that is known of the blob; the fields whose values changed."""
    before = _stored(tx, blob)
    spelled = {(old.field, old.key): old for old in before if isinstance(old, TextValue)}
    after = {_spelled(tx, value, spelled) for value in values_of(facts)}
    for old in before - after:
        if isinstance(old, TextValue):
            tx.run("DELETE FROM field_text WHERE blob = ? AND field = ? AND key = ?", blob, old.field, old.key)
        else:
            tx.run("DELETE FROM field_number WHERE blob = ? AND field = ? AND number = ?", blob, *old)
    new = after - before
    texts = [(blob, *each) for each in new if isinstance(each, TextValue)]
    numbers = [(blob, *each) for each in new if isinstance(each, NumberValue)]
    tx.insert_all("INSERT INTO field_text (blob, field, key, text) VALUES (?, ?, ?, ?)", texts)
    tx.insert_all("INSERT INTO field_number (blob, field, number) VALUES (?, ?, ?)", numbers)
    return frozenset(each.field for each in before ^ after)


def _stored(connection: Connection, blob: BlobId) -> set[TextValue | NumberValue]:
    texts = connection.rows("SELECT field, key, text FROM field_text WHERE blob = ?", blob)
    numbers = connection.rows("SELECT field, number FROM field_number WHERE blob = ?", blob)
    return {*map(TextValue._make, texts), *map(NumberValue._make, numbers)}


def _spelled(
    connection: Connection, value: TextValue | NumberValue, stored: Mapping[tuple[str, str], TextValue]
) -> TextValue | NumberValue:
    """One value is one directory: however a later file spells it, it is shown as the first one had it. ``stored``: of
    the same bytes, by field and key: they found their spelling when they came."""
    if isinstance(value, NumberValue):
        return value
    if (value.field, value.key) in stored:
        return stored[value.field, value.key]
    if not BY_NAME[value.field].levels:
        known = connection.value(
            str, "SELECT text FROM field_text WHERE field = ? AND key = ? LIMIT 1", value.field, value.key
        )
        return value if known is None else value._replace(text=known)
    steps: list[str] = []
    for step in value.text.split("/"):
        known = _known_path(connection, value.field, key_of("/".join([*steps, step])))
        steps = [*steps, step] if known is None else known.split("/")[: len(steps) + 1]
    return value._replace(text="/".join(steps))


def _known_path(connection: Connection, field: str, key: str) -> str | None:
    """A value that is there, or below it."""
    return connection.value(
        str,
        "SELECT text FROM field_text WHERE field = ?1 AND key = ?2"
        " UNION ALL SELECT text FROM field_text WHERE field = ?1 AND key >= ?2 || '/' AND key < ?2 || '0' LIMIT 1",
        field,
        key,
    )


def forget(tx: Connection, blob: BlobId) -> None:
    tx.run("DELETE FROM field_text WHERE blob = ?", blob)
    tx.run("DELETE FROM field_number WHERE blob = ?", blob)


def browsed(connection: Connection, asset: AssetId) -> list[tuple[str, str, str]]:
    """Field, key and text of the values that make directories in which the asset is."""
    return connection.rows(
        "SELECT f.field, f.key, f.text FROM asset AS a JOIN field_text AS f ON f.blob = a.blob"  # noqa: S608  # names of declared fields
        f" WHERE a.id = ? AND f.field IN ({BROWSED})",
        asset,
    )


def facets_of(connection: Connection, asset: AssetId) -> frozenset[Facet]:
    """What the values of an asset touch when it comes or goes."""
    return frozenset().union(*(value_facets(field, key) for field, key, _ in browsed(connection, asset)))


def changed_facets(fields: frozenset[str]) -> frozenset[Facet]:
    return frozenset(map(field_facet, fields))


def list_keys(connection: Connection, field: str, above: str) -> list[tuple[str, str]]:
    """Keys and texts of a field that visible assets have, in order; with ``above`` only those below that key.

    O(number of answers): each is found by a step in the index.
    """
    low, high = (above + "/", above + "0") if above else ("", "\U0010ffff")
    rows = connection.rows(
        """WITH RECURSIVE found (key) AS (
             SELECT (SELECT min(key) FROM field_text WHERE field = ?1 AND key >= ?2 AND key < ?3)
             UNION ALL
             SELECT (SELECT min(key) FROM field_text WHERE field = ?1 AND key > found.key AND key < ?3)
             FROM found WHERE found.key IS NOT NULL)
           SELECT key, (SELECT text FROM field_text WHERE field = ?1 AND key = found.key LIMIT 1) FROM found
           WHERE key IS NOT NULL AND EXISTS (
             SELECT 1 FROM field_text AS f JOIN asset AS a ON a.blob = f.blob
             WHERE f.field = ?1 AND f.key = found.key AND a.visible)""",
        field,
        low,
        high,
    )
    return [(key, text) for key, text in rows]


def has_key(connection: Connection, field: str, text: str, key: str) -> bool:
    """Whether a visible asset has the value, or one below it, in this spelling."""
    return connection.exists(
        "SELECT 1 FROM field_text AS f JOIN asset AS a ON a.blob = f.blob"
        " WHERE f.field = ?1 AND f.key = ?2 AND f.text = ?3 AND a.visible LIMIT 1",
        field,
        key,
        text,
    ) or connection.exists(
        "SELECT 1 FROM field_text AS f JOIN asset AS a ON a.blob = f.blob WHERE f.field = ?1"
        " AND f.key >= ?2 || '/' AND f.key < ?2 || '0' AND substr(f.text, 1, length(?3) + 1) = ?3 || '/'"
        " AND a.visible LIMIT 1",
        field,
        key,
        text,
    )

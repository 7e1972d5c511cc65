"""Reads what can still be read of a catalog that is damaged: rows that cannot be read are counted and passed over.

Plain queries over ranges of ids; a range that fails is halved until the bad row stands alone. Nothing is written.
Blocks. A table whose columns are not there (another schema) counts as unreadable, the rest is read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import apsw
import msgspec

from damfs.catalog.database import Connection
from damfs.catalog.old_rows import (
    HIGHEST,
    QUERIES,
    RANGED_BY,
    OldBlob,
    OldCopy,
    OldEmbedding,
    OldFact,
    OldFolder,
    OldJob,
    OldPlace,
    OldRendition,
    OldStore,
    OldTree,
)
from damfs.model import AssetId, BlobId

PAGE = 1024
ID_LIMIT = 1_000_000_000
"""A counter that is damaged may say anything."""
T = TypeVar("T")


class Derived(NamedTuple):
    """All that was derived from some bytes."""

    digest: bytes
    facts: list[OldFact]
    renditions: list[OldRendition]
    embeddings: list[OldEmbedding]
    jobs: list[OldJob]


class Salvage:
    """An old catalog. ``lost``: ids that could not be read, by table (an upper bound); -1: nothing of it could."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost: Counter[str] = Counter()
        self._connection: Connection | None = None
        with suppress(apsw.Error):
            self._connection = Connection(path, read_only=True)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def highest(self, table: str) -> int:
        """The highest id that a table ever gave; 0 when it cannot be told."""
        return max(
            self._number("SELECT seq FROM sqlite_sequence WHERE name = ?", table) or 0,
            self._number(HIGHEST[table]) or 0,
        )

    def property_value(self, name: str) -> str | None:
        if self._connection is None:
            return None
        try:
            return self._connection.value(str, "SELECT value FROM property WHERE name = ?", name)
        except (apsw.Error, UnicodeDecodeError, TypeError):
            return None

    def each(self, kind: type[T]) -> Iterator[T]:
        """The rows of a table that can be read, by id; only whole pages of ids are held at once."""
        table, sql = QUERIES[kind]
        if not self._can_ask(sql):
            self.lost[table] = -1
            return
        for low in range(0, min(self.highest(RANGED_BY.get(table, table)), ID_LIMIT), PAGE):
            yield from self._range(kind, table, sql, low, low + PAGE)

    def derived(self) -> Iterator[Derived]:
        """What was derived from each blob."""
        top = min(self.highest("blob"), ID_LIMIT)
        for low in range(0, top, PAGE):
            found: dict[int, Derived] = {
                blob.id: Derived(blob.digest, [], [], [], []) for blob in self._page(OldBlob, low)
            }
            for fact in self._page(OldFact, low):
                found[fact.blob].facts.append(fact)
            for rendition in self._page(OldRendition, low):
                found[rendition.blob].renditions.append(rendition)
            for embedding in self._page(OldEmbedding, low):
                found[embedding.blob].embeddings.append(embedding)
            for job in self._page(OldJob, low):
                found[job.blob].jobs.append(job)
            yield from found.values()

    def _page(self, kind: type[T], low: int) -> list[T]:
        table, sql = QUERIES[kind]
        return self._range(kind, table, sql, low, low + PAGE)

    def has(self, table: str) -> bool:
        """Whether the schema of that catalog has the table: an older one may not."""
        return bool(self._number("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", table))

    def has_column(self, table: str, column: str) -> bool:
        return bool(self._number("SELECT count(*) FROM pragma_table_info(?) WHERE name = ?", table, column))

    def tree(self) -> OldTree:
        """Where files lie, or lay, and which folders there were."""
        store_names = {store.id: store.name for store in self.each(OldStore)}
        folders = {folder.id: folder for folder in self.each(OldFolder)}
        paths = {id_: path for id_ in folders if (path := _path(folders, id_)) and path[0] in store_names}
        files: dict[int, list[OldPlace]] = defaultdict(list)
        for copy in self.each(OldCopy):
            if copy.folder in paths:
                store, above = paths[copy.folder]
                files[copy.asset].append(OldPlace(copy.id, copy.blob, store_names[store], above + copy.name))
        keys = {id_: (store_names[store], path[:-1]) for id_, (store, path) in paths.items() if path}
        return OldTree(files, keys)

    def _can_ask(self, sql: str) -> bool:
        if self._connection is None:
            return False
        try:
            self._connection.rows(sql, 0, 0)
        except apsw.Error:
            return False
        return True

    def _number(self, sql: str, *values: str) -> int | None:
        if self._connection is None:
            return None
        try:
            return self._connection.integer(sql, *values)
        except (apsw.Error, UnicodeDecodeError, TypeError):
            return None

    def _range(self, kind: type[T], table: str, sql: str, low: int, high: int) -> list[T]:
        assert self._connection is not None
        try:
            rows = self._connection.rows(sql, low, high)
        except (apsw.Error, UnicodeDecodeError):
            if high - low == 1:
                self.lost[table] += 1
                return []
            middle = (low + high) // 2
            return [*self._range(kind, table, sql, low, middle), *self._range(kind, table, sql, middle, high)]
        return [record for row in rows if (record := self._checked(kind, table, row)) is not None]

    def _checked(self, kind: type[T], table: str, row: tuple[object, ...]) -> T | None:
        try:
            return msgspec.convert(row, kind, builtin_types=(bytes,))
        except msgspec.ValidationError:
            self.lost[table] += 1
            return None


def _path(folders: dict[int, OldFolder], id_: int) -> tuple[int, bytes] | None:
    """Store and path (with a slash behind it) of a folder; None when a part of it is lost."""
    parts: list[bytes] = []
    current = folders.get(id_)
    while current is not None and current.parent is not None and len(parts) < len(folders):
        parts.append(current.name)
        current = folders.get(current.parent)
    if current is None or current.parent is not None:
        return None
    return current.store, b"".join(part + b"/" for part in reversed(parts))


def continue_ids(tx: Connection, table: str, highest: int) -> None:
    """Give no id of an old catalog again."""
    if not tx.run("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", highest, table):
        tx.run("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", table, highest)


def restore_standing(tx: Connection, asset: AssetId, created_ns: int, triaged: int) -> None:
    tx.run("UPDATE asset SET created_ns = ?, triaged = ? WHERE id = ?", created_ns, int(bool(triaged)), asset)


def restore_job(tx: Connection, blob: BlobId, job: OldJob, at_ns: int) -> None:
    """In place of one that was planned meanwhile."""
    tx.run(
        "INSERT OR REPLACE INTO job (blob, processor, processor_version, priority, state, due_ns, error, updated_ns)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6)",
        blob, job.processor, job.processor_version, job.priority, str(job.state), at_ns, job.error,
    )  # fmt: skip

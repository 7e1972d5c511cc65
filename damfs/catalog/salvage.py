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
from damfs.model import AssetId, AssetState, BlobId, JobState, Media, RenditionKind, StoreKind, TagSource

PAGE = 1024
ID_LIMIT = 1_000_000_000
"""A counter that is damaged may say anything."""
T = TypeVar("T")


class OldStore(NamedTuple):
    id: int
    name: str
    kind: StoreKind
    root: str


class OldFolder(NamedTuple):
    id: int
    store: int
    parent: int | None
    name: bytes


class OldBlob(NamedTuple):
    id: int
    digest: bytes


class OldAsset(NamedTuple):
    id: int
    name: str
    media: Media
    state: AssetState
    triaged: int
    closed: int
    size: int
    mtime_ns: int
    mode: int
    day: str
    captured_ns: int | None
    blob: int | None
    created_ns: int


class OldVersion(NamedTuple):
    id: int
    asset: int


class OldRewrite(NamedTuple):
    asset: int
    closed: int


class OldCopy(NamedTuple):
    id: int
    asset: int
    folder: int
    name: bytes


class OldTerm(NamedTuple):
    id: int
    name: str
    broader: int | None


class OldTagging(NamedTuple):
    asset: int
    term: int
    source: TagSource
    confidence: float


class OldSearch(NamedTuple):
    id: int
    query: str


class OldJudgement(NamedTuple):
    asset: int
    term: int
    confidence: float | None
    processor: str
    model: str


class OldLabel(NamedTuple):
    term: int
    language: str
    name: str
    preferred: int


class OldNote(NamedTuple):
    term: int
    language: str
    note: str


class OldDetail(NamedTuple):
    term: int
    language: str
    prompt: str
    uri: str
    grouping: int


class OldRelation(NamedTuple):
    term: int
    other: int


class OldRemark(NamedTuple):
    asset: int
    rating: int
    comment: str


class OldAttribute(NamedTuple):
    asset: int
    name: bytes
    value: bytes


class OldFact(NamedTuple):
    blob: int
    processor: str
    facts: str


class OldRendition(NamedTuple):
    id: int
    blob: int
    kind: RenditionKind
    profile: str
    key: str
    size: int
    made_ns: int
    detail: str


class OldEmbedding(NamedTuple):
    id: int
    blob: int
    model: str
    at_ns: int
    vector: bytes


class OldJob(NamedTuple):
    id: int
    blob: int
    processor: str
    processor_version: int
    priority: int
    state: JobState
    error: str | None


QUERIES: dict[type, tuple[str, str]] = {
    OldStore: ("store", "SELECT id, name, kind, root FROM store WHERE id > ? AND id <= ?"),
    OldFolder: ("folder", "SELECT id, store, parent, name FROM folder WHERE id > ? AND id <= ?"),
    OldBlob: ("blob", "SELECT id, digest FROM blob WHERE id > ? AND id <= ?"),
    OldAsset: (
        "asset",
        """SELECT id, name, media, state, triaged, closed, size, mtime_ns, mode, day, captured_ns, blob, created_ns
        FROM asset WHERE id > ? AND id <= ?""",
    ),
    OldVersion: ("version", "SELECT id, asset FROM version WHERE id > ? AND id <= ?"),
    OldRewrite: ("rewrite", "SELECT asset, closed FROM rewrite WHERE asset > ? AND asset <= ?"),
    OldCopy: ("copy", "SELECT id, asset, folder, name FROM copy WHERE id > ? AND id <= ?"),
    OldTerm: ("term", "SELECT id, name, broader FROM term WHERE id > ? AND id <= ?"),
    OldTagging: ("tagging", "SELECT asset, term, source, confidence FROM tagging WHERE asset > ? AND asset <= ?"),
    OldSearch: ("saved_search", "SELECT id, query FROM saved_search WHERE id > ? AND id <= ?"),
    OldJudgement: (
        "judgement",
        "SELECT asset, term, confidence, processor, model FROM judgement WHERE asset > ? AND asset <= ?",
    ),
    OldLabel: ("term_label", "SELECT term, language, name, preferred FROM term_label WHERE term > ? AND term <= ?"),
    OldNote: ("term_note", "SELECT term, language, note FROM term_note WHERE term > ? AND term <= ?"),
    OldDetail: (
        "term_detail",
        "SELECT term, language, prompt, uri, grouping FROM term_detail WHERE term > ? AND term <= ?",
    ),
    OldRelation: ("term_relation", "SELECT term, other FROM term_relation WHERE term > ? AND term <= ?"),
    OldRemark: ("remark", "SELECT asset, rating, comment FROM remark WHERE asset > ? AND asset <= ?"),
    OldAttribute: ("attribute", "SELECT asset, name, value FROM attribute WHERE asset > ? AND asset <= ?"),
    OldFact: ("fact", "SELECT blob, processor, facts FROM fact WHERE blob > ? AND blob <= ?"),
    OldRendition: (
        "rendition",
        "SELECT id, blob, kind, profile, key, size, made_ns, detail FROM rendition WHERE blob > ? AND blob <= ?",
    ),
    OldEmbedding: ("embedding", "SELECT id, blob, model, at_ns, vector FROM embedding WHERE blob > ? AND blob <= ?"),
    OldJob: (
        "job",
        "SELECT id, blob, processor, processor_version, priority, state, error FROM job WHERE blob > ? AND blob <= ?",
    ),
}
"""Record to its table, and the rows of a range of ids: of what the rows are about, where they have no id."""
RANGED_BY = {
    **dict.fromkeys(("tagging", "rewrite", "remark", "attribute", "judgement"), "asset"),
    **dict.fromkeys(("term_label", "term_note", "term_detail", "term_relation"), "term"),
    **dict.fromkeys(("fact", "rendition", "embedding", "job"), "blob"),
}
HIGHEST = {
    "store": "SELECT max(id) FROM store",
    "folder": "SELECT max(id) FROM folder",
    "blob": "SELECT max(id) FROM blob",
    "asset": "SELECT max(id) FROM asset",
    "version": "SELECT max(id) FROM version",
    "copy": "SELECT max(id) FROM copy",
    "term": "SELECT max(id) FROM term",
    "saved_search": "SELECT max(id) FROM saved_search",
    "rendition": "SELECT max(id) FROM rendition",
    "embedding": "SELECT max(id) FROM embedding",
    "job": "SELECT max(id) FROM job",
    "change": "SELECT max(seq) FROM change",
}


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

    def keys(self) -> dict[int, list[tuple[str, bytes]]]:
        """Asset to the places of its files: name of the store and key."""
        store_names = {store.id: store.name for store in self.each(OldStore)}
        folders = {folder.id: folder for folder in self.each(OldFolder)}
        found: dict[int, list[tuple[str, bytes]]] = defaultdict(list)
        for copy in self.each(OldCopy):
            place = _path(folders, copy.folder)
            if place is not None and place[0] in store_names:
                found[copy.asset].append((store_names[place[0]], place[1] + copy.name))
        return found

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

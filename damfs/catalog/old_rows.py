"""The rows of an old catalog that are worth something, each as plain data, and the statements that read them.

Rows of a range of ids, so that a page that cannot be read costs no others. Pure: `salvage` asks.
"""

from __future__ import annotations

from typing import NamedTuple

from damfs.model import AssetState, JobState, Media, RenditionKind, StoreKind, TagSource


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
    size: int


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
    number: int
    blob: int
    mtime_ns: int
    created_ns: int


class OldRewrite(NamedTuple):
    asset: int
    closed: int


class OldCopy(NamedTuple):
    id: int
    asset: int
    blob: int
    folder: int
    name: bytes


class OldTrashed(NamedTuple):
    asset: int
    at_ns: int
    place: str


class OldAside(NamedTuple):
    copy: int
    key: bytes


class OldOwner(NamedTuple):
    asset: int
    uid: int
    gid: int


class OldFolderAttribute(NamedTuple):
    folder: int
    mode: int
    mtime_ns: int | None
    uid: int | None
    gid: int | None


class OldPlace(NamedTuple):
    """Where a copy lies, or lay: store by name, and key."""

    copy: int
    blob: int
    store: str
    key: bytes


class OldTree(NamedTuple):
    files: dict[int, list[OldPlace]]
    """By asset."""
    folders: dict[int, tuple[str, bytes]]
    """Store by name, and path; without the tops of the stores."""


class OldTerm(NamedTuple):
    id: int
    name: str
    broader: int | None


class OldTagging(NamedTuple):
    asset: int
    term: int
    source: TagSource
    confidence: float
    processor: str
    model: str


class OldPlainTagging(NamedTuple):
    """Before schema 3: by which model is not told."""

    asset: int
    term: int
    source: TagSource
    confidence: float
    processor: str = ""
    model: str = ""


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
    OldBlob: ("blob", "SELECT id, digest, size FROM blob WHERE id > ? AND id <= ?"),
    OldAsset: (
        "asset",
        """SELECT id, name, media, state, triaged, closed, size, mtime_ns, mode, day, captured_ns, blob, created_ns
        FROM asset WHERE id > ? AND id <= ?""",
    ),
    OldVersion: (
        "version",
        "SELECT id, asset, number, blob, mtime_ns, created_ns FROM version WHERE id > ? AND id <= ?",
    ),
    OldRewrite: ("rewrite", "SELECT asset, closed FROM rewrite WHERE asset > ? AND asset <= ?"),
    OldCopy: ("copy", "SELECT id, asset, blob, folder, name FROM copy WHERE id > ? AND id <= ?"),
    OldTrashed: ("trashed", "SELECT asset, at_ns, place FROM trashed WHERE asset > ? AND asset <= ?"),
    OldAside: ("aside", "SELECT copy, key FROM aside WHERE copy > ? AND copy <= ?"),
    OldOwner: ("asset_owner", "SELECT asset, uid, gid FROM asset_owner WHERE asset > ? AND asset <= ?"),
    OldFolderAttribute: (
        "folder_attribute",
        "SELECT folder, mode, mtime_ns, uid, gid FROM folder_attribute WHERE folder > ? AND folder <= ?",
    ),
    OldTerm: ("term", "SELECT id, name, broader FROM term WHERE id > ? AND id <= ?"),
    OldTagging: (
        "tagging",
        "SELECT asset, term, source, confidence, processor, model FROM tagging WHERE asset > ? AND asset <= ?",
    ),
    OldPlainTagging: ("tagging", "SELECT asset, term, source, confidence FROM tagging WHERE asset > ? AND asset <= ?"),
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
    **dict.fromkeys(("tagging", "rewrite", "remark", "attribute", "judgement", "trashed", "asset_owner"), "asset"),
    "aside": "copy",
    "folder_attribute": "folder",
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

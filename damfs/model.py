"""The words of damfs as data: ids, states and the frozen records that layers hand to each other.

Pure: no I/O, no event loop, nothing that blocks. Times are int nanoseconds since the epoch (UTC) unless a
name says otherwise; sizes are bytes. A key is *bytes* (what the file system below uses), a name is *str* (NFC).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

AssetId = NewType("AssetId", int)
BlobId = NewType("BlobId", int)
CopyId = NewType("CopyId", int)
FolderId = NewType("FolderId", int)
JobId = NewType("JobId", int)
RenditionId = NewType("RenditionId", int)
StoreId = NewType("StoreId", int)
TermId = NewType("TermId", int)
VersionId = NewType("VersionId", int)
Seq = NewType("Seq", int)
Digest = NewType("Digest", bytes)
"""BLAKE3, 32 bytes."""
Key = NewType("Key", bytes)
"""Path of a blob inside its store: relative, ``/``-separated, the bytes the store's file system uses."""
Nanoseconds = NewType("Nanoseconds", int)
Facet = NewType("Facet", str)
"""What a predicate depends on and a change touches, e.g. ``tag:12``, ``day:2026-11-22``, ``folder:3``."""
Facts = Mapping[str, object]
"""What a processor found out about a blob: JSON values by name."""

LIBRARY_STORE = "library"
"""Name of the writable store that each library has."""
TRASH_FOLDER = b".damfs-trash"
"""Folder at the top of a writable store for files of assets that are in the trash."""


class Media(StrEnum):
    """What kind of thing an asset is; also the names of the directories of ``by-type/``."""

    VIDEO = "video"
    IMAGE = "image"
    AUDIO = "audio"
    OTHER = "other"


class AssetState(StrEnum):
    """RECEIVING: its bytes still arrive. MISSING: its file is gone from a store that is online."""

    RECEIVING = "receiving"
    PRESENT = "present"
    MISSING = "missing"
    TRASHED = "trashed"


class StoreKind(StrEnum):
    WRITABLE = "writable"
    READ_ONLY = "read-only"


class CopyState(StrEnum):
    PRESENT = "present"
    MISSING = "missing"
    DAMAGED = "damaged"


class JobState(StrEnum):
    WAITING = "waiting"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"


class RenditionKind(StrEnum):
    POSTER = "poster"
    THUMBNAIL = "thumbnail"
    PROXY = "proxy"
    CONTACT_SHEET = "contact-sheet"
    SPRITE = "sprite"
    WAVEFORM = "waveform"
    CLIP = "clip"
    FRAME = "frame"
    OTHER = "other"
    """Of a plug-in; its profile says what."""


class TagSource(StrEnum):
    """Who says that an asset carries a term, the one that counts most first."""

    PERSON = "person"
    RULE = "rule"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Store:
    id: StoreId
    name: str
    kind: StoreKind
    root: str
    online: bool


@dataclass(frozen=True, slots=True)
class Asset:
    """One row of the catalog's asset table. size, mtime_ns and blob are those of the current version."""

    id: AssetId
    name: str
    media: Media
    state: AssetState
    triaged: bool
    closed: bool
    size: int
    mtime_ns: int
    mode: int
    blob: BlobId | None


@dataclass(frozen=True, slots=True)
class Copy:
    """A blob at one key of one store, as it was when last seen."""

    id: CopyId
    blob: BlobId
    asset: AssetId
    store: StoreId
    folder: FolderId
    name: bytes
    size: int
    mtime_ns: int
    inode: int
    state: CopyState


@dataclass(frozen=True, slots=True)
class Term:
    id: TermId
    name: str
    broader: TermId | None


@dataclass(frozen=True, slots=True)
class Rendition:
    """Derived bytes; ``key`` is relative to the library's renditions directory."""

    id: RenditionId
    blob: BlobId
    kind: RenditionKind
    profile: str
    key: str
    size: int
    made_ns: int


@dataclass(frozen=True, slots=True)
class Job:
    """A step still to do for the bytes of a version: the same bytes are worked on once, whatever they are called."""

    id: JobId
    blob: BlobId
    processor: str
    processor_version: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the change feed. ``names``: the names of the asset (old and new) that listings may show."""

    seq: Seq
    at_ns: int
    actor: str
    kind: str
    asset: AssetId | None
    names: tuple[str, ...]
    facets: frozenset[Facet]
    detail: Facts = field(default_factory=dict)

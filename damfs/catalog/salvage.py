"""Reads what can still be read of a catalog that is damaged: rows that cannot be read are counted and passed over.

Plain queries over ranges of ids; a range that fails is halved until the bad row stands alone. Nothing is written.
Blocks. Columns of a catalog of another schema that are not there make their table unreadable, not the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from damfs.catalog.database import Connection, Row
from damfs.model import Digest

PAGE = 1024
DIGEST_SIZE = 32
NONE = type(None)

QUERIES: dict[str, tuple[str, tuple[tuple[type, ...], ...]]] = {
    "property": ("SELECT name, value FROM property WHERE rowid_of > ? AND rowid_of <= ?", ((str,), (str,))),
    "store": ("SELECT id, name, kind, root FROM store WHERE id > ? AND id <= ?", ((int,), (str,), (str,), (str,))),
    "folder": (
        "SELECT id, store, parent, name FROM folder WHERE id > ? AND id <= ?",
        ((int,), (int,), (int, NONE), (bytes,)),
    ),
    "blob": ("SELECT id, digest FROM blob WHERE id > ? AND id <= ?", ((int,), (bytes,))),
    "asset": (
        "SELECT id, name, media, state, triaged, closed, size, mtime_ns, mode, day, captured_ns, blob, created_ns"
        " FROM asset WHERE id > ? AND id <= ?",
        ((int,), (str,), (str,), (str,), (int,), (int,), (int,), (int,), (int,), (str,), (int, NONE), (int, NONE), (int,)),
    ),
    "version": ("SELECT id, asset FROM version WHERE id > ? AND id <= ?", ((int,), (int,))),
    "copy": (
        "SELECT id, asset, folder, name FROM copy WHERE id > ? AND id <= ?",
        ((int,), (int,), (int,), (bytes,)),
    ),
    "term": ("SELECT id, name, broader FROM term WHERE id > ? AND id <= ?", ((int,), (str,), (int, NONE))),
    "tagging": (
        "SELECT asset, term, source, confidence FROM tagging WHERE asset > ? AND asset <= ?",
        ((int,), (int,), (str,), (float,)),
    ),
    "fact": ("SELECT blob, processor, facts FROM fact WHERE blob > ? AND blob <= ?", ((int,), (str,), (str,))),
}

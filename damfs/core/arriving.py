"""Whether a file of a folder that others write to is whole: closed, quiet, of one size, and with its index.

Blocks (a few system calls, for young files only). Crash rule: nothing is kept; the next scan asks again. A file that
nobody has touched for long counts as whole, whatever it looks like: a broken recording has to show up as broken.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

from damfs.errors import DamfsError
from damfs.model import Key
from damfs.storage.blob_store import BlobStore, FileFact
from damfs.storage.open_writers import is_written

SECOND_NS = 1_000_000_000
QUIET_S = 2.0
"""A file that nobody asked for by name is taken when it was not written to for so long."""
GIVEN_UP_S = 600.0
INDEXES = frozenset({b"moov", b"moof", b"meta"})
"""Of a clip, of its pieces, of a still picture (HEIF)."""
BEFORE_INDEX = frozenset({b"ftyp", b"mdat", b"wide", b"free", b"skip"})


def split(
    files: BlobStore, facts: Sequence[FileFact], now_ns: int, quiet_s: float
) -> tuple[list[FileFact], dict[Key, str]]:
    """Those that are whole, and of the others what they wait for."""
    waiting = {fact.key: why for fact in facts if (why := why_not_yet(files, fact, now_ns, quiet_s)) is not None}
    return [fact for fact in facts if fact.key not in waiting], waiting


def why_not_yet(files: BlobStore, fact: FileFact, now_ns: int, quiet_s: float) -> str | None:
    """What a file waits for; None when it is whole. One that cannot be looked at is left to whoever reads it."""
    age_s = (now_ns - fact.mtime_ns) / SECOND_NS
    if not 0 <= age_s < GIVEN_UP_S:  # a clock that is ahead says nothing
        return None
    try:
        descriptor = files.open(fact.key)
    except DamfsError:
        return None
    try:
        written = is_written(descriptor)
        if written:
            return "a program has it open for writing"
        if age_s < (QUIET_S if written is None else quiet_s):
            return "it was written to a moment ago"
        if os.fstat(descriptor).st_size != fact.size:
            return "it grows"
        return "its recording is not finished: it has no index (moov) yet" if lacks_index(descriptor) else None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def lacks_index(descriptor: int) -> bool:
    """Whether it is a QuickTime or MP4 file without the box that says where its pictures are."""
    boxes = top_boxes(descriptor)
    return bool(boxes) and boxes[0] in BEFORE_INDEX and not INDEXES & set(boxes)


def top_boxes(descriptor: int, limit: int = 64) -> list[bytes]:
    """Types of the outermost boxes, the one that the file ends in included (ISO 14496-12, 4.2)."""
    found: list[bytes] = []
    at, size = 0, os.fstat(descriptor).st_size
    while at + 8 <= size and len(found) < limit:
        head = os.pread(descriptor, 16, at)
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if not kind.isalnum() or (length < 8 and length != 0):
            return found
        found.append(kind)
        at = size if length == 0 else at + length
    return found

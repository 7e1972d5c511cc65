"""Whether a file of a folder that others write to is whole: closed, quiet, of one size, and finished (`finished`).

Blocks (a few system calls, for young files only). Crash rule: nothing is kept; the next scan asks again. A file that
nobody has touched for long is taken whatever it looks like, and the scan says so: a broken recording has to show up.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from damfs.core.finished import what_it_lacks
from damfs.errors import DamfsError
from damfs.model import Key
from damfs.storage.blob_store import BlobStore, FileFact
from damfs.storage.open_writers import is_written

SECOND_NS = 1_000_000_000
QUIET_S = 2.0
"""A file that nobody asked for by name is taken when it was not written to for so long."""
GIVEN_UP_S = 600.0
AHEAD_S = 3600.0
"""A time further in the future is no clock of another machine: it says nothing."""


@dataclass(frozen=True, slots=True)
class Met:
    """A file that waits, as it was met, and by our clock since when it is so."""

    size: int
    mtime_ns: int
    since_ns: int


Waiting = Mapping[Key, Met]
NOBODY: Waiting = {}


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a scan takes, what waits and for what, and what is taken although it is not finished."""

    whole: list[FileFact] = field(default_factory=list)
    waiting: dict[Key, str] = field(default_factory=dict)
    given_up: dict[Key, str] = field(default_factory=dict)
    met: dict[Key, Met] = field(default_factory=dict)


def split(
    files: BlobStore, facts: Sequence[FileFact], now_ns: int, quiet_s: float, before: Waiting = NOBODY
) -> Arrival:
    """``before``: those that waited when it was last asked."""
    found = Arrival()
    for fact in facts:
        met = met_again(before.get(fact.key), fact, now_ns)
        why = why_not_yet(files, fact, now_ns, quiet_s, met)
        if why is not None:
            found.waiting[fact.key], found.met[fact.key] = why, met
            continue
        found.whole.append(fact)
        lacking = _lacking(files, fact) if fact.key in before else None
        if lacking is not None:
            found.given_up[fact.key] = lacking
    return found


def met_again(before: Met | None, fact: FileFact, now_ns: int) -> Met:
    same = before is not None and (before.size, before.mtime_ns) == (fact.size, fact.mtime_ns)
    return before if before is not None and same else Met(fact.size, fact.mtime_ns, now_ns)


def why_not_yet(files: BlobStore, fact: FileFact, now_ns: int, quiet_s: float, met: Met | None = None) -> str | None:
    """What a file waits for; None when it is whole. One that cannot be looked at is left to whoever reads it."""
    age_s = (now_ns - fact.mtime_ns) / SECOND_NS
    if -AHEAD_S < age_s < 0:  # the clock of its machine is ahead: what we saw ourselves counts
        age_s = (now_ns - met.since_ns) / SECOND_NS if met is not None else 0.0
    if not 0 <= age_s < GIVEN_UP_S:
        return None
    try:
        descriptor = files.open(fact.key)
    except DamfsError:
        return None
    try:
        return _why_not(descriptor, fact.size, age_s, quiet_s)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _why_not(descriptor: int, size: int, age_s: float, quiet_s: float) -> str | None:
    written = is_written(descriptor)
    if written:
        return "a program has it open for writing"
    if age_s < (QUIET_S if written is None else quiet_s):
        return "it was written to a moment ago"
    return "it grows" if os.fstat(descriptor).st_size != size else what_it_lacks(descriptor)


def _lacking(files: BlobStore, fact: FileFact) -> str | None:
    try:
        descriptor = files.open(fact.key)
    except DamfsError:
        return None
    try:
        return what_it_lacks(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)

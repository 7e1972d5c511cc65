"""Whether a file of a folder that others write to is whole: closed, quiet, of one size, and finished (`finished`).

Blocks (a few system calls). Crash rule: nothing is kept; the next scan asks again. Whoever writes may have another
clock: times of files are believed as far as nothing that was seen speaks against them. A file that nobody has touched
for long is taken whatever it looks like, and the scan says so: a broken recording has to show up.
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
"""By our clock, since a file was first met as it is."""
AHEAD_S = 3600.0
"""A time further in the future is no clock of another machine: it says nothing."""
LONG_AGO_S = 86_400.0
"""A time so far from ours is that of no file that is being written, unless it was seen to change."""


@dataclass(frozen=True, slots=True)
class Met:
    """A file that waits, as it was met, and by our clock since when it is so."""

    size: int
    mtime_ns: int
    since_ns: int
    changed: bool = False
    """It was met before, and was otherwise then."""


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
    if before is not None and (before.size, before.mtime_ns) == (fact.size, fact.mtime_ns):
        return before
    return Met(fact.size, fact.mtime_ns, now_ns, changed=before is not None)


def why_not_yet(files: BlobStore, fact: FileFact, now_ns: int, quiet_s: float, met: Met) -> str | None:
    """What a file waits for; None when it is whole. One that cannot be looked at is left to whoever reads it."""
    try:
        descriptor = files.open(fact.key)
    except DamfsError:
        return None
    try:
        return _why_not(descriptor, now_ns, quiet_s, met)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _why_not(descriptor: int, now_ns: int, quiet_s: float, met: Met) -> str | None:
    written = is_written(descriptor)
    if written:
        return "a program has it open for writing"
    if os.fstat(descriptor).st_size != met.size:
        return "it grows"
    age_s, seen_s = ((now_ns - since_ns) / SECOND_NS for since_ns in (met.mtime_ns, met.since_ns))
    if seen_s >= GIVEN_UP_S or (abs(age_s) >= LONG_AGO_S and not met.changed):
        return None
    asked_s = QUIET_S if written is None and age_s > -AHEAD_S else quiet_s
    if (seen_s if age_s < 0 else age_s) < asked_s:  # its machine's clock is ahead: what we saw ourselves counts
        return "it was written to a moment ago"
    return what_it_lacks(descriptor)


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

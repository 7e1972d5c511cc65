"""Looks closely at pictures and films that seem to be one: decodes them in a program of its own.

Concurrency: waits for that program, which only reads; it ends with whoever waits. It has the memory of a media worker,
and a limited time. Holds nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial

import trio

from damfs.catalog.database import Connection
from damfs.catalog.duplicates import Member
from damfs.core.library import Library
from damfs.core.near_duplicates import looks_of
from damfs.errors import Unavailable
from damfs.model import AssetId, BlobId

PROGRAM = "damfs.core.close_look"
PICTURES_LIMIT_S, FILM_LIMIT_S = 120.0, 900.0
AT_ONCE = 20
MEGABYTE = 1 << 20
MILLISECOND_NS = 1_000_000


async def objections(
    library: Library, kept: Member, pictures: Sequence[Member], films: Sequence[Member]
) -> dict[AssetId, str]:
    """What speaks against each that may not be the kept one (of films: a part of it) encoded or scaled anew; no entry
    where nothing does. Raises Unavailable."""
    found: dict[AssetId, str] = {}
    for start in range(0, len(pictures), AT_ONCE):
        part = pictures[start : start + AT_ONCE]
        answers = await _asked(library, kept, part, [None] * len(part), PICTURES_LIMIT_S)
        found |= {each.asset: why for each, why in zip(part, answers, strict=True) if why is not None}
    for film in films:
        begins_ms = await library.db.read(partial(_begins_ms, film=film.blob, kept=kept.blob))
        why: str | None = "it cannot be compared closely"
        if begins_ms is not None:
            (why,) = await _asked(library, kept, [film], [begins_ms * MILLISECOND_NS], FILM_LIMIT_S)
        found |= {} if why is None else {film.asset: why}
    return found


def _begins_ms(connection: Connection, film: BlobId, kept: BlobId) -> int | None:
    """About where in the kept film another begins."""
    from damfs.core.sequences import overlap

    clips = [
        None if looks is None else looks.clip for looks in (looks_of(connection, film), looks_of(connection, kept))
    ]
    if clips[0] is None or clips[1] is None:
        return None
    found = overlap(clips[0], clips[1])
    return None if found is None else found.offset_ms


async def _asked(
    library: Library, kept: Member, others: Sequence[Member], begins_ns: Sequence[int | None], limit_s: float
) -> list[str | None]:
    """Raises Unavailable."""
    request = {
        "memory": library.settings.indexer.memory_limit_mb * MEGABYTE,
        "kept": _file(library, kept),
        "others": [[*_file(library, each), begins] for each, begins in zip(others, begins_ns, strict=True)],
    }
    found = None
    with trio.move_on_after(limit_s):
        found = await trio.run_process(
            [sys.executable, "-P", "-m", PROGRAM],  # whatever lies in the current directory is not imported
            stdin=json.dumps(request).encode(),
            capture_stdout=True,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    if found is None or found.returncode != 0:
        raise Unavailable(f"{kept.name}: its group could not be looked at closely; it stays as it is")
    answers: list[str | None] = json.loads(found.stdout)
    return answers


def _file(library: Library, member: Member) -> list[str]:
    return [member.name, os.fspath(library.source_paths(member.blob, member.asset)[0])]

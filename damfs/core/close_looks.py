"""Looks closely at pictures that seem to be one: decodes them in a program of its own.

Concurrency: waits for that program, which only reads; it ends with whoever waits. Holds nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import trio

from damfs.catalog.duplicates import Member
from damfs.core.library import Library
from damfs.errors import Unavailable
from damfs.model import AssetId

PROGRAM = "damfs.core.processors.same_picture"
LIMIT_S = 120.0
AT_ONCE = 20


async def objections(library: Library, kept: Member, others: Sequence[Member]) -> dict[AssetId, str]:
    """What speaks against each that may not be the kept one encoded or scaled anew; no entry where nothing does."""
    found: dict[AssetId, str] = {}
    for start in range(0, len(others), AT_ONCE):
        part = others[start : start + AT_ONCE]
        answers = await _asked(library, [kept, *part])
        found |= {each.asset: why for each, why in zip(part, answers, strict=True) if why is not None}
    return found


async def _asked(library: Library, members: Sequence[Member]) -> list[str | None]:
    """Raises Unavailable."""
    files = [json.dumps([each.name, os.fspath(library.source_paths(each.blob, each.asset)[0])]) for each in members]
    found = None
    with trio.move_on_after(LIMIT_S):
        found = await trio.run_process(
            [sys.executable, "-m", PROGRAM, *files], capture_stdout=True, stderr=subprocess.DEVNULL, check=False
        )
    if found is None or found.returncode != 0:
        raise Unavailable(f"{members[0].name}: its group could not be looked at closely; it stays as it is")
    answers: list[str | None] = json.loads(found.stdout)
    return answers

"""Rows and files of renditions brought into line: a row without its file is made again, a file without a row goes away.

Reads in a reader thread, a page of rows and a directory at a time, so that a million renditions need no memory; runs
while the mount serves. Crash rule: may be killed and run again. A file that this run of the daemon made is left alone:
its row may be just on its way.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import trio

from damfs.catalog import derived
from damfs.catalog.database import Connection
from damfs.core.library import Library
from damfs.core.makers import maker
from damfs.core.on_demand import ON_DEMAND, DropMade
from damfs.core.rendition_files import is_older, remove_older
from damfs.core.results import DropRendition
from damfs.model import Rendition

log = logging.getLogger(__name__)

ACTOR = "upkeep"
PAGE = 5_000


async def tidy_renditions(library: Library, before_ns: int) -> None:
    """``before_ns``: files that are younger are left alone."""
    root = library.renditions
    missing = await library.db.read(lambda connection: list(rows_without_file(connection, root)))
    for rendition in missing:
        await trio.lowlevel.checkpoint()
        if rendition.kind in ON_DEMAND:  # nobody asks for it now
            library.perform(DropMade(rendition), ACTOR)
            continue
        library.perform(DropRendition(rendition, maker_of(library.db.writer, rendition)), ACTOR)
    if missing:
        log.info("%d renditions are gone and are made again", len(missing))
    strays = await library.db.read(lambda connection: list(files_without_row(connection, root, before_ns)))
    for path in strays:
        if not derived.is_rendition(library.db.writer, path.relative_to(root).as_posix()):
            await trio.to_thread.run_sync(remove_older, path, before_ns)


def maker_of(connection: Connection, rendition: Rendition) -> str | None:
    """Point reads."""
    by_proxy = derived.facts_by(connection, rendition.blob, "proxy").get("profile", rendition.profile)
    return maker(rendition.kind, rendition.profile, by_proxy, derived.detail_of(connection, rendition.id))


def rows_without_file(connection: Connection, root: Path) -> Iterator[Rendition]:
    """Blocks: one stat for each row."""
    last = 0
    while page := derived.list_renditions(connection, last, PAGE):
        yield from (row for row in page if not os.path.lexists(root / row.key))
        last = page[-1].id


def files_without_row(connection: Connection, root: Path, before_ns: int) -> Iterator[Path]:
    """Blocks: one query for each file."""
    for folder in sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else ():
        for path in sorted(folder.iterdir()):
            if not derived.is_rendition(connection, f"{folder.name}/{path.name}") and is_older(path, before_ns):
                yield path

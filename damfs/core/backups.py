"""Copies of the catalog in state/backups/: one a day while mounted, and one before a repair.

Concurrency: a reader connection copies in a thread; the writer goes on. Crash rule: a copy has its name only when it
is whole and durable; a ``.part`` that a crash leaves is replaced by the next.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import trio

from damfs.catalog.database import Connection
from damfs.core.library import Library
from damfs.core.rendition_files import sync
from damfs.storage.disk_errors import disk_errors

DAILY = "catalog-daily"
DAY_S = 86_400
KEPT = 7
"""Daily copies; older ones go away. Copies of other kinds are kept for ever."""


async def back_up_daily(library: Library) -> Path | None:
    """A copy when the newest daily one is older than a day; where it is, or None. Raises NoSpace, Unavailable."""
    directory = library.state / "backups"
    if not await trio.to_thread.run_sync(_is_due, directory):
        return None
    made = await library.db.read(lambda connection: back_up(connection, directory, DAILY))
    await trio.to_thread.run_sync(_drop_old, directory)
    return made


def back_up(connection: Connection, directory: Path, kind: str) -> Path:
    """A copy under the next free number of its kind. Blocks."""
    with disk_errors(directory):
        directory.mkdir(exist_ok=True)
        path = directory / f"{kind}-{1 + max(numbered(directory, kind), default=0)}.sqlite3"
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        try:
            connection.backup_to(part)
            sync(part)
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync(directory)
    return path


def numbered(directory: Path, kind: str) -> dict[int, Path]:
    """The copies of a kind by number."""
    pattern = re.compile(re.escape(kind) + r"-(\d+)\.sqlite3")
    found = directory.iterdir() if directory.is_dir() else ()
    return {int(match[1]): path for path in found if (match := pattern.fullmatch(path.name))}


def newest_first(directory: Path) -> list[Path]:
    """Every copy that was made of a sound catalog, of any kind."""
    found = directory.glob("catalog-*.sqlite3") if directory.is_dir() else ()
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _is_due(directory: Path) -> bool:
    newest = max((path.stat().st_mtime for path in numbered(directory, DAILY).values()), default=0.0)
    return not newest <= time.time() < newest + DAY_S  # a copy from the future proves nothing


def _drop_old(directory: Path) -> None:
    copies = numbered(directory, DAILY)
    for number in sorted(copies)[:-KEPT]:
        copies[number].unlink()

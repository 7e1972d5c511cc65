"""A glance at a catalog file for a diagnosis, whoever has it open: is it sound, and a few figures.

Blocks; a read-only connection of its own. What cannot be read is a problem in the answer, not an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import apsw

from damfs.catalog.database import Connection
from damfs.catalog.migrations import SCHEMA_VERSION, schema_version


@dataclass(frozen=True, slots=True)
class Glance:
    problems: list[str] = field(default_factory=list)
    size: int = 0
    roots: dict[str, str] = field(default_factory=dict)
    """Root of each store by name; empty for the library's own."""
    watched_folders: int = 0
    """Listed folders of read-only stores."""
    damaged: int = 0
    last_change_ns: int = 0


def glance(path: Path) -> Glance:
    if not path.is_file():
        return Glance([f"{path} is missing"])
    try:
        connection = Connection(path, read_only=True)
        try:
            return _look(connection, path)
        finally:
            connection.close()
    except (apsw.Error, UnicodeDecodeError) as error:
        return Glance([str(error)])


def _look(connection: Connection, path: Path) -> Glance:
    problems = [str(what) for (what,) in connection.rows("PRAGMA quick_check(3)") if what != "ok"]
    version = schema_version(connection)
    if version > SCHEMA_VERSION:
        problems.append(f"written by a newer damfs (schema {version}); update damfs")
    if problems:
        return Glance(problems)
    return Glance(
        size=path.stat().st_size,
        roots=dict(connection.rows("SELECT name, root FROM store ORDER BY id")),
        watched_folders=connection.integer(
            "SELECT count(*) FROM folder AS f JOIN store AS s ON s.id = f.store WHERE s.kind = 'read-only' AND f.live"
        ),
        damaged=connection.integer("SELECT count(*) FROM copy WHERE state = 'damaged'"),
        last_change_ns=connection.integer("SELECT at_ns FROM change ORDER BY seq DESC LIMIT 1"),
    )

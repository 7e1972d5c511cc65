"""Brings a catalog of an older damfs to the present schema, with a backup first; makes a new one.

Each step is one numbered transaction; a crash leaves the version before it. A catalog of a newer damfs is
refused (BadLibrary) and not touched. Blocks; runs before the daemon serves.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import apsw

from damfs.catalog.database import Connection, Database
from damfs.errors import BadLibrary

SCHEMA_VERSION = 3
Step = Callable[[Connection], None]


def scripted(tx: Connection) -> None:
    """What `step_<n + 1>.sql` says, of the version n that the catalog has now."""
    number = schema_version(tx) + 1
    tx.script(resources.files("damfs.catalog").joinpath(f"step_{number}.sql").read_text(encoding="utf-8"))


STEPS: dict[int, Step] = {1: scripted, 2: scripted}
"""From version n to n + 1."""


def open_catalog(path: Path, *, create: bool = False) -> Database:
    """The catalog at ``path`` in the present schema. Raises BadLibrary when it is missing, damaged or newer."""
    if not create and not path.is_file():
        raise BadLibrary(f"{path} is missing; bring it back from a backup, or make it anew with: damfs rebuild LIBRARY")
    database = None
    try:
        database = Database(path)
        migrate(database, SCHEMA_VERSION, STEPS)
    except BaseException as error:
        if database is not None:
            database.close()
        if isinstance(error, apsw.NotADBError | apsw.CorruptError):
            raise BadLibrary(
                f"{path} is damaged ({error}); make it anew with: damfs rebuild LIBRARY, or bring it back from backups/"
            ) from None
        if isinstance(error, apsw.CantOpenError | apsw.IOError | apsw.ReadOnlyError):
            raise BadLibrary(f"{path} cannot be opened ({error}); check its permissions and the disk") from None
        raise
    return database


def migrate(database: Database, target: int, steps: dict[int, Step]) -> None:
    """Run the steps between the catalog's version and ``target``. Raises BadLibrary for what is no such catalog."""
    version = schema_version(database.writer)
    if version > target:
        raise BadLibrary(
            f"{database.path} was written by a newer damfs (schema {version}, this one knows {target}); update damfs"
        )
    if version == 0:
        if database.writer.exists("SELECT 1 FROM sqlite_schema LIMIT 1"):
            raise BadLibrary(f"{database.path} is a database of another program; bring the catalog back from a backup")
        create_schema(database)
        return
    if version < target:
        back_up(database, version)
    while version < target:
        with database.transaction(durable=True) as tx:
            steps[version](tx)
            version += 1
            tx.script(f"PRAGMA user_version = {version:d}")


def schema_version(connection: Connection) -> int:
    return connection.integer("PRAGMA user_version")


def create_schema(database: Database) -> None:
    with database.transaction(durable=True) as tx:
        tx.script(schema_text())
        tx.script(f"PRAGMA user_version = {SCHEMA_VERSION:d}")


def schema_text() -> str:
    return resources.files("damfs.catalog").joinpath("schema.sql").read_text(encoding="utf-8")


def back_up(database: Database, version: int) -> Path:
    """A copy in backups/ beside the catalog, named by its schema version; older ones are kept. Whole or not there."""
    directory = database.path.parent / "backups"
    directory.mkdir(exist_ok=True)
    number = 1
    while (path := directory / f"catalog-schema{version}-{number}.sqlite3").exists():
        number += 1
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    database.writer.backup_to(part)
    return part.rename(path)

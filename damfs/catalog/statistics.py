"""What SQLite knows of how many rows there are and how they spread, so that it looks things up in the best order.

A connection learns it when it is opened: so it is gathered when a library is closed, at most once a day. Of small
tables nothing is kept: with that, SQLite walks them, and goes on so after they have grown. Blocks (some ten
milliseconds: of each index a few rows are read). Crash rule: one transaction; without any of this, plans
are those of the schema alone.
"""

from __future__ import annotations

import logging

import apsw

from damfs.catalog import derived
from damfs.catalog.database import Connection

SMALL = 10_000
"""Rows."""
EVERY_NS = 86_400_000_000_000
LOOKED_AT = 400
"""Rows of an index."""
GATHERED = "statistics-ns"
"""Name of the catalog's property that says when."""
EVERY_TABLE = 0x10002

log = logging.getLogger(__name__)


def gather(connection: Connection, now_ns: int) -> bool:
    """Whether it was time for that. What cannot be written is no error: it is not needed."""
    try:
        return _gather(connection, now_ns)
    except apsw.Error as error:
        log.info("no statistics of the catalog were made: %s", error)
        return False


def _gather(connection: Connection, now_ns: int) -> bool:
    last = int(derived.property_value(connection, GATHERED) or -EVERY_NS)
    if 0 <= now_ns - last < EVERY_NS or connection.integer("SELECT max(id) FROM asset") < SMALL:
        return False
    connection.script(f"PRAGMA analysis_limit = {LOOKED_AT}")
    connection.script("BEGIN IMMEDIATE")
    try:
        connection.script(f"PRAGMA optimize = {EVERY_TABLE}")
        if connection.exists("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'"):
            connection.run("DELETE FROM sqlite_stat1 WHERE CAST(stat AS INTEGER) < ?", SMALL)
        if connection.exists("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat4'"):
            connection.run("DELETE FROM sqlite_stat4")  # with samples, a plan would hang on the values of the moment
        derived.set_property(connection, GATHERED, str(now_ns))
        connection.script("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.script("ROLLBACK")
        raise
    return True

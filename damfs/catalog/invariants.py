"""Asks whether the rules of the catalog hold, and mends what breaks them. The rules themselves: rules.sql.

`violations` scans (reader thread, one snapshot); `mend` runs inside a transaction. What only files can tell (staging,
renditions) is handed in as temporary tables by `observe`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

import apsw

from damfs.catalog.database import Connection
from damfs.model import AssetId, BlobId


class UnableToMend(Exception):
    """A repair failed; its transaction must be undone."""


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule that always holds in a sound catalog."""

    name: str
    meaning: str
    """What holds, as a sentence."""
    remedy: str
    """What the repair does, as a sentence; where there is none, what a person can do."""
    mendable: bool
    """Whether there is a repair: the statements of ``mend``, or, where these are empty, work on files."""
    at_rest: bool
    """Holds only while no daemon has the library: leases, files whose row is on its way."""
    find: str
    """A query of one text column: a row for each violation."""
    mend: tuple[str, ...] = ()
    again: str = ""
    """A query of the blobs that want jobs planned once more after the repair; asked before it."""


@cache
def rules() -> tuple[Invariant, ...]:
    """In the order of repair."""
    return tuple(_parsed(block) for block in _blocks()[1:])


def observe(connection: Connection, staged: Iterable[AssetId], renditions: Iterable[str]) -> None:
    """Make what the rules ask for beside the catalog's own tables, inside the open transaction."""
    connection.script("CREATE TEMP TABLE IF NOT EXISTS staged (asset INTEGER PRIMARY KEY)")
    connection.script("CREATE TEMP TABLE IF NOT EXISTS rendition_file (key TEXT PRIMARY KEY)")
    connection.script(_blocks()[0])
    connection.run("DELETE FROM temp.staged")
    connection.run("DELETE FROM temp.rendition_file")
    connection.run_many("INSERT INTO temp.staged VALUES (?)", ((asset,) for asset in staged))
    connection.run_many("INSERT INTO temp.rendition_file VALUES (?)", ((key,) for key in renditions))


def violations(connection: Connection, invariant: Invariant) -> list[str]:
    """One line for each; a catalog too damaged to be asked is a violation of its own."""
    try:
        return [str(what) for (what,) in connection.rows(invariant.find)]
    except (apsw.Error, UnicodeDecodeError) as error:
        return [f"cannot be checked: {error}"]


def mend(tx: Connection, invariant: Invariant) -> list[BlobId]:
    """Run the repair; the blobs to plan again. Raises UnableToMend: undo the transaction."""
    try:
        again = [BlobId(blob) for (blob,) in tx.rows(invariant.again)] if invariant.again else []
        for statement in invariant.mend:
            tx.script(statement)
    except (apsw.Error, UnicodeDecodeError) as error:
        raise UnableToMend(str(error)) from None
    return again


@cache
def _blocks() -> tuple[str, ...]:
    """The views, then the text of each rule."""
    text = resources.files("damfs.catalog").joinpath("rules.sql").read_text(encoding="utf-8")
    return tuple(re.split(r"^-- rule: ", text, flags=re.MULTILINE))


def _parsed(block: str) -> Invariant:
    name, _, rest = block.partition("\n")
    said = dict(re.findall(r"^-- (holds|repair|person): (.+)$", rest, flags=re.MULTILINE))
    body, _, again = rest.partition("\n-- again\n")
    query, _, repair = body.partition("\n-- mend\n")
    return Invariant(
        name=name,
        meaning=said["holds"],
        remedy=said.get("repair") or said["person"],
        mendable="repair" in said,
        at_rest="\n-- at rest\n" in rest,
        find=query[query.index("\nSELECT") :].strip(),
        mend=tuple(each.strip() for each in repair.split(";\n") if each.strip()),
        again=again.strip(),
    )

"""Small copies that a camera recorded beside its clips: found by their names, and held to the gate by a job.

What is known of a pair stands in the facts `PAIR` of both: {"proxies": digests} of the clip's bytes, {"of": digest} of
the copy's. The copy is not worked on as a clip of its own; the clip waits for what `camera_proxy` says of it. Loop's
thread: point reads, one small transaction for a clip. Crash rule: a pair that was not noted is found at the next probe
of one of them, or at the next start.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

import trio

from damfs.catalog import assets, derived, job_table, stand_ins, stores
from damfs.catalog.database import Connection
from damfs.core.camera_names import originals_of, proxies_of
from damfs.core.commands import Execution
from damfs.core.library import Library
from damfs.core.news import seen_copies, seen_proxies, tell
from damfs.core.processors.camera_proxy import JUDGED, PAIR
from damfs.errors import DamfsError
from damfs.model import BlobId, Copy, CopyState

log = logging.getLogger(__name__)

ACTOR = "cameras"


@dataclass(frozen=True, slots=True)
class PairWithCopies:
    """``copies``: what the camera may have recorded beside a clip; nothing is said yet of whether it conforms."""

    clip: BlobId
    copies: tuple[BlobId, ...]

    def apply(self, x: Execution) -> None:
        digests = [stores.digest_of(x.tx, blob).hex() for blob in self.copies]
        of = stores.digest_of(x.tx, self.clip).hex()
        derived.set_facts(x.tx, self.clip, PAIR, {"proxies": digests})
        for copy in self.copies:
            derived.set_facts(x.tx, copy, PAIR, {"of": of})
        for blob in (self.clip, *self.copies):
            if job_table.states_of(x.tx, blob).get("proxy", ("", 0))[0] == "waiting":
                job_table.forget(x.tx, blob, "proxy")
            x.planner.plan_jobs(x.tx, blob, x.at_ns)


@dataclass(frozen=True, slots=True)
class ForgetPair:
    """The other one is not there any more: each is a clip like any other."""

    blob: BlobId

    def apply(self, x: Execution) -> None:
        files = seen_copies(x.tx, self.blob)
        before = [(asset.id, seen_proxies(x.tx, asset)) for asset in assets.of_blob(x.tx, self.blob)]
        for facts in (PAIR, JUDGED):
            derived.drop_facts(x.tx, self.blob, facts)
        job_table.forget(x.tx, self.blob, JUDGED)
        x.planner.plan_jobs(x.tx, self.blob, x.at_ns)
        for id_, seen in before:
            tell(x.changes, "rendition-dropped", id_, seen, files)


async def settle_pairs(library: Library) -> None:
    """Forget those of which one is gone, find those that came together since they were probed."""
    for blob in await library.db.read(stand_ins.list_widowed):
        library.perform(ForgetPair(blob), ACTOR)
    for blob in await library.db.read(stand_ins.list_unpaired):
        recognise(library, blob)
        await trio.lowlevel.checkpoint()


def recognise(library: Library, blob: BlobId) -> None:
    """Note it if these bytes are one of a pair."""
    try:
        _recognise(library, blob)
    except DamfsError as error:
        log.info("no camera's copy is looked at for blob %d: %s", blob, error)


def _recognise(library: Library, blob: BlobId) -> None:
    found: dict[BlobId, set[BlobId]] = {}
    for clip, copy in pairs(library.db.writer, blob):
        found.setdefault(clip, set()).add(copy)
    for clip, copies in sorted(found.items()):
        known = derived.facts_by(library.db.writer, clip, PAIR)
        digests = {stores.digest_of(library.db.writer, copy).hex(): copy for copy in sorted(copies)}
        listed = known.get("proxies", ())
        new = digests.keys() - set(listed if isinstance(listed, list) else ())
        if new and "of" not in known:
            library.perform(PairWithCopies(clip, _all(library, clip) or tuple(digests.values())), ACTOR)


def _all(library: Library, clip: BlobId) -> tuple[BlobId, ...]:
    return tuple(sorted({copy for found, copy in pairs(library.db.writer, clip) if found == clip}))


def pairs(connection: Connection, blob: BlobId) -> Iterator[tuple[BlobId, BlobId]]:
    """Originals and their proxies, by the names of files that these bytes lie in."""
    for copy in stores.copies_of_blob(connection, blob):
        folder = stores.folder(connection, copy.folder)
        if folder is None or copy.state is not CopyState.PRESENT:
            continue
        where, name = os.fsdecode(folder.name), os.fsdecode(copy.name)
        for partner in proxies_of(where, name):
            yield from ((blob, other) for other in _at(connection, copy, partner.folder, partner.name))
        for partner in originals_of(where, name):
            yield from ((other, blob) for other in _at(connection, copy, partner.folder, partner.name))


def _at(connection: Connection, copy: Copy, beside: str, name: str) -> Iterator[BlobId]:
    """The bytes of a file in the folder of a copy, or in one beside that."""
    folder = stores.folder(connection, copy.folder)
    if beside and (folder is None or folder.parent is None):
        return
    there = folder
    if beside and folder is not None and folder.parent is not None:
        there = stores.folder_named(connection, folder.parent, os.fsencode(beside))
    found = None if there is None else stores.copy_at(connection, there.id, os.fsencode(name))
    if found is not None and found.state is CopyState.PRESENT and found.blob != copy.blob:
        yield found.blob

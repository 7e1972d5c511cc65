"""Small copies that a camera recorded beside its clips, recognised and used in place of proxies of our own.

What is known of a pair stands in the facts ``camera_proxy`` of both: {"proxy": digest} of the original's bytes, {"of":
digest} of the other's. Both need no encoding then (`pipeline.SPARED`). Loop's thread: point reads, one small
transaction for a pair. Crash rule: a pair that was not noted is found at the next probe of one of them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

from damfs.catalog import assets, derived, job_table, stand_ins, stores
from damfs.catalog.database import Connection
from damfs.core.camera_names import originals_of, proxies_of, why_not
from damfs.core.commands import Execution
from damfs.core.library import Library
from damfs.core.news import seen_proxies, tell
from damfs.errors import DamfsError
from damfs.model import BlobId, Copy, CopyState

log = logging.getLogger(__name__)

ACTOR = "cameras"
FACTS = "camera_proxy"


@dataclass(frozen=True, slots=True)
class UseCameraProxy:
    original: BlobId
    proxy: BlobId

    def apply(self, x: Execution) -> None:
        digests = [stores.digest_of(x.tx, blob).hex() for blob in (self.original, self.proxy)]
        derived.set_facts(x.tx, self.original, FACTS, {"proxy": digests[1]})
        derived.set_facts(x.tx, self.proxy, FACTS, {"of": digests[0]})
        for blob in (self.original, self.proxy):
            if job_table.states_of(x.tx, blob).get("proxy", ("", 0))[0] == "waiting":
                job_table.forget(x.tx, blob, "proxy")
            x.planner.plan_jobs(x.tx, blob, x.at_ns)
        for asset in assets.of_blob(x.tx, self.original):
            tell(x.changes, "rendition-made", asset.id, seen_proxies(x.tx, asset))


@dataclass(frozen=True, slots=True)
class ForgetCameraProxy:
    """The camera's proxy is not there any more: the clip gets one of its own."""

    original: BlobId

    def apply(self, x: Execution) -> None:
        before = [(asset.id, seen_proxies(x.tx, asset)) for asset in assets.of_blob(x.tx, self.original)]
        derived.drop_facts(x.tx, self.original, FACTS)
        x.planner.plan_jobs(x.tx, self.original, x.at_ns)
        for id_, seen in before:
            tell(x.changes, "rendition-dropped", id_, seen)


async def forget_gone(library: Library) -> None:
    for blob in await library.db.read(stand_ins.list_without_camera):
        library.perform(ForgetCameraProxy(blob), ACTOR)


def recognise(library: Library, blob: BlobId) -> None:
    """Note it if these bytes are one of a pair, now that the probe has looked at them."""
    try:
        _recognise(library, blob)
    except DamfsError as error:
        log.info("no camera's proxy is used for blob %d: %s", blob, error)


def _recognise(library: Library, blob: BlobId) -> None:
    for original, proxy in sorted(set(pairs(library.db.writer, blob))):
        facts = [derived.facts_of(library.db.writer, each) for each in (original, proxy)]
        probed = [each.get("probe", {}) for each in facts]
        known = all(FACTS in each for each in facts)
        if not known and why_not(*probed) is None:
            library.perform(UseCameraProxy(original, proxy), ACTOR)


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

"""Which files of a batch need no proxy because of their cameras: small copies, and clips for which one stands in.

Concurrency: on the loop; the job table is read in a reader thread. Crash rule: what was asked for is in the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import trio

from damfs.catalog import derived, job_table
from damfs.core.camera_proxies import recognise
from damfs.core.commands import Execution
from damfs.core.library import Library
from damfs.core.processors.camera_proxy import JUDGED, PAIR, is_copys_name
from damfs.model import Asset, AssetId, BlobId, Media

PRIORITY = 39
"""Before the proxies that wait for it."""
LOOK_EVERY_S = 0.2


@dataclass(slots=True)
class Sorted:
    """Assets of a batch."""

    ids: list[AssetId]
    """To be worked on, as far as it is known."""
    copies: int = 0
    """Left out: small copies that a camera made of others."""


@dataclass(frozen=True, slots=True)
class AskForJudgement:
    blob: BlobId
    version: int

    def apply(self, x: Execution) -> None:
        job_table.demand(x.tx, self.blob, JUDGED, self.version, PRIORITY, x.at_ns)


async def sort_out(library: Library, ids: Iterable[AssetId]) -> Sorted:
    """Without the small copies."""
    found = Sorted([])
    for id_ in dict.fromkeys(ids):
        asset = library.asset(id_)
        blob = _blob_of(asset)
        if blob is not None:
            recognise(library, blob)
        if asset is not None and blob is not None and _is_copy(library, asset, blob):
            found.copies += 1
        else:
            found.ids.append(id_)
        await trio.lowlevel.checkpoint()
    return found


def _is_copy(library: Library, asset: Asset, blob: BlobId) -> bool:
    return is_copys_name(asset.name) or "of" in _facts(library, blob, PAIR)


def unjudged(library: Library, ids: Iterable[AssetId]) -> list[AskForJudgement]:
    """What is to be done before anybody knows which of them a camera's copy stands in for."""
    versions = {each.name: each.version for each in library.registry.processors}
    blobs = {_blob_of(library.asset(id_)) for id_ in ids} - {None}
    open_ = [blob for blob in blobs if blob is not None and not is_judged(library, blob)]
    return [AskForJudgement(blob, versions[JUDGED]) for blob in sorted(open_)] if JUDGED in versions else []


def is_judged(library: Library, blob: BlobId) -> bool:
    copies = _facts(library, blob, PAIR).get("proxies", [])
    return copies == _facts(library, blob, JUDGED).get("looked_at", [])


async def wait_for(library: Library, asked: Iterable[AskForJudgement]) -> None:
    """Until each is judged, has failed, or has to wait for something else."""
    blobs = {each.blob for each in asked}
    while blobs:
        rows = await library.db.read(lambda connection: job_table.list_open(connection, JUDGED))
        if not any(row.blob in blobs and not (row.state == "waiting" and row.error) for row in rows):
            return
        await trio.sleep(LOOK_EVERY_S)


def without_served(library: Library, ids: Iterable[AssetId]) -> tuple[list[AssetId], int]:
    """Those for which no camera's copy stands in, and the number of the others."""
    all_ = list(ids)
    left = []
    for id_ in all_:
        blob = _blob_of(library.asset(id_))
        if blob is None or "proxy" not in _facts(library, blob, JUDGED):
            left.append(id_)
    return left, len(all_) - len(left)


def _blob_of(asset: Asset | None) -> BlobId | None:
    return None if asset is None or asset.media is not Media.VIDEO else asset.blob


def _facts(library: Library, blob: BlobId, name: str) -> dict[str, object]:
    return dict(derived.facts_by(library.db.writer, blob, name))

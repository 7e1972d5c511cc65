"""Seal many received files in one transaction: `Seal` for those of which nothing is known but what was received.

Applied like every command (one transaction, no await, no file). What it leaves, and the news it tells, are those of
`Seal` for each; but it asks once what Seal asks for each file. The bytes are durable before it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from damfs.catalog import arrivals, predicates, stores
from damfs.catalog.arrivals import Arrived, Received
from damfs.core.commands import Execution
from damfs.core.ingest import Seal
from damfs.core.news import Seen, seen_folders, tell
from damfs.errors import Refused
from damfs.model import AssetId, BlobId, Facet, FolderId, Media, StoreId


@dataclass(frozen=True, slots=True)
class SealTogether:
    """Of different bytes, each at a key of its own."""

    seals: tuple[Seal, ...]

    def apply(self, x: Execution) -> None:
        found = arrivals.received(x.tx, [seal.asset for seal in self.seals])
        if len(found) < len(self.seals):
            raise Refused("a file has arrived already, or was removed")
        known = arrivals.known_digests(x.tx, (seal.digest for seal in self.seals))
        for seal in self.seals:
            if seal.digest in known:  # it came by another way meanwhile
                seal.apply(x)
        _seal_new(x, [seal for seal in self.seals if seal.digest not in known], found)


def _seal_new(x: Execution, seals: Sequence[Seal], found: dict[AssetId, Received]) -> None:
    """Bytes that nothing is known of."""
    blobs = arrivals.add_blobs(x.tx, [(seal.digest, seal.size) for seal in seals])
    folders = _Folders(x)
    arrived = [_arrived(seal, blob, folders) for seal, blob in zip(seals, blobs, strict=True)]
    arrivals.settle(x.tx, arrived, x.at_ns)
    placed = [each.asset for each in arrived if found[each.asset].folder is not None]
    if placed:
        arrivals.settle_placed(x.tx, placed)
    x.planner.plan_arrived(x.tx, [(each.blob, found[each.asset].asset.name, each.media, each.size) for each in arrived],
                           x.at_ns)  # fmt: skip
    for each in arrived:
        grown = folders.grown.pop(each.folder, Seen(frozenset()))
        tell(x.changes, "ingested", each.asset, _moved(found[each.asset], each), grown)


class _Folders:
    """Each is looked for, and made, once. ``grown``: what is listed from now on because of it, told once."""

    def __init__(self, x: Execution) -> None:
        self._x = x
        self._ids: dict[tuple[StoreId, bytes], FolderId] = {}
        self.grown: dict[FolderId, Seen] = {}

    def of(self, seal: Seal) -> FolderId:
        path = seal.store, seal.placed.key.rpartition(b"/")[0]
        if path not in self._ids:
            parts, _ = stores.split_key(seal.placed.key)
            self._ids[path], grown = stores.ensure_folder(self._x.tx, seal.store, parts)
            self.grown[self._ids[path]] = seen_folders(grown)
        return self._ids[path]


def _arrived(seal: Seal, blob: BlobId, folders: _Folders) -> Arrived:
    name = seal.placed.key.rpartition(b"/")[2]
    return Arrived(
        seal.asset, blob, seal.size, seal.mtime_ns, seal.media, seal.day, seal.store, folders.of(seal), name,
        seal.placed.mtime_ns, seal.placed.inode,
    )  # fmt: skip


def _moved(before: Received, after: Arrived) -> Seen:
    """As `news.moved` says of what is seen before and after: no processor has told anything of new bytes, so these are
    the only facets that may have come or gone, and the only keys."""
    facets = _facets(before.asset.media, before.day, before.folder) ^ _facets(after.media, after.day, after.folder)
    if before.day != after.day:
        facets |= predicates.day_facets(before.day) | predicates.day_facets(after.day)
    keys = {*before.day.encode().split(b"-"), *after.day.encode().split(b"-"), after.key_name}
    if before.name is not None:
        keys.add(before.name)
    return Seen(facets, frozenset({before.asset.name}), frozenset(keys))


def _facets(media: Media, day: str, folder: FolderId | None) -> frozenset[Facet]:
    where = frozenset[Facet]() if folder is None else frozenset({predicates.folder_facet(folder)})
    return where | {predicates.media_facet(media)} | predicates.day_facets(day)

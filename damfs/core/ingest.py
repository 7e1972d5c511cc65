"""Commands that turn bytes into assets: sealing what was received, and what a scan found, lost or moved.

Applied like every command (one transaction, no await, no file). The bytes are durable before these run: blob
first, row second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from damfs.catalog import assets, predicates, stores, vocabulary
from damfs.core.asset_names import clean_name
from damfs.core.commands import Execution, known
from damfs.errors import NotFound
from damfs.model import (
    Asset,
    AssetId,
    AssetState,
    BlobId,
    Copy,
    CopyId,
    CopyState,
    Digest,
    Facet,
    Facts,
    Key,
    Media,
    StoreId,
)
from damfs.storage.blob_store import FileFact


class Found(StrEnum):
    """What a file of a scan turned out to be."""

    NEW = "new"
    CHANGED = "changed"
    MOVED = "moved"
    COPIED = "copied"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Seal:
    """A received file is whole and published: version, copy, jobs and news in one transaction."""

    asset: AssetId
    digest: Digest
    size: int
    mtime_ns: int
    media: Media
    day: str
    store: StoreId
    placed: FileFact

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        before = assets.facets(x.tx, self.asset)
        blob = stores.ensure_blob(x.tx, self.digest, self.size)
        assets.add_version(x.tx, self.asset, blob, self.size, self.mtime_ns, x.at_ns)
        assets.set_media(x.tx, self.asset, self.media)
        assets.set_day(x.tx, self.asset, self.day, None)
        grown = _place_copy(x, blob, self.asset, self.store, self.placed)
        x.planner.plan_jobs(x.tx, blob, x.at_ns)
        touched = before | assets.facets(x.tx, self.asset) | grown
        x.changes.record("ingested", touched, asset=self.asset, names=(asset.name,))


@dataclass(frozen=True, slots=True)
class MarkDamaged:
    """The bytes of a copy were read and are not those of its digest."""

    copy: CopyId

    def apply(self, x: Execution) -> None:
        copy = stores.copy(x.tx, self.copy)
        if copy is None:
            raise NotFound(f"no copy {self.copy}")
        stores.set_copy_state(x.tx, self.copy, CopyState.DAMAGED)
        asset = known(x, copy.asset)
        x.changes.record("damaged", assets.facets(x.tx, asset.id), asset=asset.id, names=(asset.name,))


@dataclass(frozen=True, slots=True)
class Heal:
    """The bytes of an asset were published again because no good copy was left."""

    asset: AssetId
    digest: Digest
    size: int
    store: StoreId
    placed: FileFact

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        blob = stores.ensure_blob(x.tx, self.digest, self.size)
        grown = _place_copy(x, blob, self.asset, self.store, self.placed)
        assets.set_state(x.tx, self.asset, AssetState.PRESENT)
        x.changes.record("healed", assets.facets(x.tx, self.asset) | grown, asset=self.asset, names=(asset.name,))


@dataclass(frozen=True, slots=True)
class Merge:
    """A received file has the bytes and the name of an asset: it becomes that asset, with its tags."""

    provisional: AssetId
    into: AssetId

    def apply(self, x: Execution) -> None:
        asset, kept = known(x, self.provisional), known(x, self.into)
        touched = assets.facets(x.tx, self.provisional) | assets.facets(x.tx, self.into)
        for term in vocabulary.tagged_terms(x.tx, self.provisional):
            tagging = vocabulary.tagging(x.tx, self.provisional, term.id)
            vocabulary.attach(x.tx, self.into, term.id, tagging.source, tagging.confidence, x.at_ns)
        if kept.state is AssetState.MISSING:
            assets.set_state(x.tx, self.into, AssetState.PRESENT)
        assets.delete(x.tx, self.provisional)
        touched |= assets.facets(x.tx, self.into)
        x.changes.record("merged", touched, asset=self.provisional, names=(asset.name,), detail={"into": self.into})
        x.changes.record("tagged", touched, asset=self.into, names=(asset.name,))


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A file of a store was read by a scan. ``gone``: copies whose keys the same scan did not meet, with those keys."""

    store: StoreId
    fact: FileFact
    digest: Digest
    media: Media
    day: str
    gone: Mapping[CopyId, Key]

    def apply(self, x: Execution) -> Found:
        parts, name = stores.split_key(self.fact.key)
        folder, _ = stores.ensure_folder(x.tx, self.store, parts)
        blob = stores.ensure_blob(x.tx, self.digest, self.fact.size)
        here = stores.copy_at(x.tx, folder, name)
        if here is not None and here.blob == blob:
            return self._same(x, here)
        moved = self._lost_copy(x, blob)
        if moved is not None:
            return self._moved(x, moved)
        if here is not None:
            return self._changed(x, here, blob)
        return self._new(x, blob)

    def _same(self, x: Execution, here: Copy) -> Found:
        stores.set_copy_stat(x.tx, here.id, self.fact.mtime_ns, self.fact.inode)
        asset = known(x, here.asset)
        if asset.state is AssetState.MISSING:
            self._news(x, "found", asset, frozenset())
        return Found.SAME

    def _lost_copy(self, x: Execution, blob: BlobId) -> Copy | None:
        """A copy of the same bytes in this store whose own key is gone: the file was moved here."""
        for copy in stores.copies_of_blob(x.tx, blob):
            if copy.store == self.store and (copy.state is CopyState.MISSING or self._is_gone(x, copy)):
                return copy
        return None

    def _is_gone(self, x: Execution, copy: Copy) -> bool:
        """Its key was not met, and no other file of this scan took it over already."""
        return self.gone.get(copy.id) == stores.key_of(x.tx, copy.folder, copy.name)

    def _moved(self, x: Execution, copy: Copy) -> Found:
        asset = known(x, copy.asset)
        before = assets.facets(x.tx, asset.id)
        parts, name = stores.split_key(self.fact.key)
        folder, grown = stores.ensure_folder(x.tx, self.store, parts)
        stores.move_copy(x.tx, copy.id, folder, name, self.fact.mtime_ns, self.fact.inode, x.at_ns)
        if asset.name == clean_name(copy.name):
            assets.set_name(x.tx, asset.id, clean_name(name))
        self._news(x, "moved", asset, before | {predicates.folder_facet(parent) for parent in grown}, copy.name, name)
        return Found.MOVED

    def _changed(self, x: Execution, here: Copy, blob: BlobId) -> Found:
        """Other bytes at a known key: a new version of the asset that is shown there."""
        asset = known(x, here.asset)
        before = assets.facets(x.tx, asset.id)
        assets.add_version(x.tx, asset.id, blob, self.fact.size, self.fact.mtime_ns, x.at_ns)
        assets.set_media(x.tx, asset.id, self.media)
        assets.set_day(x.tx, asset.id, self.day, None)
        _place_copy(x, blob, asset.id, self.store, self.fact)
        x.planner.plan_jobs(x.tx, blob, x.at_ns)
        self._news(x, "version-added", asset, before)
        return Found.CHANGED

    def _new(self, x: Execution, blob: BlobId) -> Found:
        name = clean_name(stores.split_key(self.fact.key)[1])
        twin = assets.find_twin(x.tx, blob, name, AssetId(0))
        if twin is None:
            twin_id = assets.insert_present(
                x.tx, name, self.media, blob, self.fact.size, self.fact.mtime_ns, 0o644, self.day, x.at_ns
            )
        else:
            twin_id = twin.id
        grown = _place_copy(x, blob, twin_id, self.store, self.fact)
        x.planner.plan_jobs(x.tx, blob, x.at_ns)
        self._news(x, "ingested" if twin is None else "copied", known(x, twin_id), grown)
        return Found.NEW if twin is None else Found.COPIED

    def _news(self, x: Execution, kind: str, asset: Asset, before: frozenset[Facet], *keys: bytes) -> None:
        """The asset is present, whatever it was, and listings that held or hold it have news."""
        if asset.state is AssetState.MISSING:
            assets.set_state(x.tx, asset.id, AssetState.PRESENT)
        now = known(x, asset.id)
        names = tuple(dict.fromkeys((asset.name, now.name)))
        x.changes.record(
            kind, before | assets.facets(x.tx, asset.id), asset=asset.id, names=names, detail=shown_as(*keys)
        )


@dataclass(frozen=True, slots=True)
class MarkMissing:
    """The file of a copy is gone from a store that is online. The asset is missing when no other copy is left."""

    copy: CopyId

    def apply(self, x: Execution) -> None:
        copy = stores.copy(x.tx, self.copy)
        if copy is None:
            raise NotFound(f"no copy {self.copy}")
        stores.set_copy_state(x.tx, copy.id, CopyState.MISSING)
        asset = known(x, copy.asset)
        left = any(other.state is CopyState.PRESENT for other in stores.copies_of_blob(x.tx, copy.blob))
        if not left and asset.state is AssetState.PRESENT and asset.blob == copy.blob:
            assets.set_state(x.tx, asset.id, AssetState.MISSING)
        x.changes.record(
            "went-missing",
            assets.facets(x.tx, asset.id),
            asset=asset.id,
            names=(asset.name,),
            detail=shown_as(copy.name),
        )


@dataclass(frozen=True, slots=True)
class MoveCopy:
    """A copy has another key in its store now."""

    copy: CopyId
    placed: FileFact

    def apply(self, x: Execution) -> None:
        copy = stores.copy(x.tx, self.copy)
        if copy is None:
            raise NotFound(f"no copy {self.copy}")
        before = assets.facets(x.tx, copy.asset)
        parts, name = stores.split_key(self.placed.key)
        folder, grown = stores.ensure_folder(x.tx, copy.store, parts)
        stores.move_copy(x.tx, copy.id, folder, name, self.placed.mtime_ns, self.placed.inode, x.at_ns)
        asset = known(x, copy.asset)
        touched = before | assets.facets(x.tx, asset.id) | {predicates.folder_facet(parent) for parent in grown}
        x.changes.record("filed", touched, asset=asset.id, names=(asset.name,), detail=shown_as(copy.name, name))


@dataclass(frozen=True, slots=True)
class PlanAgain:
    """Enqueue what is due for a blob: its asset got its final name, or a processor a new version."""

    blob: BlobId

    def apply(self, x: Execution) -> None:
        x.planner.plan_jobs(x.tx, self.blob, x.at_ns)


def shown_as(*keys: bytes) -> Facts:
    """Detail of a change: names that folders of originals/ show, in hexadecimal because they may be no text."""
    return {"keys": [key.hex() for key in keys]} if keys else {}


def _place_copy(x: Execution, blob: BlobId, asset: AssetId, store: StoreId, fact: FileFact) -> frozenset[Facet]:
    """A copy row for a file just read; the facets of the folders that got a new child folder."""
    parts, name = stores.split_key(fact.key)
    folder, grown = stores.ensure_folder(x.tx, store, parts)
    stores.add_copy(x.tx, blob, asset, store, folder, name, fact.size, fact.mtime_ns, fact.inode, x.at_ns)
    return frozenset(
        facet for parent in grown for facet in (predicates.folder_facet(parent), predicates.proxies_facet(parent))
    )

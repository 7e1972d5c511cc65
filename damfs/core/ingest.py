"""Commands that turn received bytes into assets, and what they share with a scan's: where the bytes of an asset lie.

Applied like every command (one transaction, no await, no file). The bytes are durable before these run: blob
first, row second.
"""

from __future__ import annotations

from dataclasses import dataclass

from damfs.catalog import assets, derived, folders, remarks, stores, vocabulary
from damfs.core.commands import Execution, known
from damfs.core.description import describe
from damfs.core.news import Seen, moved, seen, seen_folders, tell
from damfs.errors import NotFound, Refused
from damfs.model import AssetId, AssetState, BlobId, Copy, CopyId, CopyState, Digest, Key, Media, StoreId
from damfs.storage.blob_store import FileFact


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
        if asset.state is not AssetState.RECEIVING:
            raise Refused(f"{asset.name} has arrived already")
        before = seen(x.tx, self.asset)
        blob = stores.ensure_blob(x.tx, self.digest, self.size)
        assets.add_version(x.tx, self.asset, blob, self.size, self.mtime_ns, x.at_ns)
        assets.set_media(x.tx, self.asset, self.media)
        assets.set_day(x.tx, self.asset, self.day, None)
        describe_known(x, self.asset, blob)
        grown = place_copy(x, blob, self.asset, self.store, self.placed)
        if folders.clear_destination(x.tx, self.asset):
            mark_placed(x, self.store, self.placed.key)
        revive(x, blob)
        x.planner.plan_jobs(x.tx, blob, x.at_ns)
        tell(x.changes, "ingested", self.asset, moved(before, seen(x.tx, self.asset)), grown)


@dataclass(frozen=True, slots=True)
class MarkDamaged:
    """The bytes of a copy were read and are not those of its digest."""

    copy: CopyId

    def apply(self, x: Execution) -> None:
        copy = known_copy(x, self.copy)
        before = seen(x.tx, copy.asset)
        stores.set_copy_state(x.tx, self.copy, CopyState.DAMAGED)
        tell(x.changes, "damaged", copy.asset, before)


@dataclass(frozen=True, slots=True)
class Heal:
    """The bytes of an asset were published again because no good copy was left."""

    asset: AssetId
    digest: Digest
    size: int
    store: StoreId
    placed: FileFact

    def apply(self, x: Execution) -> None:
        blob = stores.ensure_blob(x.tx, self.digest, self.size)
        grown = place_copy(x, blob, self.asset, self.store, self.placed)
        revive(x, blob)
        tell(x.changes, "healed", self.asset, seen(x.tx, self.asset), grown)


@dataclass(frozen=True, slots=True)
class Merge:
    """A received file has the bytes and the name of an asset: it becomes that asset, with its tags and remarks."""

    provisional: AssetId
    into: AssetId

    def apply(self, x: Execution) -> None:
        if known(x, self.provisional).state is not AssetState.RECEIVING:
            raise Refused("only a file that is being received can become another asset")
        kept = known(x, self.into)
        gone, before = seen(x.tx, self.provisional), seen(x.tx, self.into)
        had = vocabulary.taggings(x.tx, self.into)
        move_tags(x, self.provisional, self.into)
        remarks.carry_over(x.tx, self.provisional, self.into, wins=False)
        given = [each.term for each in vocabulary.taggings(x.tx, self.into) if each not in had]
        if kept.state is AssetState.MISSING:
            assets.set_state(x.tx, self.into, AssetState.PRESENT)
        assets.delete(x.tx, self.provisional)
        tell(x.changes, "merged", self.provisional, gone, detail={"into": self.into, "given": given})
        tell(x.changes, "tagged", self.into, before, seen(x.tx, self.into), gone)


@dataclass(frozen=True, slots=True)
class MoveCopy:
    """A copy has another key in its store now."""

    copy: CopyId
    placed: FileFact

    def apply(self, x: Execution) -> None:
        copy = known_copy(x, self.copy)
        before = seen(x.tx, copy.asset)
        parts, name = stores.split_key(self.placed.key)
        folder, grown = stores.ensure_folder(x.tx, copy.store, parts)
        stores.move_copy(x.tx, copy.id, folder, name, self.placed.mtime_ns, self.placed.inode, x.at_ns)
        tell(x.changes, "filed", copy.asset, before, seen(x.tx, copy.asset), seen_folders(grown))


@dataclass(frozen=True, slots=True)
class PlanAgain:
    """Enqueue what is due for a blob: its asset got its final name, or a processor a new version."""

    blob: BlobId

    def apply(self, x: Execution) -> None:
        x.planner.plan_jobs(x.tx, self.blob, x.at_ns)


def known_copy(x: Execution, id_: CopyId) -> Copy:
    copy = stores.copy(x.tx, id_)
    if copy is None:
        raise NotFound(f"no copy {id_}")
    return copy


def place_copy(x: Execution, blob: BlobId, asset: AssetId, store: StoreId, fact: FileFact) -> Seen:
    """A copy row for a file just read; what the folders show that got a new child folder."""
    parts, name = stores.split_key(fact.key)
    folder, grown = stores.ensure_folder(x.tx, store, parts)
    stores.add_copy(x.tx, blob, asset, store, folder, name, fact.size, fact.mtime_ns, fact.inode, x.at_ns)
    return seen_folders(grown)


def mark_placed(x: Execution, store: StoreId, key: Key) -> None:
    """A person put the file there: it is not filed elsewhere."""
    parts, name = stores.split_key(key)
    folder = stores.folder_at(x.tx, store, parts)
    if folder is not None:
        folders.mark_placed(x.tx, folder, name)


def describe_known(x: Execution, asset: AssetId, blob: BlobId) -> None:
    """Bytes that processors know already: no job will tell the asset what it is and when it was captured."""
    for facts in derived.facts_of(x.tx, blob).values():
        describe(x.tx, asset, facts, x.zone)


def move_tags(x: Execution, source: AssetId, target: AssetId) -> None:
    """Let the target carry what the source carries."""
    for term in vocabulary.tagged_terms(x.tx, source):
        tagging = vocabulary.tagging(x.tx, source, term.id)
        vocabulary.attach(x.tx, target, term.id, tagging.source, tagging.confidence, x.at_ns, tagging.origin)


def revive(x: Execution, blob: BlobId) -> None:
    """The bytes can be read again: every asset that missed them is present."""
    for asset in assets.of_blob(x.tx, blob):
        if asset.state is AssetState.MISSING:
            assets.set_state(x.tx, asset.id, AssetState.PRESENT)
            tell(x.changes, "found", asset.id, seen(x.tx, asset.id))


def mark_lost(x: Execution, blob: BlobId) -> None:
    """When no copy of the bytes is left, every asset made of them is missing."""
    if any(copy.state is CopyState.PRESENT for copy in stores.copies_of_blob(x.tx, blob)):
        return
    for asset in assets.of_blob(x.tx, blob):
        if asset.state is AssetState.PRESENT:
            assets.set_state(x.tx, asset.id, AssetState.MISSING)
            tell(x.changes, "went-missing", asset.id, seen(x.tx, asset.id))

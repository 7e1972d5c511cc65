"""Commands that bring back what an old catalog said: terms, and names, dates, states and tags of assets.

Applied like every command. An asset is recognised by its bytes, then by its place; one whose file is not there now
comes back as missing, so that the scan which finds the file finds its tags as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from damfs.catalog import assets, derived, proposals, remarks, salvage, stores, term_names, trash, vocabulary
from damfs.catalog.old_rows import OldAsset, OldEmbedding, OldFact, OldJob, OldRendition
from damfs.catalog.proposals import Origin, Proposal
from damfs.catalog.remarks import SILENT, Remark
from damfs.catalog.vocabulary import GivenTag
from damfs.core.asset_names import clean_name
from damfs.core.commands import Execution
from damfs.core.describing import HIGHEST_RATING
from damfs.core.news import seen, tell
from damfs.model import Asset, AssetId, AssetState, BlobId, Copy, CopyState, Digest, Facts


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file of an asset lay: store by name, and key."""

    store: str
    key: bytes


@dataclass(frozen=True, slots=True)
class KnownAsset:
    """All that an old catalog says of an asset."""

    row: OldAsset
    digest: Digest
    places: Sequence[Place] = ()
    tags: Sequence[GivenTag] = ()
    remark: Remark = SILENT
    attributes: Sequence[tuple[bytes, bytes]] = ()
    judged: Sequence[tuple[str, float | None, str, str]] = ()
    """Terms that a person has judged: what was proposed, how surely, by which processor and model."""


@dataclass(frozen=True, slots=True)
class Restored:
    """``found``: a file of it is there. ``tags``: how many came back."""

    asset: AssetId
    found: bool
    tags: int


@dataclass(frozen=True, slots=True)
class RestoreTerm:
    name: str
    broader: str | None

    def apply(self, x: Execution) -> bool:
        """Whether it is new."""
        if term_names.resolve(x.tx, self.name) is not None:
            return False
        above = None if self.broader is None else vocabulary.term_named(x.tx, self.broader)
        vocabulary.define(x.tx, self.name, None if above is None else above.id, x.at_ns)
        x.planner.forget_vocabulary()
        return True


@dataclass(frozen=True, slots=True)
class RestoreAsset:
    known: KnownAsset
    taken: set[AssetId] = field(default_factory=set)
    """Assets that known ones turned out to be; grows."""
    surely: bool = False
    """Only if the same bytes lie at the same place; else answer None, so that others of those bytes come first."""

    def apply(self, x: Execution) -> Restored | None:
        same = self._by_bytes(x)
        if self.surely and (same is None or not self._lies_there(x, same.id)):
            return None
        found = same or self._by_place(x)
        id_ = self._without_file(x) if found is None else found.id
        self.taken.add(id_)
        if same is not None:
            self._describe(x, same.id)
        given = sum(_tag(x, id_, tag) for tag in self.known.tags)
        self._remark(x, id_)
        for judged in self.known.judged:
            _judge(x, id_, *judged)
        tell(x.changes, "restored", id_, seen(x.tx, id_))
        return Restored(id_, found is not None, given)

    def _remark(self, x: Execution, id_: AssetId) -> None:
        if self.known.remark.rating in range(1, HIGHEST_RATING + 1):
            remarks.set_rating(x.tx, id_, self.known.remark.rating)
        if self.known.remark.comment:
            remarks.set_comment(x.tx, id_, self.known.remark.comment)
        for name, value in self.known.attributes:
            remarks.set_attribute(x.tx, id_, name, value)

    def _by_bytes(self, x: Execution) -> Asset | None:
        """Of several with the same bytes the one at the same place, else of the same name, that is no other's."""
        blob = stores.blob_of(x.tx, self.known.digest)
        alike = [] if blob is None else assets.of_blob(x.tx, blob)
        free = [asset for asset in alike if asset.id not in self.taken or self._lies_there(x, asset.id)]
        name = clean_name(self.known.row.name)
        return min(free, key=lambda asset: (not self._lies_there(x, asset.id), asset.name != name), default=None)

    def _lies_there(self, x: Execution, id_: AssetId) -> bool:
        return any(copy is not None and copy.asset == id_ for copy in self._copies_there(x))

    def _by_place(self, x: Execution) -> Asset | None:
        """Other bytes lie where the asset was: it was changed since."""
        free = (copy for copy in self._copies_there(x) if copy is not None and copy.asset not in self.taken)
        here = next(free, None)
        return None if here is None else assets.asset(x.tx, here.asset)

    def _copies_there(self, x: Execution) -> list[Copy | None]:
        return [_copy_at(x, place) for place in self.known.places]

    def _without_file(self, x: Execution) -> AssetId:
        """A row for an asset of its own: missing, unless another has the same bytes."""
        row = self.known.row
        blob = stores.ensure_blob(x.tx, self.known.digest, row.size)
        there = any(copy.state is CopyState.PRESENT for copy in stores.copies_of_blob(x.tx, blob))
        id_ = assets.insert_present(
            x.tx, clean_name(row.name), row.media, blob, row.size, row.mtime_ns, row.mode & 0o777, row.day, x.at_ns
        )
        for place in self.known.places:
            self._lost_copy(x, id_, blob, place)
        if not there:
            assets.set_state(x.tx, id_, AssetState.MISSING)
        self._describe(x, id_)
        return id_

    def _lost_copy(self, x: Execution, id_: AssetId, blob: BlobId, place: Place) -> None:
        store = stores.store_named(x.tx, place.store)
        if store is None or _copy_at(x, place) is not None:
            return
        *folders, name = place.key.split(b"/")
        folder, _ = stores.ensure_folder(x.tx, store.id, folders)
        row = self.known.row
        stores.add_copy(x.tx, blob, id_, store.id, folder, name, row.size, row.mtime_ns, 0, 0)
        copy = stores.copy_at(x.tx, folder, name)
        assert copy is not None
        stores.set_copy_state(x.tx, copy.id, CopyState.MISSING)
        if folders:
            stores.hide_folder(x.tx, folder)

    def _describe(self, x: Execution, id_: AssetId) -> None:
        row = self.known.row
        assets.set_name(x.tx, id_, clean_name(row.name))
        assets.set_media(x.tx, id_, row.media)
        assets.set_mtime(x.tx, id_, row.mtime_ns)
        assets.set_day(x.tx, id_, row.day, row.captured_ns)
        assets.set_mode(x.tx, id_, row.mode & 0o777)
        salvage.restore_standing(x.tx, id_, row.created_ns, row.triaged)
        if row.state is AssetState.TRASHED:
            assets.set_state(x.tx, id_, AssetState.TRASHED)
            trash.put(x.tx, id_, x.at_ns, "")


@dataclass(frozen=True, slots=True)
class RestoreDerived:
    """What processors found out about and made of some bytes, with the jobs that are done."""

    digest: Digest
    facts: Sequence[OldFact]
    renditions: Sequence[OldRendition]
    embeddings: Sequence[OldEmbedding]
    jobs: Sequence[OldJob]

    def apply(self, x: Execution) -> bool:
        """Whether it came back: the bytes are known, and all of it is sound."""
        blob = stores.blob_of(x.tx, self.digest)
        try:
            facts = {fact.processor: _object(fact.facts) for fact in self.facts}
            details = [_object(made.detail) for made in self.renditions]
        except msgspec.MsgspecError:
            return False
        if blob is None:
            return False
        for processor, found in facts.items():
            derived.set_facts(x.tx, blob, processor, found)
        for made, detail in zip(self.renditions, details, strict=True):
            derived.set_rendition(x.tx, blob, made.kind, made.profile, made.key, made.size, detail, made.made_ns)
        for vector in self.embeddings:
            at_ns = None if vector.at_ns < 0 else vector.at_ns
            derived.set_embedding(x.tx, blob, vector.model, at_ns, vector.vector)
        for job in self.jobs:
            salvage.restore_job(x.tx, blob, job, x.at_ns)
        x.planner.plan_jobs(x.tx, blob, x.at_ns)
        return True


def _tag(x: Execution, id_: AssetId, given: GivenTag) -> bool:
    term = term_names.resolve(x.tx, given.term)
    term_id = vocabulary.define(x.tx, given.term, None, x.at_ns) if term is None else term.id
    origin = Origin(given.processor, given.model)
    return vocabulary.attach(x.tx, id_, term_id, given.source, given.confidence, x.at_ns, origin).changed


def _judge(x: Execution, id_: AssetId, name: str, confidence: float | None, processor: str, model: str) -> None:
    term = vocabulary.term_named(x.tx, name)
    if term is not None:
        proposed = None if confidence is None else Proposal(confidence, processor, model)
        proposals.judge(x.tx, id_, term.id, proposed, x.at_ns)


def _copy_at(x: Execution, place: Place) -> Copy | None:
    store = stores.store_named(x.tx, place.store)
    *folders, name = place.key.split(b"/")
    folder = None if store is None else stores.folder_at(x.tx, store.id, folders)
    return None if folder is None else stores.copy_at(x.tx, folder, name)


def _object(text: str) -> Facts:
    return msgspec.json.decode(text, type=dict[str, object])

"""Commands for an asset that is written again, and for the version that comes of it.

Applied like every command (one transaction, no await, no file). The bytes are durable, and the old ones have a name of
their own, before `AddVersion` runs: blob first, row second.
"""

from __future__ import annotations

from dataclasses import dataclass

from damfs.catalog import assets, folders, remarks, rewrites, stores, versions
from damfs.core.asset_names import split_ending
from damfs.core.commands import Execution, known
from damfs.core.ingest import describe_known, known_copy, move_tags, place_copy, revive
from damfs.core.news import seen, tell
from damfs.errors import Refused
from damfs.model import AssetId, AssetState, CopyId, Digest, Facet, Media, StoreId
from damfs.storage.blob_store import FileFact


def versions_facet(asset: AssetId) -> Facet:
    return Facet(f"versions:{asset}")


@dataclass(frozen=True, slots=True)
class BeginRewrite:
    """An asset that has arrived was opened to write; a copy of its bytes is staged."""

    asset: AssetId
    size: int

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        if asset.state is AssetState.RECEIVING:
            raise Refused(f"{asset.name} is still being received")
        rewrites.begin(x.tx, self.asset, self.size, asset.mtime_ns)
        x.changes.record("rewriting", frozenset(), asset=self.asset, names=(asset.name,))


@dataclass(frozen=True, slots=True)
class SizeRewrite:
    """So much of it is durably there."""

    asset: AssetId
    size: int

    def apply(self, x: Execution) -> None:
        rewrites.set_size(x.tx, self.asset, self.size)


@dataclass(frozen=True, slots=True)
class CloseRewrite:
    """The last close was seen: what is staged is whole, and becomes a version whatever happens."""

    asset: AssetId
    size: int
    mtime_ns: int
    dated: bool = True
    """Whether a program has set that time."""

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        rewrites.close(x.tx, self.asset, self.size, self.mtime_ns, self.dated)
        x.changes.record("rewriting", frozenset(), asset=self.asset, names=(asset.name,))


@dataclass(frozen=True, slots=True)
class EndRewrite:
    """No version comes of it: nothing was changed, or what was written is not whole."""

    asset: AssetId

    def apply(self, x: Execution) -> None:
        asset = assets.asset(x.tx, self.asset)
        rewrites.end(x.tx, self.asset)
        names = () if asset is None else (asset.name,)
        x.changes.record("rewrite-ended", frozenset(), asset=self.asset, names=names)


@dataclass(frozen=True, slots=True)
class AddVersion:
    """Other bytes lie at the key of an asset: its next version. ``kept``: the other name that the old bytes have now;
    None when they had one already, or were gone. ``superfluous``: copies that are further names of the new ones."""

    asset: AssetId
    digest: Digest
    size: int
    mtime_ns: int
    media: Media
    day: str
    store: StoreId
    replaced: CopyId | None
    kept: FileFact | None
    placed: FileFact
    superfluous: tuple[CopyId, ...] = ()

    def apply(self, x: Execution) -> None:
        before, state = seen(x.tx, self.asset), known(x, self.asset).state
        if self.replaced is not None and self.kept is not None:
            self._keep(x, self.replaced, self.kept)
        for copy in self.superfluous:
            stores.remove_copy(x.tx, copy)
        blob = stores.ensure_blob(x.tx, self.digest, self.size)
        assets.add_version(x.tx, self.asset, blob, self.size, self.mtime_ns, x.at_ns)
        if state is AssetState.TRASHED:
            assets.set_state(x.tx, self.asset, state)
        assets.set_media(x.tx, self.asset, self.media)
        assets.set_day(x.tx, self.asset, self.day, None)
        describe_known(x, self.asset, blob)
        grown = place_copy(x, blob, self.asset, self.store, self.placed)
        revive(x, blob)
        rewrites.end(x.tx, self.asset)
        x.planner.plan_jobs(x.tx, blob, x.at_ns)
        number = versions.of_asset(x.tx, self.asset)[-1].number
        own = before._replace(
            facets=before.facets | {versions_facet(self.asset)},
            names=before.names | {version_name(known(x, self.asset).name, number)},
        )
        tell(x.changes, "version-added", self.asset, own, seen(x.tx, self.asset), grown)

    def _keep(self, x: Execution, replaced: CopyId, kept: FileFact) -> None:
        copy = known_copy(x, replaced)
        parts, name = stores.split_key(kept.key)
        folder, _ = stores.ensure_folder(x.tx, copy.store, parts)
        stores.move_copy(x.tx, copy.id, folder, name, kept.mtime_ns, kept.inode, x.at_ns)


@dataclass(frozen=True, slots=True)
class Absorb:
    """`mv temporary original`: the source vanishes and its bytes become the target's. Its tags are the target's from
    now on as well, what it says else (`rsync -X` wrote that to the temporary file) holds instead of what the target
    said, and its earlier versions are the target's. To be followed by `AddVersion`, in the same transaction, and
    then by `further_names.remove_superfluous`: until then its names lead to the target."""

    source: AssetId
    target: AssetId

    def apply(self, x: Execution) -> None:
        source, before = known(x, self.source), seen(x.tx, self.target)
        known(x, self.target)
        gone = seen(x.tx, self.source)
        move_tags(x, self.source, self.target)
        remarks.carry_over(x.tx, self.source, self.target, wins=True)
        current = versions.current(x.tx, self.source)
        for version in versions.of_asset(x.tx, self.source):
            if current is None or version.id != current.id:
                versions.give(x.tx, version.id, self.target)
        for copy in stores.copies_of_asset(x.tx, self.source):
            stores.give_copy(x.tx, copy.id, self.target)
            if copy.blob == source.blob and copy.store == own_store(x):
                folders.begin_file_move(x.tx, copy.id, folders.NOWHERE)
        assets.delete(x.tx, self.source)
        tell(x.changes, "merged", self.source, gone, detail={"into": self.target})
        tell(x.changes, "tagged", self.target, before, seen(x.tx, self.target))


@dataclass(frozen=True, slots=True)
class AbsorbDraft:
    """The same with a source that was never sealed: what is staged of it is the target's already."""

    source: AssetId
    target: AssetId

    def apply(self, x: Execution) -> None:
        if known(x, self.source).state is not AssetState.RECEIVING:
            raise Refused("only a file that is being received can be taken over before it has arrived")
        gone, before = seen(x.tx, self.source), seen(x.tx, self.target)
        move_tags(x, self.source, self.target)
        remarks.carry_over(x.tx, self.source, self.target, wins=True)
        assets.delete(x.tx, self.source)
        tell(x.changes, "merged", self.source, gone, detail={"into": self.target})
        tell(x.changes, "tagged", self.target, before, seen(x.tx, self.target), gone)


def own_store(x: Execution) -> StoreId:
    return next(store.id for store in stores.all_stores(x.tx) if not store.root)


@dataclass(frozen=True, slots=True)
class PruneVersion:
    """Forget a version whose bytes were removed (``files``), or are another's as well."""

    asset: AssetId
    number: int
    files: tuple[CopyId, ...]

    def apply(self, x: Execution) -> None:
        found = versions.numbered(x.tx, self.asset, self.number)
        if found is None or found.current:
            return
        for copy in self.files:
            stores.remove_copy(x.tx, copy)
        versions.remove(x.tx, found.id)
        if not versions.is_used(x.tx, found.blob, found.id):
            versions.forget_blob(x.tx, found.blob)
        asset = known(x, self.asset)
        names = (version_name(asset.name, self.number), asset.name)
        facets = assets.facets(x.tx, self.asset) | {versions_facet(self.asset)}
        x.changes.record("version-pruned", facets, asset=self.asset, names=names)


def version_name(name: str, number: int) -> str:
    """What a version is called in versions/<asset>/."""
    return f"v{number:04d}{split_ending(name)[1]}"

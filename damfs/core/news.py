"""What listings show of an asset: what a change of it touches, and the names under which it was or is seen.

Point reads inside a transaction, before and after the change. Whoever caches a listing forgets those names in the
places that depend on those facets, and nothing else: a name left out here is a stale entry there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Set
from typing import NamedTuple

from damfs.catalog import assets, derived, field_values, folders, predicates, stores
from damfs.catalog.change_feed import Recorder
from damfs.catalog.database import Connection
from damfs.catalog.fields import BY_NAME, directories_of
from damfs.catalog.stand_ins import CAMERA_ENDING
from damfs.catalog.stores import Child
from damfs.core.asset_names import is_text, proxy_name, split_ending
from damfs.core.editors import names_as_they_are, names_by_stem
from damfs.core.preview_names import ENDINGS, KINDS, preview_name
from damfs.core.processors.camera_proxy import JUDGED, PAIR
from damfs.model import Asset, AssetId, BlobId, CopyState, Digest, Facet, Facts, FolderId, Media, RenditionKind

SHOWN_KINDS = KINDS | {RenditionKind.PROXY}
"""Renditions that are files of a view by themselves."""


class Seen(NamedTuple):
    """``names``: shown bare or qualified. ``keys``: shown as they are, as the bytes of the store's file system."""

    facets: frozenset[Facet]
    names: frozenset[str] = frozenset()
    keys: frozenset[bytes] = frozenset()


def seen(connection: Connection, id_: AssetId) -> Seen:
    """All that listings show of an asset: itself, the directories of its day, its files and their proxies."""
    asset = assets.asset(connection, id_)
    if asset is None:
        return Seen(frozenset())
    return together([seen_itself(connection, asset), seen_beside(connection, asset)])


def seen_itself(connection: Connection, asset: Asset) -> Seen:
    """What hangs on what an asset is: its name in views, and the directories of its day and of its values."""
    facets = assets.facets(connection, asset.id)
    return Seen(facets, frozenset({asset.name}), seen_directories(connection, asset.id))


def seen_beside(connection: Connection, asset: Asset) -> Seen:
    """What hangs on where its files are, and on what was made of them."""
    files = [seen_files(connection, asset.id), seen_destination(connection, asset.id)]
    return together([*files, seen_made(connection, asset)])


def seen_new(name: str, media: Media, day: str, *, triaged: bool) -> Seen:
    """What `seen` says of an asset that is just being received: nothing else is known of it."""
    facets = {predicates.ALL_FACET, predicates.UNTAGGED_FACET, predicates.media_facet(media)}
    facets.update(predicates.day_facets(day), () if triaged else (predicates.INBOX_FACET,))
    return Seen(frozenset(facets), frozenset({name}), frozenset(day.encode().split(b"-")))


def seen_directories(connection: Connection, id_: AssetId) -> frozenset[bytes]:
    """Names of directories that come and go with an asset: of its day, and of values of its fields."""
    values = field_values.browsed(connection, id_)
    names = {name for field, _, text in values for name in directories_of(BY_NAME[field], text)}
    return frozenset(name.encode() for name in {*assets.day_of(connection, id_).split("-"), *names})


def seen_files(connection: Connection, id_: AssetId) -> Seen:
    """What originals/ shows of an asset."""
    copies = [copy for copy in stores.copies_of_asset(connection, id_) if copy.state is not CopyState.MISSING]
    facets = frozenset(predicates.folder_facet(copy.folder) for copy in copies)
    return Seen(facets, keys=frozenset(copy.name for copy in copies))


def seen_destination(connection: Connection, id_: AssetId) -> Seen:
    """What originals/ shows of an asset that is being received."""
    there = folders.destination(connection, id_)
    if there is None:
        return Seen(frozenset())
    return Seen(frozenset({predicates.folder_facet(there.folder)}), keys=frozenset({there.name}))


def seen_made(connection: Connection, asset: Asset, kinds: Set[RenditionKind] = SHOWN_KINDS) -> Seen:
    """What views show that was made of an asset's bytes, of these kinds."""
    nothing = Seen(frozenset())
    proxies = seen_proxies(connection, asset) if RenditionKind.PROXY in kinds else nothing
    return together([proxies, seen_previews(connection, asset, kinds & KINDS) if kinds & KINDS else nothing])


def seen_previews(connection: Connection, asset: Asset, kinds: Set[RenditionKind]) -> Seen:
    """What previews/ shows of an asset, by the names of its files."""
    made = [] if asset.blob is None else derived.renditions_of(connection, asset.blob)
    endings = {ENDINGS.get((each.kind, each.profile)) for each in made if each.kind in kinds} - {None}
    copies = stores.copies_of_asset(connection, asset.id) if endings else []
    facets = frozenset(predicates.proxies_facet(copy.folder) for copy in copies)
    keys = frozenset(preview_name(copy.name, copy.id, ending) for copy in copies for ending in endings if ending)
    return Seen(facets, keys=keys)


def seen_proxies(connection: Connection, asset: Asset) -> Seen:
    """What proxies/ and editors/ show because of an asset: its own proxy, or itself in place of one."""
    if asset.blob is None:
        return Seen(frozenset())
    pair = derived.facts_by(connection, asset.blob, PAIR)
    shown = [asset, *_assets_with(connection, pair.get("of"))]
    return together([_seen_proxy(connection, each, each.blob) for each in shown if each.blob is not None])


def seen_copies(connection: Connection, clip: BlobId) -> Seen:
    """The files of a camera's copies, which editors/ shows or not."""
    seen = [Seen(frozenset())]
    digests = derived.facts_by(connection, clip, PAIR).get("proxies", ())
    for digest in digests if isinstance(digests, list) else ():
        for asset in _assets_with(connection, digest):
            copies = stores.copies_of_asset(connection, asset.id)
            facets = frozenset(predicates.proxies_facet(copy.folder) for copy in copies)
            seen.append(Seen(facets, keys=frozenset(copy.name for copy in copies)))
    return together(seen)


def _seen_proxy(connection: Connection, asset: Asset, blob: BlobId) -> Seen:
    """Names with the proxy's ending, bare or qualified, and all that lead there."""
    made = derived.renditions_of(connection, blob)
    endings = {split_ending(each.key)[1] for each in made if each.kind is RenditionKind.PROXY}
    if "proxy" in derived.facts_by(connection, blob, JUDGED):
        endings.add(CAMERA_ENDING)
    copies = stores.copies_of_asset(connection, asset.id) if endings else []
    if not copies:
        return Seen(frozenset())
    digest = derived.facts_by(connection, blob, "editor_hash").get("md5")
    names, keys = set[str](), set[str]()
    for copy in copies:
        original = os.fsdecode(copy.name)
        keys |= names_as_they_are(original, digest if isinstance(digest, str) else None)
        for ending in endings:
            names |= {proxy_name(copy.name, "x" + ending), *names_by_stem(original, ending)}
    texts = frozenset(name for name in names if is_text(name))
    facets = frozenset(predicates.proxies_facet(copy.folder) for copy in copies) | {predicates.HASHES_FACET}
    return Seen(facets, texts, frozenset(os.fsencode(name) for name in (names - texts) | keys))


def _assets_with(connection: Connection, digest: object) -> list[Asset]:
    """Of the bytes that the other one of a pair names."""
    blob = stores.blob_of(connection, Digest(bytes.fromhex(digest))) if isinstance(digest, str) else None
    return [] if blob is None else assets.of_blob(connection, blob)


def seen_folders(children: Iterable[Child]) -> Seen:
    """Folders that originals/ and proxies/ began or ceased to list."""
    children = list(children)
    facets = {facet for child in children for facet in _of_folder(child.parent)}
    return Seen(frozenset(facets), keys=frozenset(child.name for child in children))


def _of_folder(folder: FolderId) -> tuple[Facet, Facet]:
    return predicates.folder_facet(folder), predicates.proxies_facet(folder)


def together(parts: Iterable[Seen]) -> Seen:
    facets, names, keys = zip(*parts, strict=True)
    return Seen(frozenset().union(*facets), frozenset().union(*names), frozenset().union(*keys))


def moved(before: Seen, after: Seen) -> Seen:
    """Of an asset that is shown before and after a change: where it came, and where it is no more. Where it stays
    under its name there is nothing new, beside its attributes."""
    if before.names != after.names:
        return together([before, after])
    facets = before.facets ^ after.facets
    if any(facet.startswith(predicates.DATE_PREFIX) for facet in facets):  # years and months have come or gone as well
        facets |= {each for each in before.facets | after.facets if each.startswith(predicates.DATE_PREFIX)}
    return Seen(facets, before.names, before.keys | after.keys)


def tell(changes: Recorder, kind: str, asset: AssetId | None, *what: Seen, detail: Facts | None = None) -> None:
    """Record a change that touches all this. Keys go into the detail in hexadecimal: they may be no text."""
    all_ = together(what)
    keys: Facts = {"keys": sorted(key.hex() for key in all_.keys)} if all_.keys else {}
    changes.record(kind, all_.facets, asset=asset, names=tuple(sorted(all_.names)), detail={**(detail or {}), **keys})

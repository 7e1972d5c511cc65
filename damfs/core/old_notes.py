"""What old catalogs say that the files do not, in the words of the notes that a store keeps (`store_notes`); and which
of the two has the word.

Blocks, writes nothing. It has a catalog that could be read without gaps; else the notes, newer than any backup.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from damfs.catalog.old_rows import (
    OldAside,
    OldAsset,
    OldBlob,
    OldFolderAttribute,
    OldOwner,
    OldPlace,
    OldTrashed,
    OldTree,
    OldVersion,
)
from damfs.catalog.salvage import Salvage
from damfs.catalog.standing import ORDINARY_MODE, AssetNote, FolderNote, TrashNote, VersionNote
from damfs.core.restoring import KnownAsset, Place
from damfs.core.store_notes import StoreNotes
from damfs.model import LIBRARY_STORE, AssetId, AssetState, Digest, FolderId

T = TypeVar("T")


@dataclass(slots=True)
class Noted:
    """By ids of the old catalog."""

    assets: Mapping[int, AssetNote] = field(default_factory=dict)
    folders: Mapping[int, FolderNote] = field(default_factory=dict)


def noted_in(old: Salvage, rows: Iterable[OldAsset], blobs: Mapping[int, OldBlob], tree: OldTree) -> Noted:
    """``rows``: all assets."""
    versions: dict[int, list[OldVersion]] = defaultdict(list)
    for version in old.each(OldVersion):
        if version.blob in blobs:
            versions[version.asset].append(version)
    trashed = {row.asset: row for row in _rows(old, OldTrashed, "trashed")}
    asides = {row.copy: row.key for row in _rows(old, OldAside, "aside")}
    owners = {row.asset: (row.uid, row.gid) for row in _rows(old, OldOwner, "asset_owner")}
    found: dict[int, AssetNote] = {}
    for row in rows:
        lie = tree.files.get(row.id, [])
        known = [_version(each, blobs, lie) for each in sorted(versions[row.id], key=lambda each: each.number)]
        in_trash = None if row.id not in trashed else _trash(trashed[row.id], asides, lie)
        ordinary = len(known) == 1 and known[0].number == 1 and row.mode == ORDINARY_MODE
        if known and not (ordinary and in_trash is None and row.id not in owners):
            found[row.id] = AssetNote(row.name, row.mode & 0o7777, tuple(known), owners.get(row.id), in_trash)
    return Noted(found, _folders(old, tree))


def _rows(old: Salvage, kind: type[T], table: str) -> list[T]:
    """Nothing of a table that a catalog of an older schema has not."""
    return list(old.each(kind)) if old.has(table) else []


def _version(version: OldVersion, blobs: Mapping[int, OldBlob], lie: list[OldPlace]) -> VersionNote:
    blob = blobs[version.blob]
    keys = tuple(place.key for place in lie if place.blob == blob.id and place.store == LIBRARY_STORE)
    return VersionNote(version.number, blob.digest, blob.size, version.mtime_ns, version.created_ns, keys)


def _trash(row: OldTrashed, asides: dict[int, bytes], lie: list[OldPlace]) -> TrashNote:
    former = tuple((place.key, asides[place.copy]) for place in lie if place.copy in asides)
    return TrashNote(row.at_ns, row.place, former)


def _folders(old: Salvage, tree: OldTree) -> dict[int, FolderNote]:
    rows, keys = _rows(old, OldFolderAttribute, "folder_attribute"), tree.folders
    return {
        row.folder: FolderNote(
            keys[row.folder][1], row.mode, row.mtime_ns, None if row.uid is None else (row.uid, row.gid or 0)
        )
        for row in rows
        if row.folder in keys and keys[row.folder][0] == LIBRARY_STORE
    }


def together(catalogs: Noted, notes: StoreNotes, *, whole: bool) -> Noted:
    """``whole``: whether the catalog itself could be read without gaps. Notes that are not are completed."""
    if whole or notes.library is None:
        return catalogs
    if notes.begun and not notes.damaged:
        return Noted(_by_number(notes.assets), _by_number(notes.folders))
    return Noted({**catalogs.assets, **_by_number(notes.assets)}, {**catalogs.folders, **_by_number(notes.folders)})


def completed(noted: Noted, aside: StoreNotes, known: Mapping[int, KnownAsset]) -> Noted:
    """With what notes say that were kept aside when an older catalog came back. Since then it has given some of their
    ids to others: an asset is recognised by its bytes, and by where they lie."""
    by_key = {place.key: id_ for id_, each in known.items() for place in each.places if place.store == LIBRARY_STORE}
    assets, folders = dict(noted.assets), dict(noted.folders)
    for id_, note in aside.assets.items():
        here = [int(id_), *(by_key[key] for key in note.versions[-1].keys if key in by_key)]
        found = next((each for each in here if each in known and _shares(known[each], assets.get(each), note)), -id_)
        assets[found] = _joined(assets[found], note) if found in assets else note
    keys = {each.key for each in folders.values()}
    folders |= {-int(id_): folder for id_, folder in aside.folders.items() if folder.key not in keys}
    return Noted(assets, folders)


def _shares(known: KnownAsset, noted: AssetNote | None, aside: AssetNote) -> bool:
    """Whether any bytes were both one's and the other's."""
    ever = {bytes(known.digest), *(each.digest for each in (noted.versions if noted else ()))}
    return not ever.isdisjoint(each.digest for each in aside.versions)


def _joined(note: AssetNote, aside: AssetNote) -> AssetNote:
    """With the versions that only the other tells of."""
    met = {each.digest for each in note.versions}
    *earlier, last = note.versions
    earlier = sorted([*earlier, *(each for each in aside.versions if each.digest not in met)], key=_age)
    versions = tuple(replace(each, number=number) for number, each in enumerate([*earlier, last], 1))
    return replace(note, versions=versions if len(versions) > len(note.versions) else note.versions)


def _age(version: VersionNote) -> int:
    return version.created_ns


def _by_number(notes: Mapping[AssetId, T] | Mapping[FolderId, T]) -> dict[int, T]:
    return {int(id_): note for id_, note in notes.items()}


def brought_up(known: KnownAsset, note: AssetNote | None) -> KnownAsset:
    """What a backup says of an asset, with what happened to its files since."""
    row = known.row
    if note is None:
        was_trashed = row.state is AssetState.TRASHED
        return replace(known, row=row._replace(state=AssetState.PRESENT)) if was_trashed else known
    last = note.versions[-1]
    state = AssetState.TRASHED if note.trash is not None else AssetState.PRESENT
    return replace(
        known,
        row=row._replace(name=note.name, mode=note.mode, state=state, size=last.size, mtime_ns=last.mtime_ns),
        digest=Digest(last.digest),
        places=[Place(LIBRARY_STORE, key) for key in last.keys] or known.places,
    )


def is_of(known: KnownAsset, note: AssetNote) -> bool:
    """Whether they can be of the same asset: the bytes that the one knows are among those of the other."""
    return any(each.digest == known.digest for each in note.versions)

"""What the mounted tree should be after some operations: a small model in plain Python, without SQL, FUSE or threads.

Each method does what the mount should do and answers None, or raises `Errno` with what a program should meet. Names in
a place come from `shown_names`, which has tests of its own.
"""

from __future__ import annotations

import errno
import os

from damfs.core.asset_names import NAME_LIMIT, clean_name, size_of
from damfs.core.keys import keys_beside
from damfs.model import AssetId
from damfs.model import Key as BlobKey
from damfs.presentation.views.names import qualified, qualifiers, shown_names
from damfs.storage.droppings import is_dropping
from tests.mount.tree_things import (
    DAY,
    INBOX,
    LIBRARY,
    OTHER,
    TAGS,
    TRASH,
    Asset,
    Errno,
    Key,
    Place,
    Term,
    in_library,
)  # fmt: skip


class Model:
    def __init__(self) -> None:
        self.assets: dict[int, Asset] = {}
        self.terms: dict[int, Term] = {}
        self.folders: set[Place] = {LIBRARY}
        self._last_term = 0

    # --- questions ---

    def term(self, name: str) -> int | None:
        return next((id_ for id_, term in self.terms.items() if term.name == name), None)

    def path(self, place: Place) -> list[int]:
        """The terms of a place. ENOENT where there is no such directory."""
        if in_library(place) and place not in self.folders:
            raise Errno(errno.ENOENT)
        found: list[int] = []
        for name in place[1:] if place[0] == TAGS else ():
            id_ = self.term(name)
            if id_ is None or id_ in found:
                raise Errno(errno.ENOENT)
            found.append(id_)
        return found

    def narrower(self, id_: int) -> set[int]:
        found = {id_}
        while more := {each for each, term in self.terms.items() if term.broader in found} - found:
            found |= more
        return found

    def carries(self, asset: Asset, id_: int) -> bool:
        return bool(asset.terms & self.narrower(id_))

    def assets_in(self, place: Place) -> list[Asset]:
        """Lowest id first."""
        if place[0] == TRASH:
            return [asset for _, asset in sorted(self.assets.items()) if asset.trashed]
        seen = [asset for _, asset in sorted(self.assets.items()) if not asset.trashed]
        path = self.path(place)
        if place[0] == TAGS:
            return [asset for asset in seen if path and all(self.carries(asset, id_) for id_ in path)]
        if place[0] == INBOX:
            return [asset for asset in seen if not asset.triaged]
        return seen if place[0] == OTHER else [asset for asset in seen if not asset.terms]

    def directories(self, place: Place) -> set[str]:
        """Names that lead to one; of those `listed` shows only the narrower terms."""
        path = self.path(place)
        if in_library(place):
            return {folder[-1] for folder in self.folders if folder[:-1] == place}
        return {term.name for id_, term in self.terms.items() if id_ not in path} if place[0] == TAGS else set()

    def listed(self, place: Place) -> dict[str, int | None]:
        """Name to asset; None: a directory."""
        if in_library(place):
            found_there = {name: asset.id for (folder, name), asset in self.files().items() if folder == place}
            return {**found_there, **dict.fromkeys(sorted(self.directories(place)))}  # numbers choose among them
        path, found = self.path(place), self.assets_in(place)
        names = shown_names([AssetId(a.id) for a in found], [a.name for a in found], self.directories(place))
        listing: dict[str, int | None] = {name: asset.id for name, asset in zip(names, found, strict=True)}
        if place[0] == TAGS:
            broader = path[-1] if path else None
            listing |= {t.name: None for id_, t in self.terms.items() if t.broader == broader and id_ not in path}
        return listing

    def files(self) -> dict[Key, Asset]:
        """What lies in the folders of the library."""
        shown = (asset for asset in self.assets.values() if not asset.trashed)
        return {key: asset for asset in shown for key in asset.names if key != DAY}

    def overwritten(self) -> set[str]:
        """What versions/ lists."""
        seen = self.assets_in((OTHER,))
        names = shown_names([AssetId(asset.id) for asset in seen], [asset.name for asset in seen])
        return {name for name, asset in zip(names, seen, strict=True) if asset.before}

    def resolved(self, place: Place, raw: str) -> Asset | str | None:
        """What a name means in a place: an asset, a directory (its name), nothing."""
        if is_dropping(raw):
            self.path(place)
            return None
        name = self.spelled(raw, place)
        if name in self.directories(place):
            return name
        if in_library(place):
            return self.files().get((place, name))
        found = self.assets_in(place)
        for id_ in qualifiers(name):
            for asset in found:
                if asset.id == id_ and qualified(asset.name, id_) == name:
                    return asset
        return next((asset for asset in found if asset.name == name), None)

    def spelled(self, raw: str, place: Place = ()) -> str:
        if size_of(raw) > NAME_LIMIT:
            raise Errno(errno.ENAMETOOLONG)
        return raw if in_library(place) else clean_name(raw)

    def file(self, place: Place, raw: str) -> Asset:
        found = self.resolved(place, raw)
        if found is None:
            raise Errno(errno.ENOENT)
        if isinstance(found, str):
            raise Errno(errno.EISDIR, errno.EPERM)
        return found

    # --- operations ---

    def may_create(self, place: Place, raw: str) -> None:
        """With O_EXCL."""
        if self.resolved(place, raw) is not None:
            raise Errno(errno.EEXIST)
        if not self.takes_files(place):
            raise Errno(errno.EPERM)
        if is_dropping(raw) or is_dropping(self.spelled(raw)):
            raise Errno(errno.EPERM)

    def takes_files(self, place: Place) -> bool:
        return in_library(place) or place == (INBOX,) or (place[0] == TAGS and len(place) > 1)

    def create(self, place: Place, raw: str, id_: int, content: bytes) -> Asset:
        self.may_create(place, raw)
        asset = Asset(id_, self.spelled(raw), content, set(self.path(place)), triaged=place[0] != INBOX)
        if in_library(place):
            asset.names = [(place, raw)]
        self.assets[id_] = asset
        return asset

    def received_again(self, place: Place, asset: Asset) -> None:
        """Its bytes came once more under its name: the asset enters the place."""
        self.may_create(place, asset.name)
        asset.terms |= set(self.path(place))

    def unlink(self, place: Place, raw: str) -> None:
        asset = self.file(place, raw)
        if in_library(place) and len(asset.names) > 1:
            asset.names.remove((place, raw))
        elif in_library(place):
            asset.trashed = True
        elif place[0] == TAGS:
            self.untag(asset, self.path(place)[-1])
        elif place[0] == INBOX and asset.terms:
            asset.triaged = True
        elif place[0] == INBOX:
            asset.trashed = True
        else:
            raise Errno(errno.EPERM)

    def tag(self, asset: Asset, name: str) -> None:
        """By `damfs tag`, which makes the term."""
        id_ = self.term(clean_name(name))
        asset.terms.add(self._define(clean_name(name), None) if id_ is None else id_)

    def untag(self, asset: Asset, id_: int) -> None:
        asset.terms -= self.narrower(id_)

    def set_tags(self, asset: Asset, names: list[str]) -> None:
        """By `setfattr`: exactly these. A term that holds a comma cannot be said, and stays."""
        unsayable = {id_ for id_ in asset.terms if any("," in self.terms[each].name for each in self.broader(id_))}
        asset.terms = unsayable | {self.term(name) or self._define(name, None) for name in names}

    def broader(self, id_: int | None) -> list[int]:
        """The term and those above it."""
        found: list[int] = []
        while id_ is not None:
            found.append(id_)
            id_ = self.terms[id_].broader
        return found

    def link(self, asset: Asset, place: Place, raw: str) -> None:
        if self.resolved(place, raw) is not None:
            raise Errno(errno.EEXIST)
        if asset.trashed or not self.takes_files(place) or place == (INBOX,) or is_dropping(raw):
            raise Errno(errno.EPERM)
        if in_library(place):
            self.spelled(raw)
            asset.names.append((place, raw))
            asset.triaged = True
            return
        if self.spelled(raw) not in {asset.name, qualified(asset.name, AssetId(asset.id))}:
            raise Errno(errno.EPERM)
        asset.terms |= set(self.path(place))

    def rename(self, place: Place, raw: str, to: Place, new_raw: str) -> None:
        """Of a file."""
        asset = self.file(place, raw)
        there = self.resolved(to, new_raw)
        if there is asset:
            return  # two names of one inode: the kernel has nothing to do
        if isinstance(there, str):  # ENOTEMPTY: it lies above the file
            raise Errno(errno.EEXIST, errno.EISDIR, errno.EPERM, errno.ENOTEMPTY)
        self._may_arrive(asset, place, to, new_raw)
        old, new = self.spelled(raw, place), self.spelled(new_raw, to)
        if there is None or (in_library(to) and max(self._names_there(asset, place), len(there.names)) > 1):
            if there is not None and asset.trashed:
                raise Errno(errno.EIO, errno.EEXIST)
            self._arrive(asset, there, (place, old), (to, new))
        else:
            if asset.trashed:
                self._restore(asset, to)
            elif place != to:
                self._leave(asset, place)
            self._supersede(there, asset)

    def _names_there(self, asset: Asset, place: Place) -> int:
        return len(asset.names) if in_library(place) else 1

    def _may_arrive(self, asset: Asset, place: Place, to: Place, new_raw: str) -> None:
        """Whether moving means anything there."""
        restored = asset.trashed and place != to and (to == (INBOX,) or self.takes_files(to))
        trashed = to == (TRASH,) and place != to and self.resolved(to, new_raw) is None
        moved = not asset.trashed and self.takes_files(to) and (place == to or to != (INBOX,))
        new = self.spelled(new_raw, to)
        if is_dropping(new_raw) or is_dropping(new) or not (restored or trashed or moved):
            raise Errno(errno.EPERM)

    def _arrive(self, asset: Asset, there: Asset | None, old: Key, new: Key) -> None:
        (place, name), (to, new_name) = old, new
        if there is not None and len(there.names) > 1:
            there.names.remove(new)
        elif there is not None:
            there.trashed = True
        if place != to and to != (TRASH,):
            self._leave(asset, place)
            asset.terms |= set(self.path(to))
        if new_name not in {name, asset.name}:
            asset.name = clean_name(new_name)
        if to == (TRASH,):
            asset.trashed = True
        elif asset.trashed:
            self._restore(asset, to)
        elif in_library(to):
            asset.names[asset.names.index(old) if in_library(place) else 0] = new
            asset.triaged = True

    def _restore(self, asset: Asset, to: Place) -> None:
        """Where a file lay, or is wanted now; beside what lies there meanwhile."""
        wanted = [(to, asset.name), *asset.names[1:]] if in_library(to) else asset.names
        taken = set(self.files()) | {(folder[:-1], folder[-1]) for folder in self.folders}
        asset.trashed, asset.names = False, []
        for folder, name in wanted:
            if (folder, name) == DAY or self._is_blocked(folder):
                asset.names.append(DAY)
                continue
            for length in range(len(LIBRARY), len(folder) + 1):
                self.folders.add(folder[:length])
            keys = ((folder, os.fsdecode(key)) for key in keys_beside(BlobKey(os.fsencode(name))))
            asset.names.append(next(key for key in keys if key not in taken))
        if to == (INBOX,):
            asset.triaged = False

    def _is_blocked(self, folder: Place) -> bool:
        """Whether a file lies now where a folder was."""
        steps = range(len(LIBRARY), len(folder))
        return any((folder[:depth], folder[depth]) in self.files() for depth in steps)

    def _supersede(self, target: Asset, source: Asset) -> None:
        """The source is the next version of the target, its earlier ones are versions before that."""
        target.terms |= source.terms
        if source.content == target.content:
            target.before += source.before
        else:
            target.before += [target.content, *source.before]
        target.content = source.content
        target.rating = source.rating or target.rating
        del self.assets[source.id]

    def _leave(self, asset: Asset, place: Place) -> None:
        if place[0] == TAGS:
            self.untag(asset, self.path(place)[-1])
        elif place[0] == INBOX:
            asset.triaged = True

    def make_directory(self, place: Place, raw: str) -> None:
        if self.resolved(place, raw) is not None:
            raise Errno(errno.EEXIST)
        path, name = self.path(place), self.spelled(raw, place)
        if is_dropping(raw) or is_dropping(name) or not (place[0] == TAGS or in_library(place)):
            raise Errno(errno.EPERM)
        if in_library(place):
            self.folders.add((*place, name))
            return
        if self.term(name) is not None:
            raise Errno(errno.EEXIST)
        self._define(name, path[-1] if path else None)

    def _define(self, name: str, broader: int | None) -> int:
        self._last_term += 1
        self.terms[self._last_term] = Term(name, broader)
        return self._last_term

    def remove_directory(self, place: Place, raw: str) -> None:
        if in_library(place):
            self._remove_folder(place, raw)
            return
        id_ = self._directory(place, raw)
        if self._is_used(id_):
            raise Errno(errno.ENOTEMPTY)
        del self.terms[id_]

    def _is_used(self, id_: int) -> bool:
        """By an asset, or a narrower term."""
        carried = any(id_ in asset.terms for asset in self.assets.values())
        return carried or any(term.broader == id_ for term in self.terms.values())

    def _remove_folder(self, place: Place, raw: str) -> None:
        found = self.resolved(place, raw)
        if not isinstance(found, str):
            raise Errno(errno.ENOENT if found is None else errno.ENOTDIR)
        if self.listed((*place, found)):
            raise Errno(errno.ENOTEMPTY)
        self.folders.remove((*place, found))

    def _rename_folder(self, place: Place, raw: str, to: Place, new_raw: str) -> None:
        old, there, new = (*place, raw), self.resolved(to, new_raw), (*to, self.spelled(new_raw, to))
        if to[: len(old)] == old or new == old:  # the kernel looks at this before it looks at what is there
            raise Errno(errno.EINVAL)
        if isinstance(there, Asset):
            raise Errno(errno.ENOTDIR)
        if old[: len(new)] == new:
            raise Errno(errno.ENOTEMPTY)
        if is_dropping(new_raw) or not in_library(to):
            raise Errno(errno.EPERM)
        if there is not None and self.listed(new):
            raise Errno(errno.ENOTEMPTY)
        moved = {folder: (*new, *folder[len(old) :]) for folder in self.folders if folder[: len(old)] == old}
        self.folders = {moved.get(folder, folder) for folder in self.folders}
        for asset in self.files().values():
            asset.names = [(moved.get(folder, folder), name) for folder, name in asset.names]

    def rename_directory(self, place: Place, raw: str, to: Place, new_raw: str) -> None:
        if in_library(place):
            self._rename_folder(place, raw, to, new_raw)
            return
        there = self.resolved(to, new_raw)
        if isinstance(there, Asset):
            into_itself = [errno.EINVAL] if to[: len(place) + 1] == (*place, raw) else []
            raise Errno(errno.ENOTDIR, errno.EEXIST, errno.EPERM, *into_itself)
        id_ = self._directory(place, raw)
        path, new = self.path(to), self.spelled(new_raw, to)
        if id_ in path:
            raise Errno(errno.EINVAL, errno.EPERM, errno.EEXIST)
        if is_dropping(new_raw) or is_dropping(new) or to[0] != TAGS:
            raise Errno(errno.EPERM)
        other = self.term(new)
        if other is not None and other != id_ and (self._is_used(other) or other in path):
            raise Errno(errno.EEXIST, errno.ENOTEMPTY, errno.EPERM)
        if path and path[-1] in self.narrower(id_):
            raise Errno(errno.EPERM, errno.EINVAL)
        if other is not None and other != id_:
            del self.terms[other]  # as an empty directory
        self.terms[id_] = Term(new, path[-1] if path else None)

    def _directory(self, place: Place, raw: str) -> int:
        """A term that the place lists."""
        found = self.resolved(place, raw)
        path = self.path(place)
        if found is None:
            raise Errno(errno.ENOENT)
        if isinstance(found, Asset):
            raise Errno(errno.ENOTDIR)
        id_ = self.term(found)
        assert id_ is not None
        if self.terms[id_].broader != (path[-1] if path else None):
            raise Errno(errno.EPERM)
        return id_

"""What the mounted tree should be after some operations: a small model in plain Python, without SQL, FUSE or threads.

Each method does what the mount should do and answers None, or raises `Errno` with what a program should meet. Names in
a place come from `shown_names`, which has tests of its own.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

from damfs.core.asset_names import NAME_LIMIT, clean_name, size_of
from damfs.model import AssetId
from damfs.presentation.views.names import qualified, qualifiers, shown_names
from damfs.storage.droppings import is_dropping

Place = tuple[str, ...]
"""`("inbox",)`, `("by-tag", "beach", "sea")`, `("untagged",)`, `("by-type", "other")`."""
INBOX, TAGS, UNTAGGED, OTHER = "inbox", "by-tag", "untagged", "by-type"


class Errno(Exception):
    def __init__(self, *numbers: int) -> None:
        super().__init__(" or ".join(errno.errorcode[number] for number in numbers))
        self.numbers = numbers


@dataclass(slots=True)
class Asset:
    id: int
    name: str
    content: bytes
    terms: set[int] = field(default_factory=set)
    triaged: bool = False
    trashed: bool = False


@dataclass(slots=True)
class Term:
    name: str
    broader: int | None


class Model:
    def __init__(self) -> None:
        self.assets: dict[int, Asset] = {}
        self.terms: dict[int, Term] = {}
        self._last_term = 0

    # --- questions ---

    def term(self, name: str) -> int | None:
        return next((id_ for id_, term in self.terms.items() if term.name == name), None)

    def path(self, place: Place) -> list[int]:
        """The terms of a place. ENOENT where there is no such directory."""
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
        return {term.name for id_, term in self.terms.items() if id_ not in path} if place[0] == TAGS else set()

    def listed(self, place: Place) -> dict[str, int | None]:
        """Name to asset; None: a directory."""
        path, found = self.path(place), self.assets_in(place)
        names = shown_names([AssetId(a.id) for a in found], [a.name for a in found], self.directories(place))
        listing: dict[str, int | None] = {name: asset.id for name, asset in zip(names, found, strict=True)}
        if place[0] == TAGS:
            broader = path[-1] if path else None
            listing |= {t.name: None for id_, t in self.terms.items() if t.broader == broader and id_ not in path}
        return listing

    def resolved(self, place: Place, raw: str) -> Asset | str | None:
        """What a name means in a place: an asset, a directory (its name), nothing."""
        if is_dropping(raw):
            self.path(place)
            return None
        name = self.spelled(raw)
        if name in self.directories(place):
            return name
        found = self.assets_in(place)
        for id_ in qualifiers(name):
            for asset in found:
                if asset.id == id_ and qualified(asset.name, id_) == name:
                    return asset
        return next((asset for asset in found if asset.name == name), None)

    def spelled(self, raw: str) -> str:
        if size_of(raw) > NAME_LIMIT:
            raise Errno(errno.ENAMETOOLONG)
        return clean_name(raw)

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
        if place[0] not in {INBOX, TAGS} or place == (TAGS,):
            raise Errno(errno.EPERM)
        if is_dropping(raw) or is_dropping(self.spelled(raw)):
            raise Errno(errno.EPERM)

    def create(self, place: Place, raw: str, id_: int, content: bytes) -> Asset:
        self.may_create(place, raw)
        triaged = place[0] == TAGS
        asset = Asset(id_, self.spelled(raw), content, set(self.path(place)), triaged)
        self.assets[id_] = asset
        return asset

    def received_again(self, place: Place, asset: Asset) -> None:
        """Its bytes came once more under its name: the asset enters the place."""
        self.may_create(place, asset.name)
        asset.terms |= set(self.path(place))

    def unlink(self, place: Place, raw: str) -> None:
        asset = self.file(place, raw)
        if place[0] == TAGS:
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

    def link(self, asset: Asset, place: Place, raw: str) -> None:
        if self.resolved(place, raw) is not None:
            raise Errno(errno.EEXIST)
        if place[0] != TAGS or place == (TAGS,):
            raise Errno(errno.EPERM)
        if self.spelled(raw) not in {asset.name, qualified(asset.name, AssetId(asset.id))}:
            raise Errno(errno.EPERM)
        asset.terms |= set(self.path(place))

    def rename(self, place: Place, raw: str, to: Place, new_raw: str) -> None:
        """Of a file."""
        asset = self.file(place, raw)
        there = self.resolved(to, new_raw)
        if there is asset:
            return  # two names of one inode: the kernel has nothing to do
        if there is not None:
            raise Errno(errno.EEXIST, errno.EISDIR, errno.EPERM)
        new = self.spelled(new_raw)
        if is_dropping(new_raw) or is_dropping(new) or to[0] not in {INBOX, TAGS} or to == (TAGS,):
            raise Errno(errno.EPERM)
        if place != to:
            if to[0] == INBOX:
                raise Errno(errno.EPERM)
            self._leave(asset, place)
            asset.terms |= set(self.path(to))
        if new != self.spelled(raw):
            asset.name = new

    def _leave(self, asset: Asset, place: Place) -> None:
        if place[0] == TAGS:
            self.untag(asset, self.path(place)[-1])
        elif place[0] == INBOX:
            asset.triaged = True

    def make_directory(self, place: Place, raw: str) -> None:
        if self.resolved(place, raw) is not None:
            raise Errno(errno.EEXIST)
        path, name = self.path(place), self.spelled(raw)
        if is_dropping(raw) or is_dropping(name) or place[0] != TAGS:
            raise Errno(errno.EPERM)
        if self.term(name) is not None:
            raise Errno(errno.EEXIST)
        self._define(name, path[-1] if path else None)

    def _define(self, name: str, broader: int | None) -> int:
        self._last_term += 1
        self.terms[self._last_term] = Term(name, broader)
        return self._last_term

    def remove_directory(self, place: Place, raw: str) -> None:
        id_ = self._directory(place, raw)
        used = any(id_ in asset.terms for asset in self.assets.values())
        if used or any(term.broader == id_ for term in self.terms.values()):
            raise Errno(errno.ENOTEMPTY)
        del self.terms[id_]

    def rename_directory(self, place: Place, raw: str, to: Place, new_raw: str) -> None:
        id_ = self._directory(place, raw)
        there = self.resolved(to, new_raw)
        path, new = self.path(to), self.spelled(new_raw)
        if id_ in path:
            raise Errno(errno.EINVAL, errno.EPERM, errno.EEXIST)
        if isinstance(there, Asset):
            raise Errno(errno.ENOTDIR, errno.EEXIST, errno.EPERM)
        if is_dropping(new_raw) or is_dropping(new) or to[0] != TAGS:
            raise Errno(errno.EPERM)
        if self.term(new) not in {None, id_}:
            raise Errno(errno.EEXIST, errno.ENOTEMPTY, errno.EPERM)
        if path and path[-1] in self.narrower(id_):
            raise Errno(errno.EPERM, errno.EINVAL)
        if there is not None:
            raise Errno(errno.EEXIST, errno.EPERM)  # the kernel knows the term by two paths
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

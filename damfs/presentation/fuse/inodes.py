"""Inode numbers: 63 bits, 7 of kind and 56 of id. Things carry their row's id: computed, never stored.

A place gets a 56-bit hash of its path; only those that the kernel holds (lookup counts) are kept, and that small
live set is what invalidation walks. Loop's thread only. Crash rule: nothing here outlives the mount, and numbers
come out the same after a remount.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NewType

from blake3 import blake3

from damfs.errors import NotFound
from damfs.model import Facet
from damfs.presentation.views.view import ROOT_PLACE, Place, Thing, ThingKind, View

Inode = NewType("Inode", int)

ROOT = Inode(1)
ID_BITS = 56
ID_MASK = (1 << ID_BITS) - 1
HASHED_PLACE = 8
TURN_SHIFT = 40
TURNS = 255
"""How often an asset gets another handle before the first comes again."""
ASSET_MASK = (1 << TURN_SHIFT) - 1
THING_KINDS = frozenset(ThingKind)
ASSET_MARK = ThingKind.ASSET << ID_BITS
"""An asset's number is this and its id."""


@dataclass(slots=True)
class _Live:
    place: Place | None
    """None: removed, and somebody still holds it. Its number is not given to a directory made under that name."""
    lookups: int
    facets: frozenset[Facet]


class Inodes:
    """``facets_of`` says what a place depends on; it is asked once for each place the kernel comes to hold."""

    def __init__(self, views: Mapping[str, View], facets_of: Callable[[Place], frozenset[Facet]]) -> None:
        self._by_kind = {view.place_kind: view for view in views.values() if view.place_kind is not None}
        self.telling_absence = frozenset(view.name for view in views.values() if view.tells_absence)
        """Views of which the kernel may keep that a name is not there."""
        self._kinds = {view.name: view.place_kind for view in views.values()}
        self._facets_of = facets_of
        self._live: dict[Inode, _Live] = {}
        self._numbers: dict[Place, Inode] = {}
        self._holds = itertools.count(1)
        self._since: dict[Inode, int] = {}
        self._held: dict[Inode, int] = {}
        """Lookup counts of places that carry an id, of views whose folders are live."""
        self._indexed: dict[Inode, frozenset[Facet]] = {}
        """What places that carry an id depend on, of views that have them found by that."""
        self._by_facet: dict[Facet, set[Inode]] = {}
        self._turns: dict[int, int] = {}

    def number(self, node: Thing | Place) -> Inode:
        if isinstance(node, Thing):
            return Inode(node.kind << ID_BITS | node.id)
        if node == ROOT_PLACE:
            return ROOT
        kind = self._kinds.get(node.view)
        if node.id is not None and kind is not None:
            return Inode(kind << ID_BITS | node.id)
        return self._numbers.get(node) or self._free(node)

    @property
    def turned(self) -> bool:
        """Whether any asset has another handle than its number."""
        return bool(self._turns)

    def handle(self, asset: int) -> Inode:
        """What the kernel is to call the asset by from now on. Its number, which programs see, is always the same: but
        as long as somebody reads bytes that are not the asset's any more, the kernel must not mix them with the new
        ones in one cache, so what is opened now goes by another handle."""
        return Inode(ThingKind.ASSET << ID_BITS | self._turns.get(asset, 0) << TURN_SHIFT | asset)

    def turn(self, asset: int) -> None:
        """The asset gets another handle."""
        self._turns[asset] = self._turns.get(asset, 0) % TURNS + 1

    def _free(self, node: Place) -> Inode:
        """A number that no other live place has: a directory that was renamed keeps the one of its old path."""
        candidates = (_hashed(node, attempt) for attempt in itertools.count())
        return next(each for each in candidates if each not in self._live)

    def node(self, inode: int) -> Thing | Place:
        """What a number stands for. Raises NotFound for a place that the kernel does not hold."""
        kind, id_ = inode >> ID_BITS, inode & ID_MASK
        if inode == ROOT:
            return ROOT_PLACE
        if kind == ThingKind.ASSET:
            return Thing(ThingKind.ASSET, id_ & ASSET_MASK)
        if kind in THING_KINDS:
            return Thing(ThingKind(kind), id_)
        if kind in self._by_kind:
            return self._by_kind[kind].place_of(id_)
        live = self._live.get(Inode(inode))
        if live is None or live.place is None:
            raise NotFound(f"no place with inode {inode}")
        return live.place

    def place(self, inode: int) -> Place:
        node = self.node(inode)
        if isinstance(node, Thing):
            raise NotFound(f"inode {inode} is no directory")
        return node

    def remember(self, node: Thing | Place) -> Inode:
        """The kernel was told of the node once more; its number."""
        inode = self.number(node)
        if isinstance(node, Thing) or node.id is not None:
            if not isinstance(node, Thing) and self._by_kind[inode >> ID_BITS].live:
                self._held[inode] = self._held.get(inode, 0) + 1
                self._since.setdefault(inode, next(self._holds))
                if self._by_kind[inode >> ID_BITS].indexed and inode not in self._indexed:
                    self._indexed[inode] = self._facets_of(node)
                    self._index(inode, self._indexed[inode])
            return inode
        live = self._live.get(inode)
        if live is None:
            live = self._live[inode] = _Live(node, 0, self._facets_of(node))
            self._since[inode] = next(self._holds)
            self._numbers[node] = inode
            self._index(inode, live.facets)
        live.lookups += 1
        return inode

    def forget(self, forgotten: Iterable[tuple[int, int]]) -> None:
        for inode, lookups in forgotten:
            live = self._live.get(Inode(inode))
            if live is None:
                self._let_go(Inode(inode), lookups)
                continue
            live.lookups -= lookups
            if live.lookups <= 0:
                self._drop(Inode(inode), live)

    def _let_go(self, inode: Inode, lookups: int) -> None:
        left = self._held.pop(inode, 0) - lookups
        if left > 0:
            self._held[inode] = left
        else:
            self._since.pop(inode, None)
            self._unindex(inode, self._indexed.pop(inode, frozenset()))

    def held_since(self, inode: Inode) -> int | None:
        """Tells apart the times at which the kernel came to hold a place; None: it does not, so nobody watches it."""
        return self._since.get(inode)

    def may_hold(self, inode: Inode) -> bool:
        """Whether the kernel may know a place that carries an id, or anything in it."""
        view = self._by_kind.get(inode >> ID_BITS)
        return view is None or not view.live or inode in self._held

    def moved(self, old: Place, new: Place) -> None:
        """A directory was renamed: the kernel keeps its inode, so the number stays and the path changes."""
        depth = len(old.path)
        for inode, live in list(self._live.items()):
            place = live.place
            if place is not None and place.view == old.view and place.path[:depth] == old.path:
                self._unname(inode, live)
                live.place = replace(place, path=new.path + place.path[depth:])
                self._numbers[live.place] = inode

    def removed(self, place: Place) -> None:
        """A directory was removed. For the kernel its inode is dead, even if it is made again under the same name."""
        inode = self._numbers.get(place)
        if inode is not None:
            self._unname(inode, self._live[inode])
            self._live[inode].place = None

    def named(self, name: str) -> list[Inode]:
        """The live places whose own name this is, whatever they lie in."""
        return [inode for inode, place in self._places() if place.path[-1:] == (name,)]

    def in_views(self, views: Container[str]) -> set[Inode]:
        """The live places of some views."""
        return {inode for inode, place in self._places() if place.view in views}

    def refresh(self, name: str) -> None:
        """Ask again what the live places depend on in whose path the name is: it means something else now."""
        for inode, place in self._places():
            if name in place.path:
                self.refresh_place(inode)

    def refresh_place(self, inode: Inode) -> None:
        live = self._live[inode]
        if live.place is None:
            return
        self._unindex(inode, live.facets)
        with suppress(NotFound):  # gone: nothing can be in it any more
            live.facets = self._facets_of(live.place)
        self._index(inode, live.facets)

    def _places(self) -> Iterator[tuple[Inode, Place]]:
        for inode, live in self._live.items():
            if live.place is not None:
                yield inode, live.place

    def concerned(self, facets: Iterable[Facet]) -> set[Inode]:
        """The live places that depend on any of the facets."""
        found: set[Inode] = set()
        for facet in facets:
            found |= self._by_facet.get(facet, set())
        return found

    def parent_entry(self, inode: Inode) -> tuple[Inode, str] | None:
        """The directory that holds a live place, and the place's name there."""
        live = self._live.get(inode)
        if live is None or live.place is None:
            return None
        view, path = live.place.view, live.place.path
        return (self.number(Place(view, path[:-1])), path[-1]) if path else (ROOT, view)

    def entries_below(self, place: Place) -> list[tuple[Inode, str]]:
        """Directory and name of each live place below one."""
        depth = len(place.path)
        below = [
            inode
            for inode, each in self._places()
            if each.view == place.view and len(each.path) > depth and each.path[:depth] == place.path
        ]
        return [entry for inode in below if (entry := self.parent_entry(inode)) is not None]

    def __len__(self) -> int:
        return len(self._live)

    def _drop(self, inode: Inode, live: _Live) -> None:
        del self._live[inode]
        self._since.pop(inode, None)
        self._unname(inode, live)
        self._unindex(inode, live.facets)

    def _unname(self, inode: Inode, live: _Live) -> None:
        if live.place is not None and self._numbers.get(live.place) == inode:  # else another was moved to that path
            del self._numbers[live.place]

    def _index(self, inode: Inode, facets: frozenset[Facet]) -> None:
        for facet in facets:
            self._by_facet.setdefault(facet, set()).add(inode)

    def _unindex(self, inode: Inode, facets: frozenset[Facet]) -> None:
        for facet in facets:
            holders = self._by_facet.get(facet, set())
            holders.discard(inode)
            if not holders:
                self._by_facet.pop(facet, None)


def _hashed(place: Place, attempt: int) -> Inode:
    path = "\0".join((place.view, *place.path, *[""] * attempt)).encode("utf-8", "surrogateescape")
    return Inode(HASHED_PLACE << ID_BITS | int.from_bytes(blake3(path).digest(7)))

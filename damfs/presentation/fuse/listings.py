"""Listings that are open, and what changed since they were made: what is still taken from them is not remembered.

Those that the kernel keeps are made when it reads the directory, in an order in which any reader can go on. A reader
may begin in what the kernel kept and go on here after a change; so a position is no count but a number that belongs to
the entry itself, and the entries ascend by it. What a reader still takes from a listing made before a change would be
kept as if it were new: the kernel is told to drop it when that reader has come to the end.
Concurrency: loop's thread only. Crash rule: none, the kernel's cache dies with the mount.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import eq, itemgetter
from typing import ClassVar

from damfs.catalog.assets import ListedRow
from damfs.presentation.fuse.inodes import ID_BITS, ID_MASK, Inode
from damfs.presentation.views.view import Content, Entry, Place, Thing, ThingKind

Number = Callable[[Thing | Place], int]
Marked = tuple[int, Entry]

TWIN_SHIFT = 48
"""One asset may have several names in a place; their marks differ above all ids that there will ever be."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """The files of a place, then its other entries, each behind all that have a lower mark. A file's is its inode."""

    files: Sequence[ListedRow] = ()
    others: Sequence[Marked] = ()

    def index_after(self, mark: int) -> int:
        """Of the first file or other behind a mark; behind 0 is the first."""
        if mark >> ID_BITS <= ThingKind.ASSET and self.files:
            return bisect_right(self.files, mark & ID_MASK, key=itemgetter(0))
        return len(self.files) + bisect_right(self.others, mark, key=itemgetter(0))


@dataclass(slots=True, eq=False)
class Listing:
    """As it is at opendir, or at the last rewind. Not kept by the kernel. A position is an index."""

    place: Place
    inode: Inode
    brief: bool
    """Whether the names in it may be remembered for a moment only."""
    content: Content = field(default_factory=lambda: Content((), []))
    begun: bool = False
    stale: bool = False
    dated: bool = False


@dataclass(slots=True, eq=False)
class KeptListing:
    inode: Inode
    content: Ordered | None = None
    """None: it was not read yet."""
    stale: bool = False
    """Whether the place may have changed since the entries were asked for."""
    dated: bool = False
    """Whether some file may have got another size or time since then."""
    ended: tuple[int, int] = field(default=(0, 0))
    """The mark that the last page ended with, and the index of what is behind it."""
    brief: ClassVar[bool] = False


class Listings:
    """The listings that are open now."""

    def __init__(self) -> None:
        self._open: dict[Inode, set[KeptListing]] = {}
        self._plain: set[Listing] = set()

    def took(self, listing: Listing) -> None:
        """Before its entries are asked for: from then on it is told of changes."""
        self._plain.add(listing)

    def dropped(self, listing: Listing) -> None:
        self._plain.discard(listing)

    def opened(self, inode: Inode) -> KeptListing:
        listing = KeptListing(inode)
        self._open.setdefault(inode, set()).add(listing)
        return listing

    def closed(self, listing: KeptListing) -> None:
        others = self._open[listing.inode]
        others.discard(listing)
        if not others:
            del self._open[listing.inode]

    def changed(self, inode: Inode) -> bool:
        """The place changed. Whether what is kept of it can be dropped now: not while somebody reads it, because a
        listing that is dropped half made is never kept again; those who read drop it when they are done."""
        readers = self._open.get(inode, ())
        for listing in readers:
            listing.stale = True
        for plain in self._plain:
            plain.stale = plain.stale or plain.inode == inode
        return not readers

    def dated(self) -> None:
        """A file changed, which any place may show."""
        for plain in self._plain:
            plain.dated = True
        for readers in self._open.values():
            for listing in readers:
                listing.dated = True


def in_order(entries: Iterable[Entry], number: Number) -> list[Marked]:
    """Each with its mark, ascending."""
    marked = sorted(((number(entry.node), entry) for entry in entries), key=itemgetter(0))
    marks = [mark for mark, _ in marked]
    if any(map(eq, marks, islice(marks, 1, None))):
        return sorted(_apart(marked), key=itemgetter(0))
    return marked


def _apart(marked: Iterable[Marked]) -> Iterator[Marked]:
    seen = Counter[int]()
    for mark, entry in marked:
        yield mark | seen[mark] << TWIN_SHIFT, entry
        seen[mark] += 1


def index_after(listing: KeptListing, content: Ordered, mark: int) -> int:
    """Where the listing goes on behind a mark."""
    last, index = listing.ended
    return index if mark == last else content.index_after(mark)

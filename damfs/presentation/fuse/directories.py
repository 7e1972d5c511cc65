"""Directories that are read: opened, listed page by page, closed.

Concurrency: on the loop; the listing itself is asked for in a reader thread. Crash rule: none.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass

import pyfuse3
from pyfuse3 import EntryAttributes, FUSEError, ReaddirToken

from damfs.presentation.fuse.answers import stale_if_gone
from damfs.presentation.fuse.appearance import Appearance
from damfs.presentation.fuse.attributes import BRIEFLY_S
from damfs.presentation.fuse.inodes import Inode, Inodes
from damfs.presentation.fuse.listings import KeptListing, Listing, Listings, in_order, index_after
from damfs.presentation.fuse.native import Native
from damfs.presentation.fuse.open_files import OpenFiles
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import Entry, Place


@dataclass(slots=True)
class Directories:
    tree: Tree
    inodes: Inodes
    files: OpenFiles
    appearance: Appearance
    native: Native
    listings: Listings
    forget_listing: Callable[[Inode], None]
    """Have the kernel ask again for the listing of a directory."""

    async def open(self, inode: int) -> int:
        """A handle."""
        with stale_if_gone():
            place = self.inodes.place(inode)
            if self._is_kept(place):
                handle = self.files.keep(self.listings.opened(Inode(inode)))
                self.native.keep_listing(handle)
                return handle
        listing = Listing(place, Inode(inode), brief=self.appearance.drifts(place))
        self.listings.took(listing)
        try:
            await self._list(listing)
        except BaseException:
            self.listings.dropped(listing)
            raise
        return self.files.keep(listing)

    def _is_kept(self, place: Place) -> bool:
        """Whether the kernel can keep the listing: it is told of every change, and names mean no rank of the moment."""
        kept = self.native.cache_directories and not self.appearance.drifts(place)
        return kept and bool(self.tree.facets(place))

    async def _list(self, listing: Listing) -> None:
        listing.stale = listing.dated = False
        with stale_if_gone():
            listing.entries = await self.tree.list(listing.place)

    async def read(self, handle: int, start: int, token: ReaddirToken) -> None:
        """One page, from the entry behind ``start``."""
        listing = self.files.get(handle)
        if isinstance(listing, KeptListing):
            await self._read_kept(listing, start, token)
        elif isinstance(listing, Listing):
            await self._read(listing, start, token)
        else:
            raise FUSEError(errno.ENOTDIR)

    async def _read(self, listing: Listing, start: int, token: ReaddirToken) -> None:
        if start == 0 and listing.begun:  # rewound: POSIX wants it as it is now
            await self._list(listing)
        listing.begun = True
        for position in range(start, len(listing.entries)):
            entry = listing.entries[position]
            made = self.appearance.listed(entry, listing)
            if listing.brief:
                made.entry_timeout = min(made.entry_timeout, BRIEFLY_S)
            if not self._replied(token, entry, made, position + 1):
                return

    async def _read_kept(self, listing: KeptListing, mark: int, token: ReaddirToken) -> None:
        if listing.entries is None or mark == 0:
            listing.stale = listing.dated = False
            with stale_if_gone():
                place = self.inodes.place(listing.inode)
                listing.entries = in_order(await self.tree.list(place), self.inodes.number)
            listing.ended = (0, 0)
        entries = listing.entries
        for index in range(index_after(listing, entries, mark), len(entries)):
            mark, entry = entries[index]
            if not self._replied(token, entry, self.appearance.listed(entry, listing), mark):
                return
            listing.ended = (mark, index + 1)
        if listing.stale:
            self.forget_listing(listing.inode)

    def _replied(self, token: ReaddirToken, entry: Entry, made: EntryAttributes, mark: int) -> bool:
        """Whether the page had room for it; the kernel then holds it once more."""
        if not pyfuse3.readdir_reply(token, entry.name.encode("utf-8", "surrogateescape"), made, mark):
            return False
        if isinstance(entry.node, Place):
            self.inodes.remember(entry.node)
        return True

    async def close(self, handle: int) -> None:
        listing = self.files.get(handle)
        if isinstance(listing, KeptListing):
            self.listings.closed(listing)
            if listing.stale:
                self.forget_listing(listing.inode)
        elif isinstance(listing, Listing):
            self.listings.dropped(listing)
        await self.files.release(handle)

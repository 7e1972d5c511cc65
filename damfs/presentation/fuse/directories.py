"""Directories that are read: opened, listed page by page, closed.

Concurrency: on the loop; the listing itself is asked for in a reader thread. Crash rule: none.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyfuse3
from pyfuse3 import FUSEError, InodeT, ReaddirToken

from damfs.catalog.assets import ListedRow
from damfs.presentation.fuse.answers import stale_if_gone
from damfs.presentation.fuse.appearance import Appearance
from damfs.presentation.fuse.inodes import ASSET_MARK, Inode, Inodes
from damfs.presentation.fuse.listings import KeptListing, Listing, Listings, Ordered, in_order, index_after
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
            listing.content = await self.tree.content(listing.place)

    async def read(self, handle: int, start: int, token: ReaddirToken) -> None:
        """One page, from what is behind ``start``."""
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
        files, others = listing.content
        index = self._tell_files(token, listing, files, start)
        if index < len(files):
            return
        for position in range(index - len(files), len(others)):
            if not self._told(token, listing, others[position], len(files) + position + 1):
                return

    async def _read_kept(self, listing: KeptListing, mark: int, token: ReaddirToken) -> None:
        content = listing.content
        if content is None or mark == 0:
            content = listing.content = await self._ordered(listing)
        files, others = content.files, content.others
        start = index_after(listing, content, mark)
        index = self._tell_files(token, listing, files, start)
        if start < index:
            listing.ended = (ASSET_MARK | files[index - 1][0], index)
        if index < len(files):
            return
        for position in range(index - len(files), len(others)):
            mark, entry = others[position]
            if not self._told(token, listing, entry, mark):
                return
            listing.ended = (mark, len(files) + position + 1)
        if listing.stale:
            self.forget_listing(listing.inode)

    async def _ordered(self, listing: KeptListing) -> Ordered:
        listing.stale = listing.dated = False
        with stale_if_gone():
            files, others = await self.tree.content(self.inodes.place(listing.inode))
        listing.ended = (0, 0)
        return Ordered(files, in_order(others, self.inodes.number))

    def _tell_files(
        self, token: ReaddirToken, listing: Listing | KeptListing, files: Sequence[ListedRow], start: int
    ) -> int:
        """The files from ``start`` on for which the page has room; the index of what is next. A listing of a hundred
        thousand spends its time in this loop."""
        if start >= len(files):
            return start
        kept, reply, filled = isinstance(listing, KeptListing), pyfuse3.readdir_reply, self.appearance.files_of(listing)
        for index in range(start, len(files)):
            id_, name, size, mtime_ns, mode = files[index]
            inode = InodeT(ASSET_MARK | id_)
            if not reply(token, name.encode(), filled(inode, size, mtime_ns, mode), inode if kept else index + 1):
                return index
        return len(files)

    def _told(self, token: ReaddirToken, listing: Listing | KeptListing, entry: Entry, mark: int) -> bool:
        """Whether the page had room for it; the kernel then holds it once more."""
        made = self.appearance.listed(entry, listing)
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

"""What a draft is, and how its file comes to be: staged as a copy of an original, or taken up again.

Those that take a thread block (`stage`, `own`, `write_at`). Crash rule: see `drafts`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import trio

from damfs.catalog import rewrites
from damfs.catalog.rewrites import Rewrite
from damfs.core.commands import SetSize, SetTimes
from damfs.core.installing import check_writable
from damfs.core.library import Library
from damfs.core.rewriting import BeginRewrite, SizeRewrite
from damfs.errors import DamfsError, NotFound, Unavailable
from damfs.model import Asset, AssetId
from damfs.presentation.fuse.originals import open_original
from damfs.storage.disk_errors import disk_errors

T = TypeVar("T")
ACTOR = "fuse"
LITTLE = 128 << 10
"""Bytes of the beginning of a file: so many at most are written without a thread."""


@dataclass(slots=True)
class Draft:
    """A file that is being received, or written again."""

    asset: AssetId
    fd: int
    size: int
    """What was written so far."""
    mtime_ns: int | None = None
    """Of the last write; None: what the catalog says, because nothing was written since it was set there."""
    lost_at: int | None = None
    """Where a write failed that was not made good since: what was received is not whole."""
    rewrites: bool = False
    """The asset has arrived: what is written becomes its next version."""
    changed: bool = False
    """Whether anything was written since it was staged."""
    dated: bool = False
    """Whether ``mtime_ns`` was set since the last write."""
    opening: trio.Event | None = None
    """Set when its file has been made; until then there is no ``fd``."""
    detached: bool = False
    """Another file was renamed over its asset: what is written to it is nobody's."""
    writers: int = 0
    readers: int = 0

    @classmethod
    def again(cls, asset: AssetId, fd: int, row: Rewrite | None) -> Draft:
        """Of an asset that has arrived. ``row``: what is staged already was written, and is not sealed yet."""
        draft = cls(asset, fd, os.fstat(fd).st_size, rewrites=True, changed=row is not None)
        if row is not None:
            draft.mtime_ns, draft.dated = row.mtime_ns, bool(row.dated)
        return draft

    def wrote(self, end: int, at_ns: int) -> None:
        """Bytes up to ``end``."""
        self.size = max(self.size, end)
        self.mtime_ns, self.changed, self.dated = at_ns, True, False

    @property
    def is_plain(self) -> bool:
        """A new file of one writer with nothing special to it."""
        special = self.rewrites or self.detached or self.lost_at is not None or self.opening is not None
        return not special and self.writers == 1 and not self.readers and self.size <= LITTLE

    @property
    def is_idle(self) -> bool:
        """Opened to write an original, and not written: as programs do to see whether they may."""
        return self.rewrites and not self.changed

    def times(self) -> list[SetTimes]:
        """What was set of one that nothing was written to."""
        said = self.dated and self.lost_at is None and self.mtime_ns is not None
        return [SetTimes(self.asset, self.mtime_ns or 0)] if said else []


class Shown(NamedTuple):
    """What a file looks like whose bytes are not the catalog's. ``mtime_ns`` None: as the catalog says."""

    size: int
    mtime_ns: int | None


def stage(library: Library, source: int | None, asset: AssetId) -> int:
    """A descriptor of a staged copy of what the first one is of, which is closed. Blocks."""
    try:
        return library.staging.stage_copy(asset, source)
    finally:
        if source is not None:
            os.close(source)


def own(library: Library, asset: AssetId) -> int:
    """A descriptor of what is staged already, which is not to be a name of any original. Blocks. Raises NotFound."""
    fd = library.staging.open(asset, os.O_RDWR)
    if not library.staging.is_shared(asset):
        return fd
    try:
        return library.staging.stage_copy(asset, fd)
    finally:
        os.close(fd)


async def quickly(library: Library, work: Callable[..., T], *arguments: object) -> T:
    """Something that only touches the name of a staged file, or a little of what is cached of it: at once where the
    disk is the catalog's, else in a thread."""
    if library.staging.is_local:
        return work(*arguments)
    return await trio.to_thread.run_sync(work, *arguments)


async def close(library: Library, draft: Draft) -> None:
    """The blocks of one that was removed are freed now, which takes long where they are many."""
    if draft.size <= LITTLE:
        await quickly(library, os.close, draft.fd)
    else:
        await trio.to_thread.run_sync(os.close, draft.fd)


def write_at(fd: int, data: bytes, offset: int) -> int:
    """All of it. Blocks."""
    written = 0
    while written < len(data):
        written += os.pwrite(fd, memoryview(data)[written:], offset + written)
    return written


async def write(library: Library, draft: Draft, offset: int, data: bytes) -> int:
    """All of it. Raises NoSpace, Unavailable: then the draft is not whole, until it is written there again."""
    try:
        with disk_errors(library.staging.path(draft.asset)):
            if offset + len(data) <= LITTLE:
                written = await quickly(library, write_at, draft.fd, data, offset)
            else:
                written = await trio.to_thread.run_sync(write_at, draft.fd, data, offset)
    except DamfsError:
        draft.lost_at = offset if draft.lost_at is None else min(offset, draft.lost_at)
        raise
    if draft.lost_at is not None and offset <= draft.lost_at < offset + written:
        draft.lost_at = None
    draft.wrote(offset + written, library.clock())
    return written


async def cut(library: Library, draft: Draft, size: int) -> None:
    """To ``size``, or filled up to it. Raises as `write` does."""
    with disk_errors(library.staging.path(draft.asset)):
        await trio.to_thread.run_sync(os.ftruncate, draft.fd, size)
    draft.size, draft.mtime_ns, draft.changed, draft.dated = size, library.clock(), True, False
    if draft.lost_at is not None and size <= draft.lost_at:
        draft.lost_at = None


async def free(library: Library, draft: Draft) -> None:
    """Of what is dropped: a removed file keeps its space while it is open, and the catalog may need it then."""
    with disk_errors(library.staging.path(draft.asset)):
        await trio.to_thread.run_sync(os.ftruncate, draft.fd, 0)


async def sync(library: Library, draft: Draft) -> None:
    """When this returns, bytes and row survive power loss (P1). Raises as `write` does."""
    try:
        await trio.to_thread.run_sync(library.staging.sync, draft.fd)
    except DamfsError:
        draft.lost_at = 0
        raise
    asset = library.asset(draft.asset)
    if asset is not None and not draft.detached:
        kind = SizeRewrite if draft.rewrites else SetSize
        size = draft.size if draft.writers else _closed_size(library, asset)
        library.execute([kind(asset.id, size)], ACTOR, durable=True)


def _closed_size(library: Library, asset: Asset) -> int:
    """What the catalog says: whoever only reads the draft knows nothing of others who wrote on after its last close."""
    row = rewrites.of(library.db.writer, asset.id)
    return asset.size if row is None else row.size


def cut_closed(library: Library, asset: AssetId, size: int) -> None:
    """A file that is being received, and that nobody writes."""
    fd = own(library, asset)
    try:
        with disk_errors(library.staging.path(asset)):
            os.ftruncate(fd, size)
    finally:
        os.close(fd)
    library.execute([SetSize(asset, size), SetTimes(asset, library.clock())], ACTOR)


async def staged_again(library: Library, asset: AssetId, *, truncate: bool) -> Draft:
    """A draft of the next version of an original. Raises ReadOnly, Unavailable, NoSpace."""
    row = rewrites.of(library.db.writer, asset)
    if row is None:
        check_writable(library, asset)
        source = None if truncate else (await open_original(library, asset))[1]
        fd = await trio.to_thread.run_sync(stage, library, source, asset)
    else:
        try:
            fd = await trio.to_thread.run_sync(own, library, asset)
        except NotFound:
            raise Unavailable("its next version is just being stored; try again in a moment") from None
    draft = Draft.again(asset, fd, row)
    try:
        library.execute([BeginRewrite(asset, draft.size)], ACTOR)
    except DamfsError:
        os.close(fd)
        raise
    return draft

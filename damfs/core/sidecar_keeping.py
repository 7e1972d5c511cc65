"""While mounted: sidecars go where their originals go; they are read when programs, written when people said something.

A follower of the feed. Whoever moves a file and its sidecar himself is given `GRACE_S` for it. Concurrency: one task on
the loop, disk work and parsing in threads. Crash rule: nothing is kept here; at the start all is asked about once,
and the feed is read from where sidecars were written last (`sidecar_backlog`). What failed is kept (`sidecar_dues`).
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

import trio

from damfs.catalog import sidecars, stores
from damfs.core.asset_names import clean_name
from damfs.core.commands import Rename
from damfs.core.feed import Batch
from damfs.core.folders import move_file
from damfs.core.library import Library
from damfs.core.outlasting import outlast
from damfs.core.reception import Reception
from damfs.core.sidecar_backlog import remember, said_meanwhile
from damfs.core.sidecar_dues import Tried, settle
from damfs.core.sidecar_links import (
    LinkSidecar,
    current_copies,
    is_sidecar_name,
    sidecar_name,
    sidecars_beside,
    stands_beside,
)
from damfs.core.sidecar_news import SAID, TOLD_TOGETHER, spoken_of
from damfs.core.sidecar_pass import link_all, try_sync
from damfs.core.sidecar_sync import write_new
from damfs.core.trashing import restore_assets, trash_assets
from damfs.errors import DamfsError
from damfs.model import Asset, AssetId, AssetState, Change, Seq, StoreKind

log = logging.getLogger(__name__)

ACTOR = "sidecar"
GRACE_S = 1.0
AGAIN_S = 60.0
"""What could not be written is tried again after that."""
AT_ONCE = 500
"""So many assets of which something was said are looked after in a round: what moved meanwhile waits no longer."""
MOVED = frozenset(
    {
        "ingested", "found", "moved", "copied", "filed", "renamed", "trashed", "restored", "version-added", "healed",
        "described",
    }
)  # fmt: skip
"""What may have moved a file, or changed its bytes."""
HEEDED = MOVED | SAID | TOLD_TOGETHER
PLACED = MOVED - {"version-added", "healed", "described"}
NONE_YET = Seq(0)
PLACERS = frozenset({"fuse", "cli", "scan", "reception"})
"""Actors that put a file where a person wants it."""


@dataclass(slots=True)
class Stirred:
    """Assets that something happened to, since they were last looked after."""

    moved: set[AssetId] = field(default_factory=set)
    placed: set[AssetId] = field(default_factory=set)
    """Of those that moved the ones that somebody else put where they are."""
    said: set[AssetId] = field(default_factory=set)
    together: list[Change] = field(default_factory=list)
    """What was said of many at once: whose assets are still to be looked up."""
    seq: Seq = NONE_YET
    """Of the last change that is among them."""

    def __bool__(self) -> bool:
        return bool(self.moved or self.said or self.together)

    def add(self, other: Stirred) -> None:
        self.moved |= other.moved
        self.placed |= other.placed
        self.said |= other.said
        self.together += other.together
        self.seq = max(self.seq, other.seq)


class SidecarKeeper:
    def __init__(self, library: Library, reception: Reception) -> None:
        self._library = library
        self._reception = reception
        self._stirred = Stirred()
        self._news = trio.Event()
        self._tending = False
        self._missed = Stirred()
        """Of rounds that did not come to their end."""
        self._is_due = False
        """Whether anything could not be written."""
        self._has_any = False
        """Whether any file is called like a sidecar: a library without pays nothing for them."""

    @property
    def is_busy(self) -> bool:
        return self._tending or bool(self._stirred)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            with self._library.feed.follow(lambda change: change.kind in HEEDED) as batches:
                nursery.start_soon(self._look_after)
                task_status.started()
                await outlast("sidecars that came while nobody kept them", self._begin, 0)
                await self._listen(batches)

    async def _begin(self) -> None:
        """What happened while nobody kept them."""
        for store in self._library.stores():
            self._has_any |= await link_all(self._library, store.id, ACTOR) > 0
        self._stirred.moved.update(await self._library.db.read(sidecars.list_unread))
        if self._library.settings.sidecars.write:
            said, seq = await said_meanwhile(self._library, ACTOR)
            self._stirred.said |= said
            self._stirred.seq = seq
            await self._take_up()
        self._news.set()

    async def _take_up(self) -> None:
        """Once more, what could not be written."""
        due = await self._library.db.read(sidecars.due)
        self._is_due = bool(due)
        missed, self._missed = self._missed, Stirred()
        self._stirred.add(missed)
        self._stirred.said.update(due)

    async def _listen(self, batches: AsyncIterator[Batch]) -> None:
        async for batch in batches:
            await outlast("sidecars that something happened to", functools.partial(self._note_all, batch), 0)

    async def _note_all(self, batch: Batch) -> None:
        for change in batch:
            self._note(change)

    def _note(self, change: Change) -> None:
        """Cheap: called for every change of the library."""
        is_written = change.actor != ACTOR and self._library.settings.sidecars.write
        self._stirred.seq = max(self._stirred.seq, change.seq)
        if change.asset is None:
            if change.kind in TOLD_TOGETHER and is_written:
                self._stirred.together.append(change)
        elif change.kind in MOVED and self._concerns(change, change.asset):
            self._stirred.moved.add(change.asset)
            if change.kind in PLACED and change.actor in PLACERS:
                self._stirred.placed.add(change.asset)
        elif change.kind in SAID and is_written:
            self._stirred.said.add(change.asset)
        if self._stirred:
            self._news.set()

    def _concerns(self, change: Change, asset: AssetId) -> bool:
        """Whether it is a sidecar, has one, or came to stand beside one."""
        connection = self._library.db.writer
        is_named_so = any(map(is_sidecar_name, change.names))
        self._has_any |= is_named_so
        if not self._has_any:
            return False
        if is_named_so or sidecars.of(connection, asset) is not None:
            return True
        return bool(sidecars.of_original(connection, asset) or sidecars_beside(connection, asset))

    async def _look_after(self) -> None:
        while True:
            with trio.move_on_after(AGAIN_S if self._is_due or self._missed else math.inf) as waited:
                await self._news.wait()
            if waited.cancelled_caught:
                await outlast("sidecars that are to be written again", self._take_up, 0)
            await trio.sleep(GRACE_S)
            self._news = trio.Event()
            stirred, self._stirred = self._stirred, Stirred()
            self._tending = True
            await self._tend_whole(stirred)
            self._tending = False

    async def _tend_whole(self, stirred: Stirred) -> None:
        is_done = await outlast("sidecars", functools.partial(self._look_up, stirred))
        is_put_off = self._put_off(stirred)
        is_done &= await outlast("sidecars", functools.partial(self.tend, stirred))
        if not is_done:
            self._missed.add(stirred)
        elif stirred.seq and not is_put_off and not self._missed and self._library.settings.sidecars.write:
            remember(self._library, stirred.seq)

    async def _look_up(self, stirred: Stirred) -> None:
        if stirred.together:
            stirred.said |= await self._library.db.read(functools.partial(spoken_of, stirred.together))

    def _put_off(self, stirred: Stirred) -> bool:
        """To the next round, what is more than one should hold. Whether there was any."""
        now = set(islice(stirred.said, AT_ONCE))
        if len(now) < len(stirred.said):
            self._stirred.said |= stirred.said - now
            self._stirred.seq = max(self._stirred.seq, stirred.seq)
            stirred.said = now
            self._news.set()
            return True
        return False

    async def tend(self, stirred: Stirred) -> None:
        """Bring everything that something happened to into order."""
        connection = self._library.db.writer
        touched = {id_ for id_ in stirred.moved if self._is_sidecar(id_)}
        for original in stirred.moved - touched:
            known = [row.asset for row in sidecars.of_original(connection, original)]
            for id_ in known:
                if id_ not in stirred.placed:
                    await self._follow(id_, original)
            touched.update(known, sidecars_beside(connection, original))
        for id_ in touched:
            await outlast("a sidecar", functools.partial(self._link, id_), 0)
        await self._sync(touched, stirred.said)

    async def _link(self, id_: AssetId) -> None:
        self._library.perform(LinkSidecar(id_), ACTOR)

    def _is_sidecar(self, id_: AssetId) -> bool:
        asset = self._library.asset(id_)
        return asset is not None and is_sidecar_name(asset.name)

    async def _sync(self, touched: Iterable[AssetId], said: set[AssetId]) -> None:
        connection, write, tried = self._library.db.writer, self._library.settings.sidecars.write, Tried()
        read = self._library.settings.sidecars.read
        known = {row.asset for original in said for row in sidecars.of_original(connection, original)}
        for id_ in sorted({*touched, *known}) if read or write else ():
            if (row := sidecars.of(connection, id_)) is not None:
                one = functools.partial(self._sync_one, id_, row.original, tried, write=write)
                if not await outlast("a sidecar", one, 0):
                    tried.note_unexpected(row.original)
            await trio.lowlevel.checkpoint()
        for original in sorted(said) if write else ():
            if not sidecars.of_original(connection, original) and not self._is_sidecar(original):
                if not await outlast("a new sidecar", functools.partial(self._write_new, original, tried), 0):
                    tried.note_unexpected(original)
                await trio.lowlevel.checkpoint()
        if write:
            settle(self._library, tried.reasons)
            self._is_due |= any(tried.reasons.values())

    async def _sync_one(self, id_: AssetId, original: AssetId, tried: Tried, *, write: bool) -> None:
        outcome = await try_sync(self._library, self._reception, id_, ACTOR, write=write)
        tried.note(original, outcome.problem if outcome.is_due else "")
        if outcome.problem:
            log.info("a sidecar is left alone: %s", outcome.problem)
        if outcome.remark:
            log.info("%s", outcome.remark)

    async def _write_new(self, original: AssetId, tried: Tried) -> None:
        try:
            await write_new(self._library, self._reception, original, ACTOR)
            tried.note(original, "")
        except DamfsError as error:
            tried.note(original, str(error))
            log.info("a new sidecar: %s", error)

    async def _follow(self, id_: AssetId, original: AssetId) -> None:
        """Into the trash, out of it, or to where the original is now."""
        sidecar, owner = self._library.asset(id_), self._library.asset(original)
        if sidecar is None or owner is None:
            return
        try:
            if (sidecar.state, owner.state) == (AssetState.PRESENT, AssetState.TRASHED):
                await trash_assets(self._library, [id_], ACTOR)
            elif (sidecar.state, owner.state) == (AssetState.TRASHED, AssetState.PRESENT):
                await restore_assets(self._library, [id_], ACTOR)
            elif not stands_beside(self._library.db.writer, id_, original):
                await self._move(sidecar, original)
        except DamfsError as error:
            log.info("%s stays where it is: %s", sidecar.name, error)

    async def _move(self, sidecar: Asset, original: AssetId) -> None:
        """Beside the original's file of the same writable store; never over a file that is there."""
        connection = self._library.db.writer
        writable = {store.id for store in self._library.stores() if store.kind is StoreKind.WRITABLE}
        theirs = {copy.store: copy for copy in reversed(current_copies(connection, original))}
        for copy in current_copies(connection, sidecar.id):
            target = theirs.get(copy.store)
            if copy.store not in writable or target is None:
                continue
            name = sidecar_name(target.name, copy.name)
            there = stores.copy_at(connection, target.folder, name)
            if there is None or there.asset == sidecar.id:
                also = [Rename(sidecar.id, clean_name(name), with_file=True)] if name != copy.name else []
                with suppress(DamfsError):
                    await move_file(self._library, copy.id, target.folder, name, also)

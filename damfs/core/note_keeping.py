"""Keeps `originals/.damfs-notes` in step with the catalog: what `damfs rebuild` finds when that is lost.

A follower of the feed: the row is first, its note follows within `GRACE_S` and a fsync. Concurrency: one task on the
loop; the file and scans of the catalog in threads. Crash rule: the last line tells up to which change all is said;
where the catalog has gone on since, everything is written anew at the start.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import trio

from damfs.catalog import change_feed, derived, standing
from damfs.catalog.database import Connection
from damfs.catalog.standing import ORDINARY_MODE, FolderNote
from damfs.core import store_notes, volumes
from damfs.core.feed import Batch
from damfs.core.library import Library
from damfs.core.outlasting import outlast
from damfs.core.store_notes import parsed
from damfs.errors import Unavailable
from damfs.model import AssetId, AssetState, Change, FolderId, Seq, StoreId
from damfs.storage.disk_errors import disk_errors
from damfs.storage.note_file import NoteFile
from damfs.storage.tree_walk import NOTES

log = logging.getLogger(__name__)

ASIDE = os.fsdecode(NOTES) + "-"
"""And a number: notes that an older catalog found."""
TAKEN_IN = "-taken-in"
"""Ending of those that a catalog made anew has read."""
GRACE_S = 1.0
END_S = 5.0
"""So long the last notes may take when the daemon ends."""
AGAIN_S = 60.0
"""What could not be written is tried again after that."""
PAGE = 200
WASTE = 4 << 20
"""Bytes that a file may grow, beside half of it, before it is written anew."""
SAYS = frozenset(
    {
        "version-added", "version-pruned", "merged", "trashed", "restored", "expired", "undone", "mode-set",
        "owner-set",
    }
)  # fmt: skip
"""Changes that say something new of an asset, or take it back."""
MOVES = frozenset({"filed", "renamed", "moved", "healed", "copied", "linked", "unlinked", "times-set", "file-gone"})
"""Changes that matter if there is something to say of an asset anyway."""


@dataclass(slots=True)
class _Stirred:
    said: set[AssetId] = field(default_factory=set)
    moved: set[AssetId] = field(default_factory=set)
    folders: bool = False
    carried: set[FolderId] = field(default_factory=set)
    """Folders that were moved with all that is below them."""
    seq: Seq | None = None
    """Of the last change that is among them."""


class NoteKeeper:
    def __init__(self, library: Library) -> None:
        self._library = library
        self._file = note_file(library)
        self._stirred = _Stirred()
        self._unripe: set[AssetId] = set()
        """Being received; there will be something to say of them."""
        self._folders: dict[FolderId, FolderNote] = {}
        self._device: int | None = None
        """Of the originals, when the notes were last in step."""
        self._size = 0
        """Of the file when it was last written anew."""
        self._news = trio.Event()
        self.begun = trio.Event()
        """The file is in step with what happened before."""

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled; then what is left is written."""
        with self._library.feed.follow() as batches:
            task_status.started()
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._listen, batches)
                    while not await outlast("notes of the store", self._begin, AGAIN_S):
                        pass
                    await self._keep()
            finally:
                if self.begun.is_set():  # else the file would seem to be in step
                    with trio.move_on_after(END_S, shield=True):
                        await outlast("the last notes of the store", self._write, 0)

    async def _listen(self, batches: AsyncIterator[Batch]) -> None:
        async for batch in batches:
            for change in batch:
                self._note(change)

    def _note(self, change: Change) -> None:
        """Cheap: called for every change of the library."""
        self._stirred.seq = change.seq
        id_, kind = change.asset, change.kind
        if id_ is None:
            if not kind.startswith("folder"):
                return
            self._stirred.folders = True
            if kind == "folder-moved" and isinstance(folder := change.detail.get("folder"), int):
                self._stirred.carried.add(FolderId(folder))
        elif kind in SAYS and self._is_received(id_):
            self._unripe.add(id_)
            return
        elif kind in SAYS:
            self._stirred.said.add(id_)
        elif kind in MOVES or (kind == "ingested" and self._is_unlike_others(id_)):
            self._stirred.moved.add(id_)
        else:
            return
        self._unripe.discard(id_ or AssetId(0))
        self._news.set()

    def _is_received(self, id_: AssetId) -> bool:
        asset = self._library.asset(id_)
        return asset is not None and asset.state is AssetState.RECEIVING

    def _is_unlike_others(self, id_: AssetId) -> bool:
        """Whether there may be something to say of what has just arrived."""
        asset = self._library.asset(id_)
        return id_ in self._unripe or (asset is not None and asset.mode != ORDINARY_MODE)

    async def _begin(self) -> None:
        """Nothing is to be done where the file was in step when the daemon ended."""
        library = self._library
        store, name = library.library_store().id, derived.property_value(library.db.writer, "library-id") or ""
        device = await self._find_volume()
        seq = change_feed.last_seq(library.db.writer)
        first, last = await trio.to_thread.run_sync(lambda: (self._file.first(), self._file.last()))
        if (first, last) != (store_notes.first_line(name), store_notes.end_line(name, seq)):
            await trio.to_thread.run_sync(keep_newer, self._file, name, seq)
            await self._write_anew(store)
        await self._measure()
        self._folders = await library.db.read(functools.partial(standing.list_folders, store=store))
        self._device = device
        self.begun.set()

    async def _measure(self) -> None:
        """What was written anew is another file."""
        self._size, inode = await trio.to_thread.run_sync(lambda: (self._file.size(), self._file.inode()))
        volumes.keep_inode(self._library, inode)

    async def _keep(self) -> None:
        while True:
            await self._news.wait()
            await trio.sleep(GRACE_S)
            self._news = trio.Event()
            if not await outlast("notes of the store", self._write, AGAIN_S):
                self._news.set()

    async def _write(self) -> None:
        stirred, self._stirred = self._stirred, _Stirred()
        if stirred.seq is None:
            return
        try:
            await self._write_down(stirred)
        except BaseException:
            self._stirred.said |= stirred.said
            self._stirred.moved |= stirred.moved
            self._stirred.folders |= stirred.folders
            self._stirred.carried |= stirred.carried
            self._stirred.seq = self._stirred.seq or stirred.seq
            raise

    async def _write_down(self, stirred: _Stirred) -> None:
        library, store = self._library, self._library.library_store().id
        name = derived.property_value(library.db.writer, "library-id") or ""
        is_same = await self._find_volume() == self._device
        if not is_same or not await trio.to_thread.run_sync(self._file.size):
            await self._begin()
            return
        noted_below = await library.db.read(functools.partial(_list_noted_below, folders=stirred.carried))
        ids = sorted(stirred.said | stirred.moved | noted_below)
        lines: list[bytes] = []
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            lines += await library.db.read(functools.partial(_asset_lines, ids=page, always=stirred.said, store=store))
        folders = self._folders
        if stirred.folders:
            folders = await library.db.read(functools.partial(standing.list_folders, store=store))
            lines += _folder_lines(self._folders, folders)
        await trio.to_thread.run_sync(self._file.append, [*lines, store_notes.end_line(name, stirred.seq or 0)])
        self._folders = folders
        if await trio.to_thread.run_sync(self._file.size) > self._size * 1.5 + WASTE:
            # what was appended is not appended again when this fails
            await outlast("notes of the store, shortened", functools.partial(self._write_anew, store), 0)
            await self._measure()

    async def _find_volume(self) -> int:
        """Its device. Raises Unavailable where it is away: notes in its mount point would hide that."""
        library = self._library
        return await trio.to_thread.run_sync(self._look, await volumes.known_of(library, library.library_store()))

    def _look(self, known: volumes.Known) -> int:  # blocks, called through to_thread
        with disk_errors(known.root):
            device = known.root.stat().st_dev
            is_away = volumes.is_away(known)
        is_other = self._device not in {None, device} and not self._file.size()  # a volume that was there has notes
        if is_away or is_other:
            raise Unavailable(f"{known.root}: the volume of the originals is away; notes are written when it is back")
        return device

    async def _write_anew(self, store: StoreId) -> None:
        def write() -> None:
            with closing(self._library.db.open_reader()) as connection:
                write_all(connection, self._file, store)

        await trio.to_thread.run_sync(write)


def keep_newer(file: NoteFile, library: str, seq: int) -> None:
    """Notes that tell of more than the catalog does, or of another one, are not written over: it is a backup that came
    back, or the originals are another library's. Blocks."""
    notes = parsed(*file.read())
    if notes.library in {None, library} and notes.seq <= seq:
        return
    number = 1 + max((int(found.path.name[len(ASIDE) :]) for found in kept_aside(file)), default=0)
    aside = f"{ASIDE}{number}"
    file.rename(aside)
    log.warning(
        "%s know of changes that the catalog does not (was an older one brought back?); what they say is kept as %s:"
        " unmount and run `damfs rebuild` to take it in",
        file.path, aside,
    )  # fmt: skip


def kept_aside(file: NoteFile) -> list[NoteFile]:
    """Oldest first. Blocks briefly."""
    found = [path for path in file.path.parent.glob(ASIDE + "*") if path.name[len(ASIDE) :].isdecimal()]
    return [NoteFile(path) for path in sorted(found, key=lambda path: int(path.name[len(ASIDE) :]))]


def note_file(library: Library) -> NoteFile:
    return NoteFile(library.originals / os.fsdecode(NOTES))


def write_all(connection: Connection, file: NoteFile, store: StoreId) -> None:
    """Everything anew, page by page: no reading of the catalog takes long. Blocks."""
    file.rewrite(_pages(connection, store))


def _pages(connection: Connection, store: StoreId) -> Iterator[list[bytes]]:
    seq, name = change_feed.last_seq(connection), derived.property_value(connection, "library-id") or ""
    yield [store_notes.first_line(name)]
    yield _folder_lines({}, standing.list_folders(connection, store))
    ids = standing.list_standing(connection)
    for start in range(0, len(ids), PAGE):
        yield _asset_lines(connection, ids[start : start + PAGE], set(), store)
    yield [store_notes.end_line(name, seq)]


def _list_noted_below(connection: Connection, folders: set[FolderId]) -> set[AssetId]:
    noted = set(standing.list_standing(connection)) if folders else set()
    return {id_ for folder in folders for id_ in standing.list_below(connection, folder) if id_ in noted}


def _asset_lines(connection: Connection, ids: list[AssetId], always: set[AssetId], store: StoreId) -> list[bytes]:
    """``always``: those of which also nothing is said."""
    found = [(id_, standing.standing(connection, id_, store)) for id_ in ids]
    return [store_notes.asset_line(id_, note) for id_, note in found if note is not None or id_ in always]


def _folder_lines(before: dict[FolderId, FolderNote], now: dict[FolderId, FolderNote]) -> list[bytes]:
    gone = [store_notes.folder_line(id_, None) for id_ in before.keys() - now.keys()]
    return gone + [store_notes.folder_line(id_, note) for id_, note in now.items() if before.get(id_) != note]

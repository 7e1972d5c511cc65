"""What is appended to the notes of the store, change by change, says the same as notes written anew."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from damfs.catalog import stores
from damfs.catalog.folders import Move
from damfs.core import note_keeping
from damfs.core.arranging import ContentChanged, SetFolder, SetFolderOwner, SetOwner
from damfs.core.commands import Command, Receive, Rename, SetMode, SetTimes
from damfs.core.folders import link_file, make_folder, move_file, move_folder, remove_folder, remove_name
from damfs.core.library import Library
from damfs.core.note_keeping import NoteKeeper, note_file, write_all
from damfs.core.reception import Reception
from damfs.core.scanner import scan
from damfs.core.store_notes import parsed
from damfs.core.superseding import revert
from damfs.core.trashing import restore_assets, trash_assets
from damfs.errors import DamfsError
from damfs.model import AssetId, Copy, FolderId
from damfs.storage.note_file import NoteFile
from tests.small_library import opened, overwritten, store_named

STEPS = 120
MODES = (0o644, 0o644, 0o600, 0o664)


class Person:
    """Does something at random; what is refused is not done."""

    def __init__(self, library: Library, seed: int) -> None:
        self.library, self.random, self.count = library, Random(seed), 0
        self.deeds: list[Callable[[], Awaitable[object]]] = [
            self.receive, self.overwrite, self.set, self.move, self.link, self.unlink, self.move_folder,
            self.make_folder, self.remove_folder, self.set_folder, self.touch_folder, self.trash, self.restore,
            self.revert, self.move_by_hand,
        ]  # fmt: skip

    async def act(self) -> str:
        deed = self.random.choice(self.deeds)
        try:
            await deed()
        except (DamfsError, IndexError):
            return ""
        return deed.__name__

    def copies(self) -> list[Copy]:
        return [copy for _, copy in stores.list_copies(self.library.db.writer, store_named(self.library, "library").id)]

    def copy(self) -> Copy:
        return self.random.choice(self.copies())

    def id(self) -> AssetId:
        return self.copy().asset

    def folder(self) -> FolderId:
        store = store_named(self.library, "library").id
        trash = stores.folder_at(self.library.db.writer, store, [b".damfs-trash"])
        rows = self.library.db.writer.rows("SELECT id FROM folder WHERE store = ? AND live", store)
        return FolderId(self.random.choice([id_ for (id_,) in rows if id_ != trash]))

    def name(self) -> bytes:
        self.count += 1
        return self.random.choice([b"%d.jpg", b"\xff%d.jpg", b"same-%d.jpg"]) % (self.count % 7)

    async def receive(self) -> None:
        library = self.library
        id_ = library.perform(Receive(f"{self.count}.jpg", self.random.choice(MODES), False), "test")
        with closing(os.fdopen(library.staging.create(id_), "wb")) as file:
            file.write(self.random.randbytes(2))
        if self.random.random() < 0.2:
            library.perform(SetOwner(id_, 7, 8), "test")
        await Reception(library).seal(id_)

    async def overwrite(self) -> None:
        await overwritten(self.library, self.id(), self.random.randbytes(1))

    async def set(self) -> None:
        id_ = self.id()
        wishes: list[Command[object]] = [
            SetMode(id_, self.random.choice(MODES)), SetOwner(id_, 1, 2), SetTimes(id_, self.random.randrange(10**18)),
            Rename(id_, f"called-{self.count}.jpg"),
        ]  # fmt: skip
        self.library.execute([self.random.choice(wishes)], "test")

    async def move(self) -> None:
        await move_file(self.library, self.copy().id, self.folder(), self.name())

    async def link(self) -> None:
        await link_file(self.library, self.copy().id, self.folder(), self.name())

    async def unlink(self) -> None:
        await remove_name(self.library, self.copy().id)

    async def move_folder(self) -> None:
        await move_folder(self.library, Move(self.folder(), self.folder(), self.name()))

    async def make_folder(self) -> None:
        await make_folder(self.library, self.folder(), self.name(), 0o750)

    async def remove_folder(self) -> None:
        await remove_folder(self.library, self.folder())

    async def set_folder(self) -> None:
        id_ = self.folder()
        wishes: list[Command[object]] = [SetFolder(id_, 0o700, 5), SetFolderOwner(id_, 3, 4)]
        self.library.execute([self.random.choice(wishes)], "test")

    async def touch_folder(self) -> None:
        self.library.perform(ContentChanged(self.folder()), "test")

    async def trash(self) -> None:
        await trash_assets(self.library, [self.id()], "test", "inbox")

    async def restore(self) -> None:
        await restore_assets(self.library, [self.id()], "test")

    async def revert(self) -> None:
        await revert(self.library, Reception(self.library), self.id(), 1)

    async def move_by_hand(self) -> None:
        copy = self.copy()
        key = stores.key_of(self.library.db.writer, copy.folder, copy.name)
        path = self.library.originals / os.fsdecode(key)
        path.rename(path.with_name(f"by-hand-{self.count}.jpg"))
        await scan(self.library, store_named(self.library, "library"))


@pytest.mark.parametrize("seed", range(4))
async def test_appended_notes_say_the_same_as_notes_written_anew(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(note_keeping, "GRACE_S", 0.01)
    with opened(tmp_path / "library") as library:
        person, done = Person(library, seed), set[str]()
        async with trio.open_nursery() as nursery:
            keeper = NoteKeeper(library)
            await nursery.start(keeper.serve)
            await keeper.begun.wait()
            inode = note_file(library).path.stat().st_ino
            for _ in range(STEPS):
                done.add(await person.act())
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        anew = NoteFile(tmp_path / "anew")
        write_all(library.db.writer, anew, store_named(library, "library").id)
        said, wanted = parsed(*note_file(library).read()), parsed(*anew.read())
        assert note_file(library).path.stat().st_ino == inode, "only appended to"
        assert note_file(library).last() == anew.last()
        assert said.assets == wanted.assets
        assert said.folders == wanted.folders
        assert wanted.assets
        assert len(done) > 10, done

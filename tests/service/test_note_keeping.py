"""The notes of the store while the library is in use: where they are not written, and that they say what a full rewrite
would say."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from damfs.core import note_keeping
from damfs.core.commands import SetMode
from damfs.core.library import Library
from damfs.core.note_keeping import NoteKeeper, note_file
from damfs.core.store_notes import parsed
from damfs.core.verify import verify
from damfs.errors import NoSpace
from damfs.storage.note_file import NoteFile
from tests.small_library import keys, opened, overwritten, received


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(note_keeping, "GRACE_S", 0.01)
    monkeypatch.setattr(note_keeping, "AGAIN_S", 0.01)


async def in_step(library: Library) -> None:
    async with trio.open_nursery() as nursery:
        keeper = NoteKeeper(library)
        await nursery.start(keeper.serve)
        await keeper.begun.wait()
        nursery.cancel_scope.cancel()


async def test_nothing_is_written_into_the_mount_point_of_a_volume_that_is_away(tmp_path: Path) -> None:
    with opened(tmp_path / "library") as library:
        clip = await received(library, "clip.mov", b"one")
        await overwritten(library, clip.id, b"two")
        await in_step(library)
        volume = library.originals.rename(tmp_path / "volume")
        library.originals.mkdir()
        library.perform(SetMode(clip.id, 0o600), "test")
        async with trio.open_nursery() as nursery:
            keeper = NoteKeeper(library)
            await nursery.start(keeper.serve)
            with trio.move_on_after(0.2):
                await keeper.begun.wait()
            assert list(library.originals.iterdir()) == []
            assert (await verify(library, library.stores())).offline == ["library"]
            assert {state for _, state in keys(library).values()} == {"present"}
            library.originals.rmdir()
            volume.rename(library.originals)
            with trio.fail_after(60):
                await keeper.begun.wait()
            nursery.cancel_scope.cancel()
        assert parsed(*note_file(library).read()).assets[clip.id].mode == 0o600


async def test_notes_that_could_not_be_begun_do_not_end_as_if_they_were_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "library") as library:
        clip = await received(library, "clip.mov", b"one")
        await overwritten(library, clip.id, b"two")
        with monkeypatch.context() as patched:
            patched.setattr(NoteFile, "rewrite", disk_full)
            async with trio.open_nursery() as nursery:
                await nursery.start(NoteKeeper(library).serve)
                other = await received(library, "other.mov", b"three")
                library.perform(SetMode(other.id, 0o600), "test")
                await trio.sleep(0.1)
                nursery.cancel_scope.cancel()
        await in_step(library)
        assert parsed(*note_file(library).read()).assets.keys() == {clip.id, other.id}


def disk_full(*_: object) -> None:
    raise NoSpace("the disk is full")


async def test_notes_that_somebody_deleted_meanwhile_are_written_anew(tmp_path: Path) -> None:
    with opened(tmp_path / "library") as library:
        clip, other = await received(library, "clip.mov", b"one"), await received(library, "other.mov", b"two")
        await overwritten(library, clip.id, b"three")
        async with trio.open_nursery() as nursery:
            keeper = NoteKeeper(library)
            await nursery.start(keeper.serve)
            await keeper.begun.wait()
            note_file(library).path.unlink()
            library.perform(SetMode(other.id, 0o600), "test")
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert parsed(*note_file(library).read()).assets.keys() == {clip.id, other.id}


async def test_what_was_appended_is_not_appended_again_when_the_file_cannot_be_shortened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "library") as library:
        clip = await received(library, "clip.mov", b"one")
        async with trio.open_nursery() as nursery:
            keeper = NoteKeeper(library)
            await nursery.start(keeper.serve)
            await keeper.begun.wait()
            monkeypatch.setattr(note_keeping, "WASTE", -(1 << 30))
            monkeypatch.setattr(NoteFile, "rewrite", disk_full)
            library.perform(SetMode(clip.id, 0o600), "test")
            await trio.sleep(0.3)
            nursery.cancel_scope.cancel()
        lines, _ = note_file(library).read()
        assert sum(b"clip.mov" in line for line in lines) == 1


async def test_another_volume_in_its_place_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path / "library") as library:
        clip = await received(library, "clip.mov", b"one")
        async with trio.open_nursery() as nursery:
            keeper = NoteKeeper(library)
            await nursery.start(keeper.serve)
            await keeper.begun.wait()
            monkeypatch.setattr(keeper, "_device", -1)
            notes = note_file(library).path.rename(tmp_path / "notes")
            library.perform(SetMode(clip.id, 0o600), "test")
            await trio.sleep(0.2)
            assert not note_file(library).path.exists()
            notes.rename(note_file(library).path)
            with trio.fail_after(60):
                while not parsed(*note_file(library).read()).assets:  # noqa: ASYNC110 - a file tells nobody
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

"""From the last close of a received file to an asset: what it becomes, where its bytes lie, and what may go wrong."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio

from damfs.catalog import stores
from damfs.core.commands import Abandon, Rename, SetOnline
from damfs.core.gate import Gate
from damfs.core.indexing import MarkMissing
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.errors import NoSpace, Unavailable
from damfs.model import AssetId, AssetState, BlobId, Media
from damfs.storage.local import LocalStore
from tests.small_library import (
    JULY_NS,
    added,
    asset,
    assets_named,
    drafted,
    dump,
    files_below,
    keys,
    opened,
    received,
    scanned,
    tags,
    the_asset,
)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


def originals(library: Library) -> dict[bytes, bytes]:
    return files_below(library.originals)


def staged(library: Library) -> list[str]:
    return sorted(os.listdir(library.staging.path(AssetId(0)).parent))


def spoil(path: Path) -> None:
    """Other bytes of the same length, as bit rot leaves them."""
    path.chmod(0o644)
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))


async def test_a_new_file_becomes_an_asset_under_its_day(library: Library) -> None:
    clip = await received(library, "clip.mov", b"clip", "beach")
    assert (clip.state, clip.media, clip.size, clip.mtime_ns, clip.triaged) == (
        AssetState.PRESENT, Media.VIDEO, 4, JULY_NS, False,
    )  # fmt: skip
    assert tags(library, clip.id) == ["beach"]
    assert originals(library) == {b"2024/07/15/clip.mov": b"clip"}
    status = (library.originals / "2024/07/15/clip.mov").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o644, JULY_NS)
    assert keys(library) == {b"2024/07/15/clip.mov": (clip.id, "present")}
    assert staged(library) == []


async def test_the_same_bytes_and_name_become_the_known_asset(library: Library) -> None:
    clip = await received(library, "clip.mov", b"clip", "beach")
    again = drafted(library, "clip.mov", b"clip", "sunset", triaged=True)
    assert await Reception(library).seal(again) == clip.id
    assert library.asset(again) is None, "the provisional asset is gone"
    assert tags(library, clip.id) == ["beach", "sunset"]
    assert not asset(library, clip.id).triaged, "it stays in the inbox until somebody takes it out"
    assert originals(library) == {b"2024/07/15/clip.mov": b"clip"}
    assert staged(library) == []


async def test_the_same_bytes_under_another_name_are_an_asset_with_one_inode_on_disk(library: Library) -> None:
    first = await received(library, "clip.mov", b"clip", "beach")
    second = await received(library, "copy.mov", b"clip")
    assert first.id != second.id
    assert first.blob == second.blob
    assert tags(library, second.id) == []
    names = [library.originals / "2024/07/15" / name for name in ("clip.mov", "copy.mov")]
    assert names[0].stat().st_ino == names[1].stat().st_ino
    assert staged(library) == []


async def test_other_bytes_of_the_same_name_get_the_next_key(library: Library) -> None:
    made = [await received(library, "clip.mov", data) for data in (b"one", b"two", b"three")]
    assert originals(library) == {
        b"2024/07/15/clip.mov": b"one",
        b"2024/07/15/clip~2.mov": b"two",
        b"2024/07/15/clip~3.mov": b"three",
    }
    assert len({each.id for each in made}) == 3


async def test_a_file_that_nobody_knows_of_is_not_replaced(library: Library) -> None:
    folder = library.originals / "2024/07/15"
    folder.mkdir(parents=True)
    (folder / "clip.mov").write_bytes(b"put here by hand")
    await received(library, "clip.mov", b"clip")
    assert originals(library) == {b"2024/07/15/clip.mov": b"put here by hand", b"2024/07/15/clip~2.mov": b"clip"}


@pytest.mark.expect_warnings("a copy is damaged")
async def test_a_damaged_copy_is_healed_by_the_new_bytes(library: Library) -> None:
    clip = await received(library, "clip.mov", b"clip", "beach")
    spoil(library.originals / "2024/07/15/clip.mov")
    assert await Reception(library).seal(drafted(library, "clip.mov", b"clip", "sunset")) == clip.id
    assert keys(library) == {
        b"2024/07/15/clip.mov": (clip.id, "damaged"),
        b"2024/07/15/clip~2.mov": (clip.id, "present"),
    }
    assert originals(library)[b"2024/07/15/clip~2.mov"] == b"clip"
    assert tags(library, clip.id) == ["beach", "sunset"]
    assert [path.name for path in library.source_paths(clip.blob or -1)] == ["clip~2.mov"]  # type: ignore[arg-type]  # it has one


@pytest.mark.expect_warnings("a copy is damaged")
async def test_a_damaged_copy_of_another_name_is_no_source_of_a_link(library: Library) -> None:
    await received(library, "clip.mov", b"clip")
    spoil(library.originals / "2024/07/15/clip.mov")
    await received(library, "copy.mov", b"clip")
    assert originals(library)[b"2024/07/15/copy.mov"] == b"clip"


async def test_a_missing_asset_is_healed_in_its_own_place(library: Library) -> None:
    clip = await received(library, "clip.mov", b"clip", "beach")
    other = await received(library, "other.mov", b"other")
    (library.originals / "2024/07/15/clip.mov").unlink()
    await scanned(library, "library")
    assert asset(library, clip.id).state is AssetState.MISSING
    assert asset(library, other.id).state is AssetState.PRESENT
    assert await Reception(library).seal(drafted(library, "clip.mov", b"clip")) == clip.id
    assert asset(library, clip.id).state is AssetState.PRESENT
    assert keys(library)[b"2024/07/15/clip.mov"] == (clip.id, "present")
    assert originals(library)[b"2024/07/15/clip.mov"] == b"clip"


async def test_a_file_that_is_gone_without_a_scan_is_healed(library: Library) -> None:
    clip = await received(library, "clip.mov", b"clip")
    (library.originals / "2024/07/15/clip.mov").unlink()
    assert await Reception(library).seal(drafted(library, "clip.mov", b"clip")) == clip.id
    assert originals(library) == {b"2024/07/15/clip.mov": b"clip"}


async def test_the_key_of_a_missing_file_of_another_asset_is_left_to_it(library: Library) -> None:
    clip = await received(library, "clip.mov", b"clip")
    (library.originals / "2024/07/15/clip.mov").unlink()
    await scanned(library, "library")
    await received(library, "clip.mov", b"another")
    (library.originals / "2024/07/15/clip.mov").write_bytes(b"clip")
    await scanned(library, "library")
    assert asset(library, clip.id).state is AssetState.PRESENT
    assert originals(library) == {b"2024/07/15/clip.mov": b"clip", b"2024/07/15/clip~2.mov": b"another"}


async def test_a_twin_in_a_read_only_store_is_enough_once_it_was_verified(library: Library, tmp_path: Path) -> None:
    added(library, tmp_path / "footage")
    (tmp_path / "footage/clip.mov").write_bytes(b"clip")
    await scanned(library)
    clip = the_asset(library, "clip.mov")
    assert await Reception(library).seal(drafted(library, "clip.mov", b"clip", "beach")) == clip.id
    assert originals(library) == {}
    assert tags(library, clip.id) == ["beach"]


class Waiting(Gate):
    """Something happens before the next file is published, after all that was to be read was read."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self._happens = [happens]

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        while self._happens:
            self._happens.pop()()
        async with super().together():
            yield


@pytest.mark.parametrize("how", ["unplugged", "seen to be gone", "offline", "replaced"])
async def test_bytes_are_kept_where_the_twin_goes_before_they_are_let_go_of(
    library: Library, tmp_path: Path, how: str
) -> None:
    footage = tmp_path / "footage"
    store = added(library, footage)
    (footage / "clip.mov").write_bytes(b"clip")
    await scanned(library)
    clip = the_asset(library, "clip.mov")
    (copy,) = stores.copies_of_asset(library.db.writer, clip.id)

    def happens() -> None:
        if how == "offline":
            library.perform(SetOnline(store.id, online=False), "test")
        elif how == "replaced":
            os.utime(footage / "clip.mov", ns=(1, 1))
        else:
            footage.rename(tmp_path / "unplugged")
        if how == "seen to be gone":
            library.perform(MarkMissing(copy.id), "test")

    library.publishing = Waiting(happens)
    assert await Reception(library).seal(drafted(library, "clip.mov", b"clip")) == clip.id
    assert originals(library) == {b"2024/07/15/clip.mov": b"clip"}
    assert [each.store for each in library.sources(clip.blob or BlobId(0))][:1] == [library.library_store().id]
    assert asset(library, clip.id).state is AssetState.PRESENT


@pytest.mark.expect_warnings("a copy is damaged")
async def test_a_damaged_twin_in_a_read_only_store_is_not(library: Library, tmp_path: Path) -> None:
    added(library, tmp_path / "footage")
    (tmp_path / "footage/clip.mov").write_bytes(b"clip")
    await scanned(library)
    clip = the_asset(library, "clip.mov")
    spoil(tmp_path / "footage/clip.mov")
    assert await Reception(library).seal(drafted(library, "clip.mov", b"clip")) == clip.id
    assert originals(library) == {b"2024/07/15/clip.mov": b"clip"}


async def test_bytes_of_another_name_in_a_read_only_store_are_kept_once_more(library: Library, tmp_path: Path) -> None:
    added(library, tmp_path / "footage")
    (tmp_path / "footage/clip.mov").write_bytes(b"clip")
    await scanned(library)
    await received(library, "mine.mov", b"clip")
    assert originals(library) == {b"2024/07/15/mine.mov": b"clip"}


async def test_a_temporary_name_waits_for_the_final_one(library: Library) -> None:
    id_ = drafted(library, ".clip.mov.Ab12Cd", b"clip")
    assert await Reception(library).seal(id_) is None
    assert asset(library, id_).state is AssetState.RECEIVING
    assert staged(library) == [str(id_)]
    library.perform(Rename(id_, "clip.mov"), "test")
    assert await Reception(library).seal(id_) == id_
    assert originals(library) == {b"2024/07/15/clip.mov": b"clip"}


@pytest.mark.parametrize("name", [".profile", "Thumbs.db", "._x.mov"])
async def test_a_name_that_walks_leave_out_is_still_found_by_a_scan(library: Library, name: str) -> None:
    clip = await received(library, name, b"clip")
    await scanned(library, "library")
    assert asset(library, clip.id).state is AssetState.PRESENT
    assert asset(library, clip.id).name == name


@pytest.mark.parametrize(
    "name",
    ["x" * 251 + ".mov", "\u00e9" * 125 + ".mov", "two\nlines.mov", "quo\"te's.mov", "a." + "b" * 100, "\udcff.mov"],
)
async def test_names_of_every_kind(library: Library, name: str) -> None:
    first = await received(library, name, b"one")
    second = await received(library, name, b"two")
    assert first.name == second.name
    assert sorted(originals(library).values()) == [b"one", b"two"]
    assert all(len(key.rpartition(b"/")[2]) <= 255 and b"\n" not in key for key in originals(library))
    before = dump(library.db.writer)
    await scanned(library, "library")
    assert dump(library.db.writer) == before, "a scan finds what was received and nothing else"


async def test_an_empty_file_is_an_asset(library: Library) -> None:
    empty = await received(library, "empty.mov", b"")
    assert (empty.size, empty.state) == (0, AssetState.PRESENT)
    assert originals(library) == {b"2024/07/15/empty.mov": b""}


async def test_many_at_once_with_the_same_bytes_become_one_asset(library: Library) -> None:
    reception = Reception(library)
    drafts = [drafted(library, "clip.mov", b"clip", f"tag {number}") for number in range(20)]
    async with trio.open_nursery() as nursery:
        for id_ in drafts:
            nursery.start_soon(reception.seal, id_)
    clip = the_asset(library, "clip.mov")
    assert len(tags(library, clip.id)) == 20
    assert originals(library) == {b"2024/07/15/clip.mov": b"clip"}
    assert staged(library) == []


async def test_a_seal_that_is_cancelled_leaves_no_lock(library: Library) -> None:
    reception = Reception(library)
    first, second = drafted(library, "a.mov", b"clip"), drafted(library, "b.mov", b"clip")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reception.seal, first)
        with trio.CancelScope() as scope:
            scope.cancel()
            await reception.seal(second)
    assert await reception.seal(second) == second
    assert reception._by_digest._locks == {}


async def test_known_bytes_under_another_name_have_their_day_of_capture(library: Library) -> None:
    """The jobs of those bytes are done: nothing else will tell the new asset."""
    from damfs.catalog import derived

    first = await received(library, "clip.mov", b"clip")
    with library.db.transaction() as tx:
        assert first.blob is not None
        derived.set_facts(tx, first.blob, "probe", {"media": "audio", "captured_local": "2019-05-06T07:08:09"})
    second = await received(library, "copy.mov", b"clip")
    assert library.db.writer.rows("SELECT day, media FROM asset WHERE id = ?", second.id) == [("2019-05-06", "audio")]


# --- what a crash left ----------------------------------------------------------------------------------------


def published_by_hand(library: Library, id_: AssetId, name: str) -> None:
    folder = library.originals / "2024/07/15"
    folder.mkdir(parents=True, exist_ok=True)
    os.rename(library.staging.path(id_), folder / name)


async def test_a_published_file_without_a_row_is_adopted(library: Library) -> None:
    await received(library, "clip.mov", b"one")
    id_ = drafted(library, "clip.mov", b"two", "beach")
    published_by_hand(library, id_, "clip~2.mov")
    assert await Reception(library).seal(id_) == id_
    assert keys(library)[b"2024/07/15/clip~2.mov"] == (id_, "present")
    assert tags(library, id_) == ["beach"]


async def test_another_file_at_that_key_is_not_taken_for_it(library: Library) -> None:
    id_ = drafted(library, "clip.mov", b"two")
    published_by_hand(library, id_, "clip.mov")
    (library.originals / "2024/07/15/clip.mov").write_bytes(b"something else")
    assert await Reception(library).seal(id_) is None
    assert library.asset(id_) is None


@pytest.mark.expect_warnings("held back")
async def test_it_is_said_and_nothing_is_forgotten_when_it_cannot_be_told_whose_a_file_is(library: Library) -> None:
    ids = [drafted(library, "clip.mov", content, "beach") for content in (b"one", b"two")]
    published_by_hand(library, ids[0], "clip~2.mov")
    published_by_hand(library, ids[1], "clip.mov")
    reception = Reception(library)
    for id_ in ids:
        await reception.seal_or_report(id_)
        assert "nothing says in which" in reception.held_back[id_]
        assert tags(library, id_) == ["beach"]
    assert keys(library) == {}


async def test_a_file_of_another_size_is_passed_by(library: Library) -> None:
    id_ = drafted(library, "clip.mov", b"two", "beach")
    published_by_hand(library, id_, "clip~2.mov")
    (library.originals / "2024/07/15/clip.mov").write_bytes(b"of somebody else")
    assert await Reception(library).seal(id_) == id_
    assert keys(library)[b"2024/07/15/clip~2.mov"] == (id_, "present")


async def test_a_second_name_without_a_row_is_taken(library: Library) -> None:
    await received(library, "clip.mov", b"clip")
    id_ = drafted(library, "copy.mov", b"clip")
    os.link(library.originals / "2024/07/15/clip.mov", library.originals / "2024/07/15/copy.mov")
    assert await Reception(library).seal(id_) == id_
    assert set(originals(library)) == {b"2024/07/15/clip.mov", b"2024/07/15/copy.mov"}


async def test_a_row_whose_bytes_are_nowhere_is_forgotten(library: Library) -> None:
    id_ = drafted(library, "clip.mov", b"clip")
    library.staging.discard(id_)
    assert await Reception(library).seal(id_) is None
    assert library.asset(id_) is None


async def test_an_abandoned_file_is_not_sealed(library: Library) -> None:
    id_ = drafted(library, "clip.mov", b"clip")
    library.perform(Abandon(id_), "test")
    assert await Reception(library).seal(id_) is None
    assert originals(library) == {}


# --- what cannot be done now ----------------------------------------------------------------------------------


@pytest.mark.expect_warnings("held back")
async def test_a_day_that_is_a_file_is_reported_and_the_bytes_stay(library: Library) -> None:
    (library.originals / "2024").write_bytes(b"no folder")
    id_ = drafted(library, "clip.mov", b"clip")
    reception = Reception(library)
    await reception.seal_or_report(id_)
    assert "in this path is a file, not a folder" in reception.held_back[id_]
    assert staged(library) == [str(id_)]
    (library.originals / "2024").unlink()
    await reception.seal_or_report(id_)
    assert reception.held_back == {}
    assert originals(library) == {b"2024/07/15/clip.mov": b"clip"}


async def test_a_store_that_is_gone_is_unavailable(library: Library) -> None:
    id_ = drafted(library, "clip.mov", b"clip")
    library.originals.rename(library.path / "elsewhere")
    with pytest.raises(Unavailable, match="is its volume connected"):
        await Reception(library).seal(id_)
    assert staged(library) == [str(id_)]
    (library.path / "elsewhere").rename(library.originals)
    assert await Reception(library).seal(id_) == id_


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


@pytest.mark.expect_warnings("held back")
async def test_a_full_disk_leaves_the_bytes_in_staging(tmp_path: Path) -> None:
    """The originals are on the small disk, the staging area is not: publishing has to copy."""
    with small_disk(tmp_path / "disk", "1m") as disk, opened(tmp_path / "library") as library:
        library._stores[library.library_store().id] = LocalStore(disk, library.library_store().kind)
        filler = disk / "filler"
        filler.write_bytes(bytes(900_000))
        id_ = drafted(library, "clip.mov", bytes(range(256)) * 1000)
        reception = Reception(library)
        with pytest.raises(NoSpace, match="the disk is full; free some space and try again"):
            await reception.seal(id_)
        await reception.seal_or_report(id_)
        assert reception.held_back[id_].count("\n") == 0
        assert staged(library) == [str(id_)]
        assert set(files_below(disk)) == {b"filler"}
        assert asset(library, id_).state is AssetState.RECEIVING
        filler.unlink()
        assert await reception.seal(id_) == id_
        assert set(files_below(disk)) == {b"2024/07/15/clip.mov"}
        assert staged(library) == []


async def test_a_disk_that_is_full_for_the_catalog_loses_nothing(tmp_path: Path) -> None:
    """The row does not fit: what was published is taken back, and the bytes stay in staging."""
    with small_disk(tmp_path / "disk", "8m") as disk, opened(disk / "library") as library:
        id_ = drafted(library, "clip.mov", b"clip", "beach")
        library.db.writer.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(bytes(8 << 20))
        reception = Reception(library)
        with pytest.raises(NoSpace, match="no space left for the catalog"):
            await reception.seal(id_)
        assert originals(library) == {}
        assert library.staging.path(id_).read_bytes() == b"clip"
        filler.unlink()
        assert await reception.seal(id_) == id_
        assert tags(library, id_) == ["beach"]
        assert len(assets_named(library, "clip.mov")) == 1

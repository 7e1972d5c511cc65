"""Small files sealed together: the same assets as one by one, for a share of the commits."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from damfs.core import batch_sealing
from damfs.core.batch_sealing import BatchSealing
from damfs.core.commands import SetTimes
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.upkeep import settle_interrupted
from damfs.errors import NoSpace
from damfs.model import AssetId, AssetState
from damfs.storage.local import LocalStore
from damfs.storage.spots import Spot
from tests.small_library import asset, drafted, files_below, keys, opened, received, tags, the_asset


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


async def sealed(library: Library, ids: list[AssetId]) -> Reception:
    reception = Reception(library)
    async with trio.open_nursery() as nursery:
        batches = BatchSealing(library, reception, nursery)
        for id_ in ids:
            nursery.start_soon(batches.seal, id_)
    return reception


async def test_many_small_files_share_commits(library: Library) -> None:
    ids = [drafted(library, f"{number}.jpg", b"picture %d" % number) for number in range(40)]
    before = library.db.writer.integer("SELECT count(DISTINCT at_ns) FROM change WHERE kind = 'ingested'")
    await sealed(library, ids)
    assert {asset(library, id_).state for id_ in ids} == {AssetState.PRESENT}
    commits = library.db.writer.integer("SELECT count(DISTINCT at_ns) FROM change WHERE kind = 'ingested'") - before
    assert commits <= -(-len(ids) // batch_sealing.COMMIT)
    assert set(files_below(library.originals).values()) == {b"picture %d" % number for number in range(40)}
    assert set(files_below(library.originals)) == set(keys(library))
    assert library.staging.entries() == {}


async def test_the_same_bytes_twice_and_known_bytes_are_as_ever(library: Library) -> None:
    known = await received(library, "known.jpg", b"known", "beach")
    contents = [
        ("a.jpg", b"same"),
        ("b.jpg", b"same"),
        ("known.jpg", b"known"),
        ("c.jpg", b"other"),
        ("a.jpg", b"third"),
    ]
    ids = [drafted(library, name, content) for name, content in contents]
    await sealed(library, ids)
    assert library.asset(ids[2]) is None, "it became the asset of that name and those bytes"
    assert the_asset(library, "known.jpg").id == known.id
    assert asset(library, ids[0]).blob == asset(library, ids[1]).blob
    assert sorted(files_below(library.originals).values()) == [b"known", b"other", b"same", b"same", b"third"]
    assert library.staging.entries() == {}


@pytest.mark.expect_warnings("is held back and will be tried again")
async def test_one_that_fails_is_held_back_and_the_others_arrive(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = LocalStore._placed

    def full_for_one(store: LocalStore, source: Spot, target: Spot, ways: tuple[object, ...]) -> bool:
        if target.name == b"1.jpg":
            raise OSError(errno.ENOSPC, "no space left")
        return placed(store, source, target, ways)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(LocalStore, "_placed", full_for_one)
    ids = [drafted(library, f"{number}.jpg", b"picture %d" % number) for number in range(4)]
    reception = await sealed(library, ids)
    assert list(reception.held_back) == [ids[1]]
    assert [asset(library, id_).state for id_ in ids].count(AssetState.PRESENT) == 3
    assert list(library.staging.entries()) == [ids[1]]


async def test_an_error_of_the_catalog_has_them_sealed_one_by_one(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was published without a row is taken back first."""
    commit, failures = BatchSealing._commit, iter([True])

    def failing_once(batches: BatchSealing, placed: object) -> set[AssetId]:
        if next(failures, False):
            raise NoSpace("no space left for the catalog")
        return commit(batches, placed)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(BatchSealing, "_commit", failing_once)
    ids = [drafted(library, f"{number}.jpg", b"picture %d" % number) for number in range(4)]
    reception = await sealed(library, ids)
    assert reception.held_back == {}
    assert {asset(library, id_).state for id_ in ids} == {AssetState.PRESENT}
    assert set(files_below(library.originals)) == set(keys(library))


class Died(BaseException):
    """Nothing catches it: the process ended there."""


SAME_NAME = [b"picture %02d" % number for number in range(12)]
OTHER_SIZES = [content + b"x" * number for number, content in enumerate(SAME_NAME)]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("contents", [SAME_NAME, OTHER_SIZES], ids=["one size", "other sizes"])
@pytest.mark.parametrize(
    "failure",
    [
        Died(),
        NoSpace("no space left for the catalog"),
        pytest.param(ValueError("a fault of damfs"), marks=pytest.mark.expect_warnings("sealed one by one")),
    ],
)
async def test_files_of_one_name_keep_their_own_bytes_and_tags_when_no_row_was_committed(
    library: Library, monkeypatch: pytest.MonkeyPatch, failure: BaseException, contents: list[bytes], links: bool
) -> None:
    ids = [drafted(library, "IMG_0001.RAW", content, f"tag{n}") for n, content in enumerate(contents)]

    def failing(batches: BatchSealing, placed: object) -> set[AssetId]:
        raise failure

    with monkeypatch.context() as patch:
        if not links:
            patch.setattr("damfs.storage.local.link", lambda *_: False)
        patch.setattr(BatchSealing, "_commit", failing)
        if isinstance(failure, Died):
            with pytest.raises(BaseExceptionGroup):
                await sealed(library, ids)
            assert keys(library) == {}
            assert len(files_below(library.originals)) == len(ids)
        else:
            await sealed(library, ids)
    await settle_interrupted(library, Reception(library))
    for number, id_ in enumerate(ids):
        blob = asset(library, id_).blob
        assert blob is not None
        assert library.source_paths(blob, id_)[0].read_bytes() == contents[number]
        assert tags(library, id_) == [f"tag{number}"]
    assert set(files_below(library.originals)) == set(keys(library))
    assert list((library.state / "staging").iterdir()) == []


async def test_an_mtime_that_is_set_while_it_is_published_is_kept(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [drafted(library, f"{number}.jpg", b"picture %d" % number) for number in range(3)]
    later_ns, place_all = 1_000_000_000_000_000_000, LocalStore.place_all

    def set_meanwhile(store: LocalStore, staged: object) -> object:
        placed = place_all(store, staged)  # type: ignore[arg-type]  # as it came
        trio.from_thread.run_sync(library.perform, SetTimes(ids[1], later_ns), "fuse")
        return placed

    monkeypatch.setattr(LocalStore, "place_all", set_meanwhile)
    await sealed(library, ids)
    assert asset(library, ids[1]).mtime_ns == later_ns
    assert {asset(library, id_).state for id_ in ids} == {AssetState.PRESENT}

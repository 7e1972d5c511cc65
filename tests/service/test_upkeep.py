"""What a crash may have left, put right at the start; and the chores while mounted."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trio
import trio.testing

from damfs.catalog import derived, job_table
from damfs.catalog.database import Connection
from damfs.catalog.vector_index import VectorIndex
from damfs.core import batch_sealing, followed_index
from damfs.core.commands import AddTag, Receive, Rename
from damfs.core.followed_index import file_name, index_property
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.results import FailJob, FinishJob, PublishedRendition
from damfs.core.upkeep import plan_changed, repair, serve_chores, tidy
from damfs.core.vector_indexes import VectorIndexes
from damfs.model import Asset, AssetId, AssetState, BlobId, Job, JobId, RenditionKind
from tests.service.job_processors import Bad, First, NeedsTerms, NoModel, Second
from tests.small_library import (
    asset,
    drafted,
    dump,
    entry_points_of,
    files_below,
    opened,
    received,
    tags,
    term,
    the_asset,
)

POINTS = entry_points_of(First, Second, Bad, NoModel)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def library(path: Path) -> Iterator[Library]:
    with opened(path, POINTS) as made:
        yield made


ANY_AGE = 1 << 62
"""Later than any file: the daemon leaves alone what its own run made, here everything is left over."""


async def start(library: Library) -> Reception:
    reception = Reception(library)
    await repair(library, reception)
    await tidy(library, ANY_AGE)
    return reception


def begun(library: Library, name: str, data: bytes | None, tag: str = "beach") -> AssetId:
    """A file that was being written when the daemon died; None: it died before the staging file was made."""
    id_ = library.perform(Receive(name, 0o644, triaged=True), "fuse")
    library.perform(AddTag(id_, term(library, tag)), "fuse")
    if data is not None:
        descriptor = library.staging.create(id_)
        os.write(descriptor, data)
        os.close(descriptor)
    return id_


def states(library: Library, made: Asset) -> dict[str, tuple[str, int]]:
    assert made.blob is not None
    return job_table.states_of(library.db.writer, made.blob)


def done(library: Library, made: Asset, processor: str, *profiles: str) -> None:
    """As if a processor had run, with a proxy for each profile."""
    assert made.blob is not None
    rows = [PublishedRendition(RenditionKind.PROXY, each, f"ab/{each}.mov", 1, {}) for each in profiles]
    (library.renditions / "ab").mkdir(parents=True, exist_ok=True)
    for row in rows:
        (library.renditions / row.key).write_bytes(b"x")
    id_ = library.db.writer.integer("SELECT id FROM job WHERE blob = ? AND processor = ?", made.blob, processor)
    library.perform(FinishJob(Job(JobId(id_), made.blob, processor, 1, 1), {}, tuple(rows), (), ()), "test")


# --- receptions -----------------------------------------------------------------------------------------------


async def test_a_library_at_rest_is_left_as_it_is(library: Library) -> None:
    await received(library, "other.txt", b"other")
    await start(library)
    before = dump(library.db.writer)
    await start(library)
    assert dump(library.db.writer) == before


async def test_a_row_without_bytes_is_forgotten(library: Library) -> None:
    for data in (None, b""):
        id_ = begun(library, "clip.mov", data)
        await start(library)
        assert library.asset(id_) is None
    assert library.staging.entries() == {}


async def test_bytes_without_a_row_are_superfluous(library: Library) -> None:
    clip = await received(library, "clip.txt", b"clip")
    library.staging.path(clip.id).write_bytes(b"clip")
    library.staging.path(AssetId(999)).write_bytes(b"whatever")
    await start(library)
    assert library.staging.entries() == {}
    assert files_below(library.originals) == {b"2024/07/15/clip.txt": b"clip"}


async def test_a_closed_file_is_sealed(library: Library) -> None:
    id_ = drafted(library, "clip.txt", b"clip", "beach")
    await start(library)
    assert (asset(library, id_).state, tags(library, id_)) == (AssetState.PRESENT, ["beach"])


async def test_thousands_that_were_closed_are_sealed_together(library: Library) -> None:
    """They wait while more come, so a daemon that is killed then leaves many of them."""
    ids = [drafted(library, f"{number}.dat", b"bytes %d" % number) for number in range(2 * batch_sealing.COMMIT)]
    commits = library.db.commits
    await repair(library, Reception(library))
    assert {asset(library, id_).state for id_ in ids} == {AssetState.PRESENT}
    assert library.db.commits - commits <= 5, "two of them seal"
    assert library.staging.entries() == {}


async def test_a_closed_empty_file_is_sealed(library: Library) -> None:
    id_ = drafted(library, "empty.txt", b"", "beach")
    await start(library)
    assert asset(library, id_).state is AssetState.PRESENT


@pytest.mark.expect_warnings(r"clip\.txt was interrupted; what arrived \(4 bytes\) is in the mount as clip\.txt\.part")
async def test_a_file_that_was_not_closed_comes_back_as_part(library: Library) -> None:
    id_ = begun(library, "clip.txt", b"half")
    reception = await start(library)
    part = asset(library, id_)
    assert (part.name, part.state, part.size) == ("clip.txt.part", AssetState.RECEIVING, 4)
    assert tags(library, id_) == ["beach"]
    assert library.staging.path(id_).read_bytes() == b"half"
    await start(library)
    assert asset(library, id_).name == "clip.txt.part", "once"
    library.perform(Rename(id_, "clip.txt"), "fuse")
    assert await reception.seal(id_) == id_, "who knows that it is whole may say so"


@pytest.mark.expect_warnings("was interrupted")
async def test_a_file_of_which_less_is_there_than_was_closed_is_not_sealed(library: Library) -> None:
    """A power loss between the close and the fsync."""
    id_ = drafted(library, "clip.txt", b"all of it")
    os.truncate(library.staging.path(id_), 3)
    await start(library)
    assert (asset(library, id_).name, asset(library, id_).size) == ("clip.txt.part", 3)


async def test_a_temporary_namedkeeps_it(library: Library) -> None:
    id_ = begun(library, ".clip.mov.Ab12Cd", b"half")
    closed = drafted(library, ".other.mov.Ab12Cd", b"whole")
    await start(library)
    assert (asset(library, id_).name, asset(library, id_).size) == (".clip.mov.Ab12Cd", 4)
    assert asset(library, closed).state is AssetState.RECEIVING


@pytest.mark.expect_warnings("was interrupted")
async def test_a_namedthat_is_as_long_as_names_may_be(library: Library) -> None:
    id_ = begun(library, "x" * 251 + ".mov", b"half")
    await start(library)
    name = asset(library, id_).name
    assert name.endswith(".part")
    assert len(name) == 255


@pytest.mark.expect_warnings("held back")
async def test_what_cannot_be_sealed_now_does_not_stop_the_start(library: Library) -> None:
    (library.originals / "2024").write_bytes(b"no folder")
    stuck = drafted(library, "a.txt", b"a")
    reception = await start(library)
    assert list(reception.held_back) == [stuck]
    assert asset(library, stuck).state is AssetState.RECEIVING


# --- renditions and jobs --------------------------------------------------------------------------------------


async def test_work_that_was_interrupted_is_cleared_away(library: Library) -> None:
    (library.state / "work" / "17").mkdir(parents=True)
    (library.state / "work" / "17" / "half a proxy.mov").write_bytes(b"x")
    await start(library)
    assert not (library.state / "work").exists()


async def test_leases_are_given_back(library: Library) -> None:
    clip = await received(library, "good.mov", b"clip")
    library.db.writer.run("UPDATE job SET state = 'leased', due_ns = ?", 1 << 62)
    await start(library)
    assert states(library, clip) == {"probe": ("waiting", 1)}
    assert job_table.is_due(library.db.writer, ("probe",), library.clock())


async def test_a_rendition_without_a_row_goes_away(library: Library) -> None:
    clip = await received(library, "good.mov", b"clip")
    done(library, clip, "probe", "dnxhr-lb")
    (library.renditions / "cd").mkdir()
    (library.renditions / "cd" / "stray.jpeg").write_bytes(b"x")
    await start(library)
    assert list(files_below(library.renditions)) == [b"ab/dnxhr-lb.mov"]


async def test_a_row_without_its_rendition_is_made_again(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("damfs.core.makers.MAKERS", dict.fromkeys(RenditionKind, "probe"))
    clip = await received(library, "good.mov", b"clip")
    done(library, clip, "probe", "dnxhr-lb")
    assert states(library, clip) == {"probe": ("done", 1), "preview": ("waiting", 1)}
    shutil.rmtree(library.renditions)
    library.renditions.mkdir()
    await start(library)
    assert states(library, clip)["probe"] == ("waiting", 1)
    assert derived.list_renditions(library.db.writer) == []


async def test_everything_derived_may_be_deleted(library: Library) -> None:
    """P9: the directory itself as well."""
    clip = await received(library, "good.mov", b"clip")
    done(library, clip, "probe", "dnxhr-lb")
    shutil.rmtree(library.renditions)
    await start(library)
    assert derived.list_renditions(library.db.writer) == []
    done(library, clip, "probe")


async def test_a_new_version_of_a_processor_plans_old_assets(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path, POINTS) as library:
        clip, bad = await received(library, "good.mov", b"clip"), await received(library, "bad.mov", b"bad")
        assert bad.blob is not None
        done(library, clip, "probe")
        id_ = library.db.writer.integer("SELECT id FROM job WHERE processor = 'bad'")
        library.perform(FailJob(Job(JobId(id_), bad.blob, "bad", 1, 1), "reason"), "test")
    for kind in (First, Bad):
        monkeypatch.setattr(kind, "version", 2)
    with opened(path, POINTS) as library:
        await start(library)
        assert states(library, clip)["probe"] == ("waiting", 2)
        assert states(library, bad)["bad"] == ("waiting", 2), "what an older version could not do it may"


async def test_a_processor_that_was_installed_later_sees_old_assets(path: Path) -> None:
    with opened(path, entry_points_of(First)) as library:
        clip = await received(library, "good.mov", b"clip")
        await start(library)
        done(library, clip, "probe")
    with opened(path, POINTS) as library:
        await start(library)
        assert states(library, clip) == {"probe": ("done", 1), "preview": ("waiting", 1)}
        library.db.writer.run("DELETE FROM job WHERE processor = 'preview'")
        await start(library)
        assert states(library, clip) == {"probe": ("done", 1)}, "asked once, not at every start"


async def test_the_first_term_of_the_vocabulary_plans_what_waits_for_one(path: Path) -> None:
    with opened(path, entry_points_of(NeedsTerms)) as library:
        clip = await received(library, "clip.mov", b"clip")
        await start(library)
        assert states(library, clip) == {}
        term(library, "beach")
        await plan_changed(library)
        assert states(library, clip) == {"auto_tag": ("waiting", 1)}
        library.db.writer.run("DELETE FROM job")
        term(library, "sea")
        await plan_changed(library)
        assert states(library, clip) == {}, "another term is no reason to ask the model about everything again"


async def test_jobs_that_failed_for_want_of_a_model_are_tried_at_each_start(library: Library) -> None:
    made, bad = await received(library, "model.mov", b"m"), await received(library, "bad.mov", b"b")
    assert made.blob is not None
    library.db.writer.run("UPDATE job SET state = 'failed'")
    await start(library)
    assert states(library, made)["model"][0] == "waiting"
    assert states(library, bad)["bad"][0] == "failed", "bad media stays bad"


async def test_a_first_term_is_planned_for_while_mounted(path: Path) -> None:
    with opened(path, entry_points_of(NeedsTerms)) as library:
        clip = await received(library, "clip.mov", b"clip")
        reception = await start(library)
        planned = trio.Event()
        plan = library.planner.plan_jobs

        def watched(tx: Connection, blob: BlobId, at_ns: int) -> None:
            plan(tx, blob, at_ns)
            planned.set()

        library.planner.plan_jobs = watched  # type: ignore[method-assign]  # to know when
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_chores, library, reception)
            term(library, "beach")
            await planned.wait()
            nursery.cancel_scope.cancel()
        assert states(library, clip) == {"auto_tag": ("waiting", 1)}


# --- chores ---------------------------------------------------------------------------------------------------


@pytest.mark.expect_warnings("held back")
async def test_what_is_held_back_is_tried_again(library: Library, autojump_clock: trio.testing.MockClock) -> None:
    (library.originals / "2024").write_bytes(b"no folder")
    reception = Reception(library)
    id_ = drafted(library, "a.txt", b"a")
    await reception.seal_or_report(id_)
    with library.feed.follow() as batches:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_chores, library, reception)
            (library.originals / "2024").unlink()
            async for batch in batches:
                if any(change.kind == "ingested" for change in batch):
                    break
            nursery.cancel_scope.cancel()
    assert asset(library, id_).state is AssetState.PRESENT


async def test_vectors_are_saved_and_their_digest_is_remembered(
    library: Library, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed_index, "SAVE_LEAST", 1)
    library.vectors.indexes = VectorIndexes(library.state / "vectors", library.db.open_reader, small=0)
    for name in ("good a.mov", "good b.mov"):
        made = await received(library, name, name.encode())
        with library.db.transaction() as tx:
            assert made.blob is not None
            derived.set_embedding(tx, made.blob, "look-1", None, np.eye(4, dtype="<f4")[made.blob % 4].tobytes())
    near = library.similar.nearest(library.db.writer, the_asset(library, "good a.mov").id)
    assert [each.name for each in near] == ["good b.mov"]
    assert library.vectors.indexes.settle(60)
    saved = trio.Event()
    note = library.note_vectors

    def noted(digests: dict[str, bytes]) -> None:
        note(digests)
        if digests:
            saved.set()

    library.note_vectors = noted  # type: ignore[method-assign, assignment]  # to know when
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_chores, library, Reception(library))
        await saved.wait()
        nursery.cancel_scope.cancel()
    digest = derived.property_value(library.db.writer, index_property("look-1"))
    assert digest is not None
    named = file_name("look-1", bytes.fromhex(digest))
    assert VectorIndex.load(library.state / "vectors" / named, 4, bytes.fromhex(digest)) is not None


@pytest.mark.expect_warnings("the vector index could not be saved")
async def test_vectors_that_cannot_be_saved_end_nothing(
    library: Library, autojump_clock: trio.testing.MockClock
) -> None:
    tries = 0
    tried_twice = trio.Event()

    def full(*, all_: bool = True) -> dict[str, bytes]:
        nonlocal tries
        tries += 1
        if tries == 2:
            trio.from_thread.run_sync(tried_twice.set)
        raise OSError("No space left on device")

    library.vectors.indexes.save = full  # type: ignore[method-assign]  # a full disk
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_chores, library, Reception(library))
        await tried_twice.wait()
        nursery.cancel_scope.cancel()


async def test_what_this_run_made_is_left_alone(library: Library) -> None:
    """Its row may be just on its way: the job runner publishes first and commits then."""
    (library.renditions / "cd").mkdir(parents=True)
    (library.renditions / "cd" / "on its way.jpeg").write_bytes(b"x")
    await tidy(library, time.time_ns() - 10**10)
    assert list(files_below(library.renditions)) == [b"cd/on its way.jpeg"]

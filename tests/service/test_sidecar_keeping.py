"""Sidecars kept while mounted: by the real keeper, in a real store, whatever goes wrong with one of them."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio

from damfs.catalog import change_feed, derived, duplicates, full_text, job_table, sidecars
from damfs.catalog.database import Connection
from damfs.core import bulk_tagging, duplicate_finding, model_switch, sidecar_backlog, sidecar_keeping, upkeep
from damfs.core.bulk_tagging import untag_all
from damfs.core.commands import AddTag, RenameTerm
from damfs.core.concepts import Concept
from damfs.core.describing import SetComment, SetRating, SetTags
from damfs.core.duplicate_finding import DuplicateFinder
from damfs.core.importing_terms import import_terms
from damfs.core.job_runner import JobRunner
from damfs.core.library import Library
from damfs.core.merging_terms import MoveTags, MoveTagsBack, merge
from damfs.core.model_switch import serve_models
from damfs.core.outlasting import outlast
from damfs.core.reception import Reception
from damfs.core.sidecar_dues import settle
from damfs.core.sidecar_keeping import SidecarKeeper
from damfs.core.sidecar_pass import sync_all
from damfs.core.sidecar_sync import sync_sidecar, write_new
from damfs.core.undo import take_back
from damfs.core.undo_groups import list_groups
from damfs.core.upkeep import serve_chores
from damfs.core.worker_pool import open_worker_pool
from damfs.errors import NoSpace
from damfs.model import AssetId, BlobId, Seq, TermId
from damfs.settings import SidecarSettings
from tests.sample_media import jpeg
from tests.service.job_processors import First
from tests.small_library import assets_named, entry_points_of, opened, scanned, tags, term, the_asset

UNEXPECTED = "failed unexpectedly; the mount goes on"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    monkeypatch.setattr(sidecar_keeping, "GRACE_S", 0.02)
    with opened(tmp_path / "library") as made:
        made.use_settings(msgspec.structs.replace(made.settings, sidecars=SidecarSettings(write=True)))
        yield made


async def photos(library: Library, *names: str) -> list[AssetId]:
    for turn, name in enumerate(names, start=1):
        jpeg(library.originals / name, orientation=turn)
    await scanned(library, "library")
    return [the_asset(library, name).id for name in names]


@asynccontextmanager
async def kept(library: Library) -> AsyncIterator[SidecarKeeper]:
    keeper = SidecarKeeper(library, Reception(library))
    async with trio.open_nursery() as nursery:
        await nursery.start(keeper.serve)
        yield keeper
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool], what: str) -> None:
    with trio.move_on_after(90):
        while not condition():  # noqa: ASYNC110  # files, of which nobody tells
            await trio.sleep(0.02)
        return
    pytest.fail(f"waited in vain: {what}")


def text(library: Library, name: str) -> str:
    path = library.originals / f"{name}.xmp"
    return path.read_text() if path.exists() else ""


async def test_a_full_disk_ends_nothing_and_leaves_nothing_behind(
    library: Library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (photo,) = await photos(library, "a.jpg")
    async with kept(library):
        with monkeypatch.context() as full:
            full.setattr(library.staging, "create", lambda _: os.open("/dev/full", os.O_RDWR))
            library.perform(SetRating(photo, 8), "cli")
            await until(lambda: "the disk is full" in caplog.text, "it is told")
        assert assets_named(library, "a.jpg.xmp") == []
        library.perform(SetRating(photo, 10), "cli")
        await until(lambda: "<xmp:Rating>5<" in text(library, "a.jpg"), "it is written when there is space again")
        monkeypatch.setattr(library.staging, "stage_copy", lambda *_: os.open("/dev/full", os.O_RDWR))
        caplog.clear()
        library.perform(SetRating(photo, 6), "cli")
        await until(lambda: "the disk is full" in caplog.text, "it is told of a version as well")
    assert "Traceback" not in caplog.text
    assert list(library.staging.entries()) == []


async def test_what_could_not_be_written_is_told_and_written_later_without_another_word(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new sidecar and one that is there; also when the daemon ended in between."""
    first, second = await photos(library, "a.jpg", "b.jpg")
    async with kept(library):
        library.perform(SetRating(first, 2), "cli")
        await until(lambda: "<xmp:Rating>1<" in text(library, "a.jpg"), "the first has one")
    full = functools.partial(os.open, "/dev/full", os.O_RDWR)
    with monkeypatch.context() as patched:
        patched.setattr(library.staging, "create", lambda _: full())
        patched.setattr(library.staging, "stage_copy", lambda *_: full())
        async with kept(library):
            library.execute([SetRating(first, 8), SetRating(second, 10)], "cli")
            await until(lambda: len(told(library)) == 2, "both are told")
    assert {name: "disk is full" in why for name, why in told(library).items()} == {"a.jpg": True, "b.jpg": True}
    async with kept(library):
        await until(lambda: "<xmp:Rating>4<" in text(library, "a.jpg"), "the one that is there, at the next start")
        await until(lambda: "<xmp:Rating>5<" in text(library, "b.jpg"), "the new one")
        await until(lambda: told(library) == {}, "nothing is due")
    monkeypatch.setattr(sidecar_keeping, "AGAIN_S", 0.02)
    async with kept(library):
        with monkeypatch.context() as patched:
            patched.setattr(library.staging, "stage_copy", lambda *_: full())
            library.perform(SetRating(first, 6), "cli")
            await until(lambda: "a.jpg" in told(library), "it is told")
        await until(lambda: "<xmp:Rating>3<" in text(library, "a.jpg"), "it is tried again by itself")
        await until(lambda: told(library) == {}, "nothing is due")


@pytest.mark.expect_warnings(UNEXPECTED)
async def test_a_round_that_fails_is_no_reason_to_take_what_it_held_for_written(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await photos(library, "a.jpg", "b.jpg")
    async with kept(library) as keeper:
        library.perform(SetRating(second, 2), "cli")
        await until(lambda: followed(library) >= last_said(library), "that is remembered")
        with monkeypatch.context() as patched:
            patched.setattr(SidecarKeeper, "_sync", mistaken := Mistaken())
            library.perform(SetRating(first, 8), "cli")
            await until(lambda: mistaken.made > 0, "a round failed")
        before = last_said(library)
        library.perform(SetRating(second, 6), "cli")
        await until(lambda: "<xmp:Rating>3<" in text(library, "b.jpg") and not keeper.is_busy, "another writes its own")
        assert followed(library) < before
    async with kept(library):
        await until(lambda: "<xmp:Rating>4<" in text(library, "a.jpg"), "it is found again")


class Mistaken:
    def __init__(self) -> None:
        self.made = 0

    async def __call__(self, *_: object) -> None:
        self.made += 1
        raise ZeroDivisionError("a mistake")


async def test_a_pass_over_all_settles_what_was_due(library: Library) -> None:
    (photo,) = await photos(library, "a.jpg")
    library.perform(SetRating(photo, 8), "cli")
    settle(library, {photo: "the disk is full"})
    assert told(library) == {"a.jpg": "the disk is full"}
    await sync_all(library, Reception(library), "cli", write=True)
    assert told(library) == {}
    (library.originals / "a.jpg.xmp").write_text("<no")
    await scanned(library, "library")
    await sync_all(library, Reception(library), "cli", write=True)
    assert "a.jpg.xmp" in told(library), "one that cannot be read is told as well"


def told(library: Library) -> dict[str, str]:
    return library.status(library.db.writer).sidecars


@pytest.mark.parametrize(
    "error", [NoSpace("full"), pytest.param(RuntimeError("a mistake"), marks=pytest.mark.expect_warnings(UNEXPECTED))]
)
async def test_what_goes_wrong_with_one_is_no_reason_to_leave_the_others(
    library: Library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    first, second = await photos(library, "a.jpg", "b.jpg")

    async def fails_at_first(its: Library, reception: Reception, original: AssetId, actor: str) -> AssetId | None:
        if original == first:
            raise error
        return await write_new(its, reception, original, actor)

    monkeypatch.setattr(sidecar_keeping, "write_new", fails_at_first)
    async with kept(library):
        library.execute([SetRating(first, 8), SetRating(second, 8)], "cli")
        await until(lambda: "<xmp:Rating>4<" in text(library, "b.jpg"), "the second is written")
        is_mistake = isinstance(error, RuntimeError)
        await until(lambda: ("Traceback" in caplog.text) == is_mistake, "only a mistake is told with its traceback")


async def test_a_tag_that_a_person_gives_while_a_sidecar_is_read_stays(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photo,) = await photos(library, "a.jpg")
    library.execute([SetTags(photo, (("Beach",),)), SetRating(photo, 8), SetComment(photo, "one")], "cli")
    id_ = await write_new(library, Reception(library), photo, "test")
    assert id_ is not None
    library.execute([SetRating(photo, 4), SetComment(photo, "two")], "cli")
    words = text(library, "a.jpg").replace("<rdf:li>Beach</rdf:li>", "<rdf:li>Beach</rdf:li><rdf:li>Sea</rdf:li>")
    (library.originals / "a.jpg.xmp").write_text(words.replace(">4<", ">5<").replace("one", "theirs"))
    os.utime(library.originals / "a.jpg.xmp", (4_000_000_000, 4_000_000_000))
    await scanned(library, "library")
    dusk, asked, ask = term(library, "Dusk"), list[str](), sidecars.last_said_ns

    def disturbed(connection: Connection, asset: AssetId, kind: str) -> int:
        asked.append(kind)
        trio.from_thread.run_sync(library.perform, AddTag(photo, dusk), "fuse")
        trio.from_thread.run_sync(library.perform, SetComment(photo, "mine, just now"), "fuse")
        return ask(connection, asset, kind)

    monkeypatch.setattr(sidecars, "last_said_ns", disturbed)
    await sync_sidecar(library, Reception(library), id_, "test", write=False)
    assert asked == ["rated", "commented"]
    assert tags(library, photo) == ["Beach", "Dusk", "Sea"]
    remark = library.db.writer.rows("SELECT rating, comment FROM remark WHERE asset = ?", photo)
    assert remark == [(10, "mine, just now")]


async def test_what_is_said_of_many_at_once_is_written_for_each(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_tagging, "TOLD_SINGLY", 1)
    monkeypatch.setattr(sidecar_keeping, "AT_ONCE", 1)
    ids = await photos(library, "a.jpg", "b.jpg")

    async def all_say(word: str, what: str, *, not_: str = "nothing like it") -> None:
        def told() -> bool:
            both = [text(library, name) for name in ("a.jpg", "b.jpg")]
            return all(f">{word}<" in each and f">{not_}<" not in each for each in both)

        await until(told, what)
        for _ in range(5):  # what it wrote itself is news as well, and looked after once
            await until(lambda: not keeper.is_busy, "it has come to rest")
            await trio.sleep(0.02)

    async with kept(library) as keeper:
        library.execute([SetTags(id_, (("Nature", "Beach"), ("Kept",))) for id_ in ids], "cli")
        await all_say("Nature/Beach", "they are written")
        nature, beach = (the_term(library, name) for name in ("Nature", "Beach"))
        library.perform(RenameTerm(nature, "Outside", None), "cli")
        await all_say("Outside/Beach", "a broader term was renamed", not_="Nature/Beach")
        library.perform(RenameTerm(beach, "Strand", nature), "cli")
        await all_say("Outside/Strand", "their term was renamed", not_="Outside/Beach")
        coast, before = term(library, "Coast"), change_feed.last_seq(library.db.writer)
        library.perform(MoveTags(tuple(ids), beach, coast), "cli")
        await all_say("Coast", "their tags were moved", not_="Outside/Strand")
        library.perform(moved_back(library, before), "cli")
        await all_say("Outside/Strand", "they were moved back", not_="Coast")
        await import_terms(library, [Concept("n", "North"), Concept("s", "Strand", "n")], "cli")
        await all_say("North/Strand", "an import moved their term", not_="Outside/Strand")
        await take_back(library, list_groups(library.db.writer, 1)[0])
        await all_say("Outside/Strand", "the import was taken back", not_="North/Strand")
        await merge(library, beach, coast, "cli")
        await all_say("Coast", "their term was merged", not_="Outside/Strand")
        await untag_all(library, coast, "cli")
        await all_say("Kept", "it was taken away from all", not_="Coast")


async def test_what_was_said_while_nobody_kept_them_is_written_at_the_next_start(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecar_backlog, "PAGE", 2)
    first, second = await photos(library, "a.jpg", "b.jpg")
    library.perform(SetRating(first, 8), "cli")
    async with kept(library):
        await until(lambda: "<xmp:Rating>4<" in text(library, "a.jpg"), "what was said before there ever was a keeper")
        await until(lambda: followed(library) >= last_said(library), "that is remembered")
    library.execute([SetTags(id_, (("Sea",),)) for id_ in (first, second)], "fuse")
    library.perform(RenameTerm(the_term(library, "Sea"), "Ocean", None), "cli")
    library.perform(SetRating(first, 4), "fuse")
    async with kept(library):
        await until(lambda: ">Ocean<" in text(library, "b.jpg"), "a new one")
        await until(lambda: "<xmp:Rating>2<" in text(library, "a.jpg"), "one that is there")
        await until(lambda: followed(library) >= last_said(library), "that is remembered")
    assert ">Ocean<" in text(library, "a.jpg")
    (library.originals / "b.jpg.xmp").unlink()
    await scanned(library, "library")
    async with kept(library) as keeper:
        await until(lambda: not keeper.is_busy, "it looked")
        await trio.sleep(0.1)
    assert text(library, "b.jpg") == "", "what was written once is not said again at each start"


async def test_what_is_put_off_is_not_taken_for_written(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecar_keeping, "AT_ONCE", 1)
    names = ("a.jpg", "b.jpg", "c.jpg")
    ids = await photos(library, *names)
    library.execute([SetRating(id_, 8) for id_ in ids], "cli")
    async with kept(library):
        await until(lambda: any(text(library, name) for name in names), "the first is written")
        assert followed(library) == 0 or all(text(library, name) for name in names)
    async with kept(library):
        await until(lambda: all(text(library, name) for name in names), "the others")
        await until(lambda: followed(library) >= last_said(library), "all of them are remembered")


def followed(library: Library) -> int:
    return int(derived.property_value(library.db.writer, sidecar_backlog.FOLLOWED) or 0)


def last_said(library: Library) -> int:
    return library.db.writer.integer("SELECT max(seq) FROM change WHERE actor IN ('cli', 'fuse')")


def the_term(library: Library, name: str) -> TermId:
    ((id_,),) = library.db.writer.rows("SELECT id FROM term WHERE name = ?", name)
    return TermId(id_)


def moved_back(library: Library, since: Seq) -> MoveTagsBack:
    change = change_feed.list_since(library.db.writer, since, 1)[0]
    detail = {key: value for key, value in change.detail.items() if key in {"term", "into", "moved", "had"}}
    return msgspec.convert(detail, MoveTagsBack)


@pytest.mark.expect_warnings(UNEXPECTED)
async def test_an_error_is_told_with_its_traceback_and_a_cancellation_passes(caplog: pytest.LogCaptureFixture) -> None:
    async def mistaken() -> None:
        raise ZeroDivisionError("a mistake")

    assert await outlast("counting", mistaken, 0) is False
    assert "counting failed unexpectedly" in caplog.text
    assert "ZeroDivisionError: a mistake" in caplog.text
    with trio.move_on_after(0.01) as scope:
        await outlast("waiting", trio.sleep_forever)
    assert scope.cancelled_caught
    assert "waiting" not in caplog.text


FOLLOWERS = {
    "duplicates": (duplicates, "list_uncompared"),
    "comparing": (duplicate_finding, "looks_of"),
    "texts": (full_text, "list_due"),
    "words": (model_switch, "follow_words"),
    "switch": (model_switch, "switch_if_complete"),
    "tidying": (upkeep, "tidy"),
    "chores": (upkeep, "_do_chores"),
    "planning": (upkeep, "plan_changed"),
    "jobs": (job_table, "is_due"),
    "sidecars at the start": (sidecar_keeping, "link_all"),
}


@pytest.mark.expect_warnings(UNEXPECTED)
@pytest.mark.parametrize("name", FOLLOWERS)
async def test_no_follower_ends_the_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    def mistaken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(*FOLLOWERS[name], mistaken)
    with opened(tmp_path / "library", entry_points_of(First)) as library:
        await follow_all(library, caplog)


async def follow_all(library: Library, caplog: pytest.LogCaptureFixture) -> None:
    """Until one of them has failed, and a moment longer."""
    finder = DuplicateFinder(library)
    async with open_worker_pool(library.settings) as pool, trio.open_nursery() as nursery:
        await nursery.start(finder.serve)
        await nursery.start(library.texts.follow)
        await nursery.start(serve_models, library)
        await nursery.start(serve_chores, library, Reception(library))
        await nursery.start(JobRunner(library, pool).serve)
        await nursery.start(SidecarKeeper(library, Reception(library)).serve)
        finder._add([BlobId(1)])  # as a fingerprint that was just made
        term(library, "Beach")
        await until(lambda: "ZeroDivisionError: a mistake" in caplog.text, "it is told")
        await trio.sleep(0.1)  # an error that was not caught would end the nursery here, and the test with it
        nursery.cancel_scope.cancel()

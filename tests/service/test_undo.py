"""Undo: what a person did last, found in the change feed and taken back as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from damfs.catalog import vocabulary
from damfs.core.commands import AddTag, Command, DefineTerm, RemoveTag, RemoveTerm, Rename, RenameTerm, Triage
from damfs.core.library import Library
from damfs.core.trash_commands import Expire
from damfs.core.trashing import trash_assets
from damfs.core.undo import ACTOR, GAP_NS, Group, Undo, Undone, list_groups
from damfs.model import AssetId, AssetState, TagSource
from tests.small_library import asset, opened, received, tags, term

START = 1_800_000_000_000_000_000


class Clock:
    def __init__(self, library: Library) -> None:
        self.now = START
        library.clock = lambda: self.now

    def pass_(self, ns: int) -> None:
        self.now += ns


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


@pytest.fixture
def clock(library: Library) -> Clock:
    return Clock(library)


async def clips(library: Library, number: int) -> list[AssetId]:
    return [(await received(library, f"{each}.mov", b"%d" % each)).id for each in range(number)]


def do(
    library: Library, clock: Clock, *commands: Command[object], actor: str = "fuse", gap_ns: int = 10 * GAP_NS
) -> None:
    clock.pass_(gap_ns)
    library.execute(commands, actor)


def groups(library: Library) -> Sequence[Group]:
    return list_groups(library.db.writer, 100)


def undo(library: Library) -> Undone:
    return library.perform(Undo(groups(library)[0]), ACTOR)


async def test_a_burst_is_one_group_and_a_pause_ends_it(library: Library, clock: Clock) -> None:
    ids = await clips(library, 5)
    beach = term(library, "beach")
    for id_ in ids:
        do(library, clock, AddTag(id_, beach), gap_ns=GAP_NS)
    do(library, clock, RemoveTag(ids[0], beach))
    do(library, clock, RemoveTag(ids[1], beach), gap_ns=GAP_NS + 1)
    do(library, clock, RemoveTag(ids[2], beach), gap_ns=GAP_NS)
    do(library, clock, RemoveTag(ids[3], beach), actor="cli", gap_ns=1)
    assert [len(group.changes) for group in groups(library)] == [1, 2, 1, 5]
    assert [group.actor for group in groups(library)] == ["cli", "fuse", "fuse", "fuse"]
    for left in (["beach"], ["beach"]):
        undo(library)
        assert tags(library, ids[3]) == left
    assert tags(library, ids[2]) == tags(library, ids[1]) == ["beach"]
    assert tags(library, ids[0]) == []
    undo(library)
    undo(library)
    assert [tags(library, id_) for id_ in ids] == [[]] * 5
    assert groups(library) == []


async def test_what_others_did_meanwhile_is_left_alone(library: Library, clock: Clock) -> None:
    ids = await clips(library, 2)
    beach, sea = term(library, "beach"), term(library, "sea")
    do(library, clock, AddTag(ids[0], beach))
    do(library, clock, AddTag(ids[0], sea, TagSource.MODEL, 0.9), actor="processor:auto_tag", gap_ns=1)
    do(library, clock, AddTag(ids[1], beach), gap_ns=1)
    (group,) = groups(library)
    assert len(group.changes) == 2
    undo(library)
    assert tags(library, ids[0]) == ["sea"]


async def test_tags_come_back_as_they_were(library: Library, clock: Clock) -> None:
    (id_,) = await clips(library, 1)
    beach = term(library, "beach")
    sunset = term(library, "sunset", beach)
    library.execute([AddTag(id_, beach), AddTag(id_, sunset, TagSource.MODEL, 0.75)], "test")
    do(library, clock, RemoveTag(id_, beach))
    do(library, clock, RemoveTerm(sunset), RemoveTerm(beach), gap_ns=1)
    assert groups(library)[0].words() == "1 tag taken away, 2 terms removed (beach)"
    assert undo(library).left_out == []
    found = vocabulary.taggings(library.db.writer, id_)
    assert found == [("beach", "person", 1.0), ("sunset", "model", 0.75)]
    again = vocabulary.term_named(library.db.writer, "sunset")
    above = vocabulary.term_named(library.db.writer, "beach")
    assert again is not None
    assert above is not None
    assert again.broader == above.id


async def test_a_models_word_holds_again(library: Library, clock: Clock) -> None:
    (id_,) = await clips(library, 1)
    beach = term(library, "beach")
    library.execute([AddTag(id_, beach, TagSource.MODEL, 0.5)], "test")
    do(library, clock, AddTag(id_, beach))
    undo(library)
    assert vocabulary.taggings(library.db.writer, id_) == [("beach", "model", 0.5)]


async def test_a_narrower_tag_survives_the_undo_of_a_broader_one(library: Library, clock: Clock) -> None:
    (id_,) = await clips(library, 1)
    beach = term(library, "beach")
    sunset = term(library, "sunset", beach)
    library.execute([AddTag(id_, sunset)], "test")
    do(library, clock, AddTag(id_, beach))
    undo(library)
    assert tags(library, id_) == ["sunset"]


async def test_what_cannot_be_taken_back_is_left_out(library: Library, clock: Clock) -> None:
    ids = await clips(library, 3)
    do(library, clock, *(Rename(id_, f"new-{id_}.mov") for id_ in ids))
    library.perform(Rename(ids[0], "third.mov"), "scan")
    await trash_assets(library, [ids[1]], "test")
    assert library.perform(Expire(ids[1], clock.now + 1), "test") is not None
    undone = undo(library)
    assert undone.done == 1
    assert sorted(undone.left_out) == [f"new-{ids[0]}.mov has another name now: third.mov", f"no asset {ids[1]}"]
    assert [asset(library, id_).name for id_ in (ids[0], ids[2])] == ["third.mov", "2.mov"]
    assert groups(library) == [], "and it is not offered again"


async def test_terms(library: Library, clock: Clock) -> None:
    do(library, clock, DefineTerm("sea"))
    do(library, clock, DefineTerm("ocean"))
    sea, ocean = term(library, "sea"), term(library, "ocean")
    do(library, clock, RenameTerm(sea, "lake", ocean))
    do(library, clock, RenameTerm(sea, "pond", None))
    undo(library)
    found = vocabulary.term(library.db.writer, sea)
    assert found is not None
    assert (found.name, found.broader) == ("lake", ocean)
    undo(library)
    found = vocabulary.term(library.db.writer, sea)
    assert found is not None
    assert (found.name, found.broader) == ("sea", None)
    undo(library)
    undo(library)
    assert vocabulary.names(library.db.writer) == []


async def test_the_trash_and_the_inbox(library: Library, clock: Clock) -> None:
    (id_,) = await clips(library, 1)
    do(library, clock, Triage(id_))
    clock.pass_(10 * GAP_NS)
    await trash_assets(library, [id_], "fuse")
    answer = undo(library)
    assert answer.moved == [id_]
    assert asset(library, id_).state is AssetState.PRESENT
    assert asset(library, id_).triaged
    undo(library)
    assert not asset(library, id_).triaged


async def test_the_rename_of_a_temporary_file_is_nobodys_wish(library: Library, clock: Clock) -> None:
    (id_,) = await clips(library, 1)
    library.perform(Rename(id_, "clip.mov.part"), "test")
    do(library, clock, Rename(id_, "clip.mov"))
    assert groups(library) == []


async def test_changes_of_a_first_release_tell_too_little(library: Library, clock: Clock) -> None:
    (id_,) = await clips(library, 1)
    beach = term(library, "beach")
    library.execute([AddTag(id_, beach)], "test")
    do(library, clock, RemoveTag(id_, beach))
    library.db.writer.run("UPDATE change SET detail = '{\"term\": \"beach\"}' WHERE kind = 'untagged'")
    assert undo(library).left_out == ["it was not kept which tags there were"]

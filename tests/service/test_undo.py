"""Undo: what a person did last, found in the change feed and taken back as one."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from damfs.catalog import remarks, vocabulary
from damfs.core.commands import (
    AddTag,
    Command,
    DefineTerm,
    Receive,
    ReceiveInto,
    RemoveTag,
    RemoveTerm,
    Rename,
    RenameTerm,
    SetClosed,
    Triage,
)  # fmt: skip
from damfs.core.describing import SetComment, SetRating, SetTags
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.trash_commands import Expire
from damfs.core.trashing import trash_assets
from damfs.core.undo import Undo, Undone
from damfs.core.undo_groups import ACTOR, GAP_NS, Group, list_groups
from damfs.errors import Conflict
from damfs.integration.service import Service
from damfs.integration.terms import Terms
from damfs.integration.wire import Tag
from damfs.integration.wire_terms import AddTerm
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
    found = [each[:3] for each in vocabulary.taggings(library.db.writer, id_)]
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
    assert [each[:3] for each in vocabulary.taggings(library.db.writer, id_)] == [("beach", "model", 0.5)]


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


async def test_a_term_with_all_that_is_said_of_it_is_one_thing(library: Library, clock: Clock) -> None:
    request = AddTerm("sea", synonyms=("mer", "Meer"), note="salt water", prompt="a photo of the sea")
    await Terms(library).answer(request, lambda _: None)
    (group,) = groups(library)
    assert "1 term made" in group.words()
    with pytest.raises(Conflict):
        await Terms(library).answer(AddTerm("lake", synonyms=("mer",)), lambda _: None)
    assert vocabulary.names(library.db.writer) == ["sea"], "and nothing of what is refused stays"
    assert undo(library).left_out == []
    assert vocabulary.names(library.db.writer) == []
    assert groups(library) == []


async def test_untagging_everywhere_is_one_thing_however_long_it_takes(
    library: Library, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("damfs.core.bulk_tagging.AT_ONCE", 2)
    ids, terms = await clips(library, 5), [term(library, name) for name in ("beach", "sea")]
    library.execute([AddTag(id_, each) for id_ in ids for each in terms], "test")
    library.clock = itertools.count(START, 3 * GAP_NS).__next__
    await Service(library).answer(Tag((), ("beach", "sea"), remove=True, everywhere=True), lambda _: None)
    assert len(groups(library)) == 1
    assert undo(library).done == 10
    assert all(tags(library, id_) == ["beach", "sea"] for id_ in ids)


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
    do(library, clock, Rename(id_, "clip.mov~"))
    assert groups(library) == [], "a program saves"


async def test_changes_of_a_first_release_tell_too_little(library: Library, clock: Clock) -> None:
    (id_,) = await clips(library, 1)
    beach = term(library, "beach")
    library.execute([AddTag(id_, beach)], "test")
    do(library, clock, RemoveTag(id_, beach))
    library.db.writer.run("UPDATE change SET detail = '{\"term\": \"beach\"}' WHERE kind = 'untagged'")
    assert undo(library).left_out == ["it was not kept which tags there were"]


@pytest.mark.parametrize("had", [False, True])
async def test_a_copy_that_became_the_known_asset(library: Library, clock: Clock, had: bool) -> None:
    """`cp inbox/clip.mov by-tag/beach/` tags: the undo takes that tag away, not one it had before."""
    known = await received(library, "clip.mov", b"clip", *(["beach"] if had else []))
    clock.pass_(10 * GAP_NS)
    beach = term(library, "beach")
    receive = ReceiveInto(Receive("clip.mov", 0o644, triaged=True), lambda id_: [AddTag(id_, beach)])
    provisional = library.perform(receive, "fuse")
    os.close(library.staging.create(provisional))
    library.staging.path(provisional).write_bytes(b"clip")
    library.execute([SetClosed(provisional, closed=True, size=4)], "fuse")
    clock.pass_(1)
    assert await Reception(library).seal(provisional) == known.id
    assert tags(library, known.id) == ["beach"]
    if had:
        assert groups(library) == []
    else:
        assert groups(library)[0].words() == "1 tag given (beach)"
        assert undo(library).left_out == []
    assert tags(library, known.id) == (["beach"] if had else [])


async def test_a_rename_is_taken_back_whichever_name_sorts_first(library: Library, clock: Clock) -> None:
    (id_,) = await clips(library, 1)
    do(library, clock, Rename(id_, "a first.mov"))
    assert undo(library).left_out == []
    assert asset(library, id_).name == "0.mov"


async def test_a_file_renamed_in_its_folder_keeps_its_name(library: Library, clock: Clock) -> None:
    """Its file on the disk was renamed as well: rows alone must not go back."""
    (id_,) = await clips(library, 1)
    do(library, clock, AddTag(id_, term(library, "beach")))
    do(library, clock, Rename(id_, "other.mov", with_file=True))
    assert undo(library).done == 1
    assert asset(library, id_).name == "other.mov"
    assert tags(library, id_) == []


async def test_what_desktops_say_is_taken_back(library: Library, clock: Clock) -> None:
    """Each as one: a new tag defines its term, replaced ones come back with their source."""
    (id_,) = await clips(library, 1)
    do(library, clock, AddTag(id_, term(library, "beach"), TagSource.MODEL, 0.5))
    do(library, clock, SetRating(id_, 4))
    do(library, clock, SetRating(id_, 8))
    do(library, clock, SetComment(id_, "the best"))
    do(library, clock, SetTags(id_, (("sea", "pier"),)))
    assert undo(library).left_out == []
    assert vocabulary.tagging(library.db.writer, id_, term(library, "beach"))[:2] == (TagSource.MODEL, 0.5)
    assert vocabulary.term_named(library.db.writer, "pier") is None
    assert remarks.remark(library.db.writer, id_) == (8, "the best")
    assert undo(library).left_out == []
    assert remarks.remark(library.db.writer, id_) == (8, "")
    assert undo(library).left_out == []
    assert remarks.remark(library.db.writer, id_) == (4, "")


async def test_a_rating_that_was_given_after_it_stays(library: Library, clock: Clock) -> None:
    (id_,) = await clips(library, 1)
    do(library, clock, SetRating(id_, 4))
    library.execute([SetRating(id_, 6)], "api")
    assert undo(library).left_out == ["0.mov is rated otherwise now"]
    assert remarks.remark(library.db.writer, id_).rating == 6


async def test_a_tag_that_a_program_said_since_stays(library: Library, clock: Clock) -> None:
    ids = await clips(library, 2)
    beach = term(library, "beach")
    do(library, clock, *(AddTag(id_, beach) for id_ in ids))
    do(library, clock, RemoveTag(ids[0], beach))
    do(library, clock, AddTag(ids[0], beach), actor="sidecar")
    undo(library)
    assert undo(library).left_out == ["0.mov: beach was given or taken away by a program since"]
    assert [tags(library, id_) for id_ in ids] == [["beach"], []]

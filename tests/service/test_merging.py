"""Merging terms, and taking that back: what a person said, before it or since, is not lost to a machine's word."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from damfs.catalog import change_feed, proposals, term_names, vocabulary
from damfs.catalog.proposals import Origin
from damfs.catalog.term_names import Label
from damfs.core.commands import AddTag, RemoveTag, RemoveTerm
from damfs.core.library import Library
from damfs.core.merging_terms import merge
from damfs.core.term_commands import AddLabel
from damfs.core.undo import Undone, take_back
from damfs.core.undo_groups import list_groups
from damfs.model import AssetId, TagSource, TermId
from tests.small_library import opened, received, tags, term

MODEL = Origin("auto_tag/2", "conse-minilm-1")


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


def model_says(library: Library, asset: AssetId, said: TermId) -> None:
    library.execute([AddTag(asset, said, TagSource.MODEL, 0.9, MODEL)], "processor:auto_tag")


async def undone(library: Library) -> Undone:
    return await take_back(library, list_groups(library.db.writer, 1)[0])


@pytest.mark.parametrize("refused_name", ["sea", "ocean"])
async def test_a_refusal_outlives_the_merge_with_a_machines_tag(library: Library, refused_name: str) -> None:
    clip = (await received(library, "clip.mov", b"clip")).id
    sea, ocean = term(library, "sea"), term(library, "ocean")
    refused, given = (sea, ocean) if refused_name == "sea" else (ocean, sea)
    model_says(library, clip, refused)
    library.execute([RemoveTag(clip, refused)], "fuse")
    model_says(library, clip, given)
    before = vocabulary.taggings(library.db.writer, clip)
    await merge(library, sea, ocean, "cli")
    assert tags(library, clip) == []
    assert proposals.is_judged(library.db.writer, clip, ocean)
    assert (await undone(library)).left_out == []
    assert vocabulary.taggings(library.db.writer, clip) == before
    assert proposals.is_judged(library.db.writer, clip, term(library, refused_name))


async def test_a_tag_of_a_person_outlives_the_refusal_of_the_other_term(library: Library) -> None:
    clip = (await received(library, "clip.mov", b"clip")).id
    sea, ocean = term(library, "sea"), term(library, "ocean")
    model_says(library, clip, ocean)
    library.execute([RemoveTag(clip, ocean), AddTag(clip, sea)], "fuse")
    await merge(library, sea, ocean, "cli")
    assert tags(library, clip) == ["ocean"]


async def test_what_was_said_since_a_merge_outlives_its_undo(library: Library) -> None:
    given, taken, alone = [(await received(library, f"{name}.mov", name.encode())).id for name in ("g", "t", "a")]
    sea, ocean = term(library, "sea"), term(library, "ocean")
    model_says(library, given, sea)
    library.execute([AddTag(taken, sea), AddTag(alone, sea)], "test")
    await merge(library, sea, ocean, "cli")
    library.execute([AddTag(given, ocean), RemoveTag(taken, ocean, alone=True)], "sidecar")
    assert (await undone(library)).left_out == ['g.mov and 1 more: "ocean" was given or taken away since the merge']
    assert [tags(library, each) for each in (given, taken, alone)] == [["ocean"], [], ["sea"]]
    assert vocabulary.tagging(library.db.writer, given, ocean).source is TagSource.PERSON
    assert proposals.is_judged(library.db.writer, taken, ocean)


async def test_a_merge_that_cannot_be_taken_back_is_left_as_it_is(library: Library) -> None:
    place, ocean = term(library, "place"), term(library, "ocean")
    sea = term(library, "sea", place)
    library.execute([AddLabel(sea, Label("fr", "mer")), AddLabel(sea, Label("de", "Meer"))], "cli")
    await merge(library, sea, ocean, "cli")
    labels = term_names.labels(library.db.writer, ocean)
    library.execute([RemoveTerm(place)], "sidecar")
    last = change_feed.last_seq(library.db.writer)
    assert (await undone(library)).left_out == ['there is no term "place" any more']
    assert {label.name for label in labels} == {"sea", "mer", "Meer"}
    assert term_names.labels(library.db.writer, ocean) == labels
    assert library.db.writer.rows("SELECT kind FROM change WHERE seq > ?", last) == [("undone",)]

"""Terms: what implies what, and how terms and taggings change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from damfs.catalog import proposals, vocabulary
from damfs.catalog.proposals import Origin
from damfs.core.commands import AddTag, DefineTerm, RemoveTag, RemoveTerm, RenameTerm
from damfs.core.library import Library
from damfs.errors import Conflict, NotEmpty, NotFound, Refused
from damfs.model import AssetId, TagSource, TermId
from tests.small_library import opened, received, tags, term


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


@pytest.fixture
def chain(library: Library) -> list[TermId]:
    """place > beach > sunset"""
    place = term(library, "place")
    beach = term(library, "beach", place)
    return [place, beach, term(library, "sunset", beach)]


def narrower(library: Library, id_: TermId) -> set[TermId]:
    return set(vocabulary.with_narrower(library.db.writer, id_))


def broader(library: Library, id_: TermId) -> set[TermId]:
    return set(vocabulary.with_broader(library.db.writer, id_))


def test_closures(library: Library, chain: list[TermId]) -> None:
    place, beach, sunset = chain
    city = term(library, "city", place)
    assert narrower(library, place) == {place, beach, sunset, city}
    assert narrower(library, sunset) == {sunset}
    assert broader(library, sunset) == {place, beach, sunset}
    assert broader(library, place) == {place}
    assert [each.name for each in vocabulary.list_narrower(library.db.writer, place)] == ["beach", "city"]
    assert [each.name for each in vocabulary.list_narrower(library.db.writer, None)] == ["place"]


async def test_a_term_implies_its_broader_ones(library: Library, chain: list[TermId]) -> None:
    clip = await received(library, "clip.mov", b"clip", "sunset")
    assert vocabulary.terms_of(library.db.writer, clip.id) == set(chain)
    assert tags(library, clip.id) == ["sunset"]
    counts = {each.name: count for each, count in vocabulary.list_counts(library.db.writer)}
    assert counts == {"place": 0, "beach": 0, "sunset": 1}


def test_rename(library: Library, chain: list[TermId]) -> None:
    _, beach, _ = chain
    library.perform(RenameTerm(beach, "shore", chain[0]), "test")
    assert vocabulary.term_named(library.db.writer, "beach") is None
    found = vocabulary.term_named(library.db.writer, "shore")
    assert found is not None
    assert (found.id, found.broader) == (beach, chain[0])
    with pytest.raises(Conflict, match='there is a term "sunset" already'):
        library.perform(RenameTerm(beach, "sunset", chain[0]), "test")


def test_move_below_another_and_to_the_top(library: Library, chain: list[TermId]) -> None:
    place, beach, sunset = chain
    city = term(library, "city")
    library.perform(RenameTerm(beach, "beach", city), "test")
    assert broader(library, sunset) == {city, beach, sunset}
    assert narrower(library, place) == {place}
    library.perform(RenameTerm(beach, "beach", None), "test")
    assert broader(library, sunset) == {beach, sunset}


@pytest.mark.parametrize("below", [0, 1, 2])
def test_a_circle_is_refused(library: Library, chain: list[TermId], below: int) -> None:
    with pytest.raises(Refused, match='"place" cannot become narrower than itself'):
        library.perform(RenameTerm(chain[0], "place", chain[below]), "test")
    assert broader(library, chain[2]) == set(chain)


def test_terms_that_are_not_there(library: Library) -> None:
    nowhere = TermId(99)
    for command in (DefineTerm("x", nowhere), RemoveTerm(nowhere), RenameTerm(term(library, "y"), "y", nowhere)):
        with pytest.raises(NotFound, match="no term 99"):
            library.execute([command], "test")
    with pytest.raises(NotFound, match="no asset 99"):
        library.perform(AddTag(AssetId(99), term(library, "y")), "test")


def test_a_name_is_taken_once_in_the_whole_vocabulary(library: Library, chain: list[TermId]) -> None:
    with pytest.raises(Conflict):
        library.perform(DefineTerm("sunset", None), "test")


async def test_a_term_in_use_is_not_removed(library: Library, chain: list[TermId]) -> None:
    _, beach, sunset = chain
    with pytest.raises(NotEmpty, match='"beach" is in use'):
        library.perform(RemoveTerm(beach), "test")
    clip = await received(library, "clip.mov", b"clip", "sunset")
    with pytest.raises(NotEmpty):
        library.perform(RemoveTerm(sunset), "test")
    library.perform(RemoveTag(clip.id, sunset), "test")
    library.execute([RemoveTerm(sunset), RemoveTerm(beach)], "test")
    assert vocabulary.names(library.db.writer) == ["place"]


async def test_untagging_takes_the_narrower_terms_too(library: Library, chain: list[TermId]) -> None:
    clip = await received(library, "clip.mov", b"clip", "sunset", "city")
    library.perform(RemoveTag(clip.id, chain[1]), "test")
    assert tags(library, clip.id) == ["city"]


async def test_a_persons_word_replaces_a_models_never_the_other_way(library: Library) -> None:
    clip, city = await received(library, "clip.mov", b"clip"), term(library, "city")
    library.perform(AddTag(clip.id, city, TagSource.MODEL, 0.7), "test")
    assert vocabulary.tagging(library.db.writer, clip.id, city)[:2] == (TagSource.MODEL, 0.7)
    library.perform(AddTag(clip.id, city), "test")
    library.perform(AddTag(clip.id, city, TagSource.MODEL, 0.9), "test")
    assert vocabulary.tagging(library.db.writer, clip.id, city)[:2] == (TagSource.PERSON, 1.0)


async def test_a_proposal_ends_when_the_term_is_given_and_is_not_made_after(library: Library) -> None:
    clip, city = await received(library, "clip.mov", b"clip"), term(library, "city")

    def waiting() -> int:
        return library.db.writer.integer("SELECT count(*) FROM proposal")

    with library.db.transaction() as tx:
        proposals.propose(tx, clip.id, city, Origin("auto_tag/1"), 0.5, 1)
    assert waiting() == 1
    library.perform(AddTag(clip.id, city), "test")
    assert waiting() == 0
    with library.db.transaction() as tx:
        proposals.propose(tx, clip.id, city, Origin("auto_tag/1"), 0.5, 1)
    assert waiting() == 0


def test_names_of_terms_are_cleaned(library: Library) -> None:
    term(library, "a/b\n")
    assert vocabulary.names(library.db.writer) == ["a_b_"]


def test_the_planner_forgets_terms_that_were_undone(library: Library) -> None:
    class Remember:
        def apply(self, x: object) -> None:
            library.planner.settings_of(library.db.writer, "auto_tag")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        library.execute([DefineTerm("undone"), Remember()], "test")
    assert library.planner.settings_of(library.db.writer, "auto_tag")["terms"] == []

"""Labels, closed vocabularies, merging, what people judged; listings of terms ask a fixed number of questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.catalog import proposals, term_names, vocabulary
from damfs.catalog.proposals import Origin
from damfs.catalog.term_names import Detail, Label
from damfs.core.bulk_tagging import RemoveTags
from damfs.core.commands import AddTag, DefineTerm, RemoveTag, RenameTerm
from damfs.core.describing import SetTags
from damfs.core.library import Library
from damfs.core.merging_terms import merge
from damfs.core.suggesting import AcceptProposal, RefuseProposal, Suggest
from damfs.core.term_commands import (
    AddLabel,
    CoinTerm,
    RelateTerms,
    RemoveLabel,
    SetTermDetail,
    SetTermNote,
    did_you_mean,
)
from damfs.core.thresholds import PATIENCE, threshold
from damfs.core.undo import Undo
from damfs.core.undo_groups import ACTOR, list_groups
from damfs.errors import Conflict, NotFound, Refused
from damfs.model import AssetId, TagSource, TermId
from damfs.presentation.views.by_tag import ByTag
from damfs.presentation.views.control import Control
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import Place
from tests.small_library import opened, received, tags, term

MODEL = Origin("auto_tag/2", "conse-minilm-1")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


def named(library: Library, name: str) -> str | None:
    found = term_names.resolve(library.db.writer, name)
    return None if found is None else found.name


def suggest(library: Library, id_: AssetId, *found: tuple[TermId, float], above: float = 1.0) -> None:
    library.perform(Suggest(id_, MODEL, found, above), "processor:auto_tag")


def waiting(library: Library) -> set[tuple[str, str]]:
    return {(each.name, each.term) for each in proposals.list_proposed(library.db.writer, 0.0, None)}


def undo(library: Library) -> str:
    (group,) = list_groups(library.db.writer, 1)
    assert library.perform(Undo(group), ACTOR).left_out == []
    return group.words()


def test_a_label_leads_to_its_term_and_a_name_wins_over_it(library: Library) -> None:
    beach = term(library, "beach")
    library.perform(AddLabel(beach, Label("fr", "plage", preferred=True)), "test")
    assert named(library, "plage") == "beach"
    for command in (DefineTerm("plage"), AddLabel(term(library, "sea"), Label("", "plage"))):
        with pytest.raises(Conflict, match='"plage" is a synonym of "beach"'):
            library.execute([command], "test")
    with pytest.raises(Conflict, match='there is a term "sea" already'):
        library.perform(AddLabel(beach, Label("", "sea")), "test")
    with pytest.raises(Refused, match="is no language"):
        library.perform(AddLabel(beach, Label("not a tag", "x")), "test")
    library.perform(RenameTerm(beach, "plage", None), "test")
    assert (named(library, "plage"), named(library, "beach")) == ("plage", None)
    assert term_names.labels(library.db.writer, beach) == []


def test_of_two_terms_with_one_label_the_older_has_it(library: Library) -> None:
    first, second = term(library, "island"), term(library, "language")
    with library.db.transaction() as tx:
        for id_ in (second, first):
            term_names.add_label(tx, id_, Label("", "Java"))
    assert named(library, "Java") == "island"


async def test_tags_of_desktops_understand_labels(library: Library) -> None:
    clip, beach = await received(library, "clip.mov", b"clip"), term(library, "beach")
    library.perform(AddLabel(beach, Label("fr", "plage")), "test")
    library.perform(SetTags(clip.id, (("plage",),)), "test")
    assert tags(library, clip.id) == ["beach"]


async def test_names_for_search_are_all_that_an_asset_can_be_found_by(library: Library) -> None:
    place = term(library, "place")
    beach = term(library, "beach", place)
    library.execute([AddLabel(beach, Label("fr", "plage")), AddLabel(place, Label("de", "Ort"))], "test")
    clip = await received(library, "clip.mov", b"clip", "beach")
    assert term_names.names_for_search(library.db.writer, clip.id) == ["Ort", "beach", "place", "plage"]
    assert term_names.names_of(library.db.writer, [beach]) == ["beach", "plage"]


def test_a_closed_vocabulary_refuses_by_use_and_names_what_is_near(tmp_path: Path) -> None:
    with opened(tmp_path / "library"):
        pass
    (tmp_path / "library/damfs.toml").write_text("[vocabulary]\nopen = false\n")
    with opened(tmp_path / "library") as library:
        term(library, "Beach")
        for name, near in (("bech", "Beach"), ("xyz", None)):
            with pytest.raises(Refused, match="the vocabulary is closed") as told:
                library.perform(CoinTerm(name), "test")
            assert (f"did you mean {near}?" in str(told.value)) is (near is not None)
        assert vocabulary.names(library.db.writer) == ["Beach"]


def test_near_names() -> None:
    known = ["Beach", "beech", "sea", "plage"]
    assert did_you_mean("beach", known) == " (did you mean Beach or beech?)"
    assert did_you_mean("quux", known) == ""


async def filled(library: Library) -> tuple[TermId, TermId, list[AssetId]]:
    """shore: on a (person), b (model, 0.7), proposed for c, refused for d; beach: on b (person)."""
    place = term(library, "place")
    shore, beach = term(library, "shore", place), term(library, "beach")
    term(library, "pier", shore)
    ids = [(await received(library, f"{name}.mov", name.encode())).id for name in "abcd"]
    library.execute([AddTag(ids[0], shore), AddTag(ids[1], shore, TagSource.MODEL, 0.7, MODEL)], "test")
    library.perform(AddTag(ids[1], beach), "test")
    suggest(library, ids[2], (shore, 0.8))
    suggest(library, ids[3], (shore, 0.6))
    library.perform(RefuseProposal(ids[3], shore), "test")
    library.execute(
        [
            AddLabel(shore, Label("fr", "rivage", preferred=True)), SetTermNote(shore, "", "where land ends"),
            SetTermDetail(shore, Detail(prompt="a photo of the shore")), RelateTerms(shore, term(library, "sea")),
        ],
        "test",
    )  # fmt: skip
    return shore, beach, ids


def said(library: Library) -> dict[str, object]:
    """All that the catalog says with terms, by their names."""
    db = library.db.writer
    names: dict[int, str] = dict(db.rows("SELECT id, name FROM term"))
    found: dict[str, object] = {
        table: sorted(
            (tuple(names[value] if column in columns else value for column, value in enumerate(row)))
            for row in db.rows(sql)
        )
        for table, sql, columns in (
            ("tagging", "SELECT asset, term, source, confidence, processor, model FROM tagging", {1}),
            ("proposal", "SELECT asset, term, confidence, processor, model FROM proposal", {1}),
            ("judgement", "SELECT asset, term, confidence, processor, model FROM judgement", {1}),
            ("label", "SELECT term, language, name, preferred FROM term_label", {0}),
            ("note", "SELECT term, language, note FROM term_note", {0}),
            ("detail", "SELECT term, prompt FROM term_detail WHERE prompt <> ''", {0}),
        )
    }
    found["broader"] = {name: names.get(above) for name, above in db.rows("SELECT name, broader FROM term")}
    return found


async def test_a_merge_keeps_everything_and_is_taken_back_as_one(library: Library) -> None:
    shore, beach, ids = await filled(library)
    before = said(library)
    assert await merge(library, shore, beach, "cli") == 4
    db = library.db.writer
    assert named(library, "shore") == named(library, "rivage") == "beach"
    assert [tags(library, id_) for id_ in ids] == [["beach"], ["beach"], [], []]
    assert vocabulary.tagging(db, ids[1], beach).source is TagSource.PERSON
    assert waiting(library) == {("c.mov", "beach")}
    assert proposals.is_judged(db, ids[3], beach)
    assert [each.name for each in vocabulary.list_narrower(db, beach)] == ["pier"]
    assert term_names.notes(db, beach) == {"": "where land ends"}
    assert [each.name for each in term_names.related(db, beach)] == ["sea"]
    assert "1 term merged" in undo(library)
    assert said(library) == before


async def test_a_merge_into_what_is_narrower_is_refused(library: Library) -> None:
    shore, beach, _ = await filled(library)
    for source, target, why in ((shore, term(library, "pier"), "is narrower"), (beach, beach, "are one term")):
        with pytest.raises(Refused, match=why):
            await merge(library, source, target, "cli")


async def test_labels_are_taken_back(library: Library) -> None:
    beach = term(library, "beach")
    library.perform(AddLabel(beach, Label("fr", "plage")), "cli")
    assert undo(library) == "1 synonym changed (plage)"
    assert named(library, "plage") is None
    library.perform(AddLabel(beach, Label("fr", "plage", preferred=True)), "test")
    library.perform(RemoveLabel(beach, "plage"), "cli")
    undo(library)
    assert term_names.labels(library.db.writer, beach) == [Label("fr", "plage", preferred=True)]


async def test_what_a_person_judged_is_never_proposed_or_given_again(library: Library) -> None:
    ids = [(await received(library, f"{name}.mov", name.encode())).id for name in "abcde"]
    beach = term(library, "beach")
    for id_ in ids[:2]:
        suggest(library, id_, (beach, 0.8))
    library.perform(RefuseProposal(ids[0], beach), "test")
    library.perform(AcceptProposal(ids[1], beach), "test")
    library.execute([AddTag(ids[2], beach), RemoveTag(ids[2], beach)], "test")
    library.perform(AddTag(ids[3], beach, TagSource.MODEL, 0.95, MODEL), "test")
    library.perform(RemoveTags((ids[3],), beach), "test")
    for above in (1.0, 0.5):
        for id_ in ids:
            suggest(library, id_, (beach, 0.9), above=above)
    assert [tags(library, id_) for id_ in ids] == [[], ["beach"], [], [], ["beach"]]
    assert waiting(library) == set()
    assert vocabulary.tagging(library.db.writer, ids[4], beach) == (TagSource.MODEL, 0.9, MODEL)
    library.perform(RemoveTag(ids[1], beach), "test")
    suggest(library, ids[1], (beach, 0.99))
    assert waiting(library) == set(), "a tag that was accepted and taken away again"
    with pytest.raises(NotFound, match=r'"beach" is not suggested for a\.mov'):
        library.perform(RefuseProposal(ids[0], beach), "test")


async def test_a_persons_tag_stays_whatever_machines_say(library: Library) -> None:
    clip, beach = await received(library, "clip.mov", b"clip", "beach"), term(library, "beach")
    before = vocabulary.taggings(library.db.writer, clip.id)
    suggest(library, clip.id, (beach, 0.9), above=0.1)
    suggest(library, clip.id)
    library.perform(AddTag(clip.id, beach, TagSource.RULE, 1.0, Origin("folders/1")), "test")
    assert vocabulary.taggings(library.db.writer, clip.id) == before
    assert waiting(library) == set()


async def test_a_rule_counts_more_than_a_model(library: Library) -> None:
    clip, beach = await received(library, "clip.mov", b"clip"), term(library, "beach")
    library.perform(AddTag(clip.id, beach, TagSource.MODEL, 0.9, MODEL), "test")
    library.perform(AddTag(clip.id, beach, TagSource.RULE, 1.0, Origin("folders/1")), "test")
    library.perform(AddTag(clip.id, beach, TagSource.MODEL, 0.99, MODEL), "test")
    assert vocabulary.tagging(library.db.writer, clip.id, beach) == (TagSource.RULE, 1.0, ("folders/1", ""))


async def test_a_model_withdraws_what_it_does_not_propose_any_more(library: Library) -> None:
    clip = await received(library, "clip.mov", b"clip")
    beach, sea = term(library, "beach"), term(library, "sea")
    suggest(library, clip.id, (beach, 0.8))
    library.perform(Suggest(clip.id, Origin("auto_tag/3", "new"), [(sea, 0.7)]), "test")
    library.perform(Suggest(clip.id, Origin("faces/1"), [(beach, 0.6)]), "test")
    assert waiting(library) == {("clip.mov", "sea"), ("clip.mov", "beach")}
    library.perform(Suggest(clip.id, Origin("auto_tag/3", "new"), []), "test")
    assert waiting(library) == {("clip.mov", "beach")}


async def test_refusals_raise_the_threshold_of_that_term_alone(library: Library) -> None:
    beach, sea = term(library, "beach"), term(library, "sea")
    for number in range(PATIENCE + 1):
        clip = await received(library, f"{number}.mov", b"%d" % number)
        suggest(library, clip.id, (beach, 0.6), (sea, 0.6))
        library.perform(RefuseProposal(clip.id, beach), "test")
    clip = await received(library, "next.mov", b"next")
    suggest(library, clip.id, (beach, 0.6), (sea, 0.6))
    assert {term for name, term in waiting(library) if name == "next.mov"} == {"sea"}
    suggest(library, clip.id, (beach, 0.9))
    assert ("next.mov", "beach") in waiting(library)


async def test_verdicts_about_one_model_set_no_threshold_of_another(library: Library) -> None:
    beach = term(library, "beach")
    for number in range(PATIENCE + 1):
        clip = await received(library, f"{number}.mov", b"%d" % number)
        suggest(library, clip.id, (beach, 0.6))
        library.perform(RefuseProposal(clip.id, beach), "test")
    for number, origin in enumerate([Origin("auto_tag/2", "other-model"), Origin("auto_tag/3", MODEL.model), MODEL]):
        clip = await received(library, f"next{number}.mov", b"next%d" % number)
        library.perform(Suggest(clip.id, origin, [(beach, 0.6)]), "test")
        assert ((clip.name, "beach") in waiting(library)) == (origin != MODEL)


@given(st.lists(st.floats(0, 1), max_size=20), st.lists(st.floats(0, 1), max_size=20))
def test_a_threshold_is_a_share_and_needs_a_reason(accepted: list[float], refused: list[float]) -> None:
    found = threshold(accepted, refused)
    assert 0.0 <= found <= 1.0
    if found:
        gone = [each for each in refused if each < found]
        assert len(gone) > PATIENCE + sum(each < found for each in accepted)
    assert threshold([*accepted, *refused], []) == 0.0


def test_thresholds() -> None:
    assert threshold([], []) == 0.0
    assert threshold([], [0.6, 0.7]) == 0.0, "two refusals say nothing yet"
    assert threshold([], [0.5, 0.6, 0.7]) == pytest.approx(0.85)
    assert threshold([0.8, 0.9], [0.5, 0.55, 0.6]) == pytest.approx(0.7)
    assert threshold([0.8, 0.9, 0.52], [0.5, 0.55, 0.6]) == 0.0


def test_a_listing_of_terms_asks_a_fixed_number_of_questions(library: Library) -> None:
    view = ByTag(library)
    tree = Tree(library, {"by-tag": view}, Control(library))
    db = library.db.writer

    def asked(place: Place) -> int:
        before = db.statements
        entries = tree._content(db, view, place).others
        for entry in entries:
            assert isinstance(entry.node, Place)
            tree.facets(entry.node)  # as for the kernel, which comes to hold each
        return db.statements - before

    above = term(library, "above")
    counts = []
    for number in range(60):
        library.execute([DefineTerm(f"term {number}", above), DefineTerm(f"top {number}")], "test")
        if number in {2, 59}:
            counts.append((asked(view.root()), asked(Place("by-tag", ("above",)))))
    assert counts[0] == counts[1]
    assert max(counts[0]) <= 8


def test_a_place_that_was_listed_follows_its_name_to_another_term(library: Library) -> None:
    view, db = ByTag(library), library.db.writer
    first = term(library, "a")
    view.list(db, view.root())
    place = Place("by-tag", ("a",))
    before = view.facets(db, place)
    library.execute([RenameTerm(first, "b", None), DefineTerm("a")], "test")
    assert view.facets(db, place) != before
    assert view.facets(db, Place("by-tag", ("b",))) == before

"""A vocabulary is imported in short transactions, as one thing to take back; merging and renaming are bounded as well.

What holds the loop is counted (terms and statements of a transaction, turns of others meanwhile), not timed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from damfs.catalog import change_feed, term_names, vocabulary
from damfs.catalog.term_names import Label
from damfs.core.bulk_tagging import untag_all
from damfs.core.commands import AddTag, DefineTerm, RemoveTag, RenameTerm
from damfs.core.concepts import Concept, ConceptLabel
from damfs.core.importing_terms import AT_ONCE, IMPORTED, SAID_AT_ONCE, import_terms
from damfs.core.library import Library
from damfs.core.merging_terms import NARROWER_AT_ONCE, merge
from damfs.core.term_commands import AddLabel, SetTermNote
from damfs.core.undo import take_back
from damfs.core.undo_groups import AT_ONCE as UNDONE_AT_ONCE
from damfs.core.undo_groups import list_groups
from damfs.model import Seq, TagSource
from damfs.presentation.views.by_tag import ByTag
from damfs.presentation.views.view import Place
from tests.small_library import opened, received, tags, term
from tests.unit.test_term_commands import said

TERMS = 1_000


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


def thesaurus(number: int) -> list[Concept]:
    """A tree, each term with two labels and a note."""
    return [
        Concept(
            str(each), f"term {each}", str(each // 10 - 1) if each >= 10 else "",
            labels=(ConceptLabel(f"mot {each}", "fr", preferred=True), ConceptLabel(f"alias {each}")),
            notes={"en": f"note {each}"}, related=(str(each - 1),) if each else (), uri=f"urn:x:{each}",
        )
        for each in range(number)
    ]  # fmt: skip


@dataclass(slots=True)
class Watch:
    """How often another task had its turn, and how much was asked of the writer between two turns: by two transactions
    at most, as trio runs those that can run in any order."""

    library: Library
    statements: list[int] = field(default_factory=list)
    turns: int = 0

    async def turn(self) -> None:
        before = self.library.db.writer.statements
        while True:
            await trio.lowlevel.checkpoint()
            now = self.library.db.writer.statements
            if now > before:
                self.statements.append(now - before)
                self.turns += 1
            before = now


async def test_an_import_is_short_transactions_with_the_loop_free_between(library: Library) -> None:
    watch, told = Watch(library), list[tuple[int, int]]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.turn)
        done = await import_terms(library, thesaurus(TERMS), "cli", lambda *step: told.append(step))
        nursery.cancel_scope.cancel()
    assert (done.added, done.moved, done.labels, done.remarks) == (TERMS, 0, 2 * TERMS, [])
    changes = change_feed.list_since(library.db.writer, Seq(0), 10_000)
    parts = [each.detail for each in changes if each.kind == IMPORTED]
    assert max(len(part.get("defined", ())) for part in parts) <= AT_ONCE  # type: ignore[arg-type]  # JSON
    assert max(len(part.get("named", ())) + len(part.get("noted", ())) for part in parts) <= SAID_AT_ONCE  # type: ignore[arg-type]  # JSON
    assert 2 * watch.turns + 3 >= TERMS // AT_ONCE + 3 * TERMS // SAID_AT_ONCE, "others have their turn after each part"
    assert max(watch.statements) <= 2 * 10 * SAID_AT_ONCE, "statements of the longest part"
    assert told[0] == (0, TERMS)
    assert told[-1] == (TERMS, TERMS)
    assert [step for step, _ in told] == sorted(step for step, _ in told), "progress goes forward"


async def test_the_same_file_again_changes_nothing(library: Library) -> None:
    await import_terms(library, thesaurus(300), "cli")
    before, seq = said(library), change_feed.last_seq(library.db.writer)
    again = await import_terms(library, thesaurus(300), "cli")
    assert (again.added, again.moved, again.labels, again.remarks) == (0, 0, 0, [])
    assert said(library) == before
    changes = change_feed.list_since(library.db.writer, seq, 100)
    assert [each.detail.get("added") for each in changes] == [0], "nothing but the end is told"
    assert [group.words() for group in list_groups(library.db.writer, 5)] == [
        f"{300 * 6 - 1:,} things imported into the vocabulary"
    ]


async def test_an_import_is_taken_back_as_one_in_short_transactions(library: Library) -> None:
    clip = await received(library, "clip.mov", b"clip")
    library.clock = lambda: 1_800_000_000_000_000_000
    was = term(library, "term 5")
    library.execute([AddLabel(was, Label("fr", "mot 5")), SetTermNote(was, "en", "mine")], "cli")
    library.execute([AddTag(clip.id, was), DefineTerm("of the house")], "cli")
    before = said(library)
    now = 1_900_000_000_000_000_000

    def slowly() -> int:
        nonlocal now
        now += 60_000_000_000
        return now

    library.clock = slowly
    done = await import_terms(library, thesaurus(TERMS), "cli")
    assert (done.added, done.moved) == (TERMS - 1, 0)
    assert term_names.notes(library.db.writer, was) == {"en": "note 5"}
    (group, *_) = list_groups(library.db.writer, 5)
    watch = Watch(library)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.turn)
        undone = await take_back(library, group)
        nursery.cancel_scope.cancel()
    assert undone.left_out == []
    assert said(library) == before
    assert 2 * watch.turns + 3 > 6 * TERMS // UNDONE_AT_ONCE
    assert max(watch.statements) <= 2 * 10 * UNDONE_AT_ONCE
    assert "imported" not in list_groups(library.db.writer, 1)[0].words(), "it is taken back once"


async def test_what_people_did_since_stays(library: Library) -> None:
    clip = await received(library, "clip.mov", b"clip")
    await import_terms(library, thesaurus(12), "cli")
    ids = {each.name: each.id for each in vocabulary.list_terms(library.db.writer)}
    library.execute(
        [
            AddTag(clip.id, ids["term 11"]),
            RenameTerm(ids["term 1"], "my own", None),
            DefineTerm("mine", ids["term 2"]),
            AddLabel(ids["term 3"], Label("", "drei")),
            SetTermNote(ids["term 4"], "en", "another note"),
        ],
        "fuse",
    )
    group = next(each for each in list_groups(library.db.writer, 9) if "imported" in each.words())
    undone = await take_back(library, group)
    assert undone.left_out == ['"term 11" and 5 more: in use, or changed since the import']
    left = [each.name for each in vocabulary.list_terms(library.db.writer)]
    assert sorted(left) == ["mine", "my own", "term 0", "term 11", "term 2", "term 3", "term 4"]
    assert tags(library, clip.id) == ["term 11"]
    assert term_names.labels(library.db.writer, ids["term 3"]) == [Label("", "drei")]
    assert term_names.notes(library.db.writer, ids["term 4"]) == {"en": "another note"}


async def test_what_others_do_in_between_is_no_part_of_it(library: Library) -> None:
    clip = await received(library, "clip.mov", b"clip")
    beach = term(library, "beach")

    def meanwhile(done: int, _: int) -> None:
        if 0 < done < 500:
            library.execute([AddTag(clip.id, beach)], "cli")
            library.execute([RemoveTag(clip.id, beach)], "cli")

    library.perform(DefineTerm("before"), "cli")
    before = said(library)
    await import_terms(library, thesaurus(500), "cli", meanwhile)
    library.perform(AddTag(clip.id, beach), "cli")
    words = [group.words() for group in list_groups(library.db.writer, 1_000)]
    assert words[0] == "1 tag given (beach)"
    assert sum("imported" in each for each in words) == 1
    (imported,) = [each for each in list_groups(library.db.writer, 1_000) if "imported" in each.words()]
    await take_back(library, imported)
    assert said(library) == {**before, "tagging": [(clip.id, "beach", "person", 1.0, "", "")]} | {
        "judgement": said(library)["judgement"]
    }
    assert not any("imported" in group.words() for group in list_groups(library.db.writer, 1_000))
    assert [group.words() for group in list_groups(library.db.writer, 1_000)] == [
        each for each in words if "imported" not in each
    ], "what was done in between can still be taken back"


async def test_an_import_that_was_cut_short_goes_on(library: Library) -> None:
    with trio.CancelScope() as scope:
        await import_terms(library, thesaurus(500), "cli", lambda done, _: scope.cancel() if done > 20 else None)
    some = len(vocabulary.list_terms(library.db.writer))
    assert 0 < some < 500
    done = await import_terms(library, thesaurus(500), "cli")
    assert done.added == 500 - some
    once = said(library)
    for group in list_groups(library.db.writer, 2):
        await take_back(library, group)
    assert vocabulary.list_terms(library.db.writer) == []
    await import_terms(library, thesaurus(500), "cli")
    assert said(library) == once


async def test_a_term_with_thousands_of_names_is_taken_over_in_parts(library: Library) -> None:
    labels = tuple(ConceptLabel(f"name {each}") for each in range(5 * SAID_AT_ONCE))
    done = await import_terms(library, [Concept("a", "a", labels=labels)], "cli")
    assert done.labels == len(labels)
    assert len(term_names.labels(library.db.writer, term(library, "a"))) == len(labels)


async def test_a_term_with_thousands_below_is_merged_in_parts_and_comes_back_as_one(library: Library) -> None:
    number = 8 * NARROWER_AT_ONCE
    concepts = [Concept("top", "top"), *(Concept(f"{each}", f"low {each}", "top") for each in range(number))]
    await import_terms(library, concepts, "test")
    other, before = term(library, "other"), said(library)
    watch, term_id = Watch(library), term(library, "top")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.turn)
        await merge(library, term_id, other, "cli")
        nursery.cancel_scope.cancel()
    assert len(vocabulary.list_narrower(library.db.writer, other)) == number
    assert 2 * watch.turns + 3 >= number // NARROWER_AT_ONCE
    assert max(watch.statements) <= 2 * 20 * NARROWER_AT_ONCE
    (group,) = list_groups(library.db.writer, 5)[:1]
    undone = await take_back(library, group)
    assert undone.left_out == []
    assert {**said(library), "broader": {}} == {**before, "broader": {}}
    assert said(library)["broader"] == before["broader"]


async def test_a_rename_asks_the_same_however_much_is_below(library: Library) -> None:
    asked = []
    for number in (5, 2_000):
        concepts = [
            Concept("top", f"top {number}"),
            *(Concept(f"{each}", f"{number} {each}", "top") for each in range(number)),
        ]
        await import_terms(library, concepts, "test")
        top, above = term(library, f"top {number}"), term(library, "above")
        clip = await received(library, f"{number}.mov", b"%d" % number)
        library.perform(AddTag(clip.id, term(library, f"{number} 1")), "test")
        before = library.db.writer.statements
        library.perform(RenameTerm(top, f"summit {number}", None), "fuse")
        library.perform(RenameTerm(top, f"summit {number}", above), "fuse")
        asked.append(library.db.writer.statements - before)
        library.perform(RemoveTag(clip.id, above), "fuse")
        assert tags(library, clip.id) == []
    assert asked[0] == asked[1] <= 60


async def test_a_place_of_more_terms_than_a_statement_takes_values(library: Library) -> None:
    top = term(library, "top")
    with library.db.transaction() as tx:
        narrower = ((f"t{number}", top) for number in range(33_000))
        tx.run_many("INSERT INTO term (name, broader, created_ns) VALUES (?, ?, 0)", narrower)
    clip, place = await received(library, "clip.mov", b"clip", "t7"), Place("by-tag", ("top",))
    view = ByTag(library)
    assert [row[1] for row in view.content(library.db.writer, place).files] == ["clip.mov"]
    assert view.lookup(library.db.writer, place, "clip.mov") is not None
    assert await untag_all(library, top, "fuse") == 1
    assert view.content(library.db.writer, place).files == []
    assert tags(library, clip.id) == []


async def test_the_undo_of_an_import_takes_a_models_tags_with_it(library: Library) -> None:
    clip = await received(library, "clip.mov", b"clip")
    await import_terms(library, thesaurus(3), "cli")
    given = vocabulary.list_terms(library.db.writer)[-1]
    library.execute([AddTag(clip.id, given.id, TagSource.MODEL, 0.9)], "processor:auto_tag")
    group = next(each for each in list_groups(library.db.writer, 9) if "imported" in each.words())
    assert (await take_back(library, group)).left_out == []
    assert (tags(library, clip.id), vocabulary.list_terms(library.db.writer)) == ([], [])

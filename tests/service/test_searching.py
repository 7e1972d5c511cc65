"""Searching a real catalog: texts that follow every change, terms, conditions, vectors, and turns."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import trio

from damfs.catalog import derived, full_text, saved_searches, term_names
from damfs.catalog.asked_predicates import Says
from damfs.catalog.embedder import CONSE, MINILM
from damfs.catalog.predicates import Everything
from damfs.catalog.query_language import sentences
from damfs.catalog.term_names import Label
from damfs.core.commands import AddTag, Rename, RenameTerm, Trash
from damfs.core.describing import SetComment, SetRating
from damfs.core.library import Library
from damfs.core.query_vectors import QueryVectors, Vectors
from damfs.core.rebuild import rebuild
from damfs.core.search_answer import Answer
from damfs.core.search_commands import ForgetSearch, SaveSearch
from damfs.core.search_turns import WAITING_LIMIT, SearchTurns
from damfs.core.searching import Asked
from damfs.errors import BadQuery, Conflict, NotFound, Unavailable
from damfs.model import AssetId, BlobId
from tests.small_library import added, opened, received, scanned, term

NAMES = ("Red_Car.jpg", "blueBoat.jpg", "sunset.mov", "Café at night.jpg", "IMG_0001.jpg")


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    with opened(tmp_path / "library") as made:
        for name in NAMES:
            await received(made, name, name.encode())
        yield made


def caught_up(library: Library) -> int:
    """How many steps that took."""
    steps = 0
    while library.texts.step():
        steps += 1
    return steps


def id_of(library: Library, name: str) -> AssetId:
    return AssetId(library.db.writer.integer("SELECT id FROM asset WHERE name = ?", name))


def ask(library: Library, query: str, vectors: Vectors | None = None) -> Answer:
    caught_up(library)
    asked = Asked() if vectors is None else Asked(dict.fromkeys(sentences(query), vectors))
    return library.searches.answer(library.db.writer, query, asked)


def names(library: Library, query: str, vectors: Vectors | None = None) -> list[str]:
    return [row[1] for row in ask(library, query, vectors).rows]


QUERIES: dict[str, list[str]] = {
    "car": ["Red_Car.jpg"], "red car": ["Red_Car.jpg"], "boat": ["blueBoat.jpg"],
    "CAFE": ["Café at night.jpg"], "nig*": ["Café at night.jpg"],
    "nig": [], '"at night"': ["Café at night.jpg"], '"night at"': [],
    "car boat": [], "type:video": ["sunset.mov"], "jpg -car -boat": ["IMG_0001.jpg", "Café at night.jpg"],
    "car OR boat": ["Red_Car.jpg", "blueBoat.jpg"], "name:*.mov": ["sunset.mov"],
    "NOT name:*.jpg": ["sunset.mov"],
    'text:"red car"': ["Red_Car.jpg"], "size:<11": ["sunset.mov"], "* type:video": ["sunset.mov"],
}  # fmt: skip


async def test_queries(library: Library) -> None:
    for query, found in QUERIES.items():
        assert sorted(names(library, query)) == sorted(found), query


async def test_texts_follow_every_change(library: Library, tmp_path: Path) -> None:
    car = id_of(library, "Red_Car.jpg")
    library.perform(SetComment(car, "an old Trabant"), "test")
    assert names(library, "trabant") == ["Red_Car.jpg"]
    library.perform(SetComment(car, ""), "test")
    assert names(library, "trabant") == []
    library.perform(Rename(car, "lorry.jpg"), "test")
    assert names(library, "car") == []
    assert names(library, "lorry") == ["lorry.jpg"]
    (tmp_path / "Holiday in Rome").mkdir()
    (tmp_path / "Holiday in Rome" / "x.jpg").write_bytes(b"x")
    added(library, tmp_path / "Holiday in Rome", "Card")
    await scanned(library, "Card")
    assert names(library, "card") == ["x.jpg"]
    blob = library.db.writer.integer("SELECT blob FROM asset WHERE name = 'x.jpg'")
    with library.db.transaction() as tx:
        derived.set_facts(tx, BlobId(blob), "speech", {"transcript": [{"text": "Veni vidi vici", "at": 1}]})
        derived.set_facts(tx, BlobId(blob), "tags", {"keywords": ["amphitheatre", "arch"]})
    assert names(library, "vidi") == names(library, "amphitheatre") == ["x.jpg"]
    with library.db.transaction() as tx:
        derived.set_facts(tx, BlobId(blob), "speech", {})
    assert names(library, "vidi") == []
    library.perform(Trash(id_of(library, "lorry.jpg")), "test")
    assert names(library, "lorry") == []


async def test_parts_of_names_and_of_texts_without_spaces_are_found(library: Library) -> None:
    for name in ("IMG2041.CR3", "DSC_7788.jpg", "東京タワー.jpg", "ทะเลสวย.jpg", "서울에서.jpg", "HTMLGuide.jpg"):
        await received(library, name, name.encode())
    library.perform(SetComment(id_of(library, "DSC_7788.jpg"), "夕焼けの海 über Köln"), "test")
    found = {
        "2041": "IMG2041.CR3", "img 2041": "IMG2041.CR3", "IMG2041": "IMG2041.CR3", "7788": "DSC_7788.jpg",
        "DSC_7788": "DSC_7788.jpg", "京タ": "東京タワー.jpg", "東京*": "東京タワー.jpg", "ﾀﾜｰ": "東京タワー.jpg",
        "海": "DSC_7788.jpg", "夕焼け koln": "DSC_7788.jpg", '"焼けの"': "DSC_7788.jpg", "ทะเล": "ทะเลสวย.jpg",
        "서울": "서울에서.jpg", "guide": "HTMLGuide.jpg", "html*": "HTMLGuide.jpg",
    }  # fmt: skip
    assert {query: names(library, query) for query in found} == {query: [name] for query, name in found.items()}
    assert names(library, "京東") == names(library, "焼海") == []
    library.perform(AddTag(id_of(library, "sunset.mov"), term(library, "浜辺の夕日")), "test")
    assert names(library, "夕日") == names(library, "浜辺 type:video") == ["sunset.mov"]


async def test_an_index_of_other_words_is_filled_again(library: Library) -> None:
    with library.db.transaction() as tx:
        full_text.renew(tx)
    caught_up(library)
    with library.db.transaction() as tx:
        assert not full_text.renew(tx), "it was made by these words"
        derived.set_property(tx, full_text.FILLED, "1")
        tx.run("DELETE FROM asset_text")
        assert full_text.renew(tx)
    assert names(library, "boat") == ["blueBoat.jpg"]


async def test_a_folder_that_is_renamed_is_found_by_its_new_name(library: Library, tmp_path: Path) -> None:
    (tmp_path / "footage" / "Paris" / "day 1").mkdir(parents=True)
    (tmp_path / "footage" / "Paris" / "day 1" / "x.jpg").write_bytes(b"x")
    added(library, tmp_path / "footage")
    await scanned(library)
    assert names(library, "paris") == ["x.jpg"]
    library.db.writer.run("UPDATE folder SET name = CAST('Berlin' AS BLOB) WHERE name = CAST('Paris' AS BLOB)")
    assert names(library, "paris") == []
    assert names(library, "berlin") == ["x.jpg"]


async def test_terms_are_words_and_tagging_touches_no_text(library: Library) -> None:
    place = term(library, "Place of interest")
    beach = term(library, "beach", place)
    caught_up(library)
    for name in NAMES[:3]:
        library.perform(AddTag(id_of(library, name), beach), "test")
    assert caught_up(library) == 0, "no text is written anew for a tag"
    assert sorted(names(library, "beach")) == sorted(NAMES[:3])
    assert sorted(names(library, "interest")) == sorted(NAMES[:3]), "a narrower term is meant as well"
    assert names(library, "interest car") == ["Red_Car.jpg"]
    assert names(library, "tag:beach car") == ["Red_Car.jpg"]
    assert names(library, "tag:BEACH car") == ["Red_Car.jpg"], "where only the case is another"
    library.perform(RenameTerm(beach, "shore", place), "test")
    assert names(library, "beach") == []
    assert sorted(names(library, "sho*")) == sorted(NAMES[:3])
    assert ask(library, "shore car").why(library.db.writer, id_of(library, "Red_Car.jpg")) == "shore car: tag: shore"


async def test_other_names_of_a_term_mean_it_as_well(library: Library) -> None:
    beach = term(library, "beach")
    library.perform(AddTag(id_of(library, "sunset.mov"), beach), "test")
    with library.db.transaction() as tx:
        term_names.add_label(tx, beach, Label("fr", "la Plage"))
        term_names.add_label(tx, beach, Label("de", "Strand"))
    assert names(library, "plage") == names(library, "strand") == names(library, "tag:Strand") == ["sunset.mov"]
    assert names(library, "tag:strand") == names(library, "beach") == ["sunset.mov"]
    with library.db.transaction() as tx:
        term_names.remove_label(tx, beach, "Strand")
    library.perform(RenameTerm(beach, "shore", None), "test")
    assert names(library, "strand") == names(library, "beach") == []
    assert names(library, "plage") == names(library, "shore") == ["sunset.mov"]
    with pytest.raises(BadQuery, match='did you mean "shore"'):
        ask(library, "tag:shoar")


async def test_ratings_are_stars(library: Library) -> None:
    library.perform(SetRating(id_of(library, "sunset.mov"), 7), "test")
    assert names(library, "rating:3.5") == names(library, "rating:>=3") == ["sunset.mov"]
    assert len(names(library, "rating:0")) == 4
    assert len(names(library, "rating:<=3.5")) == 5


def unit(*numbers: float) -> bytes:
    vector = np.array([*numbers, *[0.0] * (384 - len(numbers))], dtype="<f4")
    return bytes((vector / np.linalg.norm(vector)).tobytes())


def embed(library: Library, name: str, model: str, vector: bytes, at_ns: int | None = None) -> None:
    blob = library.db.writer.integer("SELECT blob FROM asset WHERE name = ?", name)
    with library.db.transaction() as tx:
        derived.set_embedding(tx, BlobId(blob), model, at_ns, vector)


async def test_orders_of_texts_and_vectors_are_fused_and_told(library: Library) -> None:
    embed(library, "IMG_0001.jpg", CONSE, unit(1, 0.1))
    embed(library, "Red_Car.jpg", CONSE, unit(1, 2))
    embed(library, "sunset.mov", CONSE, unit(0, 1))
    embed(library, "sunset.mov", CONSE, unit(3, 1), at_ns=72_500_000_000)
    embed(library, "blueBoat.jpg", CONSE, unit(-1, 0))
    embed(library, "Red_Car.jpg", MINILM, unit(1, 1))
    asked = {MINILM: unit(1, 0), CONSE: unit(1, 0)}
    answer = ask(library, "car", asked)
    assert [row[1] for row in answer.rows] == ["Red_Car.jpg", "IMG_0001.jpg", "sunset.mov"]
    assert answer.spaces == (MINILM, CONSE)
    assert answer.trouble == ""
    connection = library.db.writer
    assert answer.why(connection, id_of(library, "Red_Car.jpg")) == (
        "car: text: name; words alike, 0.71; picture, 0.45"
    )
    assert answer.why(connection, id_of(library, "sunset.mov")) == "car: clip at 00:01:12, 0.95"
    assert answer.scores[id_of(library, "Red_Car.jpg")] == max(answer.scores.values())
    assert names(library, "car type:video", asked) == ["sunset.mov"], "conditions hold of what vectors find"
    assert names(library, "car -name:*car*", asked) == ["IMG_0001.jpg", "sunset.mov"]


async def test_each_side_of_or_is_ranked_and_the_sides_are_fused(library: Library) -> None:
    embed(library, "IMG_0001.jpg", CONSE, unit(1, 0.1))
    embed(library, "sunset.mov", CONSE, unit(1, 2))
    asked = {CONSE: unit(1, 0)}
    car, picture = id_of(library, "Red_Car.jpg"), id_of(library, "IMG_0001.jpg")
    library.perform(SetComment(picture, "a boat"), "test")
    answer = ask(library, "car OR boat", asked)
    assert answer.is_ranked
    assert [row[1] for row in answer.rows] == ["IMG_0001.jpg", "sunset.mov", "Red_Car.jpg", "blueBoat.jpg"]
    why = functools.partial(answer.why, library.db.writer)
    assert why(car) == "car: text: name"
    assert why(picture) == "car: picture, 1.00; boat: text: comment; picture, 1.00"
    assert names(library, "(car OR boat) -name:IMG*") == ["Red_Car.jpg", "blueBoat.jpg"]
    assert names(library, "red (car OR boat)") == ["Red_Car.jpg"]
    beach = term(library, "beach")
    for id_ in (car, id_of(library, "sunset.mov")):
        library.perform(AddTag(id_, beach), "test")
    mixed = ask(library, "boat OR tag:beach")
    assert [row[1] for row in mixed.rows] == ["blueBoat.jpg", "sunset.mov", "IMG_0001.jpg", "Red_Car.jpg"]
    assert mixed.why(library.db.writer, car) == "tag:beach"
    assert not ask(library, "tag:beach OR name:blue*").is_ranked, "conditions alone give no order"


async def test_what_is_not_wanted_is_what_is_written_or_tagged_so(library: Library) -> None:
    """Being alike is no reason to leave something out."""
    embed(library, "IMG_0001.jpg", CONSE, unit(1, 0.1))
    embed(library, "Red_Car.jpg", CONSE, unit(1, 0.1))
    asked = {CONSE: unit(1, 0)}
    assert names(library, "vehicle -car", asked) == ["IMG_0001.jpg"]
    assert sorted(names(library, "NOT car", asked)) == sorted(set(NAMES) - {"Red_Car.jpg"})
    assert sorted(names(library, "-(car OR boat)", asked)) == sorted(set(NAMES) - {"Red_Car.jpg", "blueBoat.jpg"})


async def test_like_ranks_among_what_the_conditions_hold_of(library: Library) -> None:
    embed(library, "IMG_0001.jpg", "look-1", unit(1, 0.1))
    embed(library, "Red_Car.jpg", "look-1", unit(1, 0))
    embed(library, "sunset.mov", "look-1", unit(1, 0.2))
    assert names(library, "like:Red_Car.jpg") == ["IMG_0001.jpg", "sunset.mov"]
    assert names(library, "like:Red_Car.jpg type:video") == ["sunset.mov"]
    answer = ask(library, f"like:{id_of(library, 'Red_Car.jpg')}")
    why = answer.why(library.db.writer, id_of(library, "IMG_0001.jpg"))
    assert why == "picture, 1.00, like Red_Car.jpg"
    assert sorted(names(library, "like:Red_Car.jpg OR boat")) == ["IMG_0001.jpg", "blueBoat.jpg", "sunset.mov"]
    with pytest.raises(BadQuery, match=r'character 6: there is no asset "nothing\.jpg"'):
        ask(library, "like:nothing.jpg")


async def test_an_answer_is_given_again_while_nothing_changes(library: Library) -> None:
    ask(library, "car")
    ran = library.searches.ran
    ask(library, "car")
    assert library.searches.ran == ran
    library.perform(SetRating(id_of(library, "sunset.mov"), 2), "test")
    ask(library, "car")
    assert library.searches.ran == ran + 1
    asked = Asked(trouble="it loads", may_come=True)
    for _ in range(2):
        library.searches.answer(library.db.writer, "boat", asked)
    assert library.searches.ran == ran + 3, "vectors may be there in a moment"


async def test_statements_of_a_search_do_not_grow_with_the_library(tmp_path: Path) -> None:
    costs = []
    for number in (5, 60):
        with opened(tmp_path / str(number)) as library:
            for index in range(number):
                await received(library, f"car {index}.jpg", b"%d" % index, "beach")
            caught_up(library)
            before = library.db.writer.statements
            for query in ("car", "beach car", "tag:beach", "car type:image -name:x"):
                library.searches.answer(library.db.writer, query, Asked())
            costs.append(library.db.writer.statements - before)
    assert costs[0] == costs[1]


async def test_common_words_are_not_weighed_but_newest_first(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    caught_up(library)
    monkeypatch.setattr(full_text, "RANKED_BELOW", 2)
    hits = full_text.find_texts(library.db.writer, [Says("jpg")], Everything(), 10)
    assert hits.written == sorted(hits.written, reverse=True)
    assert len(hits.written) == 4


async def test_texts_are_taken_in_by_small_steps(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("damfs.core.text_upkeep.AT_ONCE", 3)
    due = library.db.writer.integer("SELECT count(*) FROM text_due")
    assert caught_up(library) == -(-due // 3)
    assert library.db.writer.integer("SELECT count(*) FROM text_due") == 0
    assert library.db.writer.integer("SELECT count(*) FROM asset_text") == len(NAMES)


async def test_a_few_searches_run_at_a_time_and_too_many_are_turned_away(
    library: Library, nursery: trio.Nursery
) -> None:
    running = most = 0
    go, done = trio.Event(), 0

    async def nothing() -> None:
        await trio.lowlevel.checkpoint()

    turns = SearchTurns(2, library.counters, nothing)

    async def search(number: int) -> None:
        nonlocal running, most, done
        async with turns.turn(f"car {number}"):
            running += 1
            most = max(most, running)
            await go.wait()
            running -= 1
        done += 1

    for number in range(2 + WAITING_LIMIT):
        nursery.start_soon(search, number)
    await trio.testing.wait_all_tasks_blocked()
    assert running == 2
    with pytest.raises(Unavailable, match="too many searches wait"):
        await search(99)
    go.set()
    await trio.testing.wait_all_tasks_blocked()
    assert (most, done, turns.most_at_once) == (2, 2 + WAITING_LIMIT, 2)
    assert library.counters["searches"] == 2 + WAITING_LIMIT
    assert library.counters["searches_turned_away"] == 1


async def test_a_turn_asks_for_the_vectors_of_the_words_alone(library: Library, nursery: trio.Nursery) -> None:
    asked: list[str] = []

    async def ask_model(words: str) -> Vectors:
        asked.append(words)
        return {MINILM: unit(1)}

    library.search_turns.vectors = QueryVectors(ask_model, nursery, 5)
    for query, words in (
        ('red "car wash" tag:beach -blue', ["red car wash"]), ("type:video", []), ("((", []),
        ("a OR b tag:beach OR type:video", ["a", "b"]), ("red (car OR boat)", ["red car", "red boat"]),
    ):  # fmt: skip
        asked.clear()
        async with library.search_turns.turn(query) as got:
            assert list(got.vectors) == words
        assert asked == words


async def test_searches_are_kept_forgotten_and_survive_a_rebuild(library: Library) -> None:
    library.perform(SaveSearch("red car"), "test")
    with pytest.raises(Conflict):
        library.perform(SaveSearch("red car"), "test")
    library.perform(SaveSearch("sea"), "test")
    library.perform(ForgetSearch("sea"), "test")
    with pytest.raises(NotFound):
        library.perform(ForgetSearch("sea"), "test")
    library.db.close()
    await rebuild(library.path)
    with opened(library.path) as again:
        assert saved_searches.list_saved(again.db.writer) == ["red car"]
        assert names(again, "car") == ["Red_Car.jpg"], "texts are taken in again"

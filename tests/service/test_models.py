"""From one model to another, and words that change: real catalog, vectors made by processors that need no weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trio

from damfs.catalog import change_feed, derived, job_table, proposals, spaces, vectors
from damfs.catalog.embedder import NO_MODEL
from damfs.catalog.proposals import Origin
from damfs.core import model_switch
from damfs.core.asking_model import vectors_of
from damfs.core.bulk_tagging import untag_all
from damfs.core.commands import AddTag, RemoveTag, RenameTerm
from damfs.core.describing import SetComment
from damfs.core.library import Library
from damfs.core.merging_terms import merge
from damfs.core.model_commands import ChooseModel, DropVectors
from damfs.core.model_switch import follow_words, switch_if_complete
from damfs.core.processors.embedding import Embedding
from damfs.core.processors.processor import MadeEmbedding, Output, Proposal, Subject
from damfs.core.processors.wording import Wording, digest_of, passages_of
from damfs.core.query_vectors import QueryVectors, Vectors
from damfs.core.results import FinishJob
from damfs.core.similar import best_model
from damfs.core.suggesting import Suggest
from damfs.core.undo import take_back
from damfs.core.undo_groups import list_groups
from damfs.core.upkeep import plan_changed
from damfs.errors import ModelUnavailable, Refused
from damfs.integration.models import Models
from damfs.integration.wire_models import UseModel
from damfs.model import Asset, Seq
from tests.small_library import asset, entry_points_of, opened, received, term


def space_of(name: str) -> dict[str, object]:
    ids = {"visual": f"{name}#picture", "meeting": f"{name}#picture", "words": f"{name}#text"}
    return {"id": f"{name}@1", "name": name, **ids, "dimensions": {ids["visual"]: 4, ids["words"]: 4}}


class Seen(Embedding):
    needs = frozenset()

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        name = str(subject.settings["name"])
        models = (f"{name}#picture",)
        return Output({"at_ns": [], "space": space_of(name)}, (), (MadeEmbedding(models[0], bytes(16)),), models)


class Said(Wording):
    needs = frozenset()

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        name = str(subject.settings["name"])
        texts = passages_of(subject)
        made = tuple(MadeEmbedding(f"{name}#text", bytes(16), at) for at, _ in texts)
        facts = {"digest": digest_of(texts), "said": [text for _, text in texts], "space": space_of(name)}
        return Output(facts, (), made, (f"{name}#text",))


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library", entry_points_of(Seen, Said)) as made:
        made.planner._model = "default"  # whatever is installed here
        yield made


def choose(library: Library, name: str) -> None:
    """As `damfs model use` does it, without loading anything."""
    model = msgspec.structs.replace(library.settings.model, name=name)
    library.use_settings(msgspec.structs.replace(library.settings, model=model))
    library.planner._model = name
    library.perform(ChooseModel(name, ("embedding", "wording")), "test")


def work_off(library: Library, most: int = 1_000) -> int:
    """Do what is waiting, in turn; how much it was."""
    processors = {each.name: each for each in library.registry.processors}
    for number in range(most):
        with library.db.transaction() as tx:
            job = job_table.lease(tx, tuple(processors), library.clock(), library.clock() + 10**12)
        if job is None:
            return number
        speaker = library.planner.speaker(library.db.writer, job.blob)
        assert speaker is not None
        subject = library.planner.subject(library.db.writer, speaker, words=True)
        settings = library.planner.settings_of(library.db.writer, job.processor)
        made = processors[job.processor].run(Path(), Path(), replace(subject, settings=settings))
        library.perform(FinishJob(job, made.facts, (), made.embeddings, (), replaces=made.replaces), "test")
    return most


def models_of(library: Library, made: Asset) -> set[str]:
    assert made.blob is not None
    return set(derived.models_of(library.db.writer, made.blob))


def said(library: Library, made: Asset) -> object:
    assert made.blob is not None
    return derived.facts_of(library.db.writer, made.blob)["wording"]["said"]


async def embedded(library: Library, number: int = 3) -> list[Asset]:
    made = [await received(library, f"red car {index}.jpg", b"%d" % index) for index in range(number)]
    work_off(library)
    await plan_changed(library)
    assert work_off(library) == 0, "knowing the space changes nothing"
    await follow_words(library)
    return [asset(library, each.id) for each in made]


# --- two models side by side --------------------------------------------------------------------------------------


async def test_the_first_model_answers_as_soon_as_it_was_loaded(library: Library) -> None:
    assert spaces.answering(library.db.writer) is None
    await embedded(library, 1)
    answering = spaces.answering(library.db.writer)
    assert answering is not None
    assert (answering.name, answering.words) == ("default", "default#text")


async def test_the_old_space_answers_until_the_new_one_is_nearly_complete(library: Library) -> None:
    made = await embedded(library, 4)
    choose(library, "other")
    await switch_if_complete(library)
    assert answers(library) == "default", "nothing was planned yet"
    await plan_changed(library)
    assert work_off(library, 5) == 5
    assert spaces.named(library.db.writer, "other") is not None, "known from the first job on"
    await plan_changed(library)
    await switch_if_complete(library)
    assert answers(library) == "default"
    status = library.model_status(library.db.writer)
    assert (status.wanted, status.answers, status.done, status.steps) == ("other", "default", 5, 8)
    assert "other is made: 5 of 8 steps" in status.words
    assert [each.state for each in status.spaces] == ["answers", "is made"]
    assert work_off(library) == 3
    await switch_if_complete(library)
    assert answers(library) == "other"
    both = {"default#picture", "default#text", "other#picture", "other#text"}
    assert all(models_of(library, each) == both for each in made), "the vectors of before are kept"
    assert library.model_status(library.db.writer).settled


def answers(library: Library) -> str:
    found = spaces.answering(library.db.writer)
    return "" if found is None else found.name


async def test_new_files_go_before_what_is_done_again(library: Library) -> None:
    await embedded(library)
    choose(library, "other")
    await plan_changed(library)
    await received(library, "new.jpg", b"new")
    with library.db.transaction() as tx:
        job = job_table.lease(tx, ("embedding", "wording"), library.clock(), library.clock() + 10**12)
    assert job is not None
    assert job.blob == 4


async def test_back_to_a_model_whose_pictures_are_kept_embeds_words_only(library: Library) -> None:
    await embedded(library, 3)
    for name, steps in (("other", 6), ("default", 3)):
        choose(library, name)
        await plan_changed(library)
        assert work_off(library) == steps
        await plan_changed(library)
        await switch_if_complete(library)
        assert answers(library) == name


async def test_back_half_way_the_first_model_answers_and_the_rest_is_not_made(library: Library) -> None:
    made = await embedded(library, 4)
    choose(library, "other")
    await plan_changed(library)
    assert work_off(library, 5) == 5, "four pictures, the words of one"
    choose(library, "default")
    await plan_changed(library)
    assert work_off(library) == 1, "the words of that one again; pictures that are kept are not embedded again"
    await plan_changed(library)
    await switch_if_complete(library)
    assert work_off(library) == 0
    assert answers(library) == "default"
    status = library.model_status(library.db.writer)
    assert {each.name: each.state for each in status.spaces} == {"default": "answers", "other": "is kept"}
    assert status.settled
    assert library.perform(DropVectors("other@1", "default"), "test") == 5
    assert all(models_of(library, each) == {"default#picture", "default#text"} for each in made)


async def test_what_a_stop_left_undone_is_done_by_the_next_start(tmp_path: Path) -> None:
    with opened(tmp_path / "library", entry_points_of(Seen, Said)) as library:
        library.planner._model = "default"
        await embedded(library, 3)
        choose(library, "other")
        await plan_changed(library)
        assert work_off(library, 2) == 2
    with opened(tmp_path / "library", entry_points_of(Seen, Said)) as library:
        choose(library, "other")
        await plan_changed(library)
        await switch_if_complete(library)
        assert answers(library) == "default"
        assert work_off(library) == 4, "what was done before is not done again"
        await plan_changed(library)
        await switch_if_complete(library)
        assert answers(library) == "other"


async def test_a_question_tells_that_the_model_has_other_weights(library: Library) -> None:
    await embedded(library, 2)
    changed = {**space_of("default"), "id": "default@2", "visual": "new#picture", "words": "new#text"}

    class Pool:
        async def run(self, *_: object) -> Output:
            return Output({"space": changed}, embeddings=(MadeEmbedding("new#text", bytes(16)),))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("damfs.core.asking_model.model_of", lambda _: "default")
        for _ in range(2):
            assert set(await vectors_of(library, Pool(), "red")) == {"new#text"}  # type: ignore[arg-type]  # runs only
    assert answers(library) == "default"
    answering = spaces.answering(library.db.writer)
    assert answering is not None
    assert answering.words == "default#text", "what was made of other weights is never compared with these"
    learnt = [each.kind for each in change_feed.list_since(library.db.writer, Seq(0), 1000)].count("model-loaded")
    assert learnt == 2, "once each"


async def test_vectors_are_dropped_on_request_and_only_when_nobody_needs_them(library: Library) -> None:
    (made,) = await embedded(library, 1)
    choose(library, "other")
    for used in ("default@1",):
        with pytest.raises(Refused, match="in use"):
            library.perform(DropVectors(used, "other"), "test")
    await plan_changed(library)
    work_off(library)
    await plan_changed(library)
    with pytest.raises(Refused, match="in use"):
        library.perform(DropVectors("other@1", "other"), "test")
    await switch_if_complete(library)
    assert library.perform(DropVectors("default@1", "other"), "test") == 2
    assert library.perform(DropVectors("default@1", "other"), "test") == 0
    assert models_of(library, made) == {"other#picture", "other#text"}
    assert [each.name for each in spaces.list_spaces(library.db.writer)] == ["other"]
    choose(library, "default")
    await plan_changed(library)
    assert work_off(library) == 2, "and made anew when it is wanted again"
    assert vectors.last_id(library.db.writer, "default#picture") > 0


async def test_a_model_with_other_weights_is_another_space(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await embedded(library, 2)
    before = space_of

    def changed(name: str) -> dict[str, object]:
        found = before(name)
        return {**found, "id": f"{name}@2", "visual": f"{name}2#picture", "words": f"{name}2#text"}

    monkeypatch.setitem(globals(), "space_of", changed)
    await received(library, "new.jpg", b"new")
    assert work_off(library) == 2
    await plan_changed(library)
    assert work_off(library) == 4, "who has the vectors of other weights is done again"
    assert made


def test_the_space_that_answers_ranks_and_one_in_the_making_never() -> None:
    answering = msgspec.convert(space_of("a"), spaces.Space)
    known = {"a#picture", "a#text", "b#picture", "look-1"}
    assert best_model(known, answering) == "a#picture"
    assert best_model(known - {"a#picture"}, answering) == "look-1"
    assert best_model({"a#text", "b#picture"}, answering) == "a#text"
    assert best_model({"b#picture"}, answering) is None
    assert best_model(known, None) == "look-1"


# --- words that change --------------------------------------------------------------------------------------------


async def test_words_are_embedded_again_when_people_say_something_else(library: Library) -> None:
    one, other = await embedded(library, 2)
    assert said(library, one) == ["red car"]
    library.perform(AddTag(one.id, term(library, "beach")), "test")
    library.perform(SetComment(one.id, "the good  one"), "test")
    await follow_words(library)
    assert work_off(library) == 1, "one job for both changes, and none for the pictures"
    assert said(library, one) == ["red car. beach. the good one"]
    library.perform(RenameTerm(term(library, "beach"), "shore", None), "test")
    await follow_words(library)
    assert work_off(library) == 1
    assert said(library, one) == ["red car. shore. the good one"]
    assert said(library, other) == ["red car"]


async def test_a_term_that_is_taken_from_many_at_once(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await embedded(library, 3)
    beach = term(library, "beach")
    library.execute([AddTag(each.id, beach) for each in made], "test")
    await follow_words(library)
    assert work_off(library) == 3
    monkeypatch.setattr("damfs.core.bulk_tagging.TOLD_SINGLY", 0)
    assert await untag_all(library, beach, "test") == 3
    await follow_words(library)
    assert work_off(library) == 3
    assert {str(said(library, each)) for each in made} == {"['red car']"}


async def test_a_vocabulary_that_changes_while_another_model_takes_over(library: Library) -> None:
    """Merged, with what is narrower, renamed and taken back while words are embedded for two models."""
    one, other, third = await embedded(library, 3)
    shore, beach, place = term(library, "shore"), term(library, "beach"), term(library, "place")
    pier = term(library, "pier", shore)
    library.execute([AddTag(one.id, shore), AddTag(other.id, pier), AddTag(third.id, place)], "cli")
    await follow_words(library)
    work_off(library)
    choose(library, "b")
    await plan_changed(library)
    assert work_off(library, 4) == 4, "the switch is under way"
    await merge(library, shore, beach, "cli")
    library.perform(RenameTerm(pier, "jetty", beach), "cli")
    await follow_words(library)
    work_off(library)
    assert [said(library, each) for each in (one, other, third)] == [
        ["red car. beach"], ["red car. jetty"], ["red car. place"]
    ]  # fmt: skip
    await plan_changed(library)  # as when a model was loaded first
    work_off(library)
    await switch_if_complete(library)
    answering = spaces.answering(library.db.writer)
    assert answering is not None
    assert answering.name == "b"
    for group in list_groups(library.db.writer, 2):
        assert (await take_back(library, group)).left_out == []
    await follow_words(library)
    work_off(library)
    assert [said(library, each) for each in (one, other)] == [["red car. shore"], ["red car. pier"]]


async def test_a_merge_concerns_what_carries_the_two_terms_alone(library: Library) -> None:
    one, other, third = await embedded(library, 3)
    place = term(library, "place")
    shore, beach = term(library, "shore", place), term(library, "beach", place)
    library.execute([AddTag(one.id, shore), AddTag(other.id, beach), AddTag(third.id, place)], "cli")
    await follow_words(library)
    work_off(library)
    seq = change_feed.last_seq(library.db.writer)
    await merge(library, shore, beach, "cli")
    changes = change_feed.list_since(library.db.writer, seq, 100)
    assert model_switch._blobs_of(changes, library.db.writer) == [one.blob]


async def test_a_proposal_of_a_term_that_is_called_otherwise_by_now(library: Library) -> None:
    """What was merged is found by its old name; for what was renamed the picture is looked at again."""
    clip = await received(library, "a.jpg", b"a")
    assert clip.blob is not None
    beach, shore, sea = term(library, "beach"), term(library, "shore"), term(library, "sea")
    origin = Origin("auto_tag/2", "m")
    library.perform(Suggest(clip.id, origin, [(sea, 0.9)]), "test")
    with library.db.transaction() as tx:
        job_table.enqueue(tx, clip.blob, "auto_tag", 2, 60, 0)
        job = job_table.lease(tx, ("auto_tag",), 10**18, 2 * 10**18)
    assert job is not None
    await merge(library, shore, beach, "cli")
    library.perform(RenameTerm(sea, "ocean", None), "cli")
    library.perform(FinishJob(job, {"model": "m"}, (), (), (Proposal("sea", 0.9),)), "test")
    assert [each.term for each in proposals.of_asset(library.db.writer, clip.id)] == ["ocean"], "nothing is withdrawn"
    assert job_table.states_of(library.db.writer, clip.blob)["auto_tag"][0] == "waiting"
    library.perform(FinishJob(job, {"model": "m"}, (), (), (Proposal("shore", 0.9),)), "test")
    assert [each.term for each in proposals.of_asset(library.db.writer, clip.id)] == ["beach"]
    assert job_table.states_of(library.db.writer, clip.blob)["auto_tag"][0] == "done"


async def test_what_changed_while_nobody_followed_is_caught_up_with(library: Library) -> None:
    (one,) = await embedded(library, 1)
    seq = derived.property_value(library.db.writer, "words-followed")
    library.perform(AddTag(one.id, term(library, "beach")), "test")
    assert work_off(library) == 0
    assert derived.property_value(library.db.writer, "words-followed") == seq
    await follow_words(library)
    assert work_off(library) == 1


async def test_the_same_words_are_not_embedded_again(library: Library) -> None:
    (one,) = await embedded(library, 1)
    beach = term(library, "beach")
    library.perform(AddTag(one.id, beach), "test")
    library.perform(RemoveTag(one.id, beach), "test")
    await follow_words(library)
    assert work_off(library) == 0


async def test_assets_with_the_same_bytes_speak_together(library: Library) -> None:
    one = await received(library, "red car.jpg", b"same")
    other = await received(library, "sunset.jpg", b"same")
    assert one.blob == other.blob
    library.perform(AddTag(other.id, term(library, "beach")), "test")
    work_off(library)
    assert said(library, one) == ["red car. sunset. beach"]


async def test_searches_ask_at_once_after_a_model_was_chosen(library: Library, nursery: trio.Nursery) -> None:
    """Also while the vectors of the one before go on answering: why it could not be had may be over."""
    asked = list[str]()

    async def ask(words: str) -> Vectors:
        asked.append(words)
        raise ModelUnavailable("it is missing")

    searches = library.search_turns.vectors = QueryVectors(ask, nursery, 5, space=lambda: "one")
    assert await searches.of("sea") is None
    assert await searches.of("sea") is None
    assert asked == ["sea"]
    await Models(library).answer(UseModel(NO_MODEL), lambda _: None)
    assert await searches.of("sea") is None
    assert asked == ["sea", "sea"]

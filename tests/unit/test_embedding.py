"""The processors "embedding" and "wording": what they accept, which words count, vectors of the packaged models."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from damfs.catalog.embedder import CONSE, EFFICIENTNET, MINILM, load_embedder
from damfs.core.processors.embedding import Embedding, pooled
from damfs.core.processors.moments import MOST, wanted_times
from damfs.core.processors.processor import Output, Subject, Work
from damfs.core.processors.strip import STRIP_KEY, save_strip
from damfs.core.processors.wording import PASSAGE, Wording, digest_of, passages_of
from damfs.core.words import words_of_name, words_of_text
from damfs.errors import ModelUnavailable
from damfs.model import Media

DEFAULT = {"name": "default", "threads": 1}
needs_models = pytest.mark.skipif(
    os.environ.get("DAMFS_NO_MODELS") == "1", reason="installed without models (./bootstrap --no-models)"
)


@pytest.mark.parametrize(
    ("name", "folder", "words"),
    [
        ("IMG_12 red-CarAtDusk.mov", "2024 Rome", "red Car At Dusk Rome"),
        ("MVI_0001.MOV", "22", ""),
        ("DSC01234.jpg", "", ""),
        ("interview_take_b-2.wav", "Radio", "interview take Radio"),
        ("富士山.jpg", "日本", "富士山 日本"),
        ("été à la mer.heic", "Vacances", "été à la mer Vacances"),
        ("README", "x", "README"),
        (".hidden", "", "hidden"),
    ],
)
def test_words_of_a_name(name: str, folder: str, words: str) -> None:
    assert " ".join(filter(None, (words_of_name(name), words_of_text(folder)))) == words


def test_accepts_media_unless_the_model_is_switched_off() -> None:
    for media in Media:
        wanted = Subject("a", media, 1, settings=DEFAULT)
        assert Embedding().accepts(wanted) == (media in {Media.VIDEO, Media.IMAGE})
        assert Wording().accepts(wanted) == (media is not Media.OTHER)
        for processor in (Embedding(), Wording()):
            assert not processor.accepts(Subject("a", media, 1, settings=DEFAULT | {"name": "none"}))


@pytest.mark.parametrize("processor", [Embedding(), Wording()])
def test_a_model_that_cannot_be_loaded_is_unavailable(tmp_path: Path, processor: Embedding | Wording) -> None:
    gone = {"name": str(tmp_path / "gone"), "threads": 1}
    with pytest.raises(ModelUnavailable):
        processor.run(tmp_path / "a.jpg", tmp_path, Subject("a.jpg", Media.IMAGE, 1, settings=gone))


# --- words --------------------------------------------------------------------------------------------------------


def told(**facts: object) -> Subject:
    return Subject("a.mov", Media.VIDEO, 1, {"plug-in": facts}, settings=DEFAULT, words=("red car", "beach"))


def test_the_words_of_the_whole_come_before_those_of_moments() -> None:
    speech = [{"at_ns": 9, "text": "good  bye"}, {"at_ns": 1, "text": "hello"}]
    assert passages_of(told(text=speech)) == [(None, "red car. beach. hello good bye"), (1, "hello good bye")]
    assert passages_of(told(text="a slate")) == [(None, "red car. beach. a slate")]


def test_long_speech_is_cut_into_passages_each_with_its_time() -> None:
    lines = [{"at_ns": number * 10, "text": "word " * 40} for number in range(30)]
    (_, whole), *rest = passages_of(told(text=lines))
    times = [at for at, _ in rest if at is not None]
    assert len(times) == len(rest)
    assert len(whole) <= 2_000
    assert all(len(text) <= PASSAGE + 200 for _, text in rest)
    assert times == sorted(set(times))
    assert " ".join(text for _, text in rest).split() == ["word"] * 1_200


@pytest.mark.parametrize("odd", [None, 5, {}, [None], [{"at_ns": "x", "text": "y"}], [{"text": "y"}], [[1, 2]]])
def test_text_facts_of_another_form_are_passed_over(odd: object) -> None:
    assert passages_of(told(text=odd)) == [(None, "red car. beach")]


def test_nothing_is_said_of_a_bare_number() -> None:
    assert passages_of(Subject("0001.wav", Media.AUDIO, 1, settings=DEFAULT)) == []


def test_words_are_embedded_again_when_they_changed_or_the_model_did() -> None:
    subject = told()
    space = {"id": "s1", "name": "default"}
    done = {"wording": {"digest": digest_of(passages_of(subject)), "space": space}}
    current = replace(subject, facts=done)
    assert Wording().is_current(current)
    assert not Wording().is_current(replace(current, words=("red car",)))
    assert not Wording().is_current(replace(current, settings=DEFAULT | {"name": "other"}))
    assert Wording().is_current(replace(current, settings=DEFAULT | {"space": "s1"}))
    assert not Wording().is_current(replace(current, settings=DEFAULT | {"space": "s2"})), "other weights"


@needs_models
def test_sound_is_found_by_its_words_and_a_bare_number_by_nothing(tmp_path: Path) -> None:
    spoken = Subject("interview_anna.wav", Media.AUDIO, 1, settings=DEFAULT, words=("interview anna", "Radio"))
    numbered = Subject("0001.wav", Media.AUDIO, 1, settings=DEFAULT)
    first, second = Wording().run_many([Work(tmp_path, tmp_path, each) for each in (spoken, numbered)])
    assert isinstance(first, Output)
    assert isinstance(second, Output)
    (made,) = first.embeddings
    assert made.model == MINILM
    (expected,) = load_embedder("default", 1).embed_texts(["interview anna. Radio"])
    assert np.allclose(np.frombuffer(made.vector, "<f4"), expected, atol=1e-5)
    assert second.embeddings == ()
    assert second.replaces == (MINILM,), "what was said before is said no more"
    for subject, output in ((spoken, first), (numbered, second)):
        assert Wording().is_current(replace(subject, facts={"wording": output.facts})), "not again for ever"


# --- pictures -----------------------------------------------------------------------------------------------------


@needs_models
def test_a_picture_gets_its_look_and_its_meaning(tmp_path: Path) -> None:
    poster = tmp_path / "poster.jpg"
    Image.linear_gradient("L").convert("RGB").save(poster)
    subject = Subject("sunset.jpg", Media.IMAGE, 1, renditions={"poster/jpeg": poster}, settings=DEFAULT)
    output = Embedding().run(tmp_path / "sunset.jpg", tmp_path, subject)
    made = {one.model: np.frombuffer(one.vector, dtype="<f4") for one in output.embeddings}
    assert {model: len(vector) for model, vector in made.items()} == {EFFICIENTNET: 1280, CONSE: 384}
    assert all(np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-4) for vector in made.values())
    assert output.facts["models"] == [EFFICIENTNET, CONSE]
    space = output.facts["space"]
    assert isinstance(space, dict)
    assert (space["name"], space["words"], space["visual"]) == ("default", MINILM, EFFICIENTNET)
    assert Embedding().is_current(replace(subject, facts={"embedding": output.facts}))


def clip_of(tmp_path: Path, colours: list[str]) -> Subject:
    """A clip whose poster is of the first colour, with a moment of each."""
    strip, poster = tmp_path / "moments.jpg", tmp_path / "poster.jpg"
    frames = [ImageOps.colorize(Image.radial_gradient("L"), colour, "white") for colour in colours]
    _, height = save_strip(frames, strip)
    frames[0].save(poster, quality=95)
    facts = {"moments": {"at_ns": [number * 10**9 for number in range(len(colours))], "height": height}}
    renditions = {"poster/jpeg": poster, STRIP_KEY: strip}
    return Subject("clip.mov", Media.VIDEO, 1, facts, renditions, DEFAULT)


@needs_models
def test_a_clip_gets_a_vector_for_each_moment_and_one_for_the_whole(tmp_path: Path) -> None:
    subject = clip_of(tmp_path, ["red", "green", "blue"])
    output = Embedding().run(tmp_path / "clip.mov", tmp_path, subject)
    made = {(one.model, one.at_ns): np.frombuffer(one.vector, "<f4") for one in output.embeddings}
    times = [None, 0, 10**9, 2 * 10**9]
    assert set(made) == {(model, at) for model in (EFFICIENTNET, CONSE) for at in times}
    whole = made[EFFICIENTNET, None]
    assert np.linalg.norm(whole) == pytest.approx(1.0, abs=1e-4)
    assert min(float(whole @ made[EFFICIENTNET, at]) for at in times) > 0.8, "the whole is near all of its moments"
    assert Embedding().is_current(replace(subject, facts=dict(subject.facts) | {"embedding": output.facts}))
    assert not Embedding().is_current(replace(subject, facts={"embedding": output.facts, "moments": {"at_ns": [5]}}))


@needs_models
def test_a_damaged_picture_is_the_fault_of_its_own_run_only(tmp_path: Path) -> None:
    good = clip_of(tmp_path, ["red"])
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    bad = replace(good, renditions={"poster/jpeg": broken})
    none = replace(good, renditions={})
    made = Embedding().run_many([Work(tmp_path, tmp_path, each) for each in (good, bad, none, good)])
    assert isinstance(made[1], Exception)
    whole, empty, again = made[0], made[2], made[3]
    assert isinstance(whole, Output)
    assert isinstance(empty, Output)
    assert isinstance(again, Output)
    assert empty.embeddings == ()
    vectors = [np.frombuffer(output.embeddings[0].vector, "<f4") for output in (whole, again)]
    assert np.allclose(vectors[0], vectors[1], atol=1e-4)


def test_the_whole_is_the_direction_of_the_mean() -> None:
    one, other = np.eye(2, dtype=np.float32)
    assert np.allclose(pooled([one, other]), [0.5**0.5] * 2)


def test_moments_are_the_middles_of_scenes_and_not_too_many() -> None:
    scenes = [{"start_ns": number * 10, "end_ns": number * 10 + 10, "motion": 0.1} for number in range(3)]
    assert wanted_times({"scenes": {"scenes": scenes}}) == [5, 15, 25]
    assert wanted_times({}) == []
    many = [{"start_ns": number, "end_ns": number, "motion": 0.1} for number in range(1_000)]
    assert len(wanted_times({"scenes": {"scenes": many}})) <= MOST

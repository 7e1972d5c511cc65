"""The processor "embedding": what it accepts, the words of names, and vectors made by the packaged models."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from damfs.catalog.embedder import CONSE, EFFICIENTNET, MINILM, load_embedder
from damfs.core.processors.embedding import Embedding, name_words
from damfs.core.processors.processor import Subject
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
    assert name_words(name, folder) == words


def test_accepts_media_unless_the_model_is_switched_off() -> None:
    for media in Media:
        wanted = Subject("a", media, 1, settings=DEFAULT)
        assert Embedding().accepts(wanted) == (media is not Media.OTHER)
        assert not Embedding().accepts(Subject("a", media, 1, settings=DEFAULT | {"name": "none"}))


def test_a_model_that_cannot_be_loaded_is_unavailable(tmp_path: Path) -> None:
    gone = {"name": str(tmp_path / "gone"), "threads": 1}
    with pytest.raises(ModelUnavailable):
        Embedding().run(tmp_path / "a.jpg", tmp_path, Subject("a.jpg", Media.IMAGE, 1, settings=gone))


@needs_models
def test_a_picture_gets_its_look_its_meaning_and_its_name(tmp_path: Path) -> None:
    poster = tmp_path / "poster.jpg"
    Image.linear_gradient("L").convert("RGB").save(poster)
    subject = Subject("sunset beach.mov", Media.VIDEO, 1, renditions={"poster/jpeg": poster}, settings=DEFAULT)
    output = Embedding().run(tmp_path / "holidays" / "sunset beach.mov", tmp_path, subject)
    made = {one.model: np.frombuffer(one.vector, dtype="<f4") for one in output.embeddings}
    assert {model: len(vector) for model, vector in made.items()} == {EFFICIENTNET: 1280, CONSE: 384, MINILM: 384}
    assert all(np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-4) for vector in made.values())
    assert output.facts == {"models": [EFFICIENTNET, CONSE, MINILM]}
    (expected,) = load_embedder("default", 1).embed_texts(["sunset beach holidays"])
    assert np.allclose(made[MINILM], expected, atol=1e-5)


@needs_models
def test_sound_is_found_by_its_name_and_a_bare_number_by_nothing(tmp_path: Path) -> None:
    spoken = Subject("interview_anna.wav", Media.AUDIO, 1, settings=DEFAULT)
    output = Embedding().run(tmp_path / "1" / "interview_anna.wav", tmp_path, spoken)
    assert [one.model for one in output.embeddings] == [MINILM]
    numbered = Subject("0001.wav", Media.AUDIO, 1, settings=DEFAULT)
    output = Embedding().run(tmp_path / "1" / "0001.wav", tmp_path, numbered)
    assert output.embeddings == ()
    assert output.facts == {"models": []}

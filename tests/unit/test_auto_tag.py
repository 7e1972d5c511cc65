"""The processor "auto_tag": what it accepts, when it is sure enough, and proposals of the packaged models."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.core.processors.auto_tag import CONSE_SCALE, CONTRASTIVE_SCALE, AutoTag, Scale
from damfs.core.processors.processor import Output, Subject
from damfs.model import Media

SETTINGS = {"enabled": True, "accept_above": 1.0, "name": "default", "threads": 1}
needs_models = pytest.mark.skipif(
    os.environ.get("DAMFS_NO_MODELS") == "1", reason="installed without models (./bootstrap --no-models)"
)


def settings(*terms: str, **changes: object) -> dict[str, object]:
    return {**SETTINGS, "terms": [{"name": term} for term in terms], **changes}


@pytest.fixture(scope="session")
def photos() -> dict[str, Path]:
    package = importlib.util.find_spec("sklearn")
    assert package is not None
    folder = Path(str(package.origin)).parent / "datasets" / "images"
    return {"flower": folder / "flower.jpg", "china": folder / "china.jpg"}


def tagged(poster: Path, *terms: str) -> Output:
    subject = Subject("x", Media.IMAGE, 1, renditions={"poster/jpeg": poster}, settings=settings(*terms))
    return AutoTag().run(Path("x"), Path("out"), subject)


def test_accepts_pictures_when_there_is_a_vocabulary_and_a_model() -> None:
    def accepts(media: Media, of: dict[str, object]) -> bool:
        return AutoTag().accepts(Subject("a", media, 1, settings=of))

    assert accepts(Media.IMAGE, settings("beach"))
    assert accepts(Media.VIDEO, settings("beach"))
    assert not accepts(Media.AUDIO, settings("beach"))
    assert not accepts(Media.OTHER, settings("beach"))
    assert not accepts(Media.IMAGE, settings())
    assert not accepts(Media.IMAGE, settings("beach", enabled=False))
    assert not accepts(Media.IMAGE, settings("beach", name="none"))


def test_margin_is_to_the_second_best_and_at_least_to_the_floor() -> None:
    assert CONSE_SCALE.margin([0.7, 0.9, 0.2]) == pytest.approx(0.2)
    assert CONSE_SCALE.margin([0.9]) == pytest.approx(0.9 - CONSE_SCALE.floor)
    assert CONSE_SCALE.margin([0.3, 0.1]) < 0


@pytest.mark.parametrize("scale", [CONSE_SCALE, CONTRASTIVE_SCALE])
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20))
def test_confidence_is_a_share_and_grows_with_the_margin(scale: Scale, margins: list[float]) -> None:
    confidences = [scale.confidence(margin) for margin in sorted(margins)]
    assert all(0 <= confidence <= 1 for confidence in confidences)
    assert confidences == sorted(confidences)


def test_no_poster_no_proposal() -> None:
    output = AutoTag().run(Path("x"), Path("out"), Subject("x", Media.VIDEO, 1, settings=settings("beach")))
    assert output.proposals == ()
    assert output.facts == {"reason": "there is no poster to look at"}


@needs_models
def test_the_term_that_stands_out_is_proposed(photos: dict[str, Path]) -> None:
    output = tagged(photos["flower"], "flower", "car", "tool", "temple")
    (proposal,) = output.proposals
    assert proposal.term == "flower"
    assert 0.5 < proposal.confidence < 1
    assert output.facts["model"] == "conse-minilm-1"
    assert output.facts["best"] == "flower"


@needs_models
@pytest.mark.parametrize("terms", [("car",), ("car", "musical instrument", "insurance")])
def test_nothing_is_proposed_when_no_term_fits(photos: dict[str, Path], terms: tuple[str, ...]) -> None:
    for photo in photos.values():
        assert tagged(photo, *terms).proposals == ()


@needs_models
def test_nothing_is_proposed_when_two_terms_fit_alike(photos: dict[str, Path]) -> None:
    output = tagged(photos["flower"], "flower", "flowers", "car")
    assert output.proposals == ()
    assert output.facts["best"] in {"flower", "flowers"}

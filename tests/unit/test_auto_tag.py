"""The processor "auto_tag": what it accepts, when it is sure enough, and proposals of the packaged models."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from damfs.catalog.embedder import CONSE
from damfs.core.processors.auto_tag import (
    CONSE_SCALE,
    CONTRASTIVE_SCALE,
    AutoTag,
    Scale,
    Seen,
    lineage,
    phrased,
)
from damfs.core.processors.processor import Output, Subject
from damfs.model import Media

SETTINGS = {"enabled": True, "accept_above": 1.0, "name": "default", "threads": 1}
needs_models = pytest.mark.skipif(
    os.environ.get("DAMFS_NO_MODELS") == "1", reason="installed without models (./bootstrap --no-models)"
)


def settings(*terms: str, **changes: object) -> dict[str, object]:
    return {**SETTINGS, "terms": [{"name": term} for term in terms], **changes}


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Photographs that scikit-learn carries; of the first, the part that shows the flower."""
    package = importlib.util.find_spec("sklearn")
    assert package is not None
    folder = Path(str(package.origin)).parent / "datasets" / "images"
    flower = tmp_path_factory.mktemp("photos") / "flower.jpg"
    with Image.open(folder / "flower.jpg") as whole:
        whole.crop((160, 60, 480, 380)).save(flower, quality=95)
    return {"flower": flower, "china": folder / "china.jpg"}


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


def test_the_gap_is_to_the_nearest_rival_and_at_least_to_the_floor() -> None:
    assert CONSE_SCALE.seen([0.7, 0.9, 0.2], [0.8, 0.2], 0.5) == Seen(0.9, 0.9 - 0.8, 0.5)
    assert CONSE_SCALE.seen([0.9], [], 0.5).gap == CONSE_SCALE.widest_gap
    assert CONTRASTIVE_SCALE.seen([0.25], [], 0.0).gap == pytest.approx(0.25 - CONTRASTIVE_SCALE.floor)
    assert not CONSE_SCALE.is_sure(Seen(0.99, 0.01, 1.0)), "two terms that fit alike"
    assert not CONSE_SCALE.is_sure(Seen(0.5, 0.2, 1.0)), "the only term, and it does not fit"


@pytest.mark.parametrize("scale", [CONSE_SCALE, CONTRASTIVE_SCALE])
@given(st.lists(st.tuples(*[st.floats(-1, 1)] * 3), min_size=2, max_size=20))
def test_confidence_is_a_share_and_grows_with_all_that_is_seen(
    scale: Scale, given: list[tuple[float, float, float]]
) -> None:
    ordered = [Seen(*map(min, zip(*given[position:], strict=True))) for position in range(len(given))]
    confidences = [scale.confidence(seen) for seen in ordered]
    assert all(0 <= confidence <= 1 for confidence in confidences)
    assert confidences == sorted(confidences)


def test_a_lineage_ends_also_where_it_goes_in_a_circle() -> None:
    assert lineage("dog", {"dog": "animal", "animal": ""}) == {"dog", "animal"}
    assert lineage("a", {"a": "b", "b": "a"}) == {"a", "b"}


def test_a_prompt_stands_for_its_term() -> None:
    assert phrased("beach").phrase == "a photo of a beach"
    assert phrased("work", "people at their desks") == ("work", "people at their desks", "")


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
    assert output.facts["model"] == CONSE
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


@needs_models
def test_what_is_broader_is_no_rival(photos: dict[str, Path]) -> None:
    subject = Subject(
        "x", Media.IMAGE, 1, renditions={"poster/jpeg": photos["flower"]},
        settings={**SETTINGS, "terms": [{"name": "flower", "broader": "flowers"}, {"name": "flowers"}]},
    )  # fmt: skip
    (proposal,) = AutoTag().run(Path("x"), Path("out"), subject).proposals
    assert proposal.term in {"flower", "flowers"}

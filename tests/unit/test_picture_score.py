"""Which of several pictures shows most: sharp and rich before blurred, flat, dark or bright ones."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from damfs.core.processors.picture_score import score
from tests.sample_media.pictures import SCENES, paint

SIZE = (480, 270)


def rated(picture: Image.Image) -> float:
    return score(np.asarray(picture.convert("RGB")))


def title_card() -> Image.Image:
    picture = Image.new("RGB", SIZE, "black")
    ImageDraw.Draw(picture).text((100, 100), "THE TITLE", fill="white", font_size=50)
    return picture


@pytest.mark.parametrize("colour", ["black", "white", "grey", "red"])
def test_one_colour_is_nothing(colour: str) -> None:
    assert rated(Image.new("RGB", SIZE, colour)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_what_is_worse(scene: str) -> None:
    picture = paint(scene, SIZE)
    best = rated(picture)
    worse = {
        "blurred": picture.filter(ImageFilter.GaussianBlur(3)),
        "faded out": picture.point(lambda value: value * 0.1),
        "washed out": picture.point(lambda value: 230 + value * 0.1),
        "grey": picture.convert("L"),
    }
    for name, other in worse.items():
        assert rated(other) < best, name
    assert rated(title_card()) < best / 2


def test_it_is_the_same_each_time_and_in_bounds() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    assert 0 < score(noise) == score(noise) <= 1


@pytest.mark.parametrize("shape", [(1, 1), (2, 500), (1, 90)])
def test_tiny_pictures_are_judged(shape: tuple[int, int]) -> None:
    assert score(np.full((*shape, 3), 90, np.uint8)) == pytest.approx(0, abs=1e-9)

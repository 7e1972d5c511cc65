"""One picture in another: parts, turns and shades are found, and pictures of other things are not."""

from __future__ import annotations

import pytest
from PIL import Image, ImageEnhance, ImageOps

from damfs.core.alignment import Fit, fit, prepare
from damfs.core.processors.marks import small_grey
from tests.sample_media import SCENES, paint

SIZE = (480, 320)


def fitted(one: Image.Image, other: Image.Image) -> Fit | None:
    return fit(prepare(small_grey(one)), prepare(small_grey(other)))


def surely(one: Image.Image, other: Image.Image) -> Fit:
    found = fitted(one, other)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def city() -> Image.Image:
    return paint("city", SIZE)


def test_a_picture_is_itself(city: Image.Image) -> None:
    found = surely(city, city)
    assert (found.correlation > 0.97, found.share, found.turn) == (True, 1.0, "")


def test_a_part_is_found_whichever_comes_first(city: Image.Image) -> None:
    part = city.crop((40, 30, 400, 270))
    for found in (surely(city, part), surely(part, city)):
        assert found.turn == ""
        assert abs(found.share - 0.56) < 0.12


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (Image.Transpose.FLIP_LEFT_RIGHT, "mirrored"),
        (Image.Transpose.ROTATE_90, "turned by a quarter"),
        (Image.Transpose.ROTATE_180, "upside down"),
        (Image.Transpose.ROTATE_270, "turned by a quarter"),
    ],
)
def test_turns_are_found_and_named(city: Image.Image, turn: Image.Transpose, words: str) -> None:
    assert surely(city.transpose(turn), city).turn == words


def test_shades_do_not_matter(city: Image.Image) -> None:
    for changed in (
        ImageEnhance.Brightness(city).enhance(0.6),
        ImageEnhance.Contrast(city).enhance(1.5),
        ImageOps.grayscale(city).convert("RGB"),
        city.resize((96, 64)).resize(SIZE),
    ):
        assert surely(changed, city).correlation > 0.7


def test_pictures_of_other_things_are_not_alike() -> None:
    pictures = [prepare(small_grey(paint(scene, SIZE, seed))) for scene in SCENES for seed in (1, 2)]
    pairs = [(a, b) for a in range(len(pictures)) for b in range(a) if a // 2 != b // 2]
    alike = [pair for pair in pairs if fit(pictures[pair[0]], pictures[pair[1]]) is not None]
    assert len(pairs) > 50
    assert alike == []


def test_an_empty_picture_is_like_no_other(city: Image.Image) -> None:
    for shade in (0, 128, 255):
        assert fitted(Image.new("RGB", SIZE, (shade, shade, shade)), city) is None


def test_any_shape_can_be_compared(city: Image.Image) -> None:
    for size in ((600, 20), (20, 600), (8, 8)):
        fitted(city.resize(size), city)
        fitted(city, city.resize(size))

"""look: edited copies are found again among other pictures, without any model."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from damfs.core.processors.look import LENGTH, look
from tests.sample_media import SCENES, paint

Edit = Callable[[Image.Image], Image.Image]


def recompressed(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=20)
    return Image.open(buffer).convert("RGB")


def cropped(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    return picture.crop((width // 20, height // 20, width - width // 20, height - height // 20))


def letterboxed(picture: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", (picture.width, picture.height * 4 // 3))
    canvas.paste(picture, (0, picture.height // 6))
    return canvas


EDITS: dict[str, Edit] = {
    "jpeg q20": recompressed,
    "a fifth of the size": lambda p: p.resize((p.width // 5, p.height // 5)),
    "brighter": lambda p: ImageEnhance.Brightness(p).enhance(1.4),
    "darker": lambda p: ImageEnhance.Brightness(p).enhance(0.6),
    "less contrast": lambda p: ImageEnhance.Contrast(p).enhance(0.6),
    "grey": lambda p: p.convert("L").convert("RGB"),
    "blurred": lambda p: p.filter(ImageFilter.GaussianBlur(3)),
    "cropped by a tenth": cropped,
    "letterboxed": letterboxed,
}


@pytest.fixture(scope="module")
def library() -> list[Image.Image]:
    return [paint(scene, (480, 320), seed) for scene in SCENES for seed in range(8)]


@pytest.fixture(scope="module")
def vectors(library: list[Image.Image]) -> np.ndarray:
    return np.stack([look(picture) for picture in library])


def test_unit_vectors_of_fixed_length(vectors: np.ndarray) -> None:
    assert vectors.shape[1] == LENGTH == 409
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("edit", EDITS)
def test_edited_copies_are_nearest_to_their_original(
    library: list[Image.Image], vectors: np.ndarray, edit: str
) -> None:
    found = [int(np.argmax(vectors @ look(EDITS[edit](picture)))) for picture in library]
    right = sum(number == place for place, number in enumerate(found))
    assert right / len(library) >= 0.9


def test_pictures_of_one_scene_are_nearer_than_others(vectors: np.ndarray) -> None:
    likeness = vectors @ vectors.T
    scene = np.arange(len(vectors)) // 8
    same = scene[:, None] == scene[None, :]
    alike, unlike = likeness[same & ~np.eye(len(vectors), dtype=bool)], likeness[~same]
    assert alike.mean() > unlike.mean() + 0.2


@pytest.mark.parametrize("colour", ["black", "white", "red"])
@pytest.mark.parametrize("size", [(1, 1), (3, 500), (640, 480)])
def test_flat_and_tiny_pictures(colour: str, size: tuple[int, int]) -> None:
    vector = look(Image.new("RGB", size, colour))
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_the_same_picture_gives_the_same_numbers(library: list[Image.Image]) -> None:
    assert look(library[0]).tobytes() == look(library[0].copy()).tobytes()

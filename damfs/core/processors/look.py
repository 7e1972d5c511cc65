"""The ``look`` descriptor: 409 numbers that say how a picture looks, without any model (NumPy and Pillow only).

Pure and deterministic; runs in worker processes. Finds copies that were scaled, recompressed, graded, letterboxed or
slightly cropped (tests/unit/test_look.py holds it to that); it does not know what is in the picture.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LENGTH: Final = 409
BLACK: Final = 20
"""Luma below which a row or column of the border counts as a black bar."""

Floats = NDArray[np.float64]


def look(picture: Image.Image) -> NDArray[np.float32]:
    """The descriptor of an upright RGB picture: unit length, so that the dot product is the likeness."""
    trimmed = without_bars(picture.convert("RGB"))
    ycc = trimmed.convert("YCbCr")
    luma = ycc.getchannel("Y")
    blocks = (
        (0.6, colour_layout(ycc)),
        (1.0, structure(luma)),
        (0.8, edges(luma)),
        (0.5, chroma_histogram(ycc)),
        (0.3, luma_histogram(luma)),
    )
    return unit(np.concatenate([weight * unit(block) for weight, block in blocks])).astype(np.float32)


def unit(vector: Floats) -> Floats:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else vector


def grid(image: Image.Image, side: int, resampling: Image.Resampling = Image.Resampling.BOX) -> Floats:
    return np.asarray(image.resize((side, side), resampling), dtype=np.float64)


def without_bars(picture: Image.Image) -> Image.Image:
    """Letterbox bars cut away; a picture that is dark nearly everywhere is left whole."""
    bright = picture.convert("L").point(lambda value: 255 if value > BLACK else 0)
    box = bright.getbbox()
    if box is None or (box[2] - box[0]) * 3 < picture.width or (box[3] - box[1]) * 3 < picture.height:
        return picture
    return picture.crop(box)


@cache
def cosines(size: int) -> Floats:
    """The orthonormal DCT-II matrix."""
    k, n = np.arange(size)[:, None], np.arange(size)[None, :]
    matrix = np.cos(np.pi * (2 * n + 1) * k / (2 * size)) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix)


def dct(square: Floats) -> Floats:
    matrix = cosines(square.shape[0])
    return np.asarray(matrix @ square @ matrix.T)


def corner(square: Floats, below: int) -> Floats:
    """The coefficients with row + column < ``below``, lowest frequencies first by row."""
    rows, columns = np.indices(square.shape)
    return np.asarray(square[rows + columns < below])


def colour_layout(ycc: Image.Image) -> Floats:
    """Where which colours are: 28 + 15 + 15 low frequencies of an 8x8 picture (as MPEG-7's colour layout)."""
    planes = grid(ycc, 8).transpose(2, 0, 1) / 128 - 1
    return np.concatenate([corner(dct(plane), below) for plane, below in zip(planes, (7, 5, 5), strict=True)])


def structure(luma: Image.Image) -> Floats:
    """Light and dark whatever the exposure: 143 low frequencies of the contrast-normalised luma, signed roots."""
    pixels = grid(luma, 48)
    normal = (pixels - pixels.mean()) / (pixels.std() + 1.0)
    low = dct(normal)[:12, :12].ravel()[1:]
    return np.asarray(np.sign(low) * np.sqrt(np.abs(low)))


def edges(luma: Image.Image) -> Floats:
    """8 directions of edges in each of 4x4 cells."""
    pixels = grid(luma, 96, Image.Resampling.BILINEAR)
    down, across = np.gradient(pixels)
    strength = np.hypot(across, down)
    direction = np.floor((np.arctan2(down, across) % np.pi) / np.pi * 8).astype(int) % 8
    row, column = np.indices(pixels.shape) // 24
    return np.asarray(np.sqrt(np.bincount(((row * 4 + column) * 8 + direction).ravel(), strength.ravel(), 128)))


def chroma_histogram(ycc: Image.Image) -> Floats:
    """How much of which hue: an 8x8 histogram of Cb and Cr, finest around grey."""
    planes = grid(ycc, 64, Image.Resampling.BILINEAR)[..., 1:] - 128
    curved = np.sign(planes) * np.sqrt(np.abs(planes) / 128)
    bins = np.clip(np.floor((curved + 1) * 4), 0, 7).astype(int)
    return np.asarray(np.sqrt(np.bincount((bins[..., 0] * 8 + bins[..., 1]).ravel(), minlength=64)), dtype=np.float64)


def luma_histogram(luma: Image.Image) -> Floats:
    counts = np.asarray(luma.histogram(), dtype=np.float64).reshape(16, 16).sum(axis=1)
    return np.asarray(np.sqrt(counts))

"""What pictures look like, in little: a grey thumbnail of 64 pixels, and marks of 128 bits that are equal for frames
which look the same. NumPy and Pillow only.

Pure and deterministic; runs in worker processes. A mark is which of the 128 lowest frequencies are above their median,
whatever the exposure; it tells frames of one film apart and survives scaling and recompression, not cropping.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from damfs.core.processors.look import dct, grid, without_bars

SIDE: Final = 64
"""Pixels of the longer side of the grey thumbnail (`damfs.core.alignment` is made for it)."""
MARK_BITS: Final = 128
FLAT: Final = 5.0
"""Standard deviation of grey levels below which a frame has no mark: black ones all look the same."""


def small_grey(picture: Image.Image) -> NDArray[np.uint8]:
    """Without letterbox bars, in its own proportions."""
    grey = without_bars(picture.convert("RGB")).convert("L")
    scale = SIDE / max(grey.size)
    size = (max(8, round(grey.width * scale)), max(8, round(grey.height * scale)))
    return np.asarray(grey.resize(size, Image.Resampling.BOX), dtype=np.uint8)


@cache
def lowest_frequencies() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of them, the mean left out: high ones differ as soon as the camera moves a little."""
    places = sorted((row + column, row, column) for row in range(17) for column in range(17))[1 : MARK_BITS + 1]
    return np.array([row for _, row, _ in places]), np.array([column for _, _, column in places])


def mark_of(picture: Image.Image) -> bytes | None:
    """None for a frame that shows nothing."""
    pixels = grid(without_bars(picture.convert("RGB")).convert("L"), 64)
    if pixels.std() < FLAT:
        return None
    low = dct(pixels)[lowest_frequencies()]
    return np.packbits(low > np.median(low)).tobytes()

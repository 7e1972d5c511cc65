"""What pictures look like, in little: a grey thumbnail of 64 pixels, and marks of 256 bits that are equal for frames
which look the same. NumPy and Pillow only.

Pure and deterministic; runs in worker processes. A mark is which of the 256 lowest frequencies are above their median,
whatever the exposure; it tells frames of one film apart and survives scaling and recompression, not cropping.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from damfs.core.processors.look import dct, grid, without_bars

SIDE: Final = 64
"""Pixels of the longer side of the grey thumbnail (`damfs.core.alignment` is made for it)."""
MARK_BYTES: Final = 32
FLAT: Final = 5.0
"""Standard deviation of grey levels below which a frame has no mark: black ones all look the same."""


def small_grey(picture: Image.Image) -> NDArray[np.uint8]:
    """Without letterbox bars, in its own proportions."""
    grey = without_bars(picture.convert("RGB")).convert("L")
    scale = SIDE / max(grey.size)
    size = (max(8, round(grey.width * scale)), max(8, round(grey.height * scale)))
    return np.asarray(grey.resize(size, Image.Resampling.BOX), dtype=np.uint8)


def mark_of(picture: Image.Image) -> bytes | None:
    """None for a frame that shows nothing."""
    pixels = grid(without_bars(picture.convert("RGB")).convert("L"), 64)
    if pixels.std() < FLAT:
        return None
    low = dct(pixels)[:17, :17].ravel()[1:257]
    return np.packbits(low > np.median(low)).tobytes()

"""Whether pictures are one picture encoded or scaled anew: looked at pixel by pixel, in as much detail as both have.

Runs in a program of its own (see `close_look`), because the daemon decodes nothing; reads only. Two frames of one scene
fail here: closed eyes differ by more than any encoder does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from damfs.core.processors.preview import shown_picture

LARGEST: Final = 1024
LEAST: Final = 200
"""Longer side below which too little is left to tell frames of one scene apart."""
CORRELATED: Final = 0.97
BLOCK: Final = 4
"""Pixels of the side of what is compared locally: small enough for an eye, larger than an encoder's noise."""
COLOUR_BLOCK: Final = 8
"""The same of colours, which encoders keep in less detail."""
LOCAL: Final = 16.0
"""Difference of the means of a block, in levels of a channel, above which something else is shown there."""
UNSURE: Final = "it cannot be compared closely"


def objection(one: Image.Image, other: Image.Image) -> str | None:
    """Why the pictures may not be one and the same; None where nothing says so. Pure."""
    small, large = sorted((one, other), key=lambda picture: picture.width * picture.height)
    if abs(small.width * large.height - small.height * large.width) > 1.5 * max(large.size):
        return "another shape"
    scale = min(1.0, LARGEST / max(small.size))
    size = (round(small.width * scale), round(small.height * scale))
    if max(size) < LEAST or min(size) < COLOUR_BLOCK:
        return "too small to be sure"
    pixels = [_pixels(picture, size) for picture in (small, large)]
    light = [each[..., 0] for each in pixels]
    if min(float(each.std()) for each in light) < 1:
        return "too little is shown to be sure"
    if np.corrcoef(light[0].ravel(), light[1].ravel())[0, 1] < CORRELATED:
        return "not the same closely looked at"
    rest = pixels[0] - pixels[1]
    local = max(_largest_mean(rest[..., :1], BLOCK), _largest_mean(rest[..., 1:], COLOUR_BLOCK))
    return "a part of it differs" if local > LOCAL else None


def _pixels(picture: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).convert("YCbCr"), np.float32)


def _largest_mean(rest: NDArray[np.float32], side: int) -> float:
    """Of all squares of that side, so that nothing hides between two of them."""
    sums = np.pad(rest.astype(np.float64), ((1, 0), (1, 0), (0, 0))).cumsum(0).cumsum(1)
    squares = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return float(np.abs(squares).max()) / side**2


def objections(kept: tuple[str, str], others: list[tuple[str, str]]) -> list[str | None]:
    """Of files, each as its name and where it lies."""
    whole = _shown(kept)
    found = (None if whole is None else _shown(other) for other in others)
    return [UNSURE if whole is None or picture is None else objection(whole, picture) for picture in found]


def _shown(file: tuple[str, str]) -> Image.Image | None:
    name, path = file
    try:
        return shown_picture(Path(path), name).picture
    except Exception:  # noqa: BLE001 - decoders raise anything; what cannot be decoded is no evidence
        return None

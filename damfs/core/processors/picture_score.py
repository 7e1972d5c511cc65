"""How much there is to see in a picture: a number by which the frames of a clip are compared. Pure.

From 0 (black, white, one flat colour) to 1 (well exposed, rich in contrast and detail, sharp, in colour).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIZE = 480
"""Longest side at which pictures are judged: smaller, and a blurred one looks sharp."""
DARK, BRIGHT = 0.15, 0.1
"""Distance from black and from white that is enough."""
CONTRAST = 0.15
DETAIL = 0.001
"""Variance of the Laplacian that counts as half sharp."""
LEVELS = 32
VARIETY = 0.6
"""Share of the brightness levels' entropy that is enough: a title card has nearly all of its pixels in two of them."""
COLOUR = 40.0
"""Of Hasler and Süsstrunk's measure: "moderately colourful"."""
LUMA = np.array([0.299, 0.587, 0.114])

Floats = NDArray[np.float64]


def score(rgb: NDArray[np.uint8]) -> float:
    """Of a picture of about SIZE, as rows of red, green and blue."""
    pixels = rgb.astype(np.float64)
    luma = pixels @ LUMA / 255
    exposed = exposure(float(luma.mean())) * min(1.0, float(luma.std()) / CONTRAST)
    detailed = (0.3 + 0.7 * sharpness(luma)) * (0.2 + 0.8 * min(1.0, variety(luma) / VARIETY))
    return exposed * detailed * (0.85 + 0.15 * min(1.0, colourfulness(pixels) / COLOUR))


def exposure(mean: float) -> float:
    return min(1.0, mean / DARK) * min(1.0, (1 - mean) / BRIGHT)


def sharpness(luma: Floats) -> float:
    """0..1 by the variance of the Laplacian; never quite 1, so that the sharper of two sharp pictures is known."""
    if min(luma.shape) < 3:
        return 0.0
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    detail = float((around - 4 * luma[1:-1, 1:-1]).var())
    return detail / (detail + DETAIL)


def variety(luma: Floats) -> float:
    """0..1: how evenly the levels of brightness are used."""
    counts = np.histogram(luma, bins=LEVELS, range=(0.0, 1.0))[0]
    shares = counts[counts > 0] / max(1, luma.size)
    return abs(float((shares * np.log2(shares)).sum())) / float(np.log2(LEVELS))


def colourfulness(pixels: Floats) -> float:
    """Hasler and Süsstrunk 2003: 0 is grey, 109 extremely colourful."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    across, along = red - green, (red + green) / 2 - blue
    return float(np.hypot(across.std(), along.std()) + 0.3 * np.hypot(across.mean(), along.mean()))

"""Whether one small grey picture shows (a part of) the same as another: how it lies in it, and how well it fits. Pure.

NumPy only; some milliseconds a pair, for threads. One is tried at every place of the other, in several scales, mirrored
and turned, by correlation of what is left of both when shades are taken away: brightness, contrast and colour do not
matter, and smooth skies do not count as alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

SIDE: Final = 64
"""Pixels of the longer side of a small picture."""
COARSE: Final = 32
SCALES: Final = tuple(0.45 * (1 / 0.45) ** (step / 9) for step in range(10))
"""Longer sides of the part, as shares of that of the whole."""
TURNS: Final = ("", "mirrored", "turned by a quarter", "upside down", "turned by a quarter")
GOOD: Final = 0.58
"""Correlation from which two pictures count as the same (see tests/bench/doubling.py)."""
PLAIN_GOOD: Final = 0.82
"""The same where there is little to compare: outlines and cut-outs before an empty ground are alike in shape alone."""
RICH: Final = 0.35
"""Share of a picture that has to show some detail, so that `GOOD` will do."""
PROMISING: Final = 0.45
"""The same in little, from which it is worth looking closely."""
SLACK: Final = 0.08
"""A part has to fit better than the whole does by so much, to count as a part."""
LEAST_SHARE: Final = 0.2
"""Of the area of one picture that the other has to show."""
STRIPES: Final = 0.8
"""How much of what whole rows and columns have in common is taken away: horizons are alike everywhere."""
DETAIL: Final = 6.0
"""Contrast below which what is left is noise, in grey levels."""

Floats = NDArray[np.float32]
Small = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Fit:
    """``share``: of the larger one's area that the smaller one shows."""

    correlation: float
    share: float
    turn: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """A picture as a part: its shape in some scale and turn, and its spectrum."""

    shape: tuple[int, int]
    turn: int
    scale: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture, worked up to be compared with many."""

    picture: Small
    spectrum: NDArray[np.complex64]
    sums: NDArray[np.float64]
    shape: tuple[int, int]
    patterns: tuple[Pattern, ...]
    spectra: NDArray[np.complex64]


def prepare(picture: Small) -> Prepared:
    """``picture``: its longer side is `SIDE` pixels."""
    steps = tuple((turn, scale) for turn in range(len(TURNS)) for scale in SCALES)
    return _prepared(_resized(picture, *_sides(picture, COARSE)), COARSE, picture, steps)


def fit(one: Prepared, other: Prepared) -> Fit | None:
    """The best way in which one lies in the other, or the other in it; None where neither does."""
    coarse, part, whole = max(
        ((_best(part, whole), part, whole) for part, whole in ((one, other), (other, one))),
        key=lambda found: found[0][0],
    )
    correlation, pattern = coarse
    if correlation < PROMISING or pattern is None:
        return None
    near = tuple((pattern.turn, pattern.scale * step) for step in (0.93, 0.97, 1.0, 1.03, 1.07))
    fine, found = _best(
        _prepared(part.picture, SIDE, part.picture, near), _prepared(whole.picture, SIDE, whole.picture, ())
    )
    needed = GOOD if min(_richness(part.picture), _richness(whole.picture)) >= RICH else PLAIN_GOOD
    if found is None or fine < needed:
        return None
    whole_fits, entire = _best(
        _prepared(part.picture, SIDE, part.picture, ((found.turn, 1.0),)),
        _prepared(whole.picture, SIDE, whole.picture, ()),
    )
    if entire is not None and whole_fits > fine - SLACK:
        fine, found = whole_fits, entire
    area = (found.shape[0] * found.shape[1]) / (whole.picture.shape[0] * whole.picture.shape[1])
    if area < LEAST_SHARE:
        return None
    return Fit(round(fine, 3), round(min(1.0, area), 3), TURNS[found.turn])


def _prepared(field: Small, side: int, picture: Small, steps: tuple[tuple[int, float], ...]) -> Prepared:
    """As a whole in the size of ``field``, and as a part in each of these turns and scales."""
    size = 2 * side
    flat = _flattened(field)
    squares = np.zeros((flat.shape[0] + 1, flat.shape[1] + 1))
    squares[1:, 1:] = (flat.astype(np.float64) ** 2).cumsum(0).cumsum(1)
    patterns, patches = [], np.zeros((len(steps), size, size), np.float32)
    for index, (turn, scale) in enumerate(steps):
        turned = _turned(picture, turn)
        height, width = _sides(turned, max(8, round(side * min(1.0, scale))))
        patch = _flattened(_resized(turned, height, width))
        patch -= patch.mean()
        patches[index, :height, :width] = patch / max(float(np.linalg.norm(patch)), 1e-3)
        patterns.append(Pattern((height, width), turn, scale))
    spectra = np.conj(np.fft.rfft2(patches)) if patterns else np.zeros((0, size, side + 1), np.complex64)
    return Prepared(
        picture, np.fft.rfft2(flat, (size, size)).astype(np.complex64), squares, (flat.shape[0], flat.shape[1]),
        tuple(patterns), spectra.astype(np.complex64),
    )  # fmt: skip


def _best(part: Prepared, whole: Prepared) -> tuple[float, Pattern | None]:
    """The best place of any pattern of the part within the whole, which it must not leave by more than a pixel."""
    height, width = whole.shape
    fitting = [i for i, each in enumerate(part.patterns) if each.shape[0] <= height + 1 and each.shape[1] <= width + 1]
    if not fitting:
        return 0.0, None
    size = whole.spectrum.shape[0]
    cross = np.fft.irfft2(whole.spectrum * part.spectra[fitting], (size, size))
    best: tuple[float, Pattern | None] = (0.0, None)
    for index, field in zip(fitting, cross, strict=True):
        pattern = part.patterns[index]
        rows, columns = max(1, height - pattern.shape[0] + 1), max(1, width - pattern.shape[1] + 1)
        over = _window_energy(whole.sums, pattern.shape, rows, columns)
        found = float((field[:rows, :columns] / over).max())
        if found > best[0]:
            best = (found, pattern)
    return best


def _window_energy(sums: NDArray[np.float64], shape: tuple[int, int], rows: int, columns: int) -> NDArray[np.float64]:
    """Of what lies under the part at each of its places; what has no detail counts as if it had a little."""
    high, wide = min(shape[0], sums.shape[0] - 1), min(shape[1], sums.shape[1] - 1)
    total = (
        sums[high : high + rows, wide : wide + columns] - sums[:rows, wide : wide + columns]
        - sums[high : high + rows, :columns] + sums[:rows, :columns]
    )  # fmt: skip
    return np.asarray(np.sqrt(np.maximum(total, 0.02 * high * wide)))


def _richness(picture: Small) -> float:
    pixels = np.asarray(picture, np.float32)
    rest = pixels - _blurred(pixels)
    return float((np.sqrt(_blurred(rest * rest)) > DETAIL).mean())


def _flattened(picture: Small) -> Floats:
    """What is left when the shades of the surroundings are taken away, equally strong everywhere."""
    pixels = np.asarray(picture, np.float32)
    rest = pixels - _blurred(pixels)
    flat = rest / (np.sqrt(_blurred(rest * rest)) + DETAIL)
    flat -= STRIPES * (flat.mean(axis=0, keepdims=True) + flat.mean(axis=1, keepdims=True))
    return np.asarray(flat, np.float32)


def _blurred(pixels: Floats) -> Floats:
    """Twice a running mean each way; at the borders of what there is."""
    rows, columns = (_means(length, max(2, max(pixels.shape) // 10)) for length in pixels.shape)
    return np.asarray(rows @ pixels @ columns.T, np.float32)


@cache
def _means(length: int, radius: int) -> Floats:
    """A matrix that takes running means of a line."""
    places = np.arange(length)
    near = (np.abs(places[:, None] - places[None, :]) <= radius).astype(np.float32)
    return np.asarray(near / near.sum(axis=1, keepdims=True), np.float32)


def _turned(picture: Small, turn: int) -> Small:
    if turn == 1:
        return picture[:, ::-1]
    return np.rot90(picture, {0: 0, 2: 1, 3: 2, 4: 3}[turn])


def _sides(picture: Small, longest: int) -> tuple[int, int]:
    height, width = (max(4, round(side * longest / max(picture.shape))) for side in picture.shape)
    return height, width


def _resized(picture: Small, height: int, width: int) -> Small:
    """By areas where it shrinks, between neighbours where it grows."""
    rows, columns = _weights(picture.shape[0], height), _weights(picture.shape[1], width)
    return np.asarray(np.rint(rows @ picture.astype(np.float32) @ columns.T), np.uint8)


@cache
def _weights(length: int, wanted: int) -> Floats:
    """A matrix that resamples a line: a triangle as wide as the step."""
    step = length / wanted
    centres = (np.arange(wanted) + 0.5) * step - 0.5
    reach = max(1.0, step)
    found = np.maximum(0, 1 - np.abs(np.arange(length)[None, :] - centres[:, None]) / reach)
    return np.asarray(found / found.sum(axis=1, keepdims=True), np.float32)

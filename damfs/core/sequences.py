"""Whether one clip is (a part of) another: marks of moments are compared; each pair that agrees votes for an offset.

Pure; NumPy only, for threads. Finds clips that were encoded anew, scaled, or cut at either end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BITS: Final = 128
AGREE: Final = 34
"""Bits by which marks of the same moment differ at most; of unrelated ones half of all differ, give or take 6."""
NEAR_MS: Final = 600
"""Moments of two clips that were looked at are so far apart at most, where the clips run together."""
ENOUGH: Final = 0.6
"""Share of the moments that both have which must agree."""
APART_MS: Final = 2_000
"""Moments so far apart look different in a film in which something happens."""
STILL: Final = 0.8
"""Share of the moments that far apart which agree all the same, from which where they lie says nothing."""
BANDS: Final = 8
BAND_MOMENTS: Final = 60


@dataclass(frozen=True, slots=True)
class Sequence:
    """Marks of a clip (rows of 16 bytes) and when they were taken."""

    marks: NDArray[np.uint8]
    times_ms: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Overlap:
    """``offset_ms``: where the first clip begins in the second. ``share``: of the shorter one that both show;
    ``bits``: by which moments that agree differ, on average. ``is_placed``: whether they run together there and nowhere
    else; of clips in which little moves nobody can say that, and another take of the same view looks the same."""

    offset_ms: int
    share: float
    bits: float
    is_placed: bool


def sequence(marks: bytes, times_ms: list[int]) -> Sequence:
    """Raises ValueError when both do not belong together."""
    rows = np.frombuffer(marks, np.uint8).reshape(-1, BITS // 8)
    if len(rows) != len(times_ms):
        raise ValueError("as many times as marks")
    return Sequence(rows, np.array(times_ms, np.int64))


def overlap(one: Sequence, other: Sequence) -> Overlap | None:
    """None where they do not run together anywhere."""
    if not len(one.marks) or not len(other.marks):
        return None
    differ = np.bitwise_count(one.marks[:, None, :] ^ other.marks[None, :, :]).sum(axis=2, dtype=np.int32)
    rows, columns = np.nonzero(differ <= AGREE)
    if not len(rows):
        return None
    offsets = other.times_ms[columns] - one.times_ms[rows]
    best = max(
        (_agreement(one, other, differ, int(offset)) for offset in _popular(offsets)), key=lambda found: found[0]
    )
    return best[1]


def _popular(offsets: NDArray[np.int64]) -> list[int]:
    """The middles of the eight half seconds with the most votes."""
    bins, counts = np.unique(offsets // 500, return_counts=True)
    return [int(bins[index]) * 500 + 250 for index in np.argsort(-counts, kind="stable")[:8]]


def _agreement(
    one: Sequence, other: Sequence, differ: NDArray[np.int32], offset_ms: int
) -> tuple[float, Overlap | None]:
    """How much they agree when the first begins there in the second."""
    near = np.abs(one.times_ms[:, None] + offset_ms - other.times_ms[None, :]) <= NEAR_MS
    both = near.any(axis=1)
    moments = int(both.sum())
    if moments < min(2, len(one.marks), len(other.marks)):
        return 0.0, None
    closest = np.where(near, differ, BITS).min(axis=1)[both]
    agreeing = closest <= AGREE
    looked_at = moments / min(len(one.marks), len(other.marks))
    if agreeing.mean() < ENOUGH or (looked_at < 0.5 and agreeing.sum() < 6):
        return 0.0, None
    bits = round(float(closest[agreeing].mean()), 1)
    found = Overlap(offset_ms, round(_share(one, other, offset_ms), 2), bits, _is_placed(one, other, differ, offset_ms))
    return float(agreeing.sum()) * (1 - found.bits / BITS), found


def _share(one: Sequence, other: Sequence, offset_ms: int) -> float:
    """By time: of a long film few moments were looked at. To the nearest moments at both ends."""
    ends = [(int(each.times_ms[0]), int(each.times_ms[-1])) for each in (one, other)]
    shorter = min(end - begin for begin, end in ends)
    common = min(ends[0][1] + offset_ms, ends[1][1]) - max(ends[0][0] + offset_ms, ends[1][0])
    return min(1.0, (common + NEAR_MS) / shorter) if shorter > 0 else 1.0


def _is_placed(one: Sequence, other: Sequence, differ: NDArray[np.int32], offset_ms: int) -> bool:
    """Whether moments that do not lie beside each other look different; too short a clip has none that could."""
    apart = np.abs(one.times_ms[:, None] + offset_ms - other.times_ms[None, :]) >= APART_MS
    return not apart.any() or float((differ[apart] <= AGREE).mean()) < STILL


def band_values(clip: Sequence, moments: int | None = None) -> list[int]:
    """Keys under which a clip is found by others that have a moment in common: eight parts of sixteen bits of each
    mark. ``moments``: of so many at most, spread over it."""
    rows = clip.marks
    if moments is not None and len(rows) > moments:
        rows = rows[np.linspace(0, len(rows) - 1, moments).round().astype(int)]
    parts = np.ascontiguousarray(rows[:, : BANDS * 2]).view("<u2").reshape(-1, BANDS).astype(np.int64)
    return [int(value) for value in np.unique(parts + (np.arange(BANDS, dtype=np.int64) << 16)[None, :])]

"""Whether two clips show the same take, frame by frame, and sound alike: the judgement over pixels and loudness. Pure.

NumPy only. Two takes of one scene may look alike at any moment; but no single offset makes all their movements meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""Rows, columns, Y Cb Cr."""

SECOND_NS: Final = 1_000_000_000
MORE: Final = "it shows more than the other"
NO_SOUND: Final = "its sound is in no other"
APART_NS: Final = 150_000_000
"""Frames this far from the nearest one tell whether anything moves there."""
DISTINCT, DISTINCT_LEVELS = 1.5, 0.7
"""By how much worse those must fit before the place of the nearest means anything: a factor and levels of grey."""
ENOUGH_MOMENTS: Final = 3
MEET_NS: Final = 60_000_000
"""So far may the places that moments ask for lie from each other: a frame and a half at 25 a second."""
MEETING: Final = 0.75
"""Share of the moments at which they must."""
BLOCK: Final = 8
LOCAL, LASTING = 48.0, 16.0
"""Levels by which the mean of a square may differ in one frame, and in the mean of all frames."""
CORRELATED: Final = 0.85
FLAT: Final = 5.0
BINS_PER_S: Final = 50
SLIDE: Final = 5
"""Bins that sound may lie beside the pictures."""
ALIKE: Final = 0.8
FLAT_DB: Final = 1.0
QUIET_DB: Final = -60.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the kept film a frame of the other lies: how much later than thought, and whether that is certain."""

    later_ns: int
    is_distinct: bool


def place_of(frame: Picture, around: Sequence[tuple[int, Picture]], expected_ns: int) -> Place | None:
    """``around``: frames of the kept film with their times. None where there are too few to say anything."""
    if len(around) < 3:
        return None
    far = np.array([_distance(frame, each) for _, each in around])
    times = np.array([at_ns for at_ns, _ in around])
    nearest = int(far.argmin())
    beside = far[np.abs(times - times[nearest]) >= APART_NS]
    distinct = len(beside) > 0 and float(np.quantile(beside, 0.1)) > DISTINCT * far[nearest] + DISTINCT_LEVELS
    return Place(int(times[nearest]) - expected_ns, bool(distinct))


def common_place(places: Sequence[Place]) -> tuple[int, str | None]:
    """How much later than thought the film lies, and why that may be wrong."""
    distinct = np.array([each.later_ns for each in places if each.is_distinct])
    if len(distinct) < ENOUGH_MOMENTS:
        return 0, "too little moves in it to be sure"
    middle = int(np.median(distinct))
    meeting = np.abs(distinct - middle) <= MEET_NS
    if meeting.mean() < MEETING:
        return middle, "another take: its movements do not meet"
    return int(np.median(distinct[meeting])), None


class Residue:
    """What is left between frames that should be one, frame after frame."""

    def __init__(self) -> None:
        self._sum: NDArray[np.float64] | None = None
        self._frames = 0

    def add(self, frame: Picture, around: Sequence[tuple[int, Picture]]) -> str | None:
        """Why it is in none of the frames of the kept film that lie there."""
        if not around:
            return MORE
        nearest = min((each for _, each in around), key=lambda each: _distance(frame, each))
        rest = frame.astype(np.float64) - nearest
        if _largest(rest) > LOCAL or not _correlated(frame, nearest):
            return "a moment of it shows something else"
        self._sum = rest if self._sum is None else self._sum + rest
        self._frames += 1
        return None

    def lasting(self) -> str | None:
        """What differs a little in every frame: a caption, a logo, other colours."""
        if self._sum is None:
            return "nothing of it could be compared"
        return "a part of it differs throughout" if _largest(self._sum / self._frames) > LASTING else None


def _distance(one: Picture, other: Picture) -> float:
    return float(np.abs(one[..., 0].astype(np.int16) - other[..., 0]).mean())


def _correlated(one: Picture, other: Picture) -> bool:
    light = [each[..., 0].ravel().astype(np.float64) for each in (one, other)]
    if min(float(each.std()) for each in light) < FLAT:
        return True  # black, or fog: what differs in it is seen by its squares
    return float(np.corrcoef(light[0], light[1])[0, 1]) >= CORRELATED


def _largest(rest: NDArray[np.float64]) -> float:
    """Of the means of all squares."""
    sums = np.pad(rest, ((1, 0), (1, 0), (0, 0))).cumsum(0).cumsum(1)
    side = min(BLOCK, *rest.shape[:2])
    squares = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return float(np.abs(squares).max() / side**2)


def sound_objection(other: NDArray[np.float64], kept: NDArray[np.float64], begins_ns: int) -> str | None:
    """``other``, ``kept``: loudness in dB, `BINS_PER_S` a second; the first begins there in the second. None where
    nothing speaks against it, also where it is silent or as loud throughout: then it tells nothing."""
    if not len(other) or float(other.max()) < QUIET_DB:
        return None
    if not len(kept) or float(kept.max()) < QUIET_DB:
        return NO_SOUND
    first = round(begins_ns * BINS_PER_S / SECOND_NS)
    if float(other.std()) < FLAT_DB:
        return None
    best = max(_correlation(other, kept, first + slide) for slide in range(-SLIDE, SLIDE + 1))
    return None if best >= ALIKE else "another sound"


def _correlation(other: NDArray[np.float64], kept: NDArray[np.float64], first: int) -> float:
    ours, theirs = other[max(0, -first) :], kept[max(0, first) :]
    common = min(len(ours), len(theirs))
    if common < BINS_PER_S // 2 or common < 0.8 * len(other):
        return 0.0
    ours, theirs = ours[:common], theirs[:common]
    if min(float(ours.std()), float(theirs.std())) == 0:
        return 0.0
    return float(np.corrcoef(ours, theirs)[0, 1])

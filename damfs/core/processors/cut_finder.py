"""Which of a clip's frames begin a scene: a second look at what a fixed threshold misses, and at what it takes for one.

Pure; NumPy only. Keeps a few small pictures. Between two dark scenes hardly a level changes, but nearly all that there
is to be seen: so each difference is measured by the contrast of its pictures, and beside those of the frames around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from damfs.core.processors.scene_list import Difference

Plane = NDArray[np.float32]
AROUND = 4
"""Frames before and after: motion lasts for some of them, a cut is one step."""
STANDS_OUT = 0.3
"""Contrasts by which a cut changes more than any frame around it; motion of real clips stayed below 0.1."""
NOISE = 1.0
"""Levels of grey: contrast of a picture in which there is none."""
LEAST = 0.7
"""Levels that must change; the noise of encoders stays below."""
UNLIKE = 0.7
"""Correlation above which it is the same picture, brighter or darker: a lamp, or the exposure of a camera."""
BACK = 0.35
"""Of the difference: what is left of it when the picture comes back, as after a flash."""


@dataclass(frozen=True, slots=True)
class Look:
    """A frame. ``percent``: see Difference; ``said``: a cut by the threshold. ``light``: means of its squares."""

    at_ns: int
    percent: float
    said: bool
    light: Plane


class CutFinder:
    """Frames go in by `add`, in order of their times, and come out some later; `rest` is what is left."""

    def __init__(self) -> None:
        self._looks: list[Look] = []
        self._changes: list[float] = []
        """Of each look to the one before."""
        self._next = 0

    def add(self, look: Look) -> Iterator[Difference]:
        self._changes.append(change(self._looks[-1].light, look.light) if self._looks else 0.0)
        self._looks.append(look)
        if len(self._looks) - self._next > AROUND:
            yield self._judged()
        if self._next > AROUND + 1:
            del self._looks[0], self._changes[0]
            self._next -= 1

    def rest(self) -> Iterator[Difference]:
        while self._next < len(self._looks):
            yield self._judged()

    def _judged(self) -> Difference:
        at, look = self._next, self._looks[self._next]
        self._next += 1
        is_cut = at > 0 and (look.said or self._stands_out(at)) and not self._comes_back(at)
        return Difference(look.at_ns, look.percent, is_cut)

    def _stands_out(self, at: int) -> bool:
        before, now = self._looks[at - 1].light, self._looks[at].light
        beside = max([*self._changes[max(0, at - AROUND) : at], *self._changes[at + 1 : at + 1 + AROUND]], default=0.0)
        if self._changes[at] - beside < STANDS_OUT:
            return False
        return float(np.abs(now - before).mean()) >= LEAST and correlation(before, now) < UNLIKE

    def _comes_back(self, at: int) -> bool:
        before, most = self._looks[at - 1].light, BACK * self._changes[at]
        return any(change(before, later.light) < most for later in self._looks[at + 1 : at + 1 + AROUND])


def change(before: Plane, now: Plane) -> float:
    """Mean difference, in contrasts: about 1 between pictures that have nothing in common, however dark both are."""
    contrast = (float(before.std()) + float(now.std())) / 2
    return float(np.abs(now - before).mean()) / (contrast + NOISE)


def correlation(before: Plane, now: Plane) -> float:
    """Of what is seen in them; 0 where one of both shows nothing."""
    one, other = before - before.mean(), now - now.mean()
    spread = float(np.sqrt((one**2).mean() * (other**2).mean()))
    return float((one * other).mean()) / spread if spread > NOISE / 4 else 0.0

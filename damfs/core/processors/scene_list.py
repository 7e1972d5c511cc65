"""Scenes out of a stream of frame differences: where one ends and the next begins, and how much moves in each. Pure.

Keeps one scene in hand, whatever the length of the clip; the list itself is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

CLOSEST_NS = 200_000_000
"""Cuts that follow each other faster are one: a flash, or a dissolve of which the filter sees several frames."""
MOST = 2_000
"""Scenes kept; the last one takes what is left of a clip that flickers."""
USUAL_STEP_NS = 40_000_000
"""What differences are reckoned to: at 50 frames a second the same movement shows half as much in each."""
HALF_MOTION = 4.0
"""Mean difference (percent of full brightness) that counts as a motion of one half."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One frame against the one before. ``percent``: mean absolute difference of its luma."""

    at_ns: int
    percent: float
    cut: bool


@dataclass(frozen=True, slots=True)
class Scene:
    start_ns: int
    end_ns: int
    motion: float
    """0: nothing moves; towards 1: everything does."""

    def facts(self) -> dict[str, object]:
        return {"start_ns": self.start_ns, "end_ns": self.end_ns, "motion": round(self.motion, 3)}


@dataclass(slots=True)
class SceneList:
    """Differences go in by `add`, in order of their times; `closed` is the list."""

    done: list[Scene] = field(default_factory=list)
    frames: int = 0
    _start_ns: int = 0
    _last_ns: int = 0
    _step_ns: int = USUAL_STEP_NS
    _cut_ns: int | None = None
    _sum: float = 0.0
    _count: int = 0

    def add(self, each: Difference) -> None:
        if each.at_ns < self._last_ns:  # times that jump back: this frame is shown when the last one is
            each = replace(each, at_ns=self._last_ns)
        step = each.at_ns - self._last_ns
        self.frames += 1
        if self.frames > 1 and step > 0:
            self._step_ns = step
        if each.cut and self._is_new(each.at_ns):
            self.done.append(self._scene(each.at_ns))
            self._start_ns, self._sum, self._count = each.at_ns, 0.0, 0
        elif self.frames > 1 and step > 0 and not each.cut:
            self._sum += each.percent * USUAL_STEP_NS / step
            self._count += 1
        if each.cut:
            self._cut_ns = each.at_ns
        self._last_ns = each.at_ns

    def closed(self) -> list[Scene]:
        """All scenes of the frames so far, one after the other without a gap; none where there was no frame."""
        return [*self.done, self._scene(self._last_ns + self._step_ns)] if self.frames else []

    def _is_new(self, at_ns: int) -> bool:
        beside = self._cut_ns if self._cut_ns is not None else self._start_ns
        return at_ns - beside >= CLOSEST_NS and len(self.done) < MOST - 1

    def _scene(self, end_ns: int) -> Scene:
        mean = self._sum / self._count if self._count else 0.0
        return Scene(self._start_ns, end_ns, mean / (mean + HALF_MOTION))

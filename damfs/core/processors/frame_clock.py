"""Times of a proxy's frames: the source's own, from 0 on, strictly rising; and what there was to mend in them. Pure.

Runs in worker processes only (imports av).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from av.video.frame import VideoFrame

from damfs.core.processors.proxy_plan import Plan


@dataclass(slots=True)
class Readings:
    """What the source's own times were like, in frames."""

    untimed: int = 0
    """Without a time."""
    backward: int = 0
    """Not shown after the frame before them."""
    restarts: int = 0
    """At which the clock was reset, as where streams were cut together."""


class Clock:
    """Times of the proxy's frames: the source's from 0 on, strictly rising, in the proxy's time base."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.shift = Fraction(0)
        self.next = 0
        self.last = -1
        self.readings = Readings()

    def place(self, frame: VideoFrame) -> tuple[int, int]:
        """Time and duration of the next frame. One without a time, or before its predecessor, follows that directly."""
        base = self.plan.time_base
        source_base = frame.time_base or base
        lasts = frame.duration * source_base if frame.duration else 1 / self.plan.rate
        duration = max(1, round(lasts / base))
        at = self.next if frame.pts is None else round((frame.pts * source_base - self.plan.origin + self.shift) / base)
        self.readings.untimed += frame.pts is None
        if (at - self.last) * base < -1:
            self.readings.restarts += 1
            self.shift += (self.next - at) * base
            at = self.next
        self.readings.backward += at <= self.last
        at = max(at, self.last + 1)
        self.last, self.next = at, at + duration
        return at, duration

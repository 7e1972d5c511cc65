"""Whether a spliced piece is what it should be: decoded whole, and compared with its source around the cuts.

Runs in worker processes only (imports av). Every frame must come out at its own time and without an error; copied ones
must be the source's to the bit, encoded ones hardly to be told from it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from damfs.core.processors import media, pieces
from damfs.core.processors.splice import Spliced, frames_shown
from damfs.core.processors.splice_plan import NotSplicable

BESIDE = 24
"""Copied frames beside a seam that are compared: what a bad seam breaks, it breaks there."""
LEAST_DB = 34.0
"""Peak signal-to-noise ratio of the luma of an encoded frame, at least; 40 and more are usual."""
MOST_THREADS = 4
Report = Callable[[float], None]
Plane = NDArray[np.unsignedinteger[Any]]


def prove(source: Path, target: Path, name: str, made: Spliced, report: Report = lambda _: None) -> None:
    """Raises NotSplicable with what is wrong with it."""
    plan, damage, seen = made.plan, media.Damage(), 0
    with media.opened(source, name) as original, media.opened(target, name) as piece:
        picture, ours = media.picture_stream(original), media.picture_stream(piece)
        if picture is None or ours is None:
            raise NotSplicable("the joined piece has no pictures")
        for stream in (picture, ours):
            media.use_threads(stream, min(MOST_THREADS, len(os.sched_getaffinity(0))), by_frame=True)
        theirs = compared(original, picture, made)
        awaited = next(theirs, None)
        for _, frame in media.decoded(piece, pieces.streams_of(piece), damage):
            if not isinstance(frame, VideoFrame):
                continue
            check_time(frame, seen, made, picture)
            if awaited is not None and awaited[0] == seen:
                check_picture(awaited[1], frame, copied=is_copied(made, seen))
                awaited = next(theirs, None)
            seen += 1
            report(seen / len(plan.shown))
    if damage.errors or seen != len(plan.shown) or awaited is not None:
        told = f", {damage.first}" if damage.errors else ""
        raise NotSplicable(f"the joined piece did not decode: {seen} of {len(plan.shown)} frames{told}")


def is_copied(made: Spliced, number: int) -> bool:
    plan = made.plan
    return len(plan.head) <= number < len(plan.shown) - len(plan.tail)


def compared(container: InputContainer, picture: VideoStream, made: Spliced) -> Iterator[tuple[int, VideoFrame]]:
    """The source's frames at the beginning and the end, by their number in the piece."""
    plan = made.plan
    count = len(plan.shown)
    early = min(count, len(plan.head) + BESIDE)
    late = max(early, count - len(plan.tail) - BESIDE)
    for begin, end in ((0, early), (late, count)):
        yield from enumerate(frames_shown(container, picture, plan.shown[begin:end]), begin)


def check_time(frame: VideoFrame, number: int, made: Spliced, picture: VideoStream) -> None:
    shown, base = made.plan.shown, picture.time_base or Fraction(1)
    if number >= len(shown) or frame.pts is None or frame.time_base is None:
        raise NotSplicable("the joined piece has frames too many")
    off = abs(frame.pts * frame.time_base - (shown[number] - shown[0]) * base)
    if off > max(base, frame.time_base):
        raise NotSplicable(f"frame {number} of the joined piece is shown {float(off):.3f} s beside its time")


def check_picture(theirs: VideoFrame, ours: VideoFrame, *, copied: bool) -> None:
    if (theirs.width, theirs.height, theirs.format.name) != (ours.width, ours.height, ours.format.name):
        raise NotSplicable("the joined piece has another picture format")
    if copied:
        if not all(np.array_equal(a, b) for a, b in zip(planes_of(theirs), planes_of(ours), strict=True)):
            raise NotSplicable("a copied frame of the joined piece is not that of the clip")
        return
    found = likeness(planes_of(theirs)[0], planes_of(ours)[0], depth_of(theirs))
    if found < LEAST_DB:
        raise NotSplicable(f"an encoded frame of the joined piece is unlike that of the clip ({found:.0f} dB)")


def likeness(a: Plane, b: Plane, depth: int) -> float:
    """Decibels."""
    mean = float(np.mean(np.square(a.astype(np.float64) - b.astype(np.float64))))
    return 10 * math.log10(((1 << depth) - 1) ** 2 / mean) if mean else math.inf


def depth_of(frame: VideoFrame) -> int:
    return frame.format.components[0].bits if frame.format.components else 8


def planes_of(frame: VideoFrame) -> list[Plane]:
    """Without what pads the lines."""
    kind = np.dtype(np.uint16 if depth_of(frame) > 8 else np.uint8)
    found: list[Plane] = []
    for plane in frame.planes:
        lines = np.frombuffer(memoryview(plane), dtype=kind).reshape(plane.height, -1)
        found.append(lines[:, : plane.width] if len(frame.planes) > 1 else lines)
    return found

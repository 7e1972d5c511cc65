"""Many small pictures in one: where each lies, which moments they show, and the WebVTT that tells a player. Pure.

Players read the cues as the "thumbnails" track of a video: each names a part of a picture as ``#xywh=``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SECOND_NS = 1_000_000_000
FEWEST = 20
"""Moments of a clip that is shorter than that many intervals."""
MOST = 400
"""Cells of one picture; in longer clips they are further apart."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Sizes in pixels."""

    columns: int
    cell: tuple[int, int]
    gap: int = 0

    def at(self, number: int) -> tuple[int, int]:
        """The upper left corner of a cell."""
        row, column = divmod(number, self.columns)
        return self.gap + column * (self.cell[0] + self.gap), self.gap + row * (self.cell[1] + self.gap)

    def size(self, cells: int) -> tuple[int, int]:
        """Of the whole picture, without columns that stay empty."""
        columns, rows = min(self.columns, cells), -(-cells // self.columns)
        return self.gap + columns * (self.cell[0] + self.gap), self.gap + rows * (self.cell[1] + self.gap)


def moments(duration_ns: int, interval_ns: int, fewest: int = FEWEST, most: int = MOST) -> list[int]:
    """The middles of equal parts of the clip, nanoseconds from its start."""
    wanted = max(fewest, min(most, -(-duration_ns // interval_ns)))
    return [duration_ns * (2 * number + 1) // (2 * wanted) for number in range(wanted)]


def spread(items: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """At most so many of them, evenly chosen, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(number * (len(items) - 1) / max(1, most - 1))] for number in range(most)]


def halved(spans: Sequence[tuple[int, int]], fewest: int) -> list[tuple[int, int]]:
    """The longest of them halved until there are enough; nothing under a second is."""
    parts = list(spans)
    while 0 < len(parts) < fewest:
        longest = max(range(len(parts)), key=lambda number: parts[number][1] - parts[number][0])
        start, end = parts[longest]
        if end - start < SECOND_NS:
            break
        parts[longest : longest + 1] = [(start, (start + end) // 2), ((start + end) // 2, end)]
    return parts


def cues(shown_ns: Sequence[int], end_ns: int, grid: Grid, picture: str) -> str:
    """WebVTT: from each shown moment to the next, the cell that shows it; the first is shown from the very start."""
    starts = [0, *shown_ns[1:]]
    blocks = [
        f"{clock(start)} --> {clock(end)}\n{picture}#xywh={x},{y},{grid.cell[0]},{grid.cell[1]}\n"
        for number, (start, end) in enumerate(pairwise([*starts, max(end_ns, starts[-1] + SECOND_NS // 1000)]))
        for x, y in [grid.at(number)]
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def clock(at_ns: int) -> str:
    """``00:01:12.040``"""
    milliseconds = at_ns // 1_000_000
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"

"""Which frames of a piece are copied, and which are encoded anew so that it begins and ends just there. Pure.

Times are ticks of the source's pictures. A copied run begins with a key frame from which decoding can start; frames
that are stored after it and shown before it are encoded with those before it. It ends where all frames shown up to a
time are complete, in the order in which they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stored:
    """A packet of the source, in the order in which they are stored (and decoded)."""

    pts: int
    key: bool = False
    resets: bool = False
    """Whether a decoder forgets there all that it had before, also after pictures of another encoder."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``shown``: when each frame of the piece is shown; ``head`` and ``tail`` of them are encoded anew, ``copied`` is
    the run between in the order in which it is stored. ``decoded``: when each frame is decoded, by when it is shown."""

    shown: tuple[int, ...]
    head: tuple[int, ...]
    copied: tuple[int, ...]
    tail: tuple[int, ...]
    decoded: Mapping[int, int]

    @property
    def encoded(self) -> int:
        return len(self.head) + len(self.tail)


class NotSplicable(Exception):
    """A piece of this clip cannot be joined from copied and encoded parts; the text says why."""


def plan_of(stored: Sequence[Stored], first: int, end: int) -> Plan:
    """From the frame shown at ``first`` up to the last one before ``end``. Raises NotSplicable."""
    shown = sorted(packet.pts for packet in stored if first <= packet.pts < end)
    if not shown or shown[0] != first or len(set(shown)) != len(shown):
        raise NotSplicable("its frames have no times of their own")
    at = _joining_at(stored, first, end)
    join = stored[at].pts
    rank = {pts: number for number, pts in enumerate(pts for pts in shown if pts >= join)}
    copied = _complete([packet.pts for packet in stored[at:] if packet.pts >= join], rank)
    before = len(shown) - len(rank)
    head, tail = shown[:before], shown[before + len(copied) :]
    return Plan(tuple(shown), tuple(head), tuple(copied), tuple(tail), decoding_times([*head, *copied, *tail]))


def _joining_at(stored: Sequence[Stored], first: int, end: int) -> int:
    for number, packet in enumerate(stored):
        if first <= packet.pts < end and (packet.resets or (packet.key and packet.pts == first)):
            return number
    raise NotSplicable("no key frame from which a decoder starts afresh lies in this piece")


def _complete(stored: Sequence[int], rank: Mapping[int, int]) -> Sequence[int]:
    """The longest run from the first packet on that has every frame up to the last one that it shows."""
    best, latest = 0, -1
    for count, pts in enumerate(stored, 1):
        if pts not in rank:
            break
        latest = max(latest, rank[pts])
        if latest == count - 1:
            best = count
    return stored[:best]


def decoding_times(order: Sequence[int]) -> Mapping[int, int]:
    """When frames that are stored in this order are decoded: one after the other, none later than it is shown."""
    shown = sorted(order)
    rank = {pts: number for number, pts in enumerate(shown)}
    delay = max(at - rank[pts] for at, pts in enumerate(order))
    step = max(1, shown[1] - shown[0]) if len(shown) > 1 else 1
    early = [shown[0] - step * number for number in range(delay, 0, -1)]
    return dict(zip(order, [*early, *shown], strict=False))

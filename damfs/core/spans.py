"""Times and spans of a clip as file names say them: ``00-01-12.000_00-01-20.500.mov``, ``00-01-12.040.jpg``. Pure.

Times count from the first frame, in whole milliseconds. A span has one spelling, so one name and one rendition.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CLIP_ENDING, FRAME_ENDING = ".mov", ".jpg"
EXACT = "_exact"
MS_NS = 1_000_000
TIME = r"(\d{2,3})-([0-5]\d)-([0-5]\d)\.(\d{3})"
CLIP_NAME = re.compile(rf"{TIME}_{TIME}({EXACT})?{re.escape(CLIP_ENDING)}", re.ASCII)
FRAME_NAME = re.compile(rf"{TIME}{re.escape(FRAME_ENDING)}", re.ASCII)
SAID = re.compile(r"(?:(?:(\d{1,3})[:-])?(\d{1,3})[:-])?(\d{1,5})(?:\.(\d{1,3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """``exact``: cut at those very frames, which takes encoding; else at key frames, as it is."""

    start_ms: int
    end_ms: int
    exact: bool = False

    @property
    def profile(self) -> str:
        return f"{time_name(self.start_ms)}_{time_name(self.end_ms)}{EXACT if self.exact else ''}"

    @property
    def name(self) -> str:
        return self.profile + CLIP_ENDING

    @property
    def least_ms(self) -> int:
        """How long a clip has to be that has it. Files round their length to milliseconds, as do those who read it."""
        return self.end_ms - 1


def time_name(at_ms: int) -> str:
    seconds, millis = divmod(at_ms, 1000)
    return f"{seconds // 3600:02d}-{seconds // 60 % 60:02d}-{seconds % 60:02d}.{millis:03d}"


def span_of(name: str) -> Span | None:
    """None for what is no span, is empty, or is not how `Span.name` spells it."""
    found = CLIP_NAME.fullmatch(name)
    if found is None:
        return None
    span = Span(_milliseconds(found.groups()[:4]), _milliseconds(found.groups()[4:8]), found[9] is not None)
    return span if span.start_ms < span.end_ms and span.name == name else None


def moment_of(name: str) -> int | None:
    """Milliseconds; None for what is no moment, or is spelled in another way."""
    found = FRAME_NAME.fullmatch(name)
    at_ms = None if found is None else _milliseconds(found.groups())
    return at_ms if at_ms is not None and time_name(at_ms) + FRAME_ENDING == name else None


def length_of(duration_ns: int) -> int:
    """How long a clip is in whole milliseconds, rounded up: as far as a name may go."""
    return -(-duration_ns // MS_NS)


def said_ms(text: str) -> int:
    """Milliseconds of ``HH:MM:SS.mmm`` (hours, minutes and fraction may be missing), also with ``-`` as in file names.

    Raises ValueError.
    """
    found = SAID.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    hours, minutes, seconds, fraction = found.groups()
    if minutes is not None and (int(seconds) > 59 or (hours is not None and int(minutes) > 59)):
        raise ValueError(text)
    return _milliseconds((hours or "0", minutes or "0", seconds, (fraction or "").ljust(3, "0")))


def _milliseconds(parts: tuple[str, ...]) -> int:
    hours, minutes, seconds, millis = map(int, parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + millis

"""Units of the fields of media: how a number is said to people, and how a person's words become one.

Pure. `parsed` raises ValueError for text that is no number of the unit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from fractions import Fraction

CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")
NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?(?:/\d+)?)\s*([a-zµ°%/]*)")
PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|sec|m|min|h|d)")
SECONDS = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
MULTIPLES = {"k": 1e3, "m": 1e6, "g": 1e9}


class Unit(StrEnum):
    NONE = ""
    PIXELS = "px"
    SECONDS = "s"
    FPS = "fps"
    HERTZ = "Hz"
    BITS = "bit"
    BITRATE = "bit/s"
    DEGREES = "°"
    METRES = "m"
    MILLIMETRES = "mm"
    F_NUMBER = "f/"
    EXPOSURE = "s exposure"
    LUFS = "LUFS"
    LU = "LU"
    DBTP = "dBTP"
    NITS = "cd/m²"


ENDINGS: Mapping[Unit, frozenset[str]] = {
    Unit.PIXELS: frozenset({"px", "p"}),
    Unit.FPS: frozenset({"fps", "p"}),
    Unit.HERTZ: frozenset({"hz"}),
    Unit.BITS: frozenset({"bit", "bits"}),
    Unit.BITRATE: frozenset({"bit/s", "bps", "b/s"}),
    Unit.DEGREES: frozenset({"°"}),
    Unit.METRES: frozenset({"m"}),
    Unit.MILLIMETRES: frozenset({"mm"}),
    Unit.EXPOSURE: frozenset({"s"}),
    Unit.LUFS: frozenset({"lufs", "lkfs"}),
    Unit.LU: frozenset({"lu"}),
    Unit.DBTP: frozenset({"dbtp", "db"}),
    Unit.NITS: frozenset({"nits", "nit"}),
}
"""What a person may write behind a number, in lower case."""
MULTIPLIED = frozenset({Unit.HERTZ, Unit.BITRATE})
"""Units that take k, M and G."""


def parsed(text: str, unit: Unit) -> float:
    """``10s``, ``1m30s``, ``00:01:30``; ``24000/1001``; ``1/60``; ``f/2.8``; ``48k``; ``3840px``; or just a number."""
    said = text.strip().lower()
    if unit is Unit.SECONDS and (found := _seconds(said)) is not None:
        return found
    if unit is Unit.F_NUMBER:
        said = said.removeprefix("f/").removeprefix("f")
    match = NUMBER.fullmatch(said)
    if match is None:
        raise ValueError(text)
    number, ending = float(Fraction(match[1])), match[2]
    allowed = ENDINGS.get(unit, frozenset())
    if unit in MULTIPLIED and ending not in allowed and ending[:1] in MULTIPLES:
        number, ending = number * MULTIPLES[ending[0]], ending[1:]
    if ending and ending not in allowed:
        raise ValueError(text)
    return number


def _seconds(text: str) -> float | None:
    clock = CLOCK.fullmatch(text)
    if clock is not None:
        return int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3])
    if not text or PART.sub("", text).strip():
        return None
    return sum(float(number) * SECONDS[unit] for number, unit in PART.findall(text))


def nearly(text: str, number: float, unit: Unit) -> float:
    """How far from the number a value may be and still be what was said: ``23.976`` means all that is rounded to it,
    ``24`` frames a second do not mean 23.976, and ten seconds are never exactly ten."""
    decimals = len(text.partition(".")[2].rstrip("abcdefghijklmnopqrstuvwxyz /°µ"))
    if "." in text and decimals:
        return float(0.5 * 10.0**-decimals)
    return 0.5 if unit is Unit.SECONDS else abs(number) * 1e-9


def shown(number: float, unit: Unit) -> str:
    """For people, with the unit."""
    teller = TELLERS.get(unit)
    if teller is not None:
        return teller(number)
    return f"{plain(number)} {unit}".rstrip()


def plain(number: float, decimals: int = 3) -> str:
    if number == int(number):
        return f"{int(number):,}"
    return f"{number:,.{decimals}f}".rstrip("0").rstrip(".")


def _clock(seconds: float) -> str:
    whole, rest = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{second}.{rest:03d}".rstrip("0").rstrip(".") + " s"
    if minutes:
        text = f"{minute} min {text}"
    return f"{hours:,} h {text}" if hours else text


def _exposure(seconds: float) -> str:
    return f"1/{round(1 / seconds):,} s" if 0 < seconds < 0.4 else f"{plain(seconds)} s"


def _bitrate(bits: float) -> str:
    return f"{plain(bits / 1e6, 2)} Mbit/s" if bits >= 1e6 else f"{plain(bits / 1e3, 1)} kbit/s"


TELLERS: Mapping[Unit, Callable[[float], str]] = {
    Unit.SECONDS: _clock,
    Unit.EXPOSURE: _exposure,
    Unit.BITRATE: _bitrate,
    Unit.F_NUMBER: lambda number: f"f/{plain(number, 1)}",
    Unit.DEGREES: lambda number: f"{plain(number, 5)}°",
}

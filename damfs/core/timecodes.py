"""Arithmetic of SMPTE timecode: which one the frame has that comes so many frames later. Pure."""

from __future__ import annotations

import re
from fractions import Fraction

TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.,])(\d\d)", re.ASCII)


def timecode_after(timecode: str, rate: Fraction, frames: int) -> str | None:
    """None for what is no timecode. Drop frame (``;``) leaves numbers out at each minute but every tenth."""
    found = TIMECODE.fullmatch(timecode)
    nominal = round(rate)
    if found is None or nominal < 1:
        return None
    hours, minutes, seconds, frame = (int(found[group]) for group in (1, 2, 3, 5))
    drop = nominal // 15 if found[4] in ";," and nominal % 30 == 0 else 0
    total = ((hours * 60 + minutes) * 60 + seconds) * nominal + frame
    total -= drop * (hours * 60 + minutes - (hours * 60 + minutes) // 10)
    per_ten = nominal * 600 - drop * 9
    total = (total + frames) % (per_ten * 144)
    tens, rest = divmod(total, per_ten)
    first = nominal * 60  # the first minute of ten drops nothing
    dropped = 9 * tens + (0 if rest < first else (rest - first) // (first - drop) + 1)
    total += drop * dropped
    minutes, left = divmod(total, nominal * 60)
    mark = ";" if drop else ":"
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}:{left // nominal:02d}{mark}{left % nominal:02d}"

"""What one of two files that look alike has and the other has not, by what the probe found of them. Pure.

A copy leaves only when the one that stays has all of it: as many pixels, as long, as much sound, as finely coded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

from damfs.model import Facts

SECOND_NS: Final = 1_000_000_000
LONGER_NS: Final = 100_000_000
"""Encoders make a clip longer by a frame, or by what a sound codec begins with: that is nothing to keep a copy for."""
MORE: Final = 1.01
"""Rounding to even sizes and rates of 23.976 for 24 stay below."""


def advantages(other: Facts, kept: Facts) -> list[str]:
    """In what the other is better than the kept one, in words; nothing: the kept one is at least as good in all."""
    found = [
        _raw(other, kept),
        _pixels(other, kept),
        _length(other, kept),
        _rate(other, kept),
        _depth(other, kept),
        _sound(other, kept),
        "it comes from a camera" if is_camera_file(other) and not is_camera_file(kept) else "",
    ]
    return [words for words in found if words]


def is_camera_file(probe: Facts) -> bool:
    return bool(probe.get("camera_make") or probe.get("camera_model"))


def is_raw(probe: Facts) -> bool:
    image = probe.get("image")
    return isinstance(image, Mapping) and image.get("pixel_format") == "raw"


def pixels(probe: Facts) -> int:
    return whole(probe.get("width")) * whole(probe.get("height"))


def whole(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _raw(other: Facts, kept: Facts) -> str:
    """Cameras write both at once: the one is the picture, the other what was made of it."""
    return "one of both is raw" if is_raw(other) != is_raw(kept) else ""


def _pixels(other: Facts, kept: Facts) -> str:
    if pixels(other) <= pixels(kept) * MORE:
        return ""
    return f"more pixels, {other['width']} x {other['height']}"


def _length(other: Facts, kept: Facts) -> str:
    more = whole(other.get("duration_ns")) - whole(kept.get("duration_ns"))
    return f"longer by {more / SECOND_NS:.1f} s" if more > LONGER_NS else ""


def _rate(other: Facts, kept: Facts) -> str:
    more = _frames(other) > _frames(kept) * MORE > 0
    return f"more frames a second, {float(_frames(other)):.4g}" if more else ""


def _frames(probe: Facts) -> Fraction:
    try:
        return Fraction(str(_video(probe).get("frame_rate") or 0))
    except (ValueError, ZeroDivisionError):
        return Fraction(0)


def _depth(other: Facts, kept: Facts) -> str:
    bits = whole(_video(other).get("bit_depth"))
    return f"finer levels, {bits} bits" if bits > whole(_video(kept).get("bit_depth")) > 0 else ""


def _video(probe: Facts) -> Mapping[str, object]:
    found = probe.get("video")
    return found if isinstance(found, Mapping) else {}


def _sound(other: Facts, kept: Facts) -> str:
    ours, theirs = _channels(other), _channels(kept)
    if len(ours) > len(theirs):
        return "it has sound" if not theirs else f"more sound tracks, {len(ours)}"
    return f"more sound channels, {sum(ours)}" if sum(ours) > sum(theirs) else ""


def _channels(probe: Facts) -> list[int]:
    tracks = probe.get("audio")
    if not isinstance(tracks, Sequence):
        return []
    return [whole(track.get("channels")) for track in tracks if isinstance(track, Mapping)]

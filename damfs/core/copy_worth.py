"""What one of two files that look alike has and the other has not, by what the probe found of them. Pure.

A copy leaves only when the one that stays has all of it: as many pixels, as long, as much sound, as finely coded (see
`copy_coding`), and all that it says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from damfs.core.copy_coding import SECOND_NS, chroma, frame_rate, levels, part, pcm_bits, pixels, whole
from damfs.model import Facts

LONGER_NS: Final = 100_000_000
"""Encoders make a clip longer by a frame, or by what a sound codec begins with: that is nothing to keep a copy for."""
MORE: Final = 1.01
"""Rounding to even sizes and rates of 23.976 for 24 stay below."""
SAID: Final = {
    "captured_local": "when it was taken", "captured_utc_ns": "when it was taken", "gps": "where", "lens": "the lens",
    "serial": "the serial number", "timecode": "timecode", "reel": "reel", "time_reference": "timecode",
    "title": "title", "artist": "artist", "copyright": "copyright", "description": "description",
}  # fmt: skip
BY_ITSELF: Final = ("timecode", "reel")
"""What editors find a clip by: another one is as good as none."""
COUNTED: Final = ("chapters", "subtitles")
BRIGHT: Final = ("smpte2084", "arib-std-b67")
UNSURE_BITS: Final = {"flac": (32, 16), "alac": (32, 16), "wavpack": (32, 16), "truehd": (32, 16), "mlp": (32, 16)}
"""Sound without loss whose levels are not known: at most, and at least."""


def advantages(other: Facts, kept: Facts) -> list[str]:
    """In what the other is better than the kept one, in words; nothing: the kept one is at least as good in all."""
    found = [
        _raw(other, kept),
        _pixels(other, kept),
        _length(other, kept),
        _rate(other, kept),
        _depth(other, kept),
        _colours(other, kept),
        _fields(other, kept),
        _sound(other, kept),
        _finer_sound(other, kept),
        _said(other, kept),
        "it comes from a camera" if is_camera_file(other) and not is_camera_file(kept) else "",
    ]
    return [words for words in found if words]


def is_camera_file(probe: Facts) -> bool:
    return bool(probe.get("camera_make") or probe.get("camera_model"))


def is_raw(probe: Facts) -> bool:
    image = probe.get("image")
    return isinstance(image, Mapping) and image.get("pixel_format") == "raw"


def length(probe: Facts) -> int:
    """Nanoseconds; 0: unknown, or a picture."""
    return whole(probe.get("duration_ns"))


def _raw(other: Facts, kept: Facts) -> str:
    """Cameras write both at once: the one is the picture, the other what was made of it."""
    return "one of both is raw" if is_raw(other) != is_raw(kept) else ""


def _pixels(other: Facts, kept: Facts) -> str:
    if pixels(other) <= pixels(kept) * MORE:
        return ""
    return f"more pixels, {other['width']} x {other['height']}"


def _length(other: Facts, kept: Facts) -> str:
    more = length(other) - length(kept)
    return f"longer by {more / SECOND_NS:.1f} s" if more > LONGER_NS else ""


def _rate(other: Facts, kept: Facts) -> str:
    more = frame_rate(other) > frame_rate(kept) * MORE > 0
    return f"more frames a second, {float(frame_rate(other)):.4g}" if more else ""


def _depth(other: Facts, kept: Facts) -> str:
    bits = levels(other)
    return f"finer levels, {bits} bits" if bits > levels(kept) > 0 else ""


def _colours(other: Facts, kept: Facts) -> str:
    modes = [str(part(each, "image").get("pixel_format") or "RGB") for each in (other, kept)]
    transfers = [part(each, "video").get("colour_transfer") in BRIGHT for each in (other, kept)]
    if chroma(other) > chroma(kept) > 0 or (modes[1] in {"L", "1", "P"} and modes[0] not in {"L", "1", "P"}):
        return "finer colours"
    if modes[0].endswith("A") and not modes[1].endswith("A"):
        return "it is transparent in parts"
    return "brighter lights (HDR)" if transfers[0] and not transfers[1] else ""


def _fields(other: Facts, kept: Facts) -> str:
    orders = [part(each, "video").get("field_order") or "progressive" for each in (other, kept)]
    frames = [whole(part(each, "image").get("frames")) for each in (other, kept)]
    if orders[0] != "progressive" and orders[1] == "progressive":
        return "it has fields, twice the movements"
    return f"more pictures in it, {frames[0]}" if frames[0] > frames[1] > 0 else ""


def _said(other: Facts, kept: Facts) -> str:
    """What the kept one does not say of itself."""
    missing = [words for name, words in SAID.items() if other.get(name) and not kept.get(name)]
    missing += [name for name in BY_ITSELF if other.get(name) and kept.get(name) and other[name] != kept[name]]
    missing += [name for name in COUNTED if _count(other, name) > _count(kept, name)]
    return f"only it says: {', '.join(dict.fromkeys(missing))}" if missing else ""


def _count(probe: Facts, name: str) -> int:
    found = probe.get(name)
    return len(found) if isinstance(found, Sequence) else 0


def _sound(other: Facts, kept: Facts) -> str:
    ours, theirs = _channels(other), _channels(kept)
    if len(ours) > len(theirs):
        return "it has sound" if not theirs else f"more sound tracks, {len(ours)}"
    return f"more sound channels, {sum(ours)}" if sum(ours) > sum(theirs) else ""


def _finer_sound(other: Facts, kept: Facts) -> str:
    for ours, theirs in zip(_tracks(other), _tracks(kept), strict=False):
        rate, bits = whole(ours.get("sample_rate")), _sound_bits(ours, 0)
        if rate > whole(theirs.get("sample_rate")) > 0:
            return f"finer sound, {rate / 1000:g} kHz"
        if bits > _sound_bits(theirs, 1):
            return "finer sound, without loss" if not _sound_bits(theirs, 1) else "finer sound, more levels"
    return ""


def _sound_bits(track: Facts, at_least: int) -> int:
    """Of a sample; 0: coded with loss, or unknown."""
    codec = str(track.get("codec"))
    return UNSURE_BITS[codec][at_least] if codec in UNSURE_BITS else pcm_bits(codec)


def _channels(probe: Facts) -> list[int]:
    return [whole(track.get("channels")) for track in _tracks(probe)]


def _tracks(probe: Facts) -> list[Facts]:
    tracks = probe.get("audio")
    return [track for track in tracks if isinstance(track, Mapping)] if isinstance(tracks, Sequence) else []

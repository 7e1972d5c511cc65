"""How finely a file is coded, and whether one that looks like another may be what that was made of. Pure.

Sizes tell little across kinds of coding, and nothing between two that lose nothing: whatever is not clearly the lesser
one is doubted, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import Final

from damfs.model import Facts

SECOND_NS: Final = 1_000_000_000
BITS: Final = 8
CLEARLY: Final = 1.5
"""So many times the bits, or the pixels, are no accident of an encoder."""
MUCH: Final = 3.0
"""So many times the bits, of the same coding and size, are none that a copy has over its original by being encoded anew
"for quality": with fewer, either may be the original."""
COARSE_PICTURE, COARSE_FILM = 1.5, 0.2
"""Bits for each pixel (of each frame), as JPEG and H.264 count: what has fewer was made to be small."""
OLDER_NS: Final = 2 * SECOND_NS
"""Some file systems count in steps of two seconds."""
LOSSLESS: Final = frozenset({
    "ffv1", "ffvhuff", "huffyuv", "utvideo", "magicyuv", "lagarith", "rawvideo", "v210", "v308", "v408", "v410", "r210",
    "r10k", "qtrle", "png", "tiff", "bmp", "dpx", "exr", "ppm", "qoi", "sgi", "psd", "jpegls",
})  # fmt: skip
INTRA: Final = frozenset({
    "prores", "prores_raw", "dnxhd", "cfhd", "jpeg2000", "dvvideo", "dirac", "hap", "hq_hqa", "hqx", "mjpeg",
})  # fmt: skip
GAIN: Final = {
    "mpeg2video": 0.5,
    "hevc": 2.0,
    "vp9": 2.0,
    "av1": 2.5,
    "vvc": 3.0,
    "heif": 2.0,
    "webp": 1.5,
    "avif": 2.5,
}
"""What as many bits are worth, H.264 and JPEG being 1."""
CHROMA: Final = {"444": 4, "422": 3, "440": 3, "420": 2, "411": 1, "410": 1}
SIXTEEN: Final = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


class Kind(IntEnum):
    LOSSY = 0
    INTRA = 1
    LOSSLESS = 2


@dataclass(frozen=True, slots=True)
class Held:
    """A file: what the probe found of it, and what its directory says."""

    probe: Facts
    size: int
    mtime_ns: int = 0


def doubts(other: Held, kept: Held) -> list[str]:
    """Why the other may be worth more than the kept one, by how both are coded and which is older; in words."""
    is_older = 0 < other.mtime_ns < kept.mtime_ns - OLDER_NS
    found = [_kind_doubt(other.probe, kept.probe), _bits_doubt(other, kept), "it is the older file" if is_older else ""]
    return [words for words in found if words]


def kind(probe: Facts) -> Kind:
    codec = _codec(probe)
    if codec in LOSSLESS:
        return Kind.LOSSLESS
    profile = str(part(probe, "video").get("profile") or "")
    return Kind.INTRA if codec in INTRA or "Intra" in profile else Kind.LOSSY


def chroma(probe: Facts) -> int:
    """How much of the colours is kept; more is better, 0: unknown."""
    name = str(part(probe, "video").get("pixel_format") or "")
    known = re.search("444|440|422|420|411|410", name)
    if known:
        return CHROMA[known[0]]
    if re.search("rgb|bgr|gbr", name):
        return CHROMA["444"]
    planes = {"nv12": "420", "nv21": "420", "p010": "420", "p016": "420", "p210": "422", "nv16": "422"}
    return CHROMA.get(planes.get(re.sub("(le|be)$", "", name), ""), 0)


def levels(probe: Facts) -> int:
    """Bits of each colour; 0: unknown."""
    if mode := part(probe, "image").get("pixel_format"):
        return 16 if mode in SIXTEEN else 8
    return whole(part(probe, "video").get("bit_depth"))


def pixels(probe: Facts) -> int:
    return whole(probe.get("width")) * whole(probe.get("height"))


def frame_rate(probe: Facts) -> Fraction:
    try:
        return Fraction(str(part(probe, "video").get("frame_rate") or 0))
    except (ValueError, ZeroDivisionError):
        return Fraction(0)


def part(probe: Facts, name: str) -> Mapping[str, object]:
    found = probe.get(name)
    return found if isinstance(found, Mapping) else {}


def whole(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _codec(probe: Facts) -> str:
    return str(part(probe, "video").get("codec") or probe.get("container") or "")


def _kind_doubt(other: Facts, kept: Facts) -> str:
    """What loses nothing may have been made of what loses much: then that one is the original."""
    ours, theirs = kind(other), kind(kept)
    if ours > theirs:
        return "coded without loss" if ours is Kind.LOSSLESS else "coded picture by picture"
    return "both are coded without loss" if ours is Kind.LOSSLESS and not _is_smaller(other, kept) else ""


def _bits_doubt(other: Held, kept: Held) -> str:
    ours, theirs = _bits(other, kept), _bits(kept, other)
    if not ours or not theirs:
        return "nobody knows how finely it is coded"
    gain = GAIN.get(_codec(other.probe), 1.0) / GAIN.get(_codec(kept.probe), 1.0)
    more = ours / theirs * max(1.0, gain)
    if more > CLEARLY:
        return f"finer coded, {more:.1f} times the bits"
    if _is_smaller(other.probe, kept.probe):
        return "finer coded, more bits for fewer pixels" if more > 1 else ""
    if kind(other.probe) < kind(kept.probe):
        return "" if _is_coarse(other) else "as finely coded as an original"
    return "not much smaller: either may be the original" if more * MUCH > 1 else ""


def _is_smaller(other: Facts, kept: Facts) -> bool:
    return pixels(other) * CLEARLY < pixels(kept)


def _is_coarse(held: Held) -> bool:
    seconds = whole(held.probe.get("duration_ns")) / SECOND_NS
    frames = float(frame_rate(held.probe)) * seconds
    most = COARSE_FILM if seconds else COARSE_PICTURE
    shown = pixels(held.probe) * (frames if seconds else 1)
    return _picture_bits(held) * GAIN.get(_codec(held.probe), 1.0) < most * shown


def _bits(held: Held, beside: Held) -> float:
    """Each second, where it is known of both how long they are."""
    lengths = [whole(each.probe.get("duration_ns")) / SECOND_NS for each in (held, beside)]
    return _picture_bits(held) / lengths[0] if all(lengths) else _picture_bits(held)


def _picture_bits(held: Held) -> float:
    """Without sound as far as its share is known: that of PCM can be many times the pictures of a small film."""
    seconds = whole(held.probe.get("duration_ns")) / SECOND_NS
    tracks = held.probe.get("audio")
    sound = sum(_pcm_rate(track) for track in tracks) if isinstance(tracks, list) else 0
    return max(held.size * BITS - sound * seconds, held.size / 100)


def _pcm_rate(track: object) -> int:
    if not isinstance(track, Mapping):
        return 0
    return pcm_bits(track.get("codec")) * whole(track.get("channels")) * whole(track.get("sample_rate"))


def pcm_bits(codec: object) -> int:
    """Of one sample; 0: it is no PCM."""
    found = re.fullmatch(r"pcm_[sfu](\d+)\w*", str(codec))
    return int(found[1]) if found else 0

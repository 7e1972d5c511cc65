"""What clips have to have in common to be joined with their packets as they are: one table of named properties.

Runs in worker processes only (imports av); reads up to the first frame, and all packets of the pictures once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, gcd, lcm
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from damfs.core.processors import media, nal_units, source_frames, untimed
from damfs.errors import BadMedia, Refused

FIXED = ("frame rate", "sound tracks", "channels of track")
"""What encoding by a profile does not change."""
SETS = "encoder settings"
COLOURS = ("range", "primaries", "transfer", "space")
UNSAID = "not said"
"""A clip that does not say its colours goes with any: players take those of the file for it."""
VARIABLE = "variable"
"""A clip whose frames have times of their own goes with any: every frame keeps its time."""
WITH_ANY = frozenset({UNSAID, VARIABLE})
JITTER = Fraction(3, 2000)
"""Seconds by which even steps may differ: some containers tell times by the millisecond."""
ROUNDED = 2
"""Ticks by which they may."""
FINE = Fraction(1, 90000)
FINEST = Fraction(1, 10_000_000)
"""Ticks of a joined file at least; smaller ones would make its times longer than players take."""
IN_BAND = frozenset({"hevc"})
"""Parameter sets of different clips may follow each other in the stream."""


@dataclass(frozen=True, slots=True)
class Part:
    """A clip to be joined. ``stored``: when each of its frames is shown, in ticks from the first one, in the order in
    which they are stored; ``lasts``: seconds from the first frame to the end of the last."""

    path: Path
    name: str
    base: Fraction
    stored: tuple[int, ...]
    lasts: Fraction
    properties: Mapping[str, str]
    sets: tuple[bytes, ...]
    sound: tuple[str, ...]
    """Codec of each sound track."""


def looked_at(path: Path, name: str) -> Part:
    """Raises BadMedia."""
    with media.opened(path, name) as container:
        picture = media.picture_stream(container)
        if picture is None:
            raise BadMedia(f"{name}: it holds no pictures that can be decoded here; only clips can be joined")
        media.check_size(picture.width, picture.height, name)
        turn = media.turn_of(media.first_frame(container, picture, name)).clockwise
        sounds = media.sound_streams(container)
        said = media.rate_of(picture)
        properties = {**of_pictures(picture, turn), **of_sounds(sounds)}
        sets, codecs = parameter_sets(picture), tuple(str(media.codec_name(each)) for each in sounds)
    with media.opened(path, name) as container:  # afresh: not every container can be rewound to its first packet
        picture = media.picture_stream(container)
        assert picture is not None
        stored, last = frames_of(container, picture, name)
        base = picture.time_base or Fraction(1, 90000)
    held = source_frames.held(path, name)
    properties["frame rate"] = str(held.rate(said)) if is_even(stored, base) else VARIABLE
    if len(stored) < held.frames:
        raise BadMedia(f"{name}: not joined: only {len(stored)} of its {held.frames} frames can be read{media.ADVICE}")
    lasts = (max(stored) + last) * base
    return Part(path, name, base, stored, lasts, properties, sets, codecs)


def frames_of(container: InputContainer, picture: VideoStream, name: str) -> tuple[tuple[int, ...], int]:
    """With how long the last one is shown. Raises BadMedia."""
    if untimed.is_untimed(container, picture):
        raise BadMedia(f"{name}: it cannot be joined as it is: {untimed.WHY}; encode it anew with --profile NAME")
    found: list[int] = []
    lasting: dict[int, int] = {}
    for packet in media.packets(container, [picture], media.Damage()):
        if not packet.size:
            continue
        if packet.is_discard or packet.pts is None:
            why = "an edit list hides some of its frames" if packet.is_discard else "its frames have no times"
            raise BadMedia(f"{name}: it cannot be joined as it is: {why}; encode it anew with --profile NAME")
        found.append(packet.pts)
        lasting[packet.pts] = packet.duration or 0
    if not found or len(lasting) != len(found):
        raise BadMedia(f"{name}: it cannot be joined as it is: its frames have no times of their own")
    rate, first, last = media.rate_of(picture) or Fraction(25), min(found), max(found)
    usual = round(1 / rate / (picture.time_base or Fraction(1, 90000)))
    return tuple(pts - first for pts in found), lasting[last] or max(1, usual)


def is_even(stored: Sequence[int], base: Fraction) -> bool:
    """Whether the frames follow each other at equal intervals."""
    steps = [after - before for before, after in pairwise(sorted(stored))]
    return max(steps, default=0) - min(steps, default=0) <= max(Fraction(ROUNDED), JITTER / base)


def common_base(bases: Iterable[Fraction]) -> Fraction:
    """Seconds of a tick by which all their times are whole numbers, where that is not too small; fine in any case."""
    told = set(bases)
    base = Fraction(gcd(*(each.numerator for each in told)), lcm(*(each.denominator for each in told)))
    return FINE if base < FINEST else base / ceil(base / FINE)


def of_pictures(picture: VideoStream, turn: int) -> dict[str, str]:
    facts = media.video_facts(picture)
    return {
        "codec": str(facts["codec"]),
        "frame size": f"{picture.width}x{picture.height}",
        "pixel format": str(facts["pixel_format"]),
        "pixel aspect": str(facts["sample_aspect"]),
        "field order": str(facts["field_order"] or "progressive"),
        "frame rate": str(facts["frame_rate"]),
        "rotation": f"{turn} degrees",
        **{f"colour {each}": str(facts[f"colour_{each}"] or UNSAID) for each in COLOURS},
    }


def of_sounds(sounds: list[AudioStream]) -> dict[str, str]:
    found = {"sound tracks": str(len(sounds))}
    for number, stream in enumerate(sounds, 1):
        found[f"channels of track {number}"] = stream.codec_context.layout.name
        found[f"sample rate of track {number}"] = f"{stream.codec_context.sample_rate} Hz"
    return found


def gap(name: str, at: Fraction, why: str) -> BadMedia:
    """Of a clip that lacks a frame: nobody looks for one in what is joined."""
    mend = "copy it again from its source, or join pieces of it from before and behind that (damfs clip --exact)"
    return BadMedia(f"{name}: not joined: its frame at {float(at):.3f} s cannot be decoded ({why}); {mend}")


def parameter_sets(picture: VideoStream) -> tuple[bytes, ...]:
    extradata, codec = picture.codec_context.extradata or b"", media.codec_name(picture)
    if codec == "h264":
        return tuple(nal_units.h264_sets(extradata))
    if codec == "hevc":
        return tuple(nal_units.hevc_sets(extradata))
    return (extradata,) if extradata else ()


def check_alike(parts: list[Part], hint: str) -> None:
    """Raises Refused with the first property that differs. ``hint``: the command that encodes them alike, or ''."""
    first = parts[0]
    for part in parts[1:]:
        for name in dict.fromkeys((*first.properties, *part.properties)):
            ours, theirs = first.properties.get(name, "none"), part.properties.get(name, "none")
            if ours != theirs and WITH_ANY.isdisjoint((ours, theirs)):
                told = f"{name} {theirs}, not {ours}"
                raise Refused(f"{part.name} does not match {first.name}: {told}; {advice(name, hint)}")
    if merged_sets(parts) is None:
        raise Refused(f"{parts[-1].name} does not match {first.name}: {SETS} differ; {advice(SETS, hint)}")


def advice(name: str, hint: str) -> str:
    if name.startswith(FIXED) or not hint:
        return "that takes a video editor"
    return f"encode them alike with: {hint}"


def merged_sets(parts: list[Part]) -> tuple[bytes, ...] | None:
    """The parameter sets of all; None where one goes by the same number as another and says something else."""
    codec = parts[0].properties["codec"]
    together = tuple(dict.fromkeys(unit for part in parts for unit in part.sets))
    if codec in IN_BAND or len({part.sets for part in parts}) == 1:
        return together
    numbers = {(nal_units.h264_kind(unit), nal_units.number_of(unit)) for unit in together}
    return together if codec == "h264" and len(numbers) == len(together) else None

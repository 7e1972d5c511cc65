"""What the first frames of a clip tell about its proxy: size, rate, time base, colours, timecode.

Runs in worker processes only (imports av); reads the start of the file, or its packets where times are coarse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from damfs.core.processors import media, places
from damfs.core.processors.profiles import Encoder, Profile
from damfs.errors import BadMedia

KEPT_TAGS = ("creation_time", "location", "make", "model")
BT709, SMPTE170M, LIMITED, FULL_RANGE = 1, 6, 1, 2
SAME_MATRICES = {5: 6, 6: 5}
"""BT.470BG and SMPTE 170M, by FFmpeg's numbers."""
SAME_CURVES = {6: 1, 14: 1, 15: 1}
"""SMPTE 170M and BT.2020 have the curve of BT.709."""
NO_OTHERS: Mapping[int, int] = MappingProxyType({})
PROGRESSIVE = 1
INTERLACED = (2, 3, 4, 5)
BOTTOM_FIRST = (3, 4)
KEPT_BELOW = 960
"""Pictures whose longer side is no more than this are not halved: nobody could judge anything by them."""
PARTS_BY_NAME = (2, 4)
"""Blender shows proxies of a half and of a quarter by these names, and none of a third (`editors.SHARES`)."""
SCALE_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
USUAL_RATES = tuple(
    sorted(
        {Fraction(each) for each in (24, 25, 30, 48, 50, 60, 100, 120)}
        | {Fraction(each * 1000, 1001) for each in (24, 30, 48, 60, 120)}
    )
)
RateBy = Callable[[Fraction | None], Fraction | None]


@dataclass(frozen=True, slots=True)
class SizeRule:
    """``lines``: the height that is wanted; 0: half the source, its longer side ``longest`` at most."""

    lines: int = 0
    longest: int = 1280


@dataclass(frozen=True, slots=True)
class Plan:
    """What the first frame tells about the proxy to be made."""

    profile: Profile
    encoder: Encoder
    threads: int
    turn: media.Turn
    width: int
    height: int
    sample_aspect: Fraction
    rate: Fraction
    time_base: Fraction
    origin: Fraction
    """Seconds at which the source's first frame is shown; 0 of the proxy."""
    colour: tuple[int, int, int, int]
    """Primaries, transfer, space, range of the proxy as FFmpeg's numbers."""
    matrix: str
    """Options of the scale filter that say how colours are coded."""
    field_order: int
    interlaced: bool
    timecode: str | None
    reel: str | None
    tags: dict[str, str]


def make_plan(
    container: InputContainer,
    name: str,
    profile: Profile,
    encoder: Encoder,
    rule: SizeRule,
    threads: int,
    rate_by: RateBy = lambda said: said,
) -> Plan:
    """Reads up to the first frame (all of the file's packets where times are too coarse to tell the rate). ``rate_by``:
    what the header's rate is, to who knows all times."""
    stream = usable_pictures(container, name)
    frame = media.first_frame(container, stream, name)
    turn = media.turn_of(frame)
    fields = has_fields(stream) and not profile.deinterlace
    shape = media.upright(frame.width, frame.height, turn)
    width, height = proxy_size(shape, rule, profile.smallest, 4 if fields else 2)
    aspect = media.sample_aspect(stream)
    rate = rate_by(media.rate_of(stream)) or Fraction(25)
    source_base = stream.time_base or 1 / rate
    colour, matrix = colour_of(stream, frame, profile)
    steady = is_steady(container, stream, rate)
    return Plan(
        profile=profile,
        encoder=encoder,
        threads=threads,
        turn=turn,
        width=width,
        height=height,
        sample_aspect=1 / aspect if turn.swaps else aspect,
        rate=rate,
        time_base=1 / rate if steady else source_base,
        origin=(frame.pts or 0) * source_base,
        colour=colour,
        matrix=matrix,
        field_order=stream.codec_context.field_order if fields else PROGRESSIVE,
        interlaced=fields,
        timecode=timecode_for(media.start_timecode(container), rate),
        reel=media.reel_name(container),
        tags={tag: container.metadata[tag] for tag in KEPT_TAGS if tag in container.metadata},
    )


def usable_pictures(container: InputContainer, name: str) -> VideoStream:
    """Raises BadMedia when there are none, or such that no decoder should be asked for."""
    stream = media.picture_stream(container)
    if stream is None:
        raise BadMedia(f"{name}: no proxy: it holds no pictures that can be decoded here{media.ADVICE}")
    media.check_size(stream.width, stream.height, name)
    return stream


def has_fields(stream: VideoStream) -> bool:
    return stream.codec_context.field_order in INTERLACED


def proxy_size(
    upright: tuple[int, int], rule: SizeRule, smallest: tuple[int, int] = (2, 2), step: int = 2
) -> tuple[int, int]:
    """In even numbers, with the source's aspect, enlarged where the encoder has a minimum.

    ``step``: what the height must be a multiple of (4 for pairs of fields in 4:2:0).
    """
    width, height = upright
    scale = Fraction(min(height, rule.lines), height) if rule.lines else half(upright, rule.longest, step)
    scale = max(scale, Fraction(smallest[0], width), Fraction(smallest[1], height))
    return nearest(width * scale, 2), nearest(height * scale, step)


def half(upright: tuple[int, int], longest: int, step: int) -> Fraction:
    """A half, or the next smaller part that fits; of several the first that divides both sides into even numbers, as
    editors want it, those before others that every editor has a name for. What is small anyway stays as it is."""
    longer = max(upright)
    if longer <= KEPT_BELOW:
        return Fraction(1)
    least = max(2, math.ceil(Fraction(longer, longest)))
    for part in sorted(range(least, 2 * least + 1), key=lambda part: (part not in PARTS_BY_NAME, part)):
        if upright[0] % (2 * part) == 0 and upright[1] % (step * part) == 0:
            return Fraction(1, part)
    return min(Fraction(1, 2), Fraction(longest, longer))


def nearest(value: Fraction, step: int) -> int:
    return max(step, math.floor(value / step + Fraction(1, 2)) * step)


def is_steady(container: InputContainer, stream: VideoStream, rate: Fraction) -> bool:
    """Whether rounded times are those of a constant rate: then exact ones are used. Milliseconds (Matroska, FLV) are
    rounded, and finer ticks of which a usual rate has no whole number in a frame (23.976 in 1/90000)."""
    base = stream.time_base
    if base is None or base == 1 / rate:
        return False
    if base < Fraction(1, 1000) and (rate not in USUAL_RATES or (rate * base).numerator == 1):
        return False
    places.rewind(container, stream)
    packets = media.packets(container, [stream], media.Damage())
    times = sorted(packet.pts for packet in packets if packet.pts is not None)
    one_tick = base * rate
    return bool(times) and all(abs((at - times[0]) * base * rate - n) <= one_tick for n, at in enumerate(times))


def colour_of(stream: VideoStream, frame: VideoFrame, profile: Profile) -> tuple[tuple[int, int, int, int], str]:
    """The proxy's tags and scale options. Without a matrix: the one players assume for the source's size.

    Both matrices and ranges are named: left alone, the filter converts tagged pictures to what it takes for usual.
    """
    context = stream.codec_context
    primaries = nameable(context.color_primaries, profile.primaries)
    transfer = nameable(context.color_trc, profile.transfers, same=SAME_CURVES)
    if frame.format.is_rgb:
        return (primaries, transfer, BT709, LIMITED), ":out_color_matrix=bt709:out_range=tv"
    space = context.colorspace
    if space not in SCALE_MATRICES:
        space = BT709 if media.assumed_space(frame) == "itu709" else SMPTE170M
    made = nameable(space, profile.spaces, BT709, SAME_MATRICES)
    full = context.color_range == FULL_RANGE
    kept_full = full and profile.full_range
    ranges = f":in_range={'pc' if full else 'tv'}:out_range={'pc' if kept_full else 'tv'}"
    matrices = f":in_color_matrix={SCALE_MATRICES[space]}:out_color_matrix={SCALE_MATRICES[made]}"
    tag = LIMITED if full and not kept_full else context.color_range
    return (primaries, transfer, made, tag), matrices + ranges


def nameable(
    value: int, names: frozenset[int] | None, otherwise: int = media.UNSPECIFIED, same: Mapping[int, int] = NO_OTHERS
) -> int:
    """The value, or the same thing by another name, where the format has names for some only."""
    if names is None or value in names or value == media.UNSPECIFIED:
        return value
    return same[value] if same.get(value) in names else otherwise


def timecode_for(timecode: str | None, rate: Fraction) -> str | None:
    """Drop frame exists at multiples of 29.97 only; elsewhere the muxer would refuse the whole file."""
    if timecode is None or rate < 1:
        return None
    if rate.denominator == 1001 and rate.numerator % 30000 == 0:
        return timecode
    return timecode.replace(";", ":")

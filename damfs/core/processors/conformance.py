"""The gate: whether a proxy can stand in for its source, property by property, read back from the finished file.

Runs in worker processes only (imports av); reads the proxy's index and packets, and decodes one of its pictures. A
proxy is published only when every property is equal, or differs for a reason that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer

from damfs.core.processors import first_picture, media
from damfs.core.processors.proxy_plan import USUAL_RATES, Plan, timecode_for
from damfs.core.processors.sound_track import QUICKTIME_LANGUAGES
from damfs.core.processors.source_frames import NOTHING, OFF, Held, are_among
from damfs.core.processors.transcode import Tally
from damfs.model import Facts

ASPECT_SLACK = Fraction(1, 100)
"""Sides are whole and even: so much may the shape of a picture differ for that."""
ROUNDED = 2
"""Ticks of its clock by which a source's times may differ from even ones: each is rounded, and so is the first."""
STREAMED = frozenset({"mpegts", "mpeg", "mpegvideo", "dv", "h264", "hevc", "avi"})
"""Containers whose clock may start anew where recordings follow each other, or that write no times."""


PROGRESSIVE = "progressive"
FIRST = {"tt": "top first", "bt": "top first", "bb": "bottom first", "tb": "bottom first"}
"""What is shown first; which field is coded first is the codec's own business."""


ALIKE: Mapping[str, tuple[frozenset[str], ...]] = {
    "colour_transfer": (frozenset({"bt709", "smpte170m", "bt2020-10", "bt2020-12"}),),
    "colour_space": (frozenset({"bt470bg", "smpte170m"}),),
}
"""Values that mean the same."""
USUAL_RANGE = "tv"
LEFT_OUT = (None, PROGRESSIVE)
"""What a proxy says where its format could not keep something; anything else is wrong."""


class Verdict(StrEnum):
    EQUAL = "equal"
    EXPLAINED = "explained"
    UNEQUAL = "unequal"


@dataclass(frozen=True, slots=True)
class Row:
    """A property of the source and of the proxy. ``why``: for what differs, or could not be kept."""

    name: str
    source: object
    proxy: object
    verdict: Verdict
    why: str = ""

    def facts(self) -> Facts:
        said: Facts = {"source": self.source, "proxy": self.proxy, "verdict": str(self.verdict)}
        return {**said, "why": self.why} if self.why else said


@dataclass(frozen=True, slots=True)
class Properties:
    """What editors compare, of one file."""

    container: str
    rate: Fraction | None
    timecode: str | None
    reel: str | None
    sample_aspect: str | None
    shape: Fraction
    """Width by height, as it is shown."""
    turned: int
    """Degrees clockwise by which a player turns it."""
    field_order: str
    colour: dict[str, object]
    tracks: list[dict[str, object]]
    light: first_picture.Light
    """Of its first picture, as it is shown."""
    torn: bool
    """Whether parts of that picture are damaged: what a decoder puts in their place is by chance."""


def properties(container: InputContainer, name: str, held: Held = NOTHING) -> Properties:
    stream = media.picture_stream(container)
    if stream is None:
        raise ValueError("no pictures")
    media.use_threads(stream, 1, by_frame=False)  # decoders of several threads do not say which frames are damaged
    frame = media.first_frame(container, stream, name)
    turn = media.turn_of(frame)
    width, height = media.upright(frame.width, frame.height, turn)
    aspect = media.sample_aspect(stream)
    facts = media.video_facts(stream)
    rate = held.rate(media.rate_of(stream))
    return Properties(
        container=container.format.name.split(",")[0],
        rate=rate,
        timecode=None if rate is None else timecode_for(media.start_timecode(container), rate),
        reel=media.reel_name(container),
        sample_aspect=media.rational_text(aspect),
        shape=Fraction(width, height) * (1 / aspect if turn.swaps else aspect),
        turned=turn.clockwise,
        field_order=media.FIELD_ORDERS.get(stream.codec_context.field_order, ""),
        colour={name: value for name, value in facts.items() if name.startswith("colour_")},
        tracks=[media.audio_facts(sound) for sound in media.sound_streams(container)],
        light=first_picture.light_of(frame, turn),
        torn=frame.is_corrupt,
    )


def compare(source: Path, proxy: Path, name: str, plan: Plan, tally: Tally, held: Held) -> tuple[Row, ...]:
    """Every property; those that the profile lacks are explained by its table. ``held``: the source's frames from that
    on which the proxy begins with."""
    with media.opened(source, name) as container:
        theirs = properties(container, name, held)
    with media.opened(proxy, name) as container:
        ours = properties(container, name)
        container.seek(0)
        times, end = shown_times(container)
    rows = [
        *frame_rows(theirs, ours, times, end, plan, tally, held),
        same("timecode", theirs.timecode, ours.timecode),
        same("reel", theirs.reel, ours.reel),
        *picture_rows(theirs, ours, plan),
        excused(picture_row(theirs, ours), "parts of it are damaged" if theirs.torn else damaged(tally)),
        *sound_rows(theirs.tracks, ours.tracks),
    ]
    lacks = {key: why for key, why in plan.profile.lacks.items() if not key.startswith("colour_")}
    return tuple(excused(row, lacks.get(row.name, "") if row.proxy in LEFT_OUT else "") for row in rows)


def excused(row: Row, why: str) -> Row:
    if row.verdict is not Verdict.UNEQUAL or not why:
        return row
    return Row(row.name, row.source, row.proxy, Verdict.EXPLAINED, why)


def frame_rows(
    theirs: Properties, ours: Properties, times: list[Fraction], end: Fraction, plan: Plan, tally: Tally, held: Held
) -> Iterable[Row]:
    yield excused(same("frames", held.frames, len(times)), damaged(tally))
    yield times_row(theirs, times, plan, tally, held)
    closes = abs(end - tally.end) * plan.rate <= Fraction(1, 2)
    yield judged("duration_ns", nano(tally.end), nano(end), closes)
    rates = (media.rational_text(theirs.rate), media.rational_text(ours.rate))
    if tally.steady and held.frames == len(times) and not tally.damage.errors:
        yield rate_row(theirs.rate, ours.rate, len(times))
    else:
        why = "the frames have times of their own, which are kept"
        yield Row("frame_rate", *rates, Verdict.EQUAL if rates[0] == rates[1] else Verdict.EXPLAINED, why)


def damaged(tally: Tally) -> str:
    """'' where nothing is."""
    errors = tally.damage.errors
    return f"{errors} damaged frames of the source are left out; all others are at their own times" if errors else ""


def rate_row(theirs: Fraction | None, ours: Fraction | None, frames: int) -> Row:
    """Where times are not quite even, a rate is an average, which containers reckon in their own ways."""
    row = same("frame_rate", media.rational_text(theirs), media.rational_text(ours))
    if theirs is None or ours is None or theirs in USUAL_RATES or abs(ours / theirs - 1) * frames >= OFF:
        return row
    return excused(row, "an average: every frame is at its own time")


def times_row(theirs: Properties, found: list[Fraction], plan: Plan, tally: Tally, held: Held) -> Row:
    """The source's own times, from 0 on, beside those that were read back."""
    name, clock = "frame_times", tally.clock
    wanted = [at * plan.time_base for at in tally.times]
    ends = (seconds(wanted[-1:]), seconds(found[-1:]))
    if clock.backward or (clock.restarts and theirs.container not in STREAMED):
        broken = clock.backward + clock.restarts
        why = f"{broken} of {len(wanted)} frames say that they are shown no later than the frame before them"
        return Row(name, *ends, Verdict.UNEQUAL, why)
    if not same_times(wanted, found, plan.time_base / 2):
        return Row(name, *ends, Verdict.UNEQUAL)
    if clock.restarts:
        return Row(name, *ends, Verdict.EXPLAINED, f"its clock starts anew {clock.restarts} times; the parts follow on")
    if clock.untimed:
        return Row(name, *ends, Verdict.EXPLAINED, f"{clock.untimed} frames carry no time; each follows the one before")
    return held_row(Row(name, *ends, Verdict.EQUAL), found, plan, held)


def held_row(equal: Row, found: list[Fraction], plan: Plan, held: Held) -> Row:
    """The same, if the packets of the source, which nobody decoded, say so as well."""
    wanted = [at - plan.origin for at in held.times]
    if wanted and wanted[0] < -held.tick:
        why = "its first frame cannot be decoded, and a proxy would begin later than its timecode says"
        return Row(equal.name, seconds(wanted[:1]), 0.0, Verdict.UNEQUAL, why)
    if not wanted or are_among(found, wanted, ROUNDED * held.tick):
        return equal
    return Row(equal.name, seconds(wanted[-1:]), equal.proxy, Verdict.UNEQUAL)


def picture_rows(theirs: Properties, ours: Properties, plan: Plan) -> Iterable[Row]:
    yield same("sample_aspect", media.rational_text(plan.sample_aspect), ours.sample_aspect)
    kept_shape = abs(theirs.shape - ours.shape) <= theirs.shape * ASPECT_SLACK
    yield judged("shape", ratio(theirs.shape), ratio(ours.shape), kept_shape)
    turned = "the pictures themselves were turned upright" if theirs.turned and not ours.turned else ""
    yield excused(same("rotation", theirs.turned, ours.turned), turned)
    yield same("field_order", FIRST.get(theirs.field_order, PROGRESSIVE), FIRST.get(ours.field_order, PROGRESSIVE))
    meant = meant_colour(plan)
    for key, value in theirs.colour.items():
        yield colour_row(key, value, ours.colour[key], meant[key], plan.profile.lacks.get(key, ""))


def picture_row(theirs: Properties, ours: Properties) -> Row:
    """That both begin with the same picture the same way up: a number up to 1."""
    alike = first_picture.likeness(theirs.light, ours.light)
    return judged("first_picture", 1.0, alike, alike >= first_picture.ALIKE)


def meant_colour(plan: Plan) -> dict[str, object]:
    """What the proxy was to say."""
    primaries, transfer, space, colour_range = plan.colour
    return {
        "colour_primaries": media.PRIMARIES.get(primaries),
        "colour_transfer": media.TRANSFERS.get(transfer),
        "colour_space": media.SPACES.get(space),
        "colour_range": media.RANGES.get(colour_range),
    }


def colour_row(key: str, source: object, proxy: object, meant: object, lacking: str) -> Row:
    """What differs is explained only where it is just what was meant."""
    if source == proxy:
        return Row(key, source, proxy, Verdict.EQUAL)
    if source is None and proxy in {meant, USUAL_RANGE}:
        return Row(key, source, proxy, Verdict.EXPLAINED, "the source does not say; this is what players take it for")
    alike = any({source, proxy} <= names for names in ALIKE.get(key, ()))
    why = "the same by another name" if alike else lacking
    return Row(key, source, proxy, *((Verdict.EXPLAINED, why) if why and proxy == meant else (Verdict.UNEQUAL, "")))


def shown_times(container: InputContainer) -> tuple[list[Fraction], Fraction]:
    """When each frame of the proxy is shown, and when the last one ends."""
    stream = media.picture_stream(container)
    if stream is None or stream.time_base is None:
        return [], Fraction(0)
    base = stream.time_base
    shown = [(p.pts, p.duration or 0) for p in media.packets(container, [stream], media.Damage()) if p.pts is not None]
    shown.sort()
    return [at * base for at, _ in shown], max(((at + lasts) * base for at, lasts in shown), default=Fraction(0))


def same_times(wanted: list[Fraction], found: list[Fraction], slack: Fraction) -> bool:
    return len(wanted) == len(found) and all(abs(a - b) <= slack for a, b in zip(wanted, found, strict=True))


def sound_rows(theirs: list[dict[str, object]], ours: list[dict[str, object]]) -> Iterable[Row]:
    def each(tracks: list[dict[str, object]], key: str) -> list[object]:
        return [track[key] for track in tracks]

    languages = [QUICKTIME_LANGUAGES.get(str(found), found) for found in each(theirs, "language")]
    layouts = (each(theirs, "layout"), each(ours, "layout"))
    named = all(a == b or not (a and b) for a, b in zip(*layouts, strict=False))
    yield same("audio_tracks", len(theirs), len(ours))
    yield same("audio_channels", each(theirs, "channels"), each(ours, "channels"))
    yield same("sample_rates", each(theirs, "sample_rate"), each(ours, "sample_rate"))
    yield same("languages", languages, each(ours, "language"))
    yield judged("layouts", *layouts, named)


def same(name: str, source: object, proxy: object) -> Row:
    return judged(name, source, proxy, source == proxy)


def judged(name: str, source: object, proxy: object, equal: bool) -> Row:
    return Row(name, source, proxy, Verdict.EQUAL if equal else Verdict.UNEQUAL)


def seconds(times: list[Fraction]) -> float | None:
    return round(float(times[0]), 6) if times else None


def ratio(shape: Fraction) -> float:
    return round(float(shape), 3)


def nano(seconds: Fraction) -> int:
    return round(seconds * media.NANO)

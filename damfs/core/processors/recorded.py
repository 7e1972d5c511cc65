"""Whether the small copy that a camera recorded beside a clip can stand in for it: the gate, for two files as they are.

Runs in worker processes only (imports av); reads both indexes (or packets) and decodes one picture of each. Compared is
what editors compare. Not compared are what a proxy is there for: codec, size (it must be smaller, of the same shape),
bit depth, bit rate; and languages of tracks, which no editor looks at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from damfs.core.processors import conformance, media, source_frames
from damfs.core.processors.conformance import FIRST, PROGRESSIVE, Properties, Row, Verdict, excused, judged, same
from damfs.core.processors.source_frames import Held
from damfs.errors import BadMedia
from damfs.model import Facts

ON_AVERAGE = Fraction(1, 2000)
"""By which a rate may differ that is known on average only; 24 and 23.976 are twice as far apart."""
USUAL: Mapping[str, str] = {
    "colour_primaries": "bt709", "colour_transfer": "bt709", "colour_space": "bt709", "colour_range": "tv",
}  # fmt: skip
"""What players take pictures for that do not say."""
FROM_ZERO = frozenset({None, "00:00:00:00", "00:00:00;00"})


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two files."""

    said: Properties
    held: Held
    codec: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Judgement:
    """``why``: what keeps it from standing in, '' for nothing; ``report``: as of a proxy of our own."""

    why: str
    report: Facts


def judge(clip: Path, copy: Path, name: str) -> Judgement:
    """Raises BadMedia when the clip cannot be read; a copy that cannot be is not used."""
    whole = side(clip, name)
    try:
        small = side(copy, copy.name)
    except BadMedia as error:
        return Judgement(str(error), {"profile": "camera"})
    rows = tuple(compare(whole, small))
    report: Facts = {
        "profile": "camera",
        "encoder": small.codec,
        "width": small.size[0],
        "height": small.size[1],
        "properties": {row.name: row.facts() for row in rows},
    }
    return Judgement(why_not(rows), report)


def side(path: Path, name: str) -> Side:
    held = source_frames.held(path, name)
    held = held if held.first_key is None else held.since(held.first_key)
    with media.opened(path, media.shown(name)) as container:
        stream = media.picture_stream(container)
        if stream is None:
            raise BadMedia(f"{media.shown(name)}: it holds no moving pictures")
        said = conformance.properties(container, media.shown(name), held)
        codec, size = media.codec_name(stream) or "?", (stream.width, stream.height)
    return Side(said, held, codec, size)


def why_not(rows: Iterable[Row]) -> str:
    """The first property that is not equal, in words."""
    for row in rows:
        if row.verdict is Verdict.UNEQUAL:
            return f"{row.name}: {row.why}" if row.why else f"{row.name}: {row.proxy} instead of {row.source}"
    return ""


def compare(clip: Side, copy: Side) -> Iterable[Row]:
    yield from frame_rows(clip, copy)
    yield timecode_row(clip.said.timecode, copy.said.timecode)
    yield same("reel", clip.said.reel, copy.said.reel)
    yield from picture_rows(clip, copy)
    for row in conformance.sound_rows(clip.said.tracks, copy.said.tracks):
        yield excused(row, "no editor compares them" if row.name == "languages" else "")


def frame_rows(clip: Side, copy: Side) -> Iterable[Row]:
    """The rate comes first: it is the reason where the number of frames differs too."""
    theirs, ours = relative(clip.held), relative(copy.held)
    slack = clip.held.tick + copy.held.tick
    equal = bool(theirs) and conformance.same_times(theirs, ours, slack)
    rate, other = clip.said.rate, copy.said.rate
    near = rate is not None and other is not None and abs(other / rate - 1) <= ON_AVERAGE
    average = "known on average only; each frame has the same time" if equal and near else ""
    yield excused(same("frame_rate", media.rational_text(rate), media.rational_text(other)), average)
    yield same("frames", clip.held.frames, copy.held.frames)
    yield judged("frame_times", conformance.seconds(theirs[-1:]), conformance.seconds(ours[-1:]), equal)
    lasts, others = length(clip.held), length(copy.held)
    closes = abs(lasts - others) * (rate or 1) <= Fraction(1, 2)
    yield judged("duration_ns", conformance.nano(lasts), conformance.nano(others), closes)


def relative(held: Held) -> list[Fraction]:
    """Times from the first frame on."""
    return [at - held.times[0] for at in held.times]


def length(held: Held) -> Fraction:
    return held.end - held.times[0] if held.times else Fraction(0)


def timecode_row(clip: str | None, copy: str | None) -> Row:
    start = "editors count from 0 where nothing is said" if clip is None and copy in FROM_ZERO else ""
    return excused(same("timecode", clip, copy), start)


def picture_rows(clip: Side, copy: Side) -> Iterable[Row]:
    theirs, ours = clip.said, copy.said
    whole, small = (f"{each.size[0]}x{each.size[1]}" for each in (clip, copy))
    smaller = copy.size[0] * copy.size[1] < clip.size[0] * clip.size[1]
    why = "it is meant to be smaller" if smaller else "it is not smaller"
    yield Row("size", whole, small, Verdict.EXPLAINED if smaller else Verdict.UNEQUAL, why)
    baked = theirs.turned in {90, 270} and ours.turned == 0 and same_shape(theirs, ours)
    yield same("sample_aspect", inverse(theirs.sample_aspect) if baked else theirs.sample_aspect, ours.sample_aspect)
    yield judged("shape", conformance.ratio(theirs.shape), conformance.ratio(ours.shape), same_shape(theirs, ours))
    turned = "its pictures themselves are upright" if baked else ""
    yield excused(same("rotation", theirs.turned, ours.turned), turned)
    yield same("field_order", FIRST.get(theirs.field_order, PROGRESSIVE), FIRST.get(ours.field_order, PROGRESSIVE))
    for key, value in theirs.colour.items():
        yield colour_row(key, value, ours.colour[key])


def same_shape(theirs: Properties, ours: Properties) -> bool:
    return abs(theirs.shape - ours.shape) <= theirs.shape * conformance.ASPECT_SLACK


def inverse(aspect: str | None) -> str | None:
    return None if aspect is None else media.rational_text(1 / Fraction(aspect))


def colour_row(key: str, clip: object, copy: object) -> Row:
    silent = None in {clip, copy} and {clip, copy} == {None, USUAL.get(key)}
    alike = any({clip, copy} <= names for names in conformance.ALIKE.get(key, ()))
    why = "one of them does not say; this is what players take it for" if silent else ""
    return excused(same(key, clip, copy), "the same by another name" if alike else why)

"""Whether a proxy can stand in for its source in an editor: property by property, read back from the finished file.

Runs in worker processes only (imports av); reads the proxy's index and packets, not its pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer

from damfs.core.processors import media
from damfs.core.processors.proxy_plan import Plan, timecode_for
from damfs.core.processors.transcode import QUICKTIME_LANGUAGES, Tally

Report = dict[str, list[object]]
"""[value of the source, value of the proxy, equal] by property."""


@dataclass(frozen=True, slots=True)
class Properties:
    """What editors compare."""

    rate: Fraction | None
    timecode: str | None
    reel: str | None
    sample_aspect: str | None
    field_order: str | None
    colour: dict[str, object]
    tracks: list[dict[str, object]]


def properties(container: InputContainer) -> Properties:
    stream = media.picture_stream(container)
    if stream is None:
        raise ValueError("no pictures")
    facts = media.video_facts(stream)
    rate = media.rate_of(stream)
    return Properties(
        rate=rate,
        timecode=None if rate is None else timecode_for(media.start_timecode(container), rate),
        reel=media.reel_name(container),
        sample_aspect=media.rational_text(media.sample_aspect(stream)),
        field_order=media.FIELD_ORDERS.get(stream.codec_context.field_order),
        colour={name: value for name, value in facts.items() if name.startswith("colour_")},
        tracks=[media.audio_facts(sound) for sound in media.sound_streams(container)],
    )


def compare(source: Path, proxy: Path, name: str, plan: Plan, tally: Tally) -> Report:
    with media.opened(source, name) as container:
        theirs = properties(container)
    with media.opened(proxy, name) as container:
        ours = properties(container)
        times, end = shown_times(container)
    wanted = [at * plan.time_base for at in tally.times]
    report: Report = {
        "frames": same(tally.source_frames, len(times)),
        "frame_times": [seconds(wanted[-1:]), seconds(times[-1:]), same_times(wanted, times, plan.time_base)],
        "duration_ns": [nano(tally.end), nano(end), abs(end - tally.end) * plan.rate <= Fraction(1, 2)],
        "timecode": same(theirs.timecode, ours.timecode),
        "reel": same(theirs.reel, ours.reel),
        "sample_aspect": same(media.rational_text(plan.sample_aspect), ours.sample_aspect),
        "field_order": kept(theirs.field_order, ours.field_order or "progressive"),
        **{key: kept(value, ours.colour[key]) for key, value in theirs.colour.items()},
        **sound_report(theirs.tracks, ours.tracks),
    }
    if tally.steady:
        report["frame_rate"] = same(media.rational_text(theirs.rate), media.rational_text(ours.rate))
    return report


def shown_times(container: InputContainer) -> tuple[list[Fraction], Fraction]:
    """When each frame of the proxy is shown, and when the last one ends."""
    stream = media.picture_stream(container)
    if stream is None or stream.time_base is None:
        return [], Fraction(0)
    base = stream.time_base
    shown = [(p.pts, p.duration or 0) for p in media.packets(container, [stream], media.Damage()) if p.pts is not None]
    shown.sort()
    return [at * base for at, _ in shown], max(((at + lasts) * base for at, lasts in shown), default=Fraction(0))


def same_times(wanted: list[Fraction], found: list[Fraction], tick: Fraction) -> bool:
    """Equal but for the rounding of one time base to the other."""
    return len(wanted) == len(found) and all(abs(a - b) <= tick / 2 for a, b in zip(wanted, found, strict=True))


def sound_report(theirs: list[dict[str, object]], ours: list[dict[str, object]]) -> Report:
    def each(tracks: list[dict[str, object]], key: str) -> list[object]:
        return [track[key] for track in tracks]

    languages = [QUICKTIME_LANGUAGES.get(str(found), found) for found in each(theirs, "language")]
    layouts = list(zip(each(theirs, "layout"), each(ours, "layout"), strict=False))
    return {
        "audio_tracks": same(len(theirs), len(ours)),
        "audio_channels": same(each(theirs, "channels"), each(ours, "channels")),
        "sample_rates": same(each(theirs, "sample_rate"), each(ours, "sample_rate")),
        "languages": same(languages, each(ours, "language")),
        "layouts": [each(theirs, "layout"), each(ours, "layout"), all(a == b or not (a and b) for a, b in layouts)],
    }


def same(source: object, proxy: object) -> list[object]:
    return [source, proxy, source == proxy]


def kept(source: object, proxy: object) -> list[object]:
    """As ``same``; a source that says nothing has nothing to keep."""
    return [source, proxy, source is None or source == proxy]


def seconds(times: list[Fraction]) -> float | None:
    return round(float(times[0]), 6) if times else None


def nano(seconds: Fraction) -> int:
    return round(seconds * media.NANO)

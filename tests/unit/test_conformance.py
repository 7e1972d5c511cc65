"""The gate: a proxy that differs in one property is refused with its name, whichever it is. Each is a real file, made
as proxies are but for that one thing, and compared with what it should have been."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from damfs.core.processors import conformance, first_picture, media, proxy, source_frames, transcode
from damfs.core.processors.profiles import PROFILES, Profile
from damfs.core.processors.proxy_gate import UnequalProxy, check_rows
from damfs.core.processors.proxy_plan import Plan, SizeRule
from tests import sample_media
from tests.sample_media import Clip, Track

CLIP = Clip(
    source="beach", size=(320, 180), seconds=0.4, options={"preset": "ultrafast"}, sound="pcm_s16le", reel="A001",
    rate=Fraction(30000, 1001), timecode="01:00:00;02", tracks=(Track("stereo", "eng"), Track("mono", "deu")),
    colour=(1, 1, 1, 1),
)  # fmt: skip
TRACKS = {"audio_tracks", "audio_channels", "sample_rates", "languages", "layouts"}


@dataclass(frozen=True, slots=True)
class Wrong:
    """``plan``: what the proxy is made by instead of the right plan; ``source``: of what, instead of the source.
    ``names``: properties that differ then, the first one is named."""

    names: tuple[str, ...]
    plan: Callable[[Plan], Plan] = lambda plan: plan
    source: Clip = CLIP
    of: Clip = CLIP
    also: frozenset[str] = field(default_factory=frozenset)
    profile: str = "h264-intra"


def planned(**changes: object) -> Callable[[Plan], Plan]:
    return lambda plan: replace(plan, **changes)  # type: ignore[arg-type]  # fields of Plan


def sounding(*tracks: Track) -> Clip:
    return replace(CLIP, tracks=tracks)


TURNED = {turn: replace(CLIP, rotation=turn) for turn in (90, 180)}
WRONG = {
    "no timecode": Wrong(("timecode",), planned(timecode=None), also=frozenset({"reel"})),
    "another timecode": Wrong(("timecode",), planned(timecode="01:00:00;03")),
    "no drop frame": Wrong(("timecode",), planned(timecode="01:00:00:02")),
    "no reel": Wrong(("reel",), planned(reel=None)),
    "another reel": Wrong(("reel",), planned(reel="B001")),
    "a rate that is nearly right": Wrong(
        ("frame_times", "frame_rate"), planned(rate=Fraction(30), time_base=Fraction(1, 30)),
        also=frozenset({"timecode"}),
    ),
    "a frame too few": Wrong(("frames", "frame_times", "duration_ns"), source=replace(CLIP, seconds=0.37)),
    "pixels of another shape": Wrong(("sample_aspect", "shape"), planned(sample_aspect=Fraction(4, 3))),
    "a picture of another shape": Wrong(("shape",), planned(width=180)),
    "fields": Wrong(("field_order",), planned(interlaced=True, field_order=2)),
    "other primaries": Wrong(("colour_primaries",), planned(colour=(9, 1, 1, 1))),
    "another curve": Wrong(("colour_transfer",), planned(colour=(1, 16, 1, 1))),
    "another matrix": Wrong(("colour_space",), planned(colour=(1, 1, 9, 1))),
    "another range": Wrong(("colour_range",), planned(colour=(1, 1, 1, 2))),
    "not turned": Wrong(
        ("shape", "first_picture"), planned(turn=media.Turn(), width=320, height=180), TURNED[90], TURNED[90]
    ),
    "upside down": Wrong(("first_picture",), planned(turn=media.Turn()), TURNED[180], TURNED[180]),
    "other pictures": Wrong(("first_picture",), source=replace(CLIP, source="portrait")),
    "a track too few": Wrong(("audio_tracks",), source=sounding(CLIP.tracks[0]), also=frozenset(TRACKS)),
    "a track too many": Wrong(("audio_tracks",), source=sounding(*CLIP.tracks, Track()), also=frozenset(TRACKS)),
    "fewer channels": Wrong(("audio_channels", "layouts"), source=sounding(Track("mono", "eng"), CLIP.tracks[1])),
    "channels that go elsewhere": Wrong(
        ("layouts",), source=sounding(Track("3.0", "eng")), of=sounding(Track("2.1", "eng"))
    ),
    "another language": Wrong(("languages",), source=sounding(CLIP.tracks[0], Track("mono", "fra"))),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_differs_is_refused_and_named(tmp_path: Path, name: str) -> None:
    wrong = WRONG[name]
    source = sample_media.write(tmp_path / "a.mov", wrong.of)
    made_from = source if wrong.source is wrong.of else sample_media.write(tmp_path / "b.mov", wrong.source)
    rows = judged(source, made_from, tmp_path, PROFILES[wrong.profile], wrong.plan)
    unequal = {row.name for row in rows if row.verdict == "unequal"}
    assert set(wrong.names) <= unequal <= set(wrong.names) | wrong.also
    with pytest.raises(UnequalProxy, match=rf"a\.mov: no proxy: {wrong.names[0]} would be .* instead of "):
        check_rows(rows, transcode.Tally(), "a.mov")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("clip", [CLIP, *TURNED.values()], ids=["upright", "90", "180"])
def test_what_is_right_passes(tmp_path: Path, clip: Clip, profile: str) -> None:
    """Or none of these would be worth anything."""
    source = sample_media.write(tmp_path / "a.mov", clip)
    rows = judged(source, source, tmp_path, PROFILES[profile], lambda plan: plan)
    check_rows(rows, transcode.Tally(), "a.mov")
    assert next(row for row in rows if row.name == "first_picture").verdict == "equal"


def judged(
    source: Path, made_from: Path, out: Path, profile: Profile, change: Callable[[Plan], Plan]
) -> tuple[conformance.Row, ...]:
    """What the gate says of a proxy that is made of something else, or by another plan."""
    right = proxy.made_by(profile.software, source, out, "a.mov", profile, SizeRule())
    held = source_frames.held(source, "a.mov").since(right.plan.origin)
    target = out / f"wrong{profile.ending}"
    transcode.transcode(made_from, target, "a.mov", change(right.plan))
    return conformance.compare(source, target, "a.mov", right.plan, right.tally, held)


def test_sample_rates_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = sample_media.write(tmp_path / "a.mov", CLIP)
    made = proxy.made_by(PROFILES["h264-intra"].software, source, tmp_path, "a.mov", PROFILES["h264-intra"], SizeRule())
    facts = media.audio_facts
    seen: list[object] = []

    def at_half_the_rate(sound: object) -> dict[str, object]:
        seen.append(sound)
        said = facts(sound)  # type: ignore[arg-type]  # as it is called
        return {**said, "sample_rate": 24_000} if len(seen) > len(CLIP.tracks) else said

    monkeypatch.setattr(media, "audio_facts", at_half_the_rate)
    rows = conformance.compare(source, made.target, "a.mov", made.plan, made.tally, source_frames.held(source, "a.mov"))
    assert {row.name for row in rows if row.verdict == "unequal"} == {"sample_rates"}


def test_pictures_that_show_nothing_are_not_told_apart() -> None:
    black, scene = np.full((18, 32), 16, np.float32), np.arange(18 * 32, dtype=np.float32).reshape(18, 32)
    assert first_picture.likeness(black, black) == 1
    assert first_picture.likeness(scene, black) == 0
    assert first_picture.likeness(scene, scene[::-1, ::-1]) == -1


@pytest.mark.parametrize("step", first_picture.STEPS)
def test_small_pictures_turn_as_the_filters_do(step: tuple[str, str | None]) -> None:
    rows, columns = (32, 18) if step[0] == "transpose" else (18, 32)
    pixels = np.random.default_rng(1).integers(0, 255, (rows, columns), np.uint8)
    graph = av.filter.Graph()
    grey = graph.add_buffer(width=columns, height=rows, format=av.VideoFormat("gray"), time_base=Fraction(1, 25))
    graph.link_nodes(grey, graph.add(*step), graph.add("buffersink")).configure()
    frame = av.VideoFrame.from_ndarray(pixels, format="gray")
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    graph.vpush(frame)
    turned = graph.vpull()
    assert isinstance(turned, av.VideoFrame)
    assert np.array_equal(first_picture.STEPS[step](pixels.astype(np.float32)), turned.to_ndarray())

"""Small copies that cameras record: each property that editors compare keeps one that differs from standing in."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from damfs.core.processors import recorded
from damfs.core.processors.camera_proxy import CameraProxy
from damfs.core.processors.processor import Subject
from damfs.model import Media
from tests import sample_media
from tests.sample_media import Track
from tests.sample_media.clips import H264, Clip
from tests.unit.test_proxy_matrix import interlaced

CLIP = replace(
    H264, size=(640, 360), seconds=0.4, sound="pcm_s16le", timecode="10:00:00:00", colour=(1, 1, 1, 1),
    options={"preset": "ultrafast"},
)  # fmt: skip
COPY = replace(CLIP, size=(320, 180))


COMPARED = {
    "frame_rate", "frames", "frame_times", "duration_ns", "timecode", "reel", "sample_aspect", "shape", "rotation",
    "field_order", "colour_primaries", "colour_range", "audio_tracks", "audio_channels", "sample_rates",
}  # fmt: skip


def refused(folder: Path, clip: Clip, copy: Clip) -> str:
    """Why, or ''."""
    paths = [sample_media.write(folder / name, each) for name, each in (("a.mov", clip), ("a.small.mov", copy))]
    return recorded.judge(paths[0], paths[1], "a.mov").why


def test_one_that_conforms_has_a_report_of_every_property(tmp_path: Path) -> None:
    paths = [sample_media.write(tmp_path / name, each) for name, each in (("a.mov", CLIP), ("a.small.mov", COPY))]
    found = recorded.judge(paths[0], paths[1], "a.mov")
    assert found.why == ""
    properties = found.report["properties"]
    assert isinstance(properties, dict)
    assert {name for name, row in properties.items() if row["verdict"] == "explained"} == {"size"}
    assert properties["size"]["why"] == "it is meant to be smaller"
    assert properties.keys() >= COMPARED
    assert (found.report["encoder"], found.report["width"]) == ("h264", 320)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tracks": (Track("mono"),)}, "audio_channels: [1] instead of [2]"),
        ({"tracks": ()}, "audio_tracks: 0 instead of 1"),
        ({"tracks": (Track(), Track())}, "audio_tracks: 2 instead of 1"),
        ({"rotation": 180}, "rotation: 180 instead of 0"),
        ({"rotation": 90}, "shape: "),
        ({"sample_aspect": Fraction(4, 3)}, "sample_aspect: 4/3 instead of 1/1"),
        ({"size": (320, 240)}, "shape: 1.333 instead of 1.778"),
        ({"pixel_format": "yuvj420p", "colour": (1, 1, 1, 2)}, "colour_range: pc instead of tv"),
        ({"colour": (9, 16, 9, 1)}, "colour_primaries: bt2020 instead of bt709"),
        ({"timecode": "00:00:00:00"}, "timecode: 00:00:00:00 instead of 10:00:00:00"),
        ({"timecode": ""}, "timecode: None instead of 10:00:00:00"),
        ({"rate": Fraction(50)}, "frame_rate: 50/1 instead of 25/1"),
        ({"rate": Fraction(25, 2), "seconds": 0.8}, "frame_rate: 25/2 instead of 25/1"),
        ({"seconds": 0.36}, "frames: 9 instead of 10"),
        ({"size": (640, 360)}, "size: it is not smaller"),
        ({"reel": "A001"}, "reel: A001 instead of None"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_one_that_differs_is_refused_with_the_property(tmp_path: Path, changes: dict[str, object], why: str) -> None:
    found = refused(tmp_path, CLIP, replace(COPY, **changes))  # type: ignore[arg-type]  # fields of Clip
    assert found.startswith(why)


@pytest.mark.parametrize(
    ("clip", "copy"),
    [
        ({"rotation": 90}, {"rotation": 90}),
        ({"rotation": 90}, {"size": (180, 320)}),
        ({"timecode": ""}, {"timecode": ""}),
        ({"timecode": ""}, {"timecode": "00:00:00:00"}),
        ({}, {"colour": None}),
        ({}, {"codec": "libx265", "options": {"preset": "ultrafast", "x265-params": "log-level=none"}}),
        ({"tracks": (Track("stereo", "deu"),)}, {}),
        ({"rate": Fraction(30000, 1001), "timecode": "01:00:00;02"},) * 2,
        ({"rate": Fraction(20), "ticks": (33, 50, 17, 100), "timecode": ""},) * 2,
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_editors_do_not_mind(tmp_path: Path, clip: dict[str, object], copy: dict[str, object]) -> None:
    assert refused(tmp_path, replace(CLIP, **clip), replace(COPY, **copy)) == ""  # type: ignore[arg-type]  # fields of Clip


def test_another_sample_rate_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = sample_media.write(tmp_path / "a.mov", CLIP)
    monkeypatch.setattr("tests.sample_media.clips.SOUND_RATE", 44100)
    copy = sample_media.write(tmp_path / "b.mov", COPY)
    assert recorded.judge(clip, copy, "a.mov").why == "sample_rates: [44100] instead of [48000]"


def test_fields_that_are_whole_pictures_in_the_copy_are_refused(tmp_path: Path) -> None:
    clip = interlaced(tmp_path / "a.mxf")
    small = replace(COPY, size=(176, 144), tracks=(), timecode="00:00:00:00")
    copy = sample_media.write(tmp_path / "a.small.mov", small)
    assert recorded.judge(clip, copy, "a.mxf").why == "field_order: progressive instead of top first"


def test_one_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    clip = sample_media.write(tmp_path / "a.mov", CLIP)
    copy = sample_media.truncated(tmp_path / "b.mov")
    assert "moov atom not found" in recorded.judge(clip, copy, "a.mov").why


def test_the_first_that_conforms_is_taken_and_the_others_are_told_of(tmp_path: Path) -> None:
    clip = sample_media.write(tmp_path / "a.mov", CLIP)
    bad = sample_media.write(tmp_path / "bad.mov", replace(COPY, tracks=()))
    good = sample_media.write(tmp_path / "good.mov", COPY)
    subject = Subject(
        "a.mov", Media.VIDEO, 1, {"camera_pair": {"proxies": ["01", "02"]}}, beside={"01": bad, "02": good}
    )
    processor = CameraProxy()
    assert processor.accepts(subject)
    assert processor.reads(subject) == ("01", "02")
    facts = processor.run(clip, tmp_path, subject).facts
    assert facts["proxy"] == "02"
    assert facts["refused"]["01"]["why"] == "audio_tracks: 0 instead of 1"  # type: ignore[index]  # JSON
    done = replace(subject, facts={**subject.facts, "camera_proxy": facts})
    assert processor.is_current(done)
    assert not processor.is_current(replace(done, facts={**done.facts, "camera_pair": {"proxies": ["02"]}}))

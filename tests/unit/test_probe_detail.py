"""probe: chapters, subtitles, HDR, exposure, texts; and that nonsense about them is passed over."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import ExifTags, Image

from damfs.catalog.fields import BY_NAME, texts
from damfs.core.finished import CUT_OFF, NO_LENGTH
from damfs.core.processors import capture, exposure
from damfs.core.processors.clip_detail import LISTED_CHAPTERS, LISTED_STREAMS
from damfs.core.processors.media import LONGEST_NS, sensible
from damfs.core.processors.probe import Probe
from damfs.core.processors.processor import Subject
from damfs.model import Facts, Media
from tests import sample_media
from tests.sample_media.running import RECORDERS, recorded

HDR10 = (
    "log-level=none:hdr10=1:repeat-headers=1:max-cll=1000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
)


def probe(path: Path, media: Media = Media.VIDEO) -> Facts:
    return Probe().run(path, path.parent / "out", Subject(path.name, media, path.stat().st_size)).facts


def remuxed(source: Path, path: Path, subtitles: str = "", chapters: int = 0) -> Path:
    """The same pictures with chapters and an empty track of subtitles."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        if subtitles:
            new.add_mux_stream("subrip", time_base=Fraction(1, 1000)).metadata["language"] = subtitles
        if chapters:
            new.set_chapters(
                [
                    {"id": n, "start": n, "end": n + 1, "time_base": Fraction(1, 2), "metadata": {"title": f"Take {n}"}}
                    for n in range(chapters)
                ]
            )
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return path


def test_chapters(tmp_path: Path) -> None:
    clip = sample_media.h264(tmp_path / "a.mp4", seconds=1, size=(320, 180), tracks=())
    facts = probe(remuxed(clip, tmp_path / "b.mkv", chapters=2))
    assert facts["chapters"] == [{"start_ns": 0, "title": "Take 0"}, {"start_ns": 500_000_000, "title": "Take 1"}]


def test_chapters_without_end_are_cut(tmp_path: Path) -> None:
    clip = sample_media.h264(tmp_path / "a.mp4", seconds=0.2, size=(320, 180), tracks=())
    chapters = probe(remuxed(clip, tmp_path / "b.mkv", chapters=LISTED_CHAPTERS + 50))["chapters"]
    assert isinstance(chapters, list)
    assert len(chapters) == LISTED_CHAPTERS


def test_subtitles(tmp_path: Path) -> None:
    clip = sample_media.h264(tmp_path / "a.mp4", seconds=0.2, size=(320, 180), tracks=())
    facts = probe(remuxed(clip, tmp_path / "b.mkv", subtitles="ger"))
    assert facts["subtitles"] == [{"codec": "subrip", "language": "ger"}]
    assert facts["streams"] == 2


def test_many_tracks_are_counted_and_the_first_described(tmp_path: Path) -> None:
    tracks = tuple(sample_media.Track("mono") for _ in range(LISTED_STREAMS + 5))
    facts = probe(sample_media.h264(tmp_path / "a.mkv", seconds=0.04, size=(64, 48), tracks=tracks))
    assert facts["streams"] == LISTED_STREAMS + 6
    audio = facts["audio"]
    assert isinstance(audio, list)
    assert len(audio) == LISTED_STREAMS


def test_a_recording_that_nobody_finished_says_so(tmp_path: Path) -> None:
    live, _ = recorded(tmp_path / "live.mkv", RECORDERS["live.mkv"])
    assert probe(live)["unfinished"] == NO_LENGTH
    facts = {"probe": probe(sample_media.cut_short(tmp_path / "a.mp4"))}
    assert texts(BY_NAME["unfinished"], facts) == [CUT_OFF]
    assert probe(recorded(tmp_path / "a.mkv", RECORDERS["a.mkv"])[0])["unfinished"] is None


def test_brightness_of_hdr(tmp_path: Path) -> None:
    options = {"preset": "ultrafast", "x265-params": HDR10}
    facts = probe(sample_media.hevc10(tmp_path / "a.mp4", seconds=0.2, size=(320, 180), options=options))
    assert facts["hdr"] == {
        "max_content_light": 1000, "max_frame_light": 400, "mastering_min": 0.005, "mastering_max": 1000.0,
    }  # fmt: skip


def test_a_clip_without_hdr_says_nothing_of_it(tmp_path: Path) -> None:
    assert probe(sample_media.h264(tmp_path / "a.mp4", seconds=0.2, size=(320, 180)))["hdr"] is None


def photo(path: Path, **values: object) -> Path:
    exif = Image.Exif()
    detail = exif.get_ifd(ExifTags.IFD.Exif)
    for name, value in values.items():
        tag = ExifTags.Base[name]
        (exif if name in ("ImageDescription", "Artist", "Copyright") else detail)[tag] = value
    Image.new("RGB", (32, 24)).save(path, "JPEG", exif=exif)
    return path


def test_exposure_and_texts_of_a_photo(tmp_path: Path) -> None:
    path = photo(
        tmp_path / "a.jpg", ISOSpeedRatings=400, ExposureTime=1 / 250, FNumber=2.8, FocalLength=85.0,
        BodySerialNumber="0123", ImageDescription=" At the sea\n", Artist="A. Person",
    )  # fmt: skip
    facts = probe(path, Media.IMAGE)
    assert facts["iso"] == 400
    assert facts["exposure_s"] == pytest.approx(1 / 250)
    assert (facts["aperture"], facts["focal_mm"]) == (2.8, 85)
    assert (facts["serial"], facts["description"], facts["artist"]) == ("0123", "At the sea", "A. Person")
    assert facts["copyright"] is None


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "wide", (), (0, 0), b"\x01", 1e12])
def test_nonsense_is_no_exposure(value: object) -> None:
    assert exposure.positive(value) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("+48.8584+002.2945+035.000/", {"lat": 48.8584, "lon": 2.2945, "alt": 35.0}),
        ("+48.8584+002.2945/", {"lat": 48.8584, "lon": 2.2945}),
        ("-33.8568+151.2153-2.5CRSWGS_84/", {"lat": -33.8568, "lon": 151.2153, "alt": -2.5}),
    ],
)
def test_height_above_the_sea(text: str, found: dict[str, float]) -> None:
    assert capture.gps_of_tags({"location": text}) == found


@pytest.mark.parametrize(("said", "kept"), [(None, None), (0, None), (-5, None), (1 << 62, None), (5, 5)])
def test_a_duration_without_end_is_none(said: int | None, kept: int | None) -> None:
    assert sensible(said) == kept
    assert sensible(LONGEST_NS) is None


@pytest.mark.parametrize(("codec", "name"), [("libsvtav1", "av1"), ("libvpx-vp9", "vp9")])
def test_a_codec_is_called_by_its_name(tmp_path: Path, codec: str, name: str) -> None:
    options = {"preset": "12"} if codec == "libsvtav1" else {"deadline": "realtime", "cpu-used": "8"}
    clip = sample_media.Clip(codec=codec, options=options, size=(128, 96), seconds=0.2, sound="libopus")
    before = os.sched_getscheduler(0)
    facts = probe(sample_media.write(tmp_path / "a.mkv", clip))
    assert os.sched_getscheduler(0) == before
    video, audio = facts["video"], facts["audio"]
    assert isinstance(video, dict)
    assert isinstance(audio, list)
    assert (video["codec"], audio[0]["codec"]) == (name, "opus")

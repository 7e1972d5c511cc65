"""probe: what real files of every kind are said to be, judged by ffprobe, and what damaged ones are told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.core.processors import capture
from damfs.core.processors.probe import Probe
from damfs.core.processors.processor import Subject
from damfs.errors import BadMedia
from damfs.model import Facts, Media
from tests import sample_media


def probe(path: Path, media: Media = Media.VIDEO, name: str | None = None) -> Facts:
    subject = Subject(name or path.name, media, path.stat().st_size)
    return Probe().run(path, path.parent / "out", subject).facts


def part(facts: Facts, key: str) -> dict[str, object]:
    found = facts[key]
    assert isinstance(found, dict)
    return found


def ffprobe(path: Path) -> dict[str, object]:
    """What ffprobe says about the first video stream."""
    program = shutil.which("ffprobe")
    assert program, "ffprobe is the judge of these tests; install ffmpeg"
    wanted = "stream=codec_name,avg_frame_rate,pix_fmt,color_range,color_space,color_primaries,color_transfer"
    command = [program, "-v", "error", "-select_streams", "v:0", "-show_entries", wanted, "-of", "json", str(path)]
    streams = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["streams"]
    assert isinstance(streams[0], dict)
    return streams[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("media")
    sample_media.make_all(directory)
    return directory


VIDEOS = (
    "h264.mp4", "hevc10.mp4", "prores.mov", "dnxhr.mov", "mjpeg.avi", "rotated.mov", "drop_frame.mov", "vfr.mkv",
    "mxf.mxf",
)  # fmt: skip


@pytest.mark.parametrize("name", VIDEOS)
def test_agrees_with_ffprobe(folder: Path, name: str) -> None:
    judge, facts = ffprobe(folder / name), probe(folder / name)
    video = part(facts, "video")
    assert facts["media"] == "video"
    assert (video["codec"], video["pixel_format"]) == (judge["codec_name"], judge["pix_fmt"])
    assert video["frame_rate"] == judge["avg_frame_rate"]
    colours = {
        "colour_range": "color_range",
        "colour_primaries": "color_primaries",
        "colour_transfer": "color_transfer",
    }
    for ours, theirs in colours.items():
        assert (video[ours] or "unknown") == judge.get(theirs, "unknown")


@pytest.mark.parametrize(
    ("name", "duration_ns", "frames", "size", "timecode", "channels"),
    [
        ("h264.mp4", 1_000_000_000, 25, (640, 360), None, [2]),
        ("prores.mov", 1_000_000_000, 25, (640, 360), "10:58:07:12", [2, 1]),
        ("mxf.mxf", 1_000_000_000, None, (640, 360), "01:00:00:00", [1, 1]),
        ("drop_frame.mov", 1_001_000_000, 30, (640, 360), "01:00:00;02", [2]),
        ("rotated.mov", 1_000_000_000, 25, (360, 640), None, [2]),
    ],
)
def test_clips(
    folder: Path,
    name: str,
    duration_ns: int,
    frames: int | None,
    size: tuple[int, int],
    timecode: str | None,
    channels: list[int],
) -> None:
    facts = probe(folder / name)
    audio = facts["audio"]
    assert isinstance(audio, list)
    assert facts["duration_ns"] == duration_ns
    assert part(facts, "video")["frames"] == frames
    assert (facts["width"], facts["height"]) == size
    assert facts["timecode"] == timecode
    assert [track["channels"] for track in audio] == channels


def test_quicktime_creation_time_is_utc_and_no_wall_clock(folder: Path) -> None:
    facts = probe(folder / "prores.mov")
    moment = datetime(2024, 7, 15, 12, 34, 56, tzinfo=UTC)
    assert facts["captured_utc_ns"] == int(moment.timestamp()) * 1_000_000_000
    assert facts["captured_local"] is None
    assert facts["reel"] == "A001"


def test_apple_creation_date_knows_its_zone(tmp_path: Path) -> None:
    tags = {"com.apple.quicktime.creationdate": "2024-07-15T14:34:56+0200", "com.apple.quicktime.make": "Apple"}
    options = {"movflags": "use_metadata_tags"}
    facts = probe(sample_media.h264(tmp_path / "a.mov", seconds=0.2, metadata=tags, container_options=options))
    assert facts["captured_local"] == "2024-07-15T14:34:56"
    assert facts["captured_offset_min"] == 120
    assert facts["camera_make"] == "Apple"


def test_a_clock_never_set_is_no_capture_time(tmp_path: Path) -> None:
    created = datetime(1970, 1, 1, 0, 0, 0, tzinfo=UTC)
    facts = probe(sample_media.h264(tmp_path / "a.mov", seconds=0.2, created=created))
    assert facts["captured_utc_ns"] is None


def test_location_of_a_clip(folder: Path) -> None:
    assert probe(folder / "h264.mp4")["gps"] == {"lat": 48.8584, "lon": 2.2945}


def test_photo(folder: Path) -> None:
    facts = probe(folder / "photo.jpg", Media.IMAGE)
    assert facts["media"] == "image"
    assert (facts["width"], facts["height"], facts["rotation"]) == (1200, 800, 90)
    assert facts["captured_local"] == "2024-07-15T12:34:56"
    assert facts["captured_offset_min"] == 120
    assert facts["gps"] == {"lat": 48.8584, "lon": 2.2945}
    assert (facts["camera_make"], facts["camera_model"], facts["lens"]) == ("Fujifilm", "X-T5", "XF23mmF1.4")


@pytest.mark.parametrize("gps", [(-33.8568, 151.2153), (51.5, -0.1246)])
def test_hemispheres(tmp_path: Path, gps: tuple[float, float]) -> None:
    found = part(probe(sample_media.jpeg(tmp_path / "a.jpg", gps=gps, size=(64, 48))), "gps")
    assert (found["lat"], found["lon"]) == pytest.approx(gps, abs=1e-5)


def test_heic_and_raw(folder: Path) -> None:
    phone, raw = probe(folder / "phone.heic"), probe(folder / "raw.dng")
    assert (phone["width"], phone["height"], phone["camera_model"]) == (800, 600, "iPhone 15")
    assert (raw["width"], raw["height"], raw["camera_model"]) == (480, 320, "Sample Camera")
    assert raw["captured_local"] == "2024-09-01T07:30:00"


def test_broadcast_wave_and_tags(folder: Path) -> None:
    wave, flac = probe(folder / "ambience.wav", Media.AUDIO), probe(folder / "harbour.flac", Media.AUDIO)
    assert (wave["media"], wave["duration_ns"]) == ("audio", 1_000_000_000)
    assert wave["captured_local"] == "2025-05-04T09:30:00"
    assert wave["time_reference"] == (9 * 3600 + 30 * 60) * 48000
    assert (flac["title"], flac["artist"]) == ("Harbour at dawn", "damfs sample")


def test_a_photo_named_mov_is_a_photo(tmp_path: Path) -> None:
    facts = probe(sample_media.jpeg_named_mov(tmp_path / "clip.mov"))
    assert (facts["media"], facts["container"]) == ("image", "jpeg")


def test_damaged_exif_does_not_spoil_the_photo(tmp_path: Path) -> None:
    path = sample_media.jpeg(tmp_path / "a.jpg", size=(320, 200))
    content = bytearray(path.read_bytes())
    start = content.index(b"Exif\0\0") + 14
    content[start : start + 60] = bytes([0xFF]) * 60
    path.write_bytes(content)
    facts = probe(path, Media.IMAGE)
    assert facts["width"] == 320


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (sample_media.truncated, "clip.mov: not playable: moov atom not found"),
        (sample_media.empty, "clip.mov: not playable: the file is empty"),
        (sample_media.text_named_mov, "clip.mov: not playable: it holds text"),
        (sample_media.truncated_jpeg, "clip.mov: damaged picture"),
    ],
)
def test_damaged_files_get_one_clear_line(tmp_path: Path, make: object, words: str) -> None:
    assert callable(make)
    path = make(tmp_path / "clip.mov")
    with pytest.raises(BadMedia) as caught:
        probe(path)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_a_picture_that_says_it_is_huge_is_refused(tmp_path: Path) -> None:
    path = sample_media.png(tmp_path / "bomb.png", size=(8, 8))
    content = bytearray(path.read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(BadMedia, match="over the limit"):
        probe(path, Media.IMAGE)


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile other.mov\n", "#EXTM3U\n#EXTINF:1,\nother.mov\n"])
def test_a_playlist_opens_no_other_file(tmp_path: Path, text: str) -> None:
    sample_media.h264(tmp_path / "other.mov", seconds=0.2)
    (tmp_path / "clip.mov").write_text(text, encoding="utf-8")
    with pytest.raises(BadMedia):
        probe(tmp_path / "clip.mov")


def test_names_that_are_no_text(tmp_path: Path) -> None:
    good = sample_media.h264(tmp_path / "good.mov", seconds=0.2)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\nb'\xff\xfe.mov"))
    good.rename(odd)
    assert probe(odd)["media"] == "video"
    with pytest.raises(BadMedia) as caught:
        probe(sample_media.empty(odd), name="a\nb.mov")
    assert str(caught.value).startswith("a?b.mov: ")


def test_an_unreadable_file_is_not_bad_media(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Probe().run(tmp_path / "gone.mov", tmp_path, Subject("gone.mov", Media.VIDEO, 1))


def test_the_daemon_loads_no_decoder() -> None:
    code = (
        "import sys\n"
        "from damfs.core.processors import probe, preview, proxy\n"
        "from damfs.core.processors.processor import Subject\n"
        "from damfs.model import Media\n"
        "for kind in Media:\n"
        "    for made in (probe.Probe(), preview.Preview(), proxy.Proxy()): made.accepts(Subject('a', kind, 1))\n"
        "print(sorted({'av', 'PIL', 'numpy', 'rawpy', 'pillow_heif'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "offset", "local", "minutes"),
    [
        ("2024:07:15 12:34:56", "+02:00", "2024-07-15T12:34:56", 120),
        ("2024:07:15 12:34:56", None, "2024-07-15T12:34:56", None),
        ("2024-07-15T12:34:56.250-0330", None, "2024-07-15T12:34:56", -210),
        ("2024-07-15T12:34", None, "2024-07-15T12:34:00", None),
    ],
)
def test_moments(text: str, offset: str | None, local: str, minutes: int | None) -> None:
    found = capture.parse_moment(text, offset)
    assert found is not None
    assert (found.local, found.offset_min) == (local, minutes)


@pytest.mark.parametrize("text", ["", "0000:00:00 00:00:00", "2024:13:45 12:00:00", "1904-01-01T00:00:00Z", "2024"])
def test_no_moment(text: str) -> None:
    assert capture.parse_moment(text) is None


@given(st.text(), st.text())
def test_any_text_is_taken(text: str, offset: str) -> None:
    capture.parse_moment(text, offset)
    capture.gps_of_tags({"location": text})
    capture.timecode_of_tags({"timecode": text})


@pytest.mark.parametrize(
    ("text", "lat", "lon"),
    [
        ("+48.8584+002.2945/", 48.8584, 2.2945),
        ("-3351.41+15112.92/", -33.856833, 151.215333),
        ("+0000+00000/", None, 0),
    ],
)
def test_positions(text: str, lat: float | None, lon: float) -> None:
    found = capture.gps_of_tags({"location": text})
    if lat is None:
        assert found is None
    else:
        assert found is not None
        assert (found["lat"], found["lon"]) == pytest.approx((lat, lon), abs=1e-5)

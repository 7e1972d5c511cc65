"""Pieces and frames of every kind of clip, read through a real mount and judged by ffprobe and ffmpeg, which know
nothing of how they were made."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from damfs.core.spans import Span, time_name
from tests.mount.conftest import serving
from tests.mount.daemon_process import Daemon, run
from tests.mount.test_cuts import NO_PROXIES
from tests.sample_media import Clip, Track, wav, write
from tests.sample_media.clips import H264, HEVC10, MXF, NTSC, PRORES
from tests.sample_media.sound import write_sound

SECONDS = 1.2
GOP = {"preset": "veryfast", "crf": "20", "g": "10", "bf": "2", "sc_threshold": "0"}
CLIP = replace(H264, size=(320, 180), seconds=SECONDS, options=GOP, tracks=())
MONO = Track("mono")
SEEN = (160, 90)
"""What frames are compared at."""
HALF_MS = 0.0006

FILMS: Mapping[str, Clip] = {
    "drop.mov": replace(CLIP, rate=NTSC, timecode="01:00:00;02", tracks=(Track(),)),
    "rotated.mov": replace(CLIP, rotation=90),
    "variable.mkv": replace(CLIP, rate=Fraction(20), ticks=(33, 50, 17, 100)),
    "anamorphic.mp4": replace(CLIP, size=(360, 288), sample_aspect=Fraction(64, 45)),
    "surround.mp4": replace(CLIP, tracks=(Track("5.1"),)),
    "eight.mov": replace(CLIP, sound="pcm_s24le", tracks=(MONO,) * 8),
    "old.mp4": replace(CLIP, codec="mpeg4", options={"g": "10"}, tracks=(Track(),)),
    "ten.mp4": replace(HEVC10, size=CLIP.size, seconds=SECONDS, tracks=(), source="testsrc2"),
    "prores.mov": replace(PRORES, size=CLIP.size, seconds=SECONDS, source="testsrc2"),
    "card.mxf": replace(MXF, size=CLIP.size, seconds=SECONDS, source="testsrc2"),
}
HDR = {"ten.mp4"}
"""Pictures of them are in the range of a screen, which ffmpeg does not do by itself."""
SOUNDS: Mapping[str, Callable[[Path], Path]] = {
    "room.wav": wav,
    "harbour.flac": lambda path: write_sound(path, "flac", 1.0, 220, {}, {}),
    "talk.m4a": lambda path: write_sound(path, "aac", 1.0, 440, {}, {}),
    "song.mp3": lambda path: write_sound(path, "libmp3lame", 1.0, 440, {}, {}),
}
Pictures = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Judged:
    """What ffprobe says of a file. Times are seconds from its first frame."""

    path: Path
    video: dict[str, object]
    sound: list[dict[str, object]]
    seconds: float
    timecode: str
    times: list[float]

    def shown_at(self, at: float) -> int:
        return max(number for number, time in enumerate(self.times) if time <= at + HALF_MS)

    @property
    def shape(self) -> tuple[object, ...]:
        """What a player makes of it. Pixels that nothing is said of are square."""
        turned = [each.get("rotation") for each in list_of(self.video, "side_data_list")]
        return self.video["width"], self.video["height"], self.video.get("sample_aspect_ratio", "1:1"), turned

    @property
    def tracks(self) -> list[tuple[object, object]]:
        return [(each["channels"], each["sample_rate"]) for each in self.sound]


def list_of(found: dict[str, object], key: str) -> list[dict[str, object]]:
    value = found.get(key, [])
    assert isinstance(value, list)
    return value


@cache
def judged(path: Path) -> Judged:
    entries = "format=duration:format_tags=timecode:stream:stream_tags:stream_side_data:frame=pts_time,media_type"
    found = json.loads(run("ffprobe", "-v", "error", "-show_entries", entries, "-of", "json", path).stdout)
    times = sorted(float(each["pts_time"]) for each in found.get("frames", ()) if each["media_type"] == "video")
    codes = [each.get("tags", {}).get("timecode") for each in [*found["streams"], found["format"]]]
    return Judged(
        path,
        next((each for each in found["streams"] if each["codec_type"] == "video"), {}),
        [each for each in found["streams"] if each["codec_type"] == "audio"],
        float(found["format"]["duration"]),
        next((code for code in codes if code), ""),
        [time - times[0] for time in times],
    )


@cache
def pictures(path: Path) -> Pictures:
    """What ffmpeg decodes, as a player shows it."""
    scaled = f"scale={SEEN[0]}:{SEEN[1]}:flags=area+accurate_rnd,format=rgb24"
    with tempfile.NamedTemporaryFile() as out:
        words = ("-vf", scaled, "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "rawvideo", out.name)
        assert run("ffmpeg", "-v", "error", "-y", "-i", path, "-map", "0:v:0", *words).stderr == ""
        return np.fromfile(out.name, np.uint8).reshape(-1, SEEN[1], SEEN[0], 3).astype(np.int16)


def samples(path: Path) -> NDArray[np.int16]:
    """Of the first channel, as ffmpeg decodes them."""
    with tempfile.NamedTemporaryFile() as out:
        run("ffmpeg", "-v", "error", "-y", "-i", path, "-map", "0:a:0", "-f", "s16le", out.name)
        return np.fromfile(out.name, np.int16)[::2]


def likest(wanted: Pictures, among: Pictures) -> tuple[int, float]:
    """Which one it is, and how far it is from that."""
    off = np.abs(among - wanted).mean((1, 2, 3))
    return int(off.argmin()), float(off.min())


@pytest.fixture(scope="module")
def dam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("matrix")
    for name, clip in FILMS.items():
        write(directory / "Reel" / name, clip)
    for name, make in SOUNDS.items():
        make(directory / "Reel" / name)
    with serving(directory) as serve:
        daemon = serve(settings=NO_PROXIES).start()
        daemon.add(directory / "Reel")
        assert daemon.idle().failures == []
        yield daemon


def source_of(dam: Daemon, name: str) -> Judged:
    return judged(dam / "originals/Reel" / name)


def check_piece(source: Judged, piece: Judged, first: int, last: int) -> None:
    """It has these frames of the source, one after the other, and everything else as the source has it."""
    whole, ours = pictures(source.path), pictures(piece.path)
    assert [likest(each, whole)[0] for each in ours] == list(range(first, last + 1))
    assert piece.times == pytest.approx([at - source.times[first] for at in source.times[first : last + 1]], abs=0.002)
    assert (piece.shape, piece.tracks) == (source.shape, source.tracks)
    step = max(b - a for a, b in zip(source.times, source.times[1:], strict=False))
    assert piece.seconds == pytest.approx(piece.times[-1] + step, abs=step + 0.024), "a packet of sound may stick out"
    if source.timecode:
        front, number = source.timecode[:-2], int(source.timecode[-2:])
        assert piece.timecode == f"{front}{number + first:02d}"


@pytest.mark.parametrize("name", FILMS)
def test_a_piece_begins_at_the_key_frame_before_and_holds_all_that_was_asked_for(dam: Daemon, name: str) -> None:
    source, piece = source_of(dam, name), judged(dam / "clips" / name / Span(500, 900).name)
    first, _ = likest(pictures(piece.path)[0], pictures(source.path))
    last = first + len(piece.times) - 1
    assert first <= source.shown_at(0.5)
    assert last >= source.shown_at(0.9 - 2 * HALF_MS)
    check_piece(source, piece, first, last)


@pytest.mark.parametrize("name", FILMS)
def test_an_exact_piece_has_those_very_frames_and_sound_of_their_length(dam: Daemon, name: str) -> None:
    source, piece = source_of(dam, name), judged(dam / "clips" / name / Span(500, 900, exact=True).name)
    check_piece(source, piece, source.shown_at(0.5), source.shown_at(0.9 - 2 * HALF_MS))
    for track in piece.sound:
        assert float(str(track["duration"])) == pytest.approx(float(str(piece.video["duration"])), abs=0.002)
        assert float(str(track["start_time"])) == 0


@pytest.mark.parametrize("name", FILMS)
def test_a_piece_from_its_beginning_to_its_end_is_the_whole_clip(dam: Daemon, name: str) -> None:
    source = source_of(dam, name)
    end = -(-round(source.seconds * 1_000_000) // 1000)
    piece = judged(dam / "clips" / name / Span(0, end).name)
    assert piece.times == pytest.approx(source.times, abs=0.002)
    assert (piece.shape, piece.tracks, piece.timecode) == (source.shape, source.tracks, source.timecode)


@pytest.mark.parametrize("name", FILMS)
def test_a_frame_is_the_one_that_is_shown_at_its_time(dam: Daemon, name: str) -> None:
    source = source_of(dam, name)
    for at_ms in (0, 617, round(source.times[-1] * 1000) + 1):
        (picture,) = pictures(dam / "frames" / name / f"{time_name(at_ms)}.jpg")
        number, off = likest(picture, pictures(source.path))
        assert number == source.shown_at(at_ms / 1000)
        assert off < 3 or name in HDR
    still = judged(dam / "frames" / name / f"{time_name(0)}.jpg").video
    width, height, aspect, turned = source.shape
    across, down = map(int, str(aspect).split(":"))
    upright = (round(int(str(width)) * across / down), height)
    assert (still["width"], still["height"]) == (upright[::-1] if turned == [90] else upright)


@pytest.mark.parametrize("name", SOUNDS)
def test_a_piece_of_sound_holds_all_that_was_asked_for(dam: Daemon, name: str) -> None:
    source = dam / "originals/Reel" / name
    exact = dam / "clips" / name / Span(500, 900, exact=True).name
    assert len(samples(exact)) == pytest.approx(0.4 * 48000, abs=1)
    theirs = samples(source)[24000:][: len(samples(exact))]
    assert np.abs(samples(exact).astype(int) - theirs).max() <= 64
    piece = dam / "clips" / name / Span(500, 900).name
    begins, ends = (float(part[6:]) for part in os.getxattr(piece, "user.damfs.cut").decode().split("_"))
    assert begins <= 0.5
    assert ends >= 0.9
    found = judged(piece)
    assert float(str(found.sound[0]["start_time"])) == 0
    assert found.seconds == pytest.approx(ends - begins, abs=0.003)
    assert found.sound[0]["channels"] == 2


def refused(path: Path) -> int | None:
    with pytest.raises(OSError, match="Errno") as info:
        path.stat()
    return info.value.errno


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("clips/old.mp4/00-00-00.500_00-00-09.000.mov", "old.mp4 ends at 00:00:01.200"),
        ("clips/old.mp4/00-00-09.000_00-00-10.000_exact.mov", "old.mp4 ends at 00:00:01.200"),
        ("clips/old.mp4/00-00-00.500_00-00-00.500.mov", "is no piece: name it like 00-00-01.000_00-00-02.500.mov"),
        ("clips/old.mp4/00-00-00.900_00-00-00.500.mov", "is no piece: name it like 00-00-01.000_00-00-02.500.mov"),
        ("clips/room.wav/00-00-00.500_00-00-09.000.mov", "room.wav ends at 00:00:01.000"),
        ("frames/old.mp4/00-00-01.200.jpg", "old.mp4 ends at 00:00:01.200"),
        ("frames/old.mp4/1.2.jpg", "is no frame: name it like 00-00-01.000.jpg"),
    ],
)
def test_what_cannot_be_cut_is_not_there_and_the_reason_can_be_read(dam: Daemon, name: str, why: str) -> None:
    assert refused(dam / name) == errno.ENOENT
    said = (dam / ".damfs/refused").read_text().splitlines()
    assert [line for line in said if name.rpartition("/")[2] in line and why in line] != [], said

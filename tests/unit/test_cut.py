"""Pieces and frames of real clips: what is cut is what was asked for, in the pictures, the sound and the timecode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from damfs.core.processors import conformance, media
from damfs.core.processors.cut import Cut
from damfs.core.processors.processor import MadeRendition, Subject
from damfs.core.spans import Span, time_name
from damfs.errors import BadMedia
from damfs.model import Media, RenditionKind
from tests.sample_media import Clip, Track, drop_frame, h264, hevc10, mxf, prores, rotated, truncated, vfr, wav, write

SIZE = (320, 180)
GOP = {"preset": "veryfast", "crf": "23", "g": "10", "bf": "2", "sc_threshold": "0"}
NOT_EQUAL = 6.0
"""Mean difference of luma: between two frames of a clip used here it is larger, by an encoding it is smaller."""


@dataclass(frozen=True, slots=True)
class Seen:
    times: list[Fraction]
    pictures: list[NDArray[np.float64]]


def seen(path: Path) -> Seen:
    with av.open(str(path)) as container:
        frames = [
            (Fraction(frame.pts or 0) * Fraction(frame.time_base or 1), luma(frame))
            for frame in container.decode(video=0)
        ]
    return Seen([at for at, _ in frames], [picture for _, picture in frames])


def luma(frame: av.VideoFrame) -> NDArray[np.float64]:
    return np.asarray(frame.reformat(*SIZE, format="gray").to_ndarray(), dtype=np.float64)


def unlike(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.abs(a - b).mean())


def run(source: Path, out: Path, **settings: object) -> MadeRendition:
    out.mkdir(exist_ok=True)
    made = Cut().run(source, out, Subject(source.name, Media.VIDEO, source.stat().st_size, settings=settings))
    (rendition,) = made.renditions
    return rendition


def cut(source: Path, out: Path, start_ms: int, end_ms: int, *, exact: bool = False) -> MadeRendition:
    made = run(source, out, kind="clip", profile=Span(start_ms, end_ms, exact).profile)
    assert made.kind is RenditionKind.CLIP
    return made


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds with a key frame every 400 ms, B-frames, two sound tracks and a timecode."""
    tracks = (Track("stereo", "eng", 440), Track("mono", "fra", 660))
    path = tmp_path_factory.mktemp("cut") / "clip.mov"
    return h264(path, size=SIZE, seconds=2, options=GOP, tracks=tracks, timecode="10:00:00:20")


def test_a_piece_begins_at_the_key_frame_before_and_says_so(clip: Path, tmp_path: Path) -> None:
    made = cut(clip, tmp_path / "out", 1000, 1400)
    whole, piece = seen(clip), seen(made.path)
    count = len(piece.pictures)
    span = f"00-00-00.800_00-00-01.{400 + (count - 15) * 40}"
    assert made.detail == {"cut": span, "method": "copied", "frames": count, "encoded_frames": 0}
    assert [at * 25 for at in piece.times] == list(range(count))
    assert 15 <= count <= 18, "frames that others need may follow"
    assert all(unlike(a, b) == 0 for a, b in zip(piece.pictures, whole.pictures[20 : 20 + count], strict=True))


def test_a_piece_keeps_sound_tracks_languages_and_the_timecode_of_its_first_frame(clip: Path, tmp_path: Path) -> None:
    with av.open(str(cut(clip, tmp_path / "out", 1000, 1400).path)) as container:
        tracks = [(s.codec_context.layout.name, s.metadata["language"]) for s in container.streams.audio]
        assert tracks == [("stereo", "eng"), ("mono", "fra")]
        assert container.streams.video[0].metadata["timecode"] == "10:00:01:15"
        for stream in container.streams.audio:
            assert stream.duration is not None
            assert stream.time_base is not None
            assert 0.5 < stream.duration * stream.time_base < 0.65


@pytest.mark.parametrize(
    ("start", "end", "first", "count"),
    [(1000, 1400, 25, 10), (1001, 1399, 25, 10), (980, 1020, 24, 2), (0, 40, 0, 1), (0, 2000, 0, 50)],
)
def test_an_exact_piece_has_the_frames_from_the_one_shown_at_its_start_up_to_its_end(
    clip: Path, tmp_path: Path, start: int, end: int, first: int, count: int
) -> None:
    made = cut(clip, tmp_path / "out", start, end, exact=True)
    whole, piece = seen(clip), seen(made.path)
    assert made.detail["frames"] == len(piece.pictures) == count
    assert [at * 25 for at in piece.times] == list(range(count))
    for number, picture in enumerate(piece.pictures):
        likeness = [unlike(picture, other) for other in whole.pictures]
        assert int(np.argmin(likeness)) == first + number


def test_the_sound_of_an_exact_piece_begins_at_the_sample(tmp_path: Path) -> None:
    """Pulses of a sine at known times: the piece has those of its span, where they belong."""
    source = write(
        tmp_path / "tone.mov", Clip(size=SIZE, seconds=2, sound="pcm_s16le", tracks=(Track("mono", "", 5.0),))
    )
    whole, piece = samples(source), samples(cut(source, tmp_path / "out", 520, 1240, exact=True).path)
    start = round(0.52 * 48000)
    assert abs(len(piece) - round(0.72 * 48000)) <= 1
    assert np.abs(piece - whole[start : start + len(piece)]).max() <= 1


def samples(path: Path) -> NDArray[np.int64]:
    with av.open(str(path)) as container:
        parts = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(parts).astype(np.int64)


KINDS: dict[str, Callable[[Path], Path]] = {
    "hevc10.mp4": lambda path: hevc10(path, size=SIZE),
    "prores.mov": lambda path: prores(path, size=SIZE),
    "vfr.mkv": lambda path: vfr(path, size=SIZE),
    "drop.mov": lambda path: drop_frame(path, size=SIZE),
    "mxf.mxf": lambda path: mxf(path, size=SIZE),
    "rotated.mov": lambda path: rotated(path, size=SIZE),
    "flv.flv": lambda path: h264(path, size=SIZE),
    "vp9.webm": lambda path: write(
        path, Clip(codec="libvpx-vp9", options={"cpu-used": "8"}, size=SIZE, sound="libopus")
    ),
}


@pytest.mark.parametrize("exact", [False, True], ids=["copied", "exact"])
@pytest.mark.parametrize("name", KINDS)
def test_a_piece_of_any_kind_of_clip_can_be_played(tmp_path: Path, name: str, exact: bool) -> None:
    source = KINDS[name](tmp_path / name)
    made = cut(source, tmp_path / "out", 400, 800, exact=exact)
    whole, piece = seen(source), seen(made.path)
    assert piece.times[0] == 0
    copied = {"smart", "encoded"} if exact and name != "prores.mov" else {"copied"}
    assert made.detail["method"] in ({"encoded"} if name == "vp9.webm" else copied)
    begins, ends = (said(part) for part in str(made.detail["cut"]).split("_"))
    wanted = [n for n, at in enumerate(whole.times) if begins - 0.001 <= at - whole.times[0] < ends - 0.001]
    if name == "vfr.mkv":  # it says one duration for all frames, so the end is known to a frame only
        wanted = wanted[: len(piece.pictures)]
    assert len(piece.pictures) == len(wanted)
    if name != "rotated.mov":
        assert all(unlike(a, whole.pictures[n]) < NOT_EQUAL for a, n in zip(piece.pictures, wanted, strict=True))
    if exact:
        assert abs(begins - 0.4) < 0.05
        assert abs(ends - 0.8) < 0.11, "a frame of the clip with a variable rate lasts 100 ms"


@pytest.mark.parametrize("kind", ["h264", "mpeg2"])
def test_a_piece_of_groups_that_lean_on_each_other_keeps_its_frame_rate(tmp_path: Path, kind: str) -> None:
    """Frames that are left out, as they need some before the first, leave no hole."""
    h264_options = {**GOP, "bf": "3", "x264-params": "open-gop=1"}
    whole = Clip(options=h264_options, size=SIZE, seconds=3)
    if kind == "mpeg2":
        whole = replace(whole, codec="mpeg2video", options={"b": "4000000", "g": "12", "bf": "2"}, sound="pcm_s16le")
    source = write(tmp_path / "clip.mov", whole)
    made = cut(source, tmp_path / "out", 900, 2100)
    with av.open(str(made.path)) as piece:
        stream = piece.streams.video[0]
        assert stream.average_rate == Fraction(25)
        assert stream.frames == made.detail["frames"]
        times = sorted(packet.dts for packet in piece.demux(stream) if packet.size and packet.dts is not None)
    assert len({after - before for before, after in pairwise(times)}) == 1


@pytest.mark.parametrize("bf", ["0", "2"])
def test_a_piece_does_not_show_what_was_trimmed_away(tmp_path: Path, bf: str) -> None:
    """An edit list hides the frames from the key frame on that the first one shown needs."""
    options = {**GOP, "g": "40", "bf": bf}
    whole = write(tmp_path / "whole.mov", Clip(options=options, size=SIZE, seconds=2, tracks=()))
    trimmed = tmp_path / "trimmed.mov"
    with av.open(str(whole)) as source, av.open(str(trimmed), "w") as out:
        stream = source.streams.video[0]
        track = out.add_stream_from_template(stream)
        early = round(Fraction(8, 25) / (stream.time_base or 1))
        for packet in source.demux(stream):
            if packet.size and packet.pts is not None and packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - early, packet.dts - early, track
                out.mux(packet)
    wanted = seen(trimmed)
    assert len(wanted.times) == 42
    made = cut(trimmed, tmp_path / "out", 520, 1000)
    begins, _ = str(made.detail["cut"]).split("_")
    ours = seen(made.path)
    first = round(said(begins) * 25)
    assert (begins, first, len(ours.times)) == ("00-00-00.520", 13, 12)
    assert all(unlike(a, wanted.pictures[first + n]) < NOT_EQUAL for n, a in enumerate(ours.pictures))


@pytest.mark.parametrize(("params", "order"), [("tff=1", "tt"), ("bff=1", "bb")])
def test_a_piece_that_is_encoded_anew_keeps_its_fields(tmp_path: Path, params: str, order: str) -> None:
    fields = {**GOP, "g": "60", "flags": "+ildct+ilme", "x264-params": params}
    clip = write(tmp_path / "clip.mov", Clip(options=fields, size=SIZE, seconds=2, tracks=()))
    made = cut(clip, tmp_path / "out", 520, 1000, exact=True)
    assert made.detail["method"] == "encoded"
    for path in (clip, made.path):
        with av.open(str(path)) as container:
            facts = media.video_facts(container.streams.video[0])
            assert next(container.decode(video=0)).interlaced_frame
        assert conformance.FIRST[str(facts["field_order"])] == conformance.FIRST[order]


def said(text: str) -> float:
    return float(text[6:])


def test_a_piece_of_sound_alone(tmp_path: Path) -> None:
    source = wav(tmp_path / "room.wav")
    whole, piece = samples(source), samples(cut(source, tmp_path / "out", 100, 300, exact=True).path)
    assert len(whole) > len(piece) > 0


@pytest.mark.parametrize(("at", "number"), [(0, 0), (39, 0), (40, 1), (1000, 25), (1999, 49)])
def test_a_frame_is_the_one_shown_at_that_time(clip: Path, tmp_path: Path, at: int, number: int) -> None:
    made = run(clip, tmp_path / "out", kind="frame", profile=time_name(at))
    assert made.kind is RenditionKind.FRAME
    assert made.detail == {"cut": f"00-00-0{number * 40 // 1000}.{number * 40 % 1000:03d}"}
    with Image.open(made.path) as picture:
        assert picture.format == "JPEG"
        assert picture.size == SIZE
        grey = np.asarray(picture.convert("L"), dtype=np.float64)
    whole = seen(clip).pictures
    ranged = (grey / 255 * 219) + 16  # video range, as the luma of the clip
    assert int(np.argmin([unlike(ranged, other) for other in whole])) == number


def test_a_frame_is_upright(tmp_path: Path) -> None:
    with Image.open(
        run(rotated(tmp_path / "rotated.mov", size=SIZE), tmp_path / "out", kind="frame", profile=time_name(200)).path
    ) as picture:
        assert picture.size == (180, 320)


def test_a_damaged_clip_says_why(tmp_path: Path) -> None:
    broken = truncated(tmp_path / "broken.mp4")
    with pytest.raises(BadMedia, match=r"broken\.mp4"):
        cut(broken, tmp_path / "out", 0, 400)

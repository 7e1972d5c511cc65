"""Exact pieces that are copied but for the frames at their cuts: of real clips, judged by ffprobe and by frames."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from damfs.core.processors import proof, splice
from damfs.core.processors.cut import Cut
from damfs.core.processors.processor import Subject
from damfs.core.processors.splice_plan import NotSplicable, Plan
from damfs.core.spans import Span
from damfs.model import Facts, Media
from tests.sample_media import Clip, Track, write

SIZE = (160, 96)
LEAST_DB = 38.0
RATE = 48000
B = {"preset": "veryfast", "crf": "23", "g": "12", "bf": "3", "sc_threshold": "0"}
X265 = "log-level=none:keyint=12:min-keyint=12:bframes=3:scenecut=0:open-gop="
H264 = Clip(options=B, size=SIZE, seconds=2.4, timecode="10:00:00:20")
HEVC = Clip(codec="libx265", options={"preset": "ultrafast", "x265-params": X265 + "0"}, size=SIZE, seconds=2.4)
MPEG2 = Clip(
    codec="mpeg2video", options={"b": "4000000", "g": "12", "bf": "2"}, sound="pcm_s16le", size=SIZE, seconds=2.4
)
CLIPS = {
    "h264.mov": H264,
    "h264.ts": replace(H264, timecode=""),
    "h264.mkv": replace(H264, timecode=""),
    "deep.mov": replace(H264, pixel_format="yuv422p10le"),
    "baseline.mp4": replace(H264, options={**B, "bf": "0", "profile": "baseline"}),
    "fields.mov": replace(H264, options={**B, "flags": "+ildct+ilme", "x264-params": "tff=1"}),
    "vfr.mp4": replace(H264, ticks=(20, 60, 33, 47), timecode=""),
    "hevc.mov": HEVC,
    "open.mp4": replace(HEVC, pixel_format="yuv420p10le", options={**HEVC.options, "x265-params": X265 + "1"}),
    "mpeg2.mxf": replace(MPEG2, pixel_format="yuv422p", tracks=(Track("mono"),)),
    "mpeg2.ts": replace(MPEG2, sound="mp2"),
}
WHOLE = {
    "prores.mov": Clip(codec="prores_aw", pixel_format="yuv422p10le", sound="pcm_s24le", size=SIZE, seconds=2),
    "mjpeg.avi": Clip(codec="mjpeg", pixel_format="yuvj420p", sound="pcm_s16le", size=SIZE, seconds=2),
    "intra.mov": Clip(options={**B, "g": "1", "bf": "0"}, size=SIZE, seconds=2),
}


@dataclass(frozen=True, slots=True)
class Made:
    path: Path
    detail: Facts


def exact(source: Path, out: Path, start_ms: int, end_ms: int) -> Made:
    out.mkdir(exist_ok=True)
    settings = {"kind": "clip", "profile": Span(start_ms, end_ms, True).profile}
    (made,) = Cut().run(source, out, Subject(source.name, Media.VIDEO, 1, settings=settings)).renditions
    return Made(made.path, made.detail)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for name, clip in (CLIPS | WHOLE).items():
        write(folder / name, clip)
    return folder


Pictures = list[tuple[Fraction, NDArray[np.float64]]]


def pictures(path: Path) -> Pictures:
    """Times from the first frame on; luma."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base, start = stream.time_base or Fraction(1), stream.start_time or 0
        return [(((frame.pts or 0) - start) * base, luma(frame)) for frame in container.decode(video=0)]


def luma(frame: av.VideoFrame) -> NDArray[np.float64]:
    plane = frame.planes[0]
    kind = np.uint16 if (frame.format.components[0].bits > 8) else np.uint8
    return np.frombuffer(bytes(plane), dtype=kind).reshape(plane.height, -1)[:, : plane.width].astype(np.float64)


def decibels(a: NDArray[np.float64], b: NDArray[np.float64], depth: int) -> float:
    mean = float(np.square(a - b).mean())
    return 200.0 if mean == 0 else 10 * float(np.log10((2**depth - 1) ** 2 / mean))


def judged(path: Path) -> tuple[int, list[float], list[str]]:
    """By ffprobe: frames that decode, their times, and what it complains of."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v", "-count_frames", "-show_entries",
         "stream=nb_read_frames:frame=best_effort_timestamp_time", "-of", "json", str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    times = [float(frame["best_effort_timestamp_time"]) for frame in told["frames"]]
    return int(told["streams"][0]["nb_read_frames"]), times, done.stderr.splitlines()


SPANS = [*((name, (640, 1880)) for name in CLIPS), ("h264.mov", (0, 1520)), ("h264.ts", (0, 1520))]
SPANS += [("open.mp4", (1000, 1960)), ("mpeg2.ts", (0, 1520)), ("vfr.mp4", (1000, 1960))]


@pytest.mark.parametrize(("name", "span"), SPANS, ids=str)
def test_an_exact_piece_of_long_groups_is_copied_but_for_its_cuts(
    clips: Path, tmp_path: Path, name: str, span: tuple[int, int]
) -> None:
    made, source = exact(clips / name, tmp_path / "out", *span), pictures(clips / name)
    frames, encoded = int(str(made.detail["frames"])), int(str(made.detail["encoded_frames"]))
    assert made.detail["method"] == "smart", made.detail
    assert 0 < encoded < frames
    half_ms = Fraction(1, 2000)
    shown_at = max(at for at, _ in source if at <= Fraction(span[0], 1000) + half_ms)
    wanted = [(at, picture) for at, picture in source if shown_at <= at < Fraction(span[1], 1000) - half_ms]
    count, times, complaints = judged(made.path)
    assert complaints == []
    assert count == len(wanted) == frames
    tick = 0.0011 if name == "h264.mkv" else 0.0001
    assert times == pytest.approx([float(at - shown_at) for at, _ in wanted], abs=tick)
    ours = pictures(made.path)
    depth = 10 if name in {"deep.mov", "open.mp4"} else 8
    found = [decibels(a, b, depth) for (_, a), (_, b) in zip(ours, wanted, strict=True)]
    assert min(found) > LEAST_DB
    assert sum(each == 200.0 for each in found) >= frames - encoded, "what is copied is equal to the bit"


@pytest.mark.parametrize("name", WHOLE)
def test_an_exact_piece_of_whole_pictures_is_copied(clips: Path, tmp_path: Path, name: str) -> None:
    made, source = exact(clips / name, tmp_path / "out", 640, 1240), pictures(clips / name)
    assert (made.detail["method"], made.detail["frames"], made.detail["encoded_frames"]) == ("copied", 15, 0)
    ours = pictures(made.path)
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(ours, source[16:31], strict=True))
    assert judged(made.path)[::2] == (15, [])


def test_a_clip_whose_groups_lean_on_each_other_is_copied_where_it_begins_afresh(tmp_path: Path) -> None:
    """In H.264 with open groups that is the first frame only."""
    clip = write(tmp_path / "open.mov", replace(H264, options={**B, "x264-params": "open-gop=1"}))
    first = exact(clip, tmp_path / "first", 0, 1520)
    assert (first.detail["method"], first.detail["encoded_frames"]) == ("smart", 1)
    later = exact(clip, tmp_path / "later", 640, 1880)
    assert (later.detail["method"], later.detail["frames"]) == ("encoded", 31)
    assert "no key frame from which a decoder starts afresh" in str(later.detail["why"])
    assert judged(later.path)[::2] == (31, [])


def test_a_codec_that_nothing_continues_is_encoded_and_says_why(tmp_path: Path) -> None:
    clip = write(tmp_path / "old.mp4", Clip(codec="mpeg4", options={"g": "12"}, size=SIZE, seconds=2))
    made = exact(clip, tmp_path / "out", 200, 1200)
    assert (made.detail["method"], made.detail["frames"], made.detail["encoded_frames"]) == ("encoded", 25, 25)
    assert "no encoder here that continues mpeg4" in str(made.detail["why"])


def test_copied_hevc_plays_in_quicktime(clips: Path, tmp_path: Path) -> None:
    """Which knows the tag of those alone whose parameters lie beside the packets; what is joined has them within."""
    (tmp_path / "out").mkdir()
    for span, method, tag in ((Span(640, 1880, False), "copied", "hvc1"), (Span(640, 1880, True), "smart", "hev1")):
        settings = {"kind": "clip", "profile": span.profile}
        subject = Subject("a.mov", Media.VIDEO, 1, settings=settings)
        (made,) = Cut().run(clips / "hevc.mov", tmp_path / "out", subject).renditions
        with av.open(str(made.path)) as container:
            found = container.streams.video[0].codec_context.codec_tag
        assert (made.detail["method"], found) == (method, tag)
        assert judged(made.path)[2] == []


@pytest.mark.parametrize("is_exact", [True, False])
def test_a_piece_of_a_file_that_says_only_when_frames_are_stored(tmp_path: Path, is_exact: bool) -> None:
    """AVI with frames that are stored in another order than they are shown in: by that order, as players go."""
    clip = write(tmp_path / "clip.avi", replace(H264, timecode="", sound="pcm_s16le"))
    shown = [luma(frame) for frame in decoded_frames(clip)]
    settings = {"kind": "clip", "profile": Span(640, 1880, is_exact).profile}
    (tmp_path / "out").mkdir()
    (made,) = Cut().run(clip, tmp_path / "out", Subject(clip.name, Media.VIDEO, 1, settings=settings)).renditions
    assert (made.detail["method"], made.detail["why"]) == ("encoded", "the file does not say when its frames are shown")
    ours = pictures(made.path)
    assert [at for at, _ in ours] == [Fraction(number, 25) for number in range(31)]
    assert min(decibels(a, b, 8) for (_, a), b in zip(ours, shown[16:47], strict=True)) > LEAST_DB


def decoded_frames(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("name", ["h264.mov", "hevc.mov", "open.mp4"])
def test_a_player_may_jump_to_any_part_of_a_spliced_piece(clips: Path, tmp_path: Path, name: str) -> None:
    """Over the seam and back: the parameters of one part are not taken for those of the other."""
    made = exact(clips / name, tmp_path / "out", 640, 1880)
    whole = pictures(made.path)
    with av.open(str(made.path)) as container:
        stream = container.streams.video[0]
        for number in (27, 0, 20, 4, 30):
            goal = int(whole[number][0] / (stream.time_base or 1))
            container.seek(goal, stream=stream, backward=True)
            frame = next(frame for frame in container.decode(stream) if (frame.pts or 0) >= goal)
            assert np.array_equal(luma(frame), whole[number][1]), number


def waves(path: Path) -> NDArray[np.float64]:
    """The first sound track's first channel, placed by its times from the first picture on."""
    with av.open(str(path)) as container:
        picture = container.streams.video[0]
        origin = float((picture.start_time or 0) * (picture.time_base or 1))
        found = np.zeros(5 * RATE)
        for frame in container.decode(audio=0):
            data = frame.to_ndarray()
            data = data[0, :: frame.layout.nb_channels] if data.shape[0] == 1 else data[0]
            scale = 1.0 if data.dtype.kind == "f" else float(np.iinfo(data.dtype).max)
            at = round((float((frame.pts or 0) * (frame.time_base or 1)) - origin) * RATE)
            data = data.astype(np.float64)[max(0, -at) :] / scale
            found[max(0, at) : max(0, at) + len(data)] = data
        return found


@pytest.mark.parametrize("name", ["h264.mov", "h264.ts", "h264.mkv", "mpeg2.mxf", "mpeg2.ts", "prores.mov"])
def test_the_sound_of_an_exact_piece_stays_with_its_pictures_to_the_sample(
    clips: Path, tmp_path: Path, name: str
) -> None:
    made = exact(clips / name, tmp_path / "out", 640, 1720)
    begins, length = round(0.64 * RATE), round(1.08 * RATE)
    theirs, ours = waves(clips / name)[begins : begins + length], waves(made.path)[:length]
    assert np.abs(theirs).max() > 0.1
    assert np.abs(theirs - ours).max() < 0.001
    with av.open(str(made.path)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name.startswith("aac" if name.startswith("h264") else "pcm")
        lasts = float((stream.duration or 0) * (stream.time_base or 0))
        assert lasts == pytest.approx(1.08, abs=0.002), "no packet sticks out at the end"


def test_a_spliced_piece_keeps_timecode_turn_and_shape(tmp_path: Path) -> None:
    clip = write(tmp_path / "turned.mov", replace(H264, rotation=90, sample_aspect=Fraction(4, 3)))
    made = exact(clip, tmp_path / "out", 640, 1880)
    assert made.detail["method"] == "smart"
    with av.open(str(made.path)) as container:
        stream = container.streams.video[0]
        assert stream.metadata["timecode"] == "10:00:01:11"
        assert stream.sample_aspect_ratio == Fraction(4, 3)
        assert {frame.rotation for frame in container.decode(video=0)} == {90}


def test_a_piece_that_is_not_its_source_is_found_out(clips: Path, tmp_path: Path) -> None:
    target, other = tmp_path / "piece.mov", tmp_path / "other.mov"
    made = splice.spliced(clips / "h264.mov", target, "clip", (Fraction("0.64"), Fraction("1.88")))
    proof.prove(clips / "h264.mov", target, "clip", made)
    plan = made.plan
    splice.spliced(clips / "h264.mov", other, "clip", (Fraction("0.68"), Fraction("1.92")))
    with pytest.raises(NotSplicable, match=r"unlike|is not that of"):
        proof.prove(clips / "h264.mov", other, "clip", made)
    longer = replace(made, plan=Plan((*plan.shown, 10**9), plan.head, plan.copied, plan.tail, plan.decoded))
    with pytest.raises(NotSplicable, match=r"did not decode|is not that of"):
        proof.prove(clips / "h264.mov", target, "clip", longer)
    all_copied = replace(made, plan=Plan(plan.shown, (), plan.shown, (), plan.decoded))
    with pytest.raises(NotSplicable, match="a copied frame"):
        proof.prove(clips / "h264.mov", target, "clip", all_copied)

"""proxy: what editors compare is equal in proxies of real clips, judged by ffprobe and by decoding both."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from damfs.core.processors import media, proxy_plan, sound_track, transcode
from damfs.core.processors.processor import Output, Subject
from damfs.core.processors.proxy import Proxy
from damfs.core.processors.proxy_gate import UnequalProxy, check_tally
from damfs.errors import BadMedia
from damfs.model import Media
from tests import sample_media
from tests.sample_media import Track

PROFILES = ("dnxhr-lb", "h264-intra")
CODECS = {"dnxhr-lb": "dnxhd", "h264-intra": "h264"}


def make(path: Path, profile: str = "dnxhr-lb", lines: int = 180) -> tuple[Path, Output]:
    out = path.parent / f"{path.name}-{profile}"
    out.mkdir()
    settings = {"profile": profile, "lines": lines, "needless": True}
    made = Proxy().run(path, out, Subject(path.name, Media.VIDEO, path.stat().st_size, settings=settings))
    return made.renditions[0].path, made


def said(made: Output, name: str) -> dict[str, object]:
    """What the gate found of a property."""
    properties = made.renditions[0].detail["properties"]
    assert isinstance(properties, dict)
    found = properties[name]
    assert isinstance(found, dict)
    return found


def differing(made: Output) -> set[str]:
    """Properties that are not equal, but explained."""
    properties = made.renditions[0].detail["properties"]
    assert isinstance(properties, dict)
    return {name for name, row in properties.items() if row["verdict"] != "equal"}


def judged(path: Path) -> list[dict[str, object]]:
    """Streams by ffprobe, frames counted by decoding."""
    program = shutil.which("ffprobe")
    assert program, "ffprobe is the judge of these tests; install ffmpeg"
    command = [program, "-v", "error", "-count_frames", "-show_streams", "-of", "json", str(path)]
    streams = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["streams"]
    assert isinstance(streams, list)
    return streams


def of_kind(streams: list[dict[str, object]], kind: str) -> list[dict[str, object]]:
    return [stream for stream in streams if stream["codec_type"] == kind]


def tag(stream: dict[str, object], name: str) -> object:
    tags = stream.get("tags", {})
    assert isinstance(tags, dict)
    return tags.get(name)


def frame_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return sorted((f.pts or 0) * (f.time_base or Fraction(0)) for f in container.decode(video=0))


def samples(path: Path, track: int = 0) -> np.ndarray:
    """A sound track as 16-bit PCM, (channels, n)."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16p")
        parts = [part.to_ndarray() for frame in container.decode(audio=track) for part in resampler.resample(frame)]
    return np.concatenate(parts, axis=1)


def frame(path: Path, number: int = 0) -> np.ndarray:
    with av.open(str(path)) as container:
        for at, found in enumerate(container.decode(video=0)):
            if at == number:
                return found.to_ndarray(format="rgb24").astype(float)
    raise IndexError(number)


CLIPS: dict[str, Callable[[Path], Path]] = {
    "h264.mp4": sample_media.h264,
    "hevc10.mp4": sample_media.hevc10,
    "prores.mov": sample_media.prores,
    "dnxhr.mov": sample_media.dnxhr,
    "mjpeg.avi": sample_media.mjpeg,
    "rotated.mov": sample_media.rotated,
    "drop_frame.mov": sample_media.drop_frame,
    "vfr.mkv": sample_media.vfr,
    "mxf.mxf": sample_media.mxf,
    "stream.ts": sample_media.h264,
    "coarse.mkv": sample_media.drop_frame,
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", CLIPS)
def test_what_editors_compare(tmp_path: Path, name: str, profile: str) -> None:
    source = CLIPS[name](tmp_path / name)
    proxy, made = make(source, profile)
    theirs, ours = judged(source), judged(proxy)
    (video,), (source_video,) = of_kind(ours, "video"), of_kind(theirs, "video")
    assert video["nb_read_frames"] == source_video["nb_read_frames"] == video["nb_frames"]
    wanted = frame_times(source)
    found = frame_times(proxy)
    assert max(abs(a - (b - wanted[0])) for a, b in zip(found, wanted, strict=True)) <= Fraction(1, 1000)
    keys = ("channels", "sample_rate")
    assert [[s[k] for k in keys] for s in of_kind(ours, "audio")] == [
        [s[k] for k in keys] for s in of_kind(theirs, "audio")
    ]
    assert {s["codec_name"] for s in of_kind(ours, "audio")} == {"pcm_s16le"}
    assert video["codec_name"] == CODECS[profile]
    detail = made.renditions[0].detail
    assert differing(made) <= {"colour_space", "colour_range", "rotation", "frame_rate"}, detail
    assert json.loads(json.dumps(detail)) == detail


@pytest.mark.parametrize(
    ("name", "timecode"), [("prores.mov", "10:58:07:12"), ("drop_frame.mov", "01:00:00;02"), ("mxf.mxf", "01:00:00:00")]
)
def test_start_timecode_is_in_a_tmcd_track(tmp_path: Path, name: str, timecode: str) -> None:
    proxy, _ = make(CLIPS[name](tmp_path / name))
    (track,) = of_kind(judged(proxy), "data")
    assert track["codec_tag_string"] == "tmcd"
    assert tag(track, "timecode") == timecode


def test_reel_creation_time_and_languages(tmp_path: Path) -> None:
    tracks = (Track("stereo", "deu", 440), Track("mono", "zho", 550), Track("5.1", "eng", 220))
    source = sample_media.prores(tmp_path / "a.mov", reel="A001", tracks=tracks)
    german = sample_media.h264(tmp_path / "b.mp4", tracks=tracks[:2])
    proxy, made = make(source)
    other, _ = make(german)
    assert said(made, "reel") == {"source": "A001", "proxy": "A001", "verdict": "equal"}
    assert [s["channel_layout"] for s in of_kind(judged(proxy), "audio")] == ["stereo", "mono", "5.1"]
    assert [tag(s, "language") for s in of_kind(judged(other), "audio")] == ["ger", "chi"]


@pytest.mark.parametrize("make_clip", [sample_media.dnxhr, sample_media.prores])
def test_pcm_sound_is_carried_over_sample_by_sample(tmp_path: Path, make_clip: Callable[[Path], Path]) -> None:
    source = make_clip(tmp_path / "a.mov")
    proxy, _ = make(source)
    theirs, ours = samples(source), samples(proxy)
    assert theirs.shape == ours.shape
    assert np.abs(theirs.astype(int) - ours.astype(int)).max() <= 1
    assert np.abs(ours).max() > 3000


def test_compressed_sound_stays_in_step(tmp_path: Path) -> None:
    source = sample_media.h264(tmp_path / "a.mp4")
    proxy, _ = make(source)
    theirs, ours = samples(source).astype(int), samples(proxy).astype(int)
    n = min(theirs.shape[1], ours.shape[1])
    assert np.abs(theirs[:, :n] - ours[:, :n]).max() <= 2


def test_sound_that_starts_late_gets_silence(tmp_path: Path) -> None:
    clip, late = sample_media.dnxhr(tmp_path / "a.mov"), tmp_path / "late.mov"
    with av.open(str(clip)) as source, av.open(str(late), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in (*source.streams.video, *source.streams.audio)}
        for packet in source.demux(video=0, audio=0):
            if packet.dts is None or packet.pts is None:
                continue
            if packet.stream.type == "audio":
                packet.pts += 24000
                packet.dts += 24000
            packet.stream = streams[packet.stream.index]
            out.mux(packet)
    proxy, _ = make(late)
    sound = samples(proxy).astype(int)
    assert np.abs(sound[:, :23900]).max() == 0
    assert np.abs(sound[:, 24000:72000] - samples(clip)).max() <= 1


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_baked(tmp_path: Path, rotation: int) -> None:
    source = sample_media.rotated(tmp_path / "a.mov", rotation=rotation, seconds=0.2)
    proxy, _ = make(source, lines=720)
    upright = np.rot90(frame(source), rotation // 90)
    assert frame(proxy).shape == upright.shape
    assert np.abs(frame(proxy) - upright).mean() < 6
    (video,) = of_kind(judged(proxy), "video")
    assert "side_data_list" not in video


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("size", "lines", "dnxhr", "h264"),
    [
        ((640, 360), 180, (320, 180), (320, 180)),
        ((640, 360), 540, (640, 360), (640, 360)),
        ((854, 480), 540, (854, 480), (854, 480)),
        ((176, 144), 540, (256, 210), (176, 144)),
        ((320, 90), 540, (426, 120), (320, 90)),
    ],
)
def test_sizes(
    tmp_path: Path, size: tuple[int, int], lines: int, dnxhr: tuple[int, int], h264: tuple[int, int], profile: str
) -> None:
    proxy, _ = make(sample_media.h264(tmp_path / "a.mp4", size=size, seconds=0.2), profile, lines)
    (video,) = of_kind(judged(proxy), "video")
    assert (video["width"], video["height"]) == (dnxhr if profile == "dnxhr-lb" else h264)
    assert video["sample_aspect_ratio"] == "1:1"


@pytest.mark.parametrize(("rotation", "wanted"), [(0, "64:45"), (90, "45:64")])
def test_pixel_aspect_is_kept(tmp_path: Path, rotation: int, wanted: str) -> None:
    aspect = Fraction(64, 45)
    source = sample_media.h264(
        tmp_path / "a.mov", size=(720, 576), sample_aspect=aspect, rotation=rotation, seconds=0.2
    )
    (video,) = of_kind(judged(make(source)[0]), "video")
    assert video["sample_aspect_ratio"] == wanted


@pytest.mark.parametrize("profile", PROFILES)
def test_colour_tags_are_kept(tmp_path: Path, profile: str) -> None:
    source = sample_media.hevc10(tmp_path / "a.mp4", size=(320, 180), seconds=0.2)
    (video,) = of_kind(judged(make(source, profile)[0]), "video")
    found = [video[f"color_{name}"] for name in ("primaries", "transfer", "space", "range")]
    assert found == ["bt2020", "smpte2084", "bt2020nc", "tv"]


COLOURED: dict[str, Callable[..., Path]] = {
    "h264.mp4": sample_media.h264,
    "mjpeg.avi": sample_media.mjpeg,
    "dnxhr.mov": sample_media.dnxhr,
    "prores.mov": sample_media.prores,
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", COLOURED)
def test_pictures_look_the_same(tmp_path: Path, name: str, profile: str) -> None:
    """Through whatever matrix and range the tags say: a wrong one shifts the mean of some channel by more."""
    source = COLOURED[name](tmp_path / name, source="beach")
    proxy, _ = make(source, profile, lines=720)
    theirs, ours = shown(source), shown(proxy)
    assert np.abs(theirs.mean(axis=(0, 1)) - ours.mean(axis=(0, 1))).max() < 3
    assert np.abs(theirs - ours).mean() < 8


def shown(path: Path) -> np.ndarray:
    """The sixth frame as a player shows it: untagged small pictures by BT.601."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for at, found in enumerate(container.decode(stream)):
            if at == 5:
                space = media.assumed_space(found) if stream.codec_context.colorspace == media.UNSPECIFIED else None
                return found.reformat(format="rgb24", src_colorspace=space).to_ndarray().astype(float)
    raise IndexError


@pytest.mark.parametrize(
    ("profile", "codec", "order"),
    [("h264-intra", "h264", "tt"), ("dnxhr-lb", "prores", "tt"), ("h264", "h264", "progressive")],
)
def test_fields_are_kept_by_a_codec_that_can(tmp_path: Path, profile: str, codec: str, order: str) -> None:
    """DNxHR cannot: ProRes takes its place and says so. The one for browsers is made of whole pictures."""
    source = interlaced(tmp_path / "a.mxf")
    proxy, made = make(source, profile, lines=270)
    (video,) = of_kind(judged(proxy), "video")
    assert (video["nb_read_frames"], video["codec_name"], video["field_order"]) == ("25", codec, order)
    assert said(made, "field_order")["verdict"] == ("equal" if order == "tt" else "explained")
    assert ("instead" in made.facts) is (profile == "dnxhr-lb")


def interlaced(path: Path) -> Path:
    """MPEG-2 with top field first."""
    with av.open("testsrc2=size=720x576:rate=25:duration=1", format="lavfi") as source, av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg2video", rate=25, options={"flags": "+ildct+ilme", "b": "6000000"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv422p"
        graph = av.filter.Graph()
        graph.link_nodes(
            graph.add_buffer(template=source.streams.video[0]),
            graph.add("setfield", "tff"),
            graph.add("format", "pix_fmts=yuv422p"),
            graph.add("buffersink"),
        ).configure()
        number = 0
        for picture in source.decode(video=0):
            graph.vpush(picture)
            for made in sound_track.pulled(graph):
                assert isinstance(made, av.VideoFrame)
                made.pts, made.time_base, made.pict_type = number, Fraction(1, 25), 0
                number += 1
                out.mux(stream.encode(made))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_an_avi_that_stores_frames_in_another_order_has_a_proxy(tmp_path: Path, codec: str) -> None:
    """It says only when they are stored: each is shown in its turn."""
    clip = sample_media.Clip(codec=codec, options={"bf": "2", "g": "12"}, size=(320, 180), sound="pcm_s16le")
    source = sample_media.write(tmp_path / "a.avi", clip)
    proxy, made = make(source)
    assert frame_times(proxy) == [Fraction(number, 25) for number in range(25)]
    assert said(made, "frame_times")["verdict"] == "equal"
    with av.open(str(source)) as theirs, av.open(str(proxy)) as ours:
        for a, b in zip(theirs.decode(video=0), ours.decode(video=0), strict=True):
            grey = [each.reformat(160, 90, "gray").to_ndarray().astype(float) for each in (a, b)]
            assert np.abs(grey[0] - grey[1]).mean() < 4


def test_a_clip_cut_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match=r"a\.mp4: no proxy: frames: only \d+ of 50 can be read"):
        make(sample_media.cut_short(tmp_path / "a.mp4"))


def test_a_clip_without_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match="moov atom not found"):
        make(sample_media.truncated(tmp_path / "a.mov"))


def test_single_damaged_frames_leave_a_proxy_that_says_so(tmp_path: Path) -> None:
    """All other frames come out, at their own times, also those around the damage."""
    source = sample_media.prores(tmp_path / "a.mov", tracks=())
    with av.open(str(source)) as container:
        positions = [p.pos for p in container.demux(video=0) if p.pos is not None]
    content = bytearray(source.read_bytes())
    start = positions[10]
    content[start : start + 200] = bytes(200)
    source.write_bytes(content)
    proxy, made = make(source)
    assert said(made, "frames")["proxy"] == 24
    assert said(made, "frames")["verdict"] == "explained"
    step = Fraction(1, 25)
    assert frame_times(proxy) == [number * step for number in range(25) if number != 10]


def test_a_loss_that_nothing_explains_is_an_error_of_ours() -> None:
    tally = transcode.Tally(damage=media.Damage(packets=25, frames=25))
    tally.times.extend(range(20))
    with pytest.raises(UnequalProxy, match="25 came out of the decoder, 20 are written"):
        check_tally(tally, 25, "a.mov")


@pytest.mark.parametrize(
    ("timecode", "rate", "wanted"),
    [
        ("01:00:00;02", Fraction(30000, 1001), "01:00:00;02"),
        ("01:00:00;02", Fraction(60000, 1001), "01:00:00;02"),
        ("01:00:00;02", Fraction(25), "01:00:00:02"),
        (None, Fraction(25), None),
    ],
)
def test_drop_frame_only_where_it_exists(timecode: str | None, rate: Fraction, wanted: str | None) -> None:
    assert proxy_plan.timecode_for(timecode, rate) == wanted


def test_accepts() -> None:
    clip = Subject("a.mov", Media.VIDEO, 1)
    assert Proxy().accepts(clip)
    assert not Proxy().accepts(Subject("a.mov", Media.VIDEO, 1, settings={"enabled": False}))
    assert not Proxy().accepts(Subject("a.mov", Media.VIDEO, 1, facts={"probe": {"media": "image"}}))
    assert not Proxy().accepts(Subject("a.wav", Media.AUDIO, 1))


AVI_CODECS = {
    "h264 that refers ahead": ("libx264", {"preset": "veryfast", "bf": "3"}),
    "mpeg4 that refers ahead": ("mpeg4", {"bf": "2"}),
    "mpeg4": ("mpeg4", {}),
}


@pytest.mark.parametrize("codec", AVI_CODECS)
def test_an_avi_says_no_times_and_has_a_proxy_with_its_frames_in_step(tmp_path: Path, codec: str) -> None:
    """FFmpeg guesses times that go backwards where pictures refer to later ones."""
    encoder, options = AVI_CODECS[codec]
    clip = replace(sample_media.clips.H264, codec=encoder, options=options, size=(320, 180), sound="pcm_s16le")
    source = sample_media.write(tmp_path / "a.avi", clip)
    proxy, made = make(source)
    assert frame_times(proxy) == [Fraction(number, 25) for number in range(25)]
    assert {name for name in ("frames", "frame_times", "frame_rate") if said(made, name)["verdict"] != "equal"} == set()
    pictures = [np.abs(frame(source, number) - frame(proxy, number)).mean() for number in (0, 7, 24)]
    assert max(pictures) < 8
    assert np.abs(samples(source).astype(int) - samples(proxy)).max() <= 1

"""Every kind of source by every profile: the gate finds all equal or says why not, and ffprobe, which knows nothing of
the gate, finds the same."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import get_args

import av
import pytest
from av.video.stream import VideoStream

from damfs.core.processors import transcode
from damfs.core.processors.processor import Output, Subject
from damfs.core.processors.profiles import PROFILES
from damfs.core.processors.proxy import H264, Further, Proxy
from damfs.core.processors.proxy_gate import UnequalProxy
from damfs.core.processors.sound_track import pulled, silence
from damfs.errors import BadMedia
from damfs.model import Facts, Media
from damfs.settings import ProxyProfile
from tests import sample_media
from tests.sample_media import Track
from tests.sample_media.clips import DNXHR, HEVC10
from tests.sample_media.clips import H264 as H264_CLIP

SMALL = (320, 180)
SECONDS = 0.4
MONO = Track("mono")
Make = Callable[[Path], Path]


def h264(**changes: object) -> Make:
    clip = replace(H264_CLIP, **{"size": SMALL, "seconds": SECONDS, "options": {"preset": "ultrafast"}, **changes})  # type: ignore[arg-type]  # fields of Clip
    return lambda path: sample_media.write(path, clip)


def interlaced(path: Path, order: str = "tff") -> Path:
    """MPEG-2 of fields."""
    flags = "+ildct+ilme"
    with (
        av.open("testsrc2=size=352x288:rate=25:duration=0.4", format="lavfi") as source,
        av.open(str(path), "w") as out,
    ):
        stream = out.add_stream("mpeg2video", rate=25, options={"flags": flags, "b": "4000000"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 352, 288, "yuv422p"
        graph = av.filter.Graph()
        steps = (graph.add("setfield", order), graph.add("format", "pix_fmts=yuv422p"), graph.add("buffersink"))
        graph.link_nodes(graph.add_buffer(template=source.streams.video[0]), *steps).configure()
        frames = []
        for picture in source.decode(video=0):
            graph.vpush(picture)
            frames += list(pulled(graph))
        for number, made in enumerate(frames):
            assert isinstance(made, av.VideoFrame)
            made.pts, made.time_base, made.pict_type = number, Fraction(1, 25), 0
            out.mux(stream.encode(made))
        out.mux(stream.encode(None))
    return path


SOURCES: Mapping[str, Make] = {
    "midnight.mov": h264(timecode="00:00:00:00"),
    "one-hour.mov": h264(timecode="01:00:00:00", reel="A001"),
    "drop-frame.mov": h264(rate=Fraction(30000, 1001), timecode="01:00:00;02"),
    "film.mov": h264(rate=Fraction(24000, 1001), timecode="10:58:07:12"),
    "fast.mov": h264(rate=Fraction(60000, 1001), timecode="01:00:00;02"),
    "variable.mkv": h264(rate=Fraction(20), ticks=(33, 50, 17, 100)),
    "eight-mono.mov": h264(sound="pcm_s24le", tracks=(MONO,) * 8),
    "surround.mov": h264(sound="pcm_s24le", tracks=(Track("5.1"),)),
    "silent.mp4": h264(tracks=()),
    "rotated.mov": h264(rotation=90),
    "anamorphic.mov": h264(size=(360, 288), sample_aspect=Fraction(64, 45), colour=(5, 6, 5, 1)),
    "interlaced.mxf": interlaced,
    "bottom-first.mxf": partial(interlaced, order="bff"),
    "ten-bit.mp4": lambda path: sample_media.write(path, replace(HEVC10, size=SMALL, seconds=SECONDS)),
    "full-range.mov": h264(pixel_format="yuvj420p", colour=(1, 1, 1, 2)),
    "hevc.mp4": h264(codec="libx265", options={"preset": "ultrafast", "x265-params": "log-level=none"}),
    "prores.mov": lambda path: sample_media.prores(path, size=SMALL, seconds=SECONDS),
    "dnxhr.mov": lambda path: sample_media.write(path, replace(DNXHR, size=SMALL, seconds=SECONDS, source="testsrc2")),
    "mpeg2.mxf": lambda path: sample_media.mxf(path, size=SMALL, seconds=SECONDS),
}


@dataclass(frozen=True, slots=True)
class Judged:
    """What ffprobe says of a file."""

    video: dict[str, object]
    sound: list[dict[str, object]]
    timecode: str | None
    reel: str | None
    times: list[Fraction] = field(default_factory=list)
    turned: bool = False


@cache
def judged(path: Path) -> Judged:
    program = shutil.which("ffprobe")
    assert program, "ffprobe is the judge of these tests; install ffmpeg"
    shown = "format_tags=timecode:stream:stream_tags:stream_side_data:frame=stream_index,pts_time"
    command = [program, "-v", "error", "-select_streams", "v", "-show_entries", shown, "-of", "json", str(path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    rest = [program, "-v", "error", "-show_entries", "stream", "-of", "json", str(path)]
    streams = json.loads(subprocess.run(rest, check=True, capture_output=True).stdout)["streams"]
    video = next(each for each in streams if each["codec_type"] == "video")
    times = sorted(Fraction(each["pts_time"]) for each in found["frames"])
    codes = [each.get("tags", {}).get("timecode") for each in streams if each["codec_type"] in ("video", "data")]
    tagged = found.get("format", {}).get("tags", {}).get("timecode")
    return Judged(
        video,
        [each for each in streams if each["codec_type"] == "audio"],
        next((code for code in codes if code), tagged),
        next((each["tags"]["reel_name"] for each in streams if "reel_name" in each.get("tags", {})), None),
        [each - times[0] for each in times],
        any("rotation" in each for each in video.get("side_data_list", ())),
    )


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    return {name: make(folder / name) for name, make in SOURCES.items()}


def made_of(source: Path, profile: str, out: Path) -> Output:
    settings = {"profile": profile, "needless": True}
    return Proxy().run(source, out, Subject(source.name, Media.VIDEO, 1, settings=settings))


UNSAID = {"colour_space", "colour_range"}
"""The encoders of most sources here say nothing of these; the proxy names what players take for usual."""
EXPLAINED: Mapping[tuple[str, str], set[str]] = {
    ("variable.mkv", ""): {"frame_rate"},
    ("rotated.mov", ""): {"rotation"},
    ("one-hour.mov", "h264"): {"reel"},
    ("one-hour.mov", "h264-intra-mp4"): {"reel"},
    ("interlaced.mxf", "h264"): {"field_order"},
    ("bottom-first.mxf", "h264"): {"field_order"},
    ("anamorphic.mov", "dnxhr-lb"): {"colour_space"},
    ("anamorphic.mov", "prores-proxy"): {"colour_space", "colour_transfer"},
    ("full-range.mov", "prores-proxy"): {"colour_range"},
}
"""What is not equal, by source and profile ('': by all), each with a reason. Everything else is equal."""
SAYING = {"ten-bit.mp4", "prores.mov", "dnxhr.mov", "full-range.mov", "anamorphic.mov"}
"""Sources that say all of their colours."""


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", SOURCES)
def test_every_source_by_every_profile(sources: dict[str, Path], name: str, profile: str, tmp_path: Path) -> None:
    made = made_of(sources[name], profile, tmp_path)
    (rendition,) = made.renditions
    properties = rendition.detail["properties"]
    assert isinstance(properties, dict)
    assert {row["verdict"] for row in properties.values()} <= {"equal", "explained"}
    told = {key for key, row in properties.items() if row["verdict"] == "explained"}
    unsaid = {key for key in told & UNSAID if properties[key]["source"] is None}
    assert told - unsaid == EXPLAINED.get((name, ""), set()) | EXPLAINED.get((name, profile), set())
    assert not (unsaid and name in SAYING)
    assert all(properties[key]["why"] for key in told)
    check_by_ffprobe(judged(sources[name]), judged(rendition.path), profile)


def check_by_ffprobe(source: Judged, proxy: Judged, profile: str) -> None:
    assert len(proxy.times) == len(source.times) > 5
    assert max(abs(a - b) for a, b in zip(proxy.times, source.times, strict=True)) <= Fraction(1, 1000)
    assert proxy.timecode == source.timecode
    assert proxy.reel == (source.reel if "reel" not in PROFILES[profile].lacks else None)
    keys = ("channels", "sample_rate")
    assert [[track[key] for key in keys] for track in proxy.sound] == [
        [track[key] for key in keys] for track in source.sound
    ]
    steps = {round(b - a, 3) for a, b in zip(source.times, source.times[1:], strict=False)}
    if max(steps) - min(steps) <= Fraction(2, 1000):
        assert proxy.video["avg_frame_rate"] == source.video["avg_frame_rate"]
    assert not proxy.turned
    shape, turned_shape = aspect(source.video), aspect(proxy.video)
    assert turned_shape == pytest.approx(1 / shape if source.turned else shape, rel=0.01)
    if profile != "h264":
        assert fields(proxy.video) == fields(source.video)
    for key in ("color_primaries", "color_range"):
        said = source.video.get(key, "unknown")
        assert said in {"unknown", proxy.video.get(key)} or (key, profile) == ("color_range", "prores-proxy")


def aspect(video: dict[str, object]) -> float:
    across, down = (int(side) for side in str(video.get("sample_aspect_ratio", "1:1")).split(":"))
    return int(str(video["width"])) * (across or 1) / (int(str(video["height"])) * (down or 1))


def fields(video: dict[str, object]) -> str:
    order = str(video.get("field_order", "progressive"))
    return {"tt": "top", "bt": "top", "bb": "bottom", "tb": "bottom"}.get(order, "progressive")


def test_a_format_that_cannot_hold_the_sound_is_refused_with_the_property(tmp_path: Path) -> None:
    source = tmp_path / "sixteen.mov"
    with av.open(str(source), "w") as out:
        video, sound = out.add_stream("mjpeg", rate=25), out.add_stream("pcm_s16le", rate=48000, layout="hexadecagonal")
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = *SMALL, "yuvj420p"
        for number in range(10):
            frame = av.VideoFrame(*SMALL, "yuvj420p")
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(sound.encode(silence("s16", "hexadecagonal", 48000)))
        out.mux([*video.encode(None), *sound.encode(None)])
    with pytest.raises(BadMedia, match=r"sixteen\.mov: no proxy: audio_channels: aac cannot hold 16 channels; use "):
        made_of(source, "h264", tmp_path)
    properties = made_of(source, "dnxhr-lb", tmp_path).renditions[0].detail["properties"]
    assert properties["audio_channels"]["proxy"] == [16]  # type: ignore[index]  # JSON


def backwards(broken: Path) -> Path:
    """A clip whose frames say that they are shown before those that they follow."""
    source = h264(codec="mjpeg", pixel_format="yuvj420p", options={}, tracks=())(broken.with_suffix(".whole.mov"))
    with av.open(str(source)) as container, av.open(str(broken), "w") as out:
        stream = out.add_stream_from_template(container.streams.video[0])
        for number, packet in enumerate(container.demux(video=0)):
            if packet.dts is None or packet.pts is None:
                continue
            packet.pts = packet.dts + (1 - number % 2) * 4 * (packet.duration or 1)
            packet.stream = stream
            out.mux(packet)
    return broken


def test_times_that_go_backwards_are_refused_with_the_property(tmp_path: Path) -> None:
    """No proxy can conform to that: an editor would show other frames than it counts."""
    broken = backwards(tmp_path / "broken.mkv")
    with pytest.raises(
        BadMedia, match=r"broken\.mkv: no proxy: frame_times: \d+ of \d+ frames say that they are shown no"
    ):
        made_of(broken, "dnxhr-lb", tmp_path)


def test_sound_that_is_said_to_come_hours_later_is_refused_with_the_property(tmp_path: Path) -> None:
    """Silence for all that time would fill the disk."""
    source = h264(sound="pcm_s16le")(tmp_path / "whole.mov")
    broken = tmp_path / "late.mkv"
    with av.open(str(source)) as container, av.open(str(broken), "w") as out:
        streams = {each.index: out.add_stream_from_template(each) for each in container.streams if each.type != "data"}
        for packet in container.demux(video=0, audio=0):
            if packet.dts is None or packet.pts is None:
                continue
            late = round(Fraction(400_000) / (packet.time_base or 1)) if packet.stream.type == "audio" else 0
            packet.pts, packet.dts = packet.pts + late, packet.dts + late
            packet.stream = streams[packet.stream.index]
            out.mux(packet)
    with pytest.raises(BadMedia, match=r"late\.mkv: no proxy: sound_times: sound says that it comes 400,"):
        made_of(broken, "dnxhr-lb", tmp_path)


def test_the_gate_lets_nothing_pass_that_came_out_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is probed anew: what was meant does not count."""
    source = h264(timecode="01:00:00:00")(tmp_path / "a.mov")
    configure = transcode.PictureTrack.configure

    def careless(track: transcode.PictureTrack) -> None:
        configure(track)
        del track.stream.metadata["timecode"]

    monkeypatch.setattr(transcode.PictureTrack, "configure", careless)
    with pytest.raises(UnequalProxy, match="timecode would be None instead of 01:00:00:00"):
        made_of(source, "dnxhr-lb", tmp_path)


def test_each_profile_can_be_chosen_and_asked_for() -> None:
    """A row, a name for the settings, a processor: nothing else belongs to a profile."""
    made = {point.load() for point in entry_points(group="damfs.processors")}
    further = {each.makes for each in made if issubclass(each, Further)}
    assert further == set(PROFILES) == set(get_args(ProxyProfile))
    assert all(each.name == f"proxy-{each.makes}" for each in made if issubclass(each, Further))


def clip(**facts: Facts) -> Subject:
    return Subject("a.mov", Media.VIDEO, 1, facts)


@pytest.mark.parametrize(
    ("facts", "settings", "wanted"),
    [
        ({}, {}, False),
        ({}, {"profile": "h264"}, False),
        ({"proxy": {"wanted": "dnxhr-lb", "profile": "dnxhr-lb"}}, {"also": ["h264"]}, True),
        ({"proxy": {"wanted": "h264", "profile": "h264"}}, {"also": ["h264"]}, False),
        ({"proxy": {"wanted": "dnxhr-lb", "profile": "dnxhr-lb"}}, {"profile": "h264"}, True),
        ({"asked": {"proxies": ["h264"]}}, {"enabled": False}, True),
        ({}, {"also": ["h264"], "enabled": False}, False),
    ],
)
def test_a_further_profile_is_made_where_it_is_wanted(facts: dict[str, Facts], settings: Facts, wanted: bool) -> None:
    assert H264().accepts(replace(clip(**facts), settings=settings)) is wanted

"""Frames of sources by their packets alone: what ffprobe counts by decoding, and what the gate judges proxies by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import pytest
from av.video.stream import VideoStream

from damfs.core.processors import joinable, source_frames
from damfs.core.processors.probe import Probe
from damfs.core.processors.processor import Subject
from damfs.core.processors.source_frames import are_among, without_second_fields
from damfs.errors import BadMedia
from damfs.model import Media
from tests.sample_media import Clip, vfr, write
from tests.unit.test_proxy import frame_times, judged, make, of_kind, said
from tests.unit.test_splice import exact

FRAMES = 20


def clip(path: Path, codec: str, pixels: str = "yuv420p", **options: str) -> Path:
    """Moving pictures in whatever container the ending says."""
    with (
        av.open(f"testsrc2=size=320x180:rate=25:duration={FRAMES / 25}", format="lavfi") as source,
        av.open(str(path), "w") as out,
    ):
        stream = out.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 180, pixels
        for number, picture in enumerate(source.decode(video=0)):
            frame = picture.reformat(format=pixels)
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 25), 0
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


CLIPS: dict[str, Callable[[Path], Path]] = {
    "a.mov": partial(clip, codec="libx264", preset="ultrafast", bf="2"),
    "a.mkv": partial(clip, codec="libx264", preset="veryfast", bf="2"),
    "a.ts": partial(clip, codec="libx264", preset="veryfast", bf="2"),
    "a.avi": partial(clip, codec="mpeg4"),
    "a.mxf": partial(clip, codec="mpeg2video", pixels="yuv422p", bf="2"),
    "a.webm": partial(clip, codec="libvpx-vp9", cpu_used="8", lag_in_frames="10", auto_alt_ref="1", b="200k"),
    "hidden.webm": partial(clip, codec="libvpx", deadline="good", lag_in_frames="16", auto_alt_ref="1", b="200k"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("clips")
    for name, make_it in CLIPS.items():
        make_it(made / name)
    return made


@pytest.mark.parametrize("name", CLIPS)
def test_they_are_those_that_decoding_finds(folder: Path, name: str) -> None:
    (video,) = of_kind(judged(folder / name), "video")
    held = source_frames.held(folder / name, name)
    decoded = frame_times(folder / name)
    held = held.since(decoded[0])
    assert held.frames == len(held.times) == int(str(video["nb_read_frames"])) == FRAMES
    assert list(held.times) == decoded


def changed(source: Path, target: Path, number: int, content: bytes | None) -> Path:
    """A copy with one packet of pictures that holds something else, or is not there. No packet is decoded."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(container.streams.video[0])
        for at, packet in enumerate(container.demux(video=0)):
            if packet.dts is None or (at == number and content is None):
                continue
            kept = av.Packet(content if at == number and content is not None else bytes(packet))
            kept.pts, kept.dts, kept.time_base = packet.pts, packet.dts, packet.time_base
            kept.duration, kept.is_keyframe, kept.stream = packet.duration, packet.is_keyframe, stream
            out.mux(kept)
    return target


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi", "a.webm"])
def test_the_gate_counts_what_the_packets_say(folder: Path, tmp_path: Path, name: str) -> None:
    source = (tmp_path / name).with_suffix(Path(name).suffix)
    source.write_bytes((folder / name).read_bytes())
    proxy, made = make(source)
    assert said(made, "frames") == {"source": FRAMES, "proxy": FRAMES, "verdict": "equal"}
    assert said(made, "frame_times")["verdict"] == "equal"
    assert len(frame_times(proxy)) == FRAMES


def test_a_frame_that_was_dropped_leaves_a_gap_that_is_kept(tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.mkv", "mjpeg", "yuvj420p")
    proxy, made = make(changed(whole, tmp_path / "dropped.mkv", 7, None))
    assert said(made, "frames") == {"source": FRAMES - 1, "proxy": FRAMES - 1, "verdict": "equal"}
    assert said(made, "frame_rate")["why"] == "the frames have times of their own, which are kept"
    assert frame_times(proxy) == [Fraction(at, 25) for at in range(FRAMES) if at != 7]


def test_a_broken_frame_is_counted_and_said(tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.mkv", "prores_aw", "yuv422p10le")
    proxy, made = make(changed(whole, tmp_path / "broken.mkv", 7, bytes(40)))
    frames = said(made, "frames")
    assert (frames["source"], frames["proxy"], frames["verdict"]) == (FRAMES, FRAMES - 1, "explained")
    assert frame_times(proxy) == [Fraction(at, 25) for at in range(FRAMES) if at != 7]


NOT_CODED = bytes([0, 0, 1, 0xB6, 0b01010011, 0b11001111])
"""A picture of MPEG-4 of which nothing is coded: the decoder gives none and says nothing."""


def test_a_frame_that_is_lost_without_a_word_is_missed(folder: Path, tmp_path: Path) -> None:
    source = changed(folder / "a.avi", tmp_path / "silent.avi", 9, NOT_CODED)
    assert len(frame_times(source)) == FRAMES - 1
    with pytest.raises(BadMedia, match=rf"silent\.avi: no proxy: frames: only {FRAMES - 1} of {FRAMES} can be read"):
        make(source)


def test_a_first_frame_that_is_broken_is_refused(tmp_path: Path) -> None:
    """The proxy would begin with the second one, under the timecode of the first."""
    whole = clip(tmp_path / "whole.mov", "prores_aw", "yuv422p10le")
    source = changed(whole, tmp_path / "broken.mov", 0, bytes(400))
    with pytest.raises(BadMedia, match=r"broken\.mov: no proxy: frame_times: its first frame cannot be decoded"):
        make(source)


def test_a_stream_that_was_cut_begins_with_its_first_key_frame(tmp_path: Path) -> None:
    """What stands before it needs pictures that are gone: nobody could show it."""
    whole = clip(tmp_path / "whole.ts", "libx264", preset="veryfast", g="8", bf="2").read_bytes()
    packets = [whole[at : at + 188] for at in range(0, len(whole), 188)]
    cut = tmp_path / "cut.ts"
    cut.write_bytes(b"".join(packets[:3] + packets[len(packets) // 3 :]))
    held = source_frames.held(cut, "cut.ts")
    decoded = frame_times(cut)
    assert FRAMES > held.frames > held.since(decoded[0]).frames == len(decoded) > 5
    _, made = make(cut)
    assert said(made, "frames")["verdict"] == said(made, "frame_times")["verdict"] == "equal"


def copied(source: Path, target: Path, begin: int, end: int) -> Path:
    """As ``ffmpeg -c copy`` cuts: packets in the order they are stored in, without those shown before the first."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        stream, first = out.add_stream_from_template(container.streams.video[0]), None
        for number, packet in enumerate(container.demux(video=0)):
            if packet.dts is None or packet.pts is None or not begin <= number < end:
                continue
            first = packet.pts if first is None else first
            if packet.pts >= first:
                packet.pts, packet.dts, packet.stream = packet.pts - first, packet.dts - first, stream
                out.mux(packet)
    return target


@pytest.mark.parametrize("frames", range(8, 13))
def test_a_cut_between_pictures_that_refer_to_each_other_is_sound(tmp_path: Path, frames: int) -> None:
    """The last picture that is stored is shown after others that were cut off: a gap, and no fault."""
    whole = clip(tmp_path / "whole.mp4", "libx264", preset="veryfast", bf="3")
    cut = copied(whole, tmp_path / "cut.mp4", 0, frames)
    proxy, made = make(cut)
    assert list(source_frames.held(cut, "cut.mp4").times) == frame_times(cut) == frame_times(proxy)
    assert said(made, "frames") == {"source": frames, "proxy": frames, "verdict": "equal"}
    assert said(made, "frame_times")["verdict"] == "equal"


def test_a_rate_that_the_header_has_wrong_is_that_of_the_times(tmp_path: Path) -> None:
    """Pictures stored after a key frame and shown before it were cut off: a gap between times of decoding alone."""
    options = {"x264-params": "open-gop=1:keyint=8:min-keyint=8:scenecut=0"}
    whole = clip(tmp_path / "whole.mp4", "libx264", preset="veryfast", bf="3", g="8", **options)
    with av.open(str(whole)) as container:
        keys = [number for number, packet in enumerate(container.demux(video=0)) if packet.is_keyframe]
    cut = copied(whole, tmp_path / "cut.mp4", keys[1], FRAMES)
    with av.open(str(cut)) as container:
        assert container.streams.video[0].average_rate not in {None, 25}
    proxy, made = make(cut)
    assert said(made, "frame_rate") == {"source": "25/1", "proxy": "25/1", "verdict": "equal"}
    assert probed_rate(cut) == "25/1", "what is shown is what is compared"
    count = len(frame_times(cut))
    assert frame_times(proxy) == [Fraction(number, 25) for number in range(count)]


def test_a_rate_of_which_a_frame_is_no_whole_number_of_ticks_is_the_usual_one(tmp_path: Path) -> None:
    """23.976 in 1/90000: pieces of such clips have one rate, whatever the average of their ticks is."""
    options = {"preset": "veryfast", "g": "12", "bf": "3", "x264-params": "open-gop=1"}
    kind = Clip(options=options, size=(160, 96), rate=Fraction(24000, 1001), seconds=2, tracks=())
    whole = write(tmp_path / "whole.mov", replace(kind, container_options={"video_track_timescale": "90000"}))
    with av.open(str(whole)) as container:
        keys = [number for number, packet in enumerate(container.demux(video=0)) if packet.is_keyframe]
    cut = copied(whole, tmp_path / "cut.mov", keys[1], 48)
    sources = [whole, exact(whole, tmp_path / "out", 520, 1700).path, cut]
    for source in sources:
        proxy, made = make(source)
        assert said(made, "frame_rate") == {"source": "24000/1001", "proxy": "24000/1001", "verdict": "equal"}
        assert probed_rate(source) == "24000/1001"
        assert said(made, "frame_times")["verdict"] == "equal"
        count = len(frame_times(source))
        assert frame_times(proxy) == [number * Fraction(1001, 24000) for number in range(count)]
        assert joinable.looked_at(source, source.name).properties["frame rate"] == "24000/1001"


@pytest.mark.parametrize("name", ["a.mov", "a.mkv"])
def test_of_uneven_times_the_average_is_shown_and_compared(tmp_path: Path, name: str) -> None:
    source = vfr(tmp_path / name, size=(160, 96))
    _, made = make(source)
    assert probed_rate(source) == said(made, "frame_rate")["source"]


def probed_rate(path: Path) -> object:
    facts = Probe().run(path, path.parent, Subject(path.name, Media.VIDEO, path.stat().st_size)).facts
    assert isinstance(facts["video"], dict)
    return facts["video"]["frame_rate"]


def test_two_fields_in_two_packets_are_one_frame() -> None:
    fields = [Fraction(number, 50) for number in range(8)]
    assert without_second_fields(fields, Fraction(25)) == fields[::2]
    assert without_second_fields(fields, Fraction(50)) == fields
    assert without_second_fields(fields, None) == fields


def test_times_are_found_in_their_order() -> None:
    times, slack = [Fraction(number, 25) for number in range(5)], Fraction(1, 1000)
    assert are_among(times, times, slack)
    assert are_among([times[0], times[3] + slack], times, slack)
    assert not are_among([times[3], times[0]], times, slack)
    assert not are_among([times[1] + 2 * slack], times, slack)

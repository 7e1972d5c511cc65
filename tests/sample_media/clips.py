"""Short clips in real codecs, written with PyAV alone: timecode, several audio tracks, rotation, variable rate.

Each function writes one file at ``path`` and returns it; pictures come from FFmpeg's sources or pan over a painting.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from itertools import count, islice
from pathlib import Path
from typing import TypedDict, Unpack

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from tests.sample_media.pictures import SCENES, Size, paint

NTSC = Fraction(30000, 1001)
SOUND_RATE = 48000


@dataclass(frozen=True, slots=True)
class Track:
    layout: str = "stereo"
    language: str = ""
    hertz: float = 440.0


@dataclass(frozen=True, slots=True)
class Clip:
    """How to write a clip. ``source``: a painted scene, or an FFmpeg source such as ``testsrc2``."""

    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    source: str = "testsrc2"
    seed: int = 1
    size: Size = (640, 360)
    rate: Fraction = Fraction(25)
    seconds: float = 1.0
    sound: str = "aac"
    tracks: tuple[Track, ...] = (Track(),)
    timecode: str = ""
    reel: str = ""
    created: datetime | None = None
    rotation: int = 0
    """Degrees counter-clockwise that a player turns the picture."""
    sample_aspect: Fraction | None = None
    colour: tuple[int, int, int, int] | None = None
    """Primaries, transfer, space and range as FFmpeg's numbers."""
    ticks: tuple[int, ...] = ()
    """Milliseconds between frames, taken in turn, instead of a constant rate."""
    metadata: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)


class Changes(TypedDict, total=False):
    options: dict[str, str]
    source: str
    seed: int
    size: Size
    rate: Fraction
    seconds: float
    tracks: tuple[Track, ...]
    timecode: str
    reel: str
    created: datetime | None
    rotation: int
    sample_aspect: Fraction | None
    colour: tuple[int, int, int, int] | None
    ticks: tuple[int, ...]
    metadata: dict[str, str]
    container_options: dict[str, str]


FAST = {"preset": "veryfast", "crf": "23"}
H264 = Clip(options=FAST)
HEVC10 = Clip(
    codec="libx265",
    pixel_format="yuv420p10le",
    options={"preset": "ultrafast", "x265-params": "log-level=none"},
    source="mandelbrot",
    colour=(9, 16, 9, 1),
)
PRORES = Clip(
    codec="prores_aw",
    pixel_format="yuv422p10le",
    source="smptehdbars",
    sound="pcm_s24le",
    tracks=(Track("stereo", "eng", 440), Track("mono", "fra", 660)),
    timecode="10:58:07:12",
    colour=(1, 1, 1, 1),
)
DNXHR = Clip(
    codec="dnxhd", pixel_format="yuv422p", options={"profile": "dnxhr_lb"}, source="mountains", sound="pcm_s16le"
)
MJPEG = Clip(codec="mjpeg", pixel_format="yuvj420p", source="life=mold=10:r=25:ratio=0.1", sound="pcm_s16le")
MXF = Clip(
    codec="mpeg2video",
    pixel_format="yuv422p",
    options={"b": "8000000", "g": "12"},
    source="city",
    sound="pcm_s16le",
    tracks=(Track("mono", "", 330), Track("mono", "", 550)),
    timecode="01:00:00:00",
)


def h264(path: Path, **changes: Unpack[Changes]) -> Path:
    """H.264 and AAC, as phones and cameras make them (.mp4, .mov, .mkv)."""
    return write(path, replace(H264, **changes))


def hevc10(path: Path, **changes: Unpack[Changes]) -> Path:
    """HEVC with 10 bits and HDR colour tags (.mp4, .mov, .mkv)."""
    return write(path, replace(HEVC10, **changes))


def prores(path: Path, **changes: Unpack[Changes]) -> Path:
    """ProRes 422 with timecode and two PCM tracks (.mov)."""
    return write(path, replace(PRORES, **changes))


def dnxhr(path: Path, **changes: Unpack[Changes]) -> Path:
    """DNxHR LB and PCM (.mov)."""
    return write(path, replace(DNXHR, **changes))


def mjpeg(path: Path, **changes: Unpack[Changes]) -> Path:
    """Motion JPEG and PCM (.avi)."""
    return write(path, replace(MJPEG, **changes))


def mxf(path: Path, **changes: Unpack[Changes]) -> Path:
    """MPEG-2 with two mono tracks and timecode (.mxf)."""
    return write(path, replace(MXF, **changes))


def rotated(path: Path, **changes: Unpack[Changes]) -> Path:
    """H.264 that a player turns by 90 degrees counter-clockwise (.mov)."""
    return write(path, replace(replace(H264, rotation=90, source="portrait"), **changes))


def drop_frame(path: Path, **changes: Unpack[Changes]) -> Path:
    """29.97 frames a second with drop-frame timecode (.mov)."""
    return write(path, replace(replace(H264, rate=NTSC, timecode="01:00:00;02", source="sunset"), **changes))


def vfr(path: Path, **changes: Unpack[Changes]) -> Path:
    """A variable frame rate, as screen recorders and phones make it (.mkv)."""
    return write(path, replace(replace(H264, rate=Fraction(20), ticks=(33, 50, 17, 100), source="beach"), **changes))


def write(path: Path, clip: Clip) -> Path:
    """Write ``clip`` at ``path``; its suffix names the container."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with scheduled_as_before(), av.open(str(path), "w", options=clip.container_options) as container:
        container.metadata.update(container_metadata(clip, path))
        video = video_stream(container, clip)
        sounds = [(track, sound_stream(container, clip, track)) for track in clip.tracks]
        times = list(frame_times(clip))
        for number, frame in enumerate(islice(pictures(clip), len(times))):
            frame.pts = times[number]
            frame.time_base = video.codec_context.time_base
            frame.pict_type = 0
            if clip.colour is not None:
                frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = clip.colour
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for track, stream in sounds:
            write_tone(container, stream, track, clip.seconds)
    return path


@contextmanager
def scheduled_as_before() -> Iterator[None]:
    """libsvtav1 makes the thread that calls it one of real time where it may: root's tests, and all that they start,
    would get every processor before anything else from then on."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def container_metadata(clip: Clip, path: Path) -> dict[str, str]:
    found = dict(clip.metadata)
    if clip.created is not None:
        found["creation_time"] = clip.created.isoformat()
    if clip.timecode and path.suffix == ".mxf":
        found["timecode"] = clip.timecode
    return found


def video_stream(container: OutputContainer, clip: Clip) -> VideoStream:
    stream = container.add_stream(clip.codec, rate=clip.rate, options=clip.options)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = clip.size
    stream.pix_fmt = clip.pixel_format
    stream.codec_context.time_base = Fraction(1, 1000) if clip.ticks else 1 / clip.rate
    if clip.sample_aspect is not None:
        stream.codec_context.sample_aspect_ratio = clip.sample_aspect
    if clip.colour is not None:
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = clip.colour
    if clip.codec == "libx265":
        stream.codec_context.codec_tag = "hvc1"
    if clip.timecode:
        stream.metadata["timecode"] = clip.timecode
    if clip.reel:
        stream.metadata["reel_name"] = clip.reel
    if clip.rotation:
        stream.set_display_rotation(clip.rotation)
    return stream


def frame_times(clip: Clip) -> Iterator[int]:
    """Presentation times in the clip's time base."""
    if not clip.ticks:
        yield from range(max(1, round(clip.seconds * clip.rate)))
        return
    at = 0
    for number in count():
        if at >= clip.seconds * 1000:
            return
        yield at
        at += clip.ticks[number % len(clip.ticks)]


def pictures(clip: Clip) -> Iterator[av.VideoFrame]:
    """Endless frames: a slow pan over a painting, or one of FFmpeg's sources."""
    if clip.source in SCENES:
        yield from pan(clip)
    name, _, options = clip.source.partition("=")
    rate = "" if "r=" in options else f":rate={clip.rate}"
    source = f"{name}=size={clip.size[0]}x{clip.size[1]}{rate}{':' if options else ''}{options}"
    with av.open(source, format="lavfi") as container:
        yield from container.decode(video=0)


def pan(clip: Clip) -> Iterator[av.VideoFrame]:
    width, height = clip.size
    shape = (height, width) if clip.rotation in (90, 270) else (width, height)
    scene = paint(clip.source, (shape[0] * 3 // 2, shape[1] * 5 // 4), clip.seed)
    if clip.rotation:  # stored the other way round, so that a player shows it upright
        scene = scene.rotate(-clip.rotation, expand=True)
    for number in count():
        swing = (1 - math.cos(number / 40)) / 2
        x, y = round(swing * (scene.width - width)), round(swing * (scene.height - height))
        yield av.VideoFrame.from_ndarray(np.asarray(scene.crop((x, y, x + width, y + height))), format="rgb24")


def sound_stream(container: OutputContainer, clip: Clip, track: Track) -> AudioStream:
    stream = container.add_stream(clip.sound, rate=SOUND_RATE, layout=track.layout)
    assert isinstance(stream, AudioStream)
    if track.language:
        stream.metadata["language"] = track.language
    return stream


def tone(hertz: float, seconds: float, channels: int) -> np.ndarray:
    """Planar float samples (channels, n): each channel a fifth above the one before, swelling and fading."""
    at = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    swell = 0.3 * np.sin(np.pi * np.minimum(1.0, at / max(seconds, 1e-9))) + 0.05
    return np.stack([swell * np.sin(2 * np.pi * hertz * 1.5**c * at) for c in range(channels)]).astype(np.float32)


def write_tone(container: OutputContainer, stream: AudioStream, track: Track, seconds: float) -> None:
    samples = tone(track.hertz, seconds, stream.layout.nb_channels)
    for start in range(0, samples.shape[1], 4800):
        part = np.ascontiguousarray(samples[:, start : start + 4800])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=stream.layout)
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))

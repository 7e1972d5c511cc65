"""Recordings that are still running: what lies on the disk while a program writes it, and the file it becomes.

Muxers of FFmpeg write the files; a copy taken on the way is what others see. ``flush_packets`` has them write at once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream

from tests.sample_media.clips import H264, MJPEG, MXF, SOUND_RATE, Clip, container_metadata, pictures, tone
from tests.sample_media.clips import video_stream as stream_of

SMALL = (64, 48)
FRAMES = 20
PARTS = 12
CLIP = replace(H264, size=SMALL, options={"preset": "ultrafast", "g": "5", "tune": "zerolatency"})
VP8 = replace(CLIP, codec="libvpx", options={"deadline": "realtime", "lag-in-frames": "0", "g": "5"})
LIVE, PIECES = {"live": "1"}, {"movflags": "frag_keyframe+empty_moov"}


Packets: TypeAlias = "list[Packet[VideoStream]] | list[Packet[AudioStream]]"


@dataclass(frozen=True, slots=True)
class Recorder:
    """What writes a recording: pictures of ``clip``, or sound by the codec ``sound``."""

    clip: Clip | None = None
    sound: str = ""
    options: tuple[tuple[str, str], ...] = ()


RECORDERS: dict[str, Recorder] = {
    "a.mov": Recorder(CLIP),
    "a.mp4": Recorder(CLIP),
    "faststart.mp4": Recorder(CLIP, options=(("movflags", "faststart"),)),
    "a.mkv": Recorder(CLIP),
    "a.webm": Recorder(VP8),
    "a.mxf": Recorder(replace(MXF, size=SMALL, source="testsrc2")),
    "a.avi": Recorder(replace(MJPEG, size=SMALL, source="testsrc2")),
    "a.wav": Recorder(sound="pcm_s16le"),
    "rf64.wav": Recorder(sound="pcm_s16le", options=(("rf64", "always"),)),
    "a.w64": Recorder(sound="pcm_s16le"),
    "a.aiff": Recorder(sound="pcm_s16be"),
    "a.caf": Recorder(sound="pcm_s16le"),
    "a.flac": Recorder(sound="flac"),
    "a.ogg": Recorder(sound="flac"),
    "a.opus": Recorder(sound="libopus"),
    "live.mkv": Recorder(CLIP, options=tuple(LIVE.items())),
    "pieces.mp4": Recorder(CLIP, options=tuple(PIECES.items())),
    "a.ts": Recorder(CLIP),
    "a.flv": Recorder(CLIP),
    "a.mp3": Recorder(sound="libmp3lame"),
}


def recorded(path: Path, recorder: Recorder) -> tuple[Path, Path]:
    """The finished recording, and beside it what lay there in the middle of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    middle = path.with_stem(f"{path.stem}-running")
    with av.open(str(path), "w", options={"flush_packets": "1", **dict(recorder.options)}) as container:
        parts = shown(container, recorder.clip, path) if recorder.clip else heard(container, recorder.sound)
        for number, packets in enumerate(parts):
            container.mux(packets)
            if number == (FRAMES if recorder.clip else PARTS) // 2:
                shutil.copyfile(path, middle)
    return path, middle


def shown(container: av.container.OutputContainer, clip: Clip, path: Path) -> Iterator[Packets]:
    container.metadata.update(container_metadata(clip, path))
    stream = stream_of(container, clip)
    for number, frame in enumerate(islice(pictures(clip), FRAMES)):
        frame.pts, frame.time_base, frame.pict_type = number, stream.codec_context.time_base, 0
        yield stream.encode(frame)
    yield stream.encode(None)


def heard(container: av.container.OutputContainer, codec: str) -> Iterator[Packets]:
    stream = container.add_stream(codec, rate=SOUND_RATE, layout="stereo")
    assert isinstance(stream, AudioStream)
    samples = tone(330, 0.2 * PARTS, 2)
    for start in range(0, samples.shape[1], SOUND_RATE // 5):
        part = np.ascontiguousarray(samples[:, start : start + SOUND_RATE // 5])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
        yield stream.encode(frame)
    yield stream.encode(None)

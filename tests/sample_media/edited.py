"""Clips cut together from takes: painted scenes that move, stand still or are out of focus, and cards of one colour.

Each function writes one file at ``path`` and returns it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import av
import numpy as np
from PIL import Image, ImageFilter

from tests.sample_media.clips import H264, Changes, Clip, video_stream, write_tone
from tests.sample_media.clips import sound_stream as sound_stream_of
from tests.sample_media.pictures import SCENES, Size, paint


@dataclass(frozen=True, slots=True)
class Take:
    """``source``: one of SCENES, or a colour as Pillow names it. ``swing``: share of the picture that it pans over."""

    source: str
    seconds: float
    swing: float = 0.0
    blur: float = 0.0
    """Pixels."""
    light: float = 1.0
    """Share of the brightness: a night is about 0.1."""
    speed: float = 1.0
    """Of the pan."""


def edited(path: Path, takes: Sequence[Take], clip: Clip = H264, **changes: Unpack[Changes]) -> Path:
    """The takes one after the other, with sound of the same length where ``clip`` has tracks."""
    clip = replace(clip, **changes)
    seconds = sum(take.seconds for take in takes)
    with av.open(str(path), "w", options=clip.container_options) as container:
        container.metadata.update(clip.metadata)
        video = video_stream(container, clip)
        sounds = [(track, sound_stream_of(container, clip, track)) for track in clip.tracks]
        for number, picture in enumerate(every_picture(takes, clip)):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, video.codec_context.time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for track, stream in sounds:
            write_tone(container, stream, track, seconds)
    return path


def every_picture(takes: Sequence[Take], clip: Clip) -> Iterator[Image.Image]:
    for take in takes:
        yield from pictures_of(take, clip.size, round(take.seconds * clip.rate))


def pictures_of(take: Take, size: Size, frames: int) -> Iterator[Image.Image]:
    width, height = size
    if take.source not in SCENES:
        yield from [Image.new("RGB", size, take.source)] * frames
        return
    scene = paint(take.source, (round(width * (1 + take.swing)), height), 1)
    scene = scene.filter(ImageFilter.GaussianBlur(take.blur)) if take.blur else scene
    scene = scene.point([round(level * take.light) for level in range(256)] * 3)
    for number in range(frames):
        x = round((1 - math.cos(take.speed * number / 8)) / 2 * (scene.width - width))
        yield scene.crop((x, 0, x + width, height))

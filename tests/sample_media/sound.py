"""Sound files: broadcast wave with its time reference, FLAC with tags.

Each function writes one file at ``path`` and returns it.
"""

from __future__ import annotations

from pathlib import Path

import av
from av.audio.stream import AudioStream

from tests.sample_media.clips import SOUND_RATE, Track, write_tone


def wav(
    path: Path, *, seconds: float = 1.0, hertz: float = 330.0, date: str = "2025-05-04", time: str = "09:30:00"
) -> Path:
    """A broadcast wave: its bext chunk says when recording began and the samples since midnight."""
    hours, minutes, rest = (int(part) for part in time.split(":"))
    since_midnight = (hours * 3600 + minutes * 60 + rest) * SOUND_RATE
    metadata = {
        "description": "ambience",
        "originator": "damfs sample",
        "origination_date": date,
        "origination_time": time,
        "time_reference": str(since_midnight),
    }
    return write_sound(path, "pcm_s24le", seconds, hertz, metadata, {"write_bext": "1"})


def flac(path: Path, *, seconds: float = 1.0, hertz: float = 220.0, title: str = "Harbour at dawn") -> Path:
    """A FLAC with title, artist and album."""
    metadata = {"title": title, "artist": "damfs sample", "album": "Field recordings"}
    return write_sound(path, "flac", seconds, hertz, metadata, {})


def write_sound(
    path: Path, codec: str, seconds: float, hertz: float, metadata: dict[str, str], options: dict[str, str]
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options) as container:
        container.metadata.update(metadata)
        stream = container.add_stream(codec, rate=SOUND_RATE, layout="stereo")
        assert isinstance(stream, AudioStream)
        write_tone(container, stream, Track("stereo", "", hertz), seconds)
    return path

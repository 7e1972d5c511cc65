"""Real media for tests and for the sample library, made with damfs's own dependencies (PyAV, Pillow, NumPy).

Small files in real codecs, deterministic but for what encoders do; ``python -m tests.sample_media DIR`` writes a
folder to look at.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.sample_media.clips import (
    Clip,
    Track,
    dnxhr,
    drop_frame,
    h264,
    hevc10,
    mjpeg,
    mxf,
    prores,
    rotated,
    vfr,
    write,
)
from tests.sample_media.damage import (
    corrupt,
    cut_short,
    empty,
    jpeg_named_mov,
    text_named_mov,
    truncated,
    truncated_jpeg,
)
from tests.sample_media.pictures import SCENES, paint
from tests.sample_media.raw import dng
from tests.sample_media.sound import flac, wav
from tests.sample_media.stills import Camera, heic, jpeg, png

__all__ = [
    "SCENES",
    "Camera",
    "Clip",
    "Track",
    "corrupt",
    "cut_short",
    "dng",
    "dnxhr",
    "drop_frame",
    "empty",
    "flac",
    "h264",
    "heic",
    "hevc10",
    "jpeg",
    "jpeg_named_mov",
    "make_all",
    "mjpeg",
    "mxf",
    "paint",
    "png",
    "prores",
    "rotated",
    "text_named_mov",
    "truncated",
    "truncated_jpeg",
    "vfr",
    "wav",
    "write",
]


def make_all(directory: Path) -> list[Path]:
    """One sound file of each kind in ``directory``."""
    return [
        h264(directory / "h264.mp4", metadata={"location": "+48.8584+002.2945/"}),
        hevc10(directory / "hevc10.mp4", size=(320, 180)),
        prores(directory / "prores.mov", created=datetime(2024, 7, 15, 12, 34, 56, tzinfo=UTC), reel="A001"),
        dnxhr(directory / "dnxhr.mov"),
        mjpeg(directory / "mjpeg.avi", size=(320, 180)),
        rotated(directory / "rotated.mov"),
        drop_frame(directory / "drop_frame.mov"),
        vfr(directory / "vfr.mkv"),
        mxf(directory / "mxf.mxf"),
        jpeg(directory / "photo.jpg", orientation=6),
        png(directory / "picture.png", alpha=True),
        heic(directory / "phone.heic"),
        dng(directory / "raw.dng"),
        wav(directory / "ambience.wav"),
        flac(directory / "harbour.flac"),
    ]

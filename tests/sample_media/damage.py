"""Media that is not what it should be: cut, empty, overwritten, wrongly named.

Each function writes one damaged file at ``path`` and returns it.
"""

from __future__ import annotations

import random
from pathlib import Path

from tests.sample_media.clips import h264
from tests.sample_media.stills import jpeg


def truncated(path: Path) -> Path:
    """A recording that was never finished: QuickTime without its index (moov)."""
    h264(path, seconds=0.5)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"moov") - 4])
    return path


def cut_short(path: Path, keep: float = 0.5) -> Path:
    """A copy that broke off: the index at the front is whole, the end of the pictures is missing."""
    h264(path, seconds=2.0, options={"g": "5"}, container_options={"movflags": "faststart"})
    content = path.read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[: start + round((len(content) - start) * keep)])
    return path


def empty(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def text_named_mov(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("This is a note, not a clip.\n" * 40, encoding="utf-8")
    return path


def jpeg_named_mov(path: Path) -> Path:
    return jpeg(path)


def truncated_jpeg(path: Path) -> Path:
    """A photo of which the card gave back the first half."""
    jpeg(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def corrupt(path: Path, seed: int = 1) -> Path:
    """An H.264 clip with bytes overwritten anywhere, the index included."""
    h264(path, seconds=0.5, size=(320, 180), options={"g": "5", "preset": "ultrafast"})
    content = bytearray(path.read_bytes())
    dice = random.Random(seed)
    for _ in range(40):
        content[dice.randrange(len(content))] = dice.randrange(256)
    start = dice.randrange(len(content))
    content[start : start + 400] = bytes(len(content[start : start + 400]))
    path.write_bytes(content)
    return path

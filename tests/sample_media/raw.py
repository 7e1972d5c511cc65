"""A raw photo: a small but complete DNG (one uncompressed Bayer plane, EXIF), written tag by tag.

Each function writes one file at ``path`` and returns it.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from tests.sample_media.pictures import Size, paint

BYTE, ASCII, SHORT, LONG, RATIONAL, SRATIONAL = 1, 2, 3, 4, 5, 10
XYZ_TO_SRGB = (32405, -15371, -4985, -9693, 18760, 416, 556, -2040, 10572)
Tag = tuple[int, int, object]


def dng(
    path: Path, *, scene: str = "mountains", seed: int = 3, size: Size = (480, 320), taken: str = "2024:09:01 07:30:00"
) -> Path:
    """16-bit RGGB of a painting, linear, as a camera held upright would store it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plane = bayer(np.asarray(paint(scene, size, seed), dtype=np.float64))
    pixels = plane.astype("<u2").tobytes()
    exif: list[Tag] = [(36867, ASCII, taken), (42036, ASCII, "Sample 23mm")]
    head, strip = 8, len(pixels)
    exif_at = head + strip
    exif_block = ifd(exif, exif_at)
    tags: list[Tag] = [
        (254, LONG, [0]), (256, LONG, [size[0]]), (257, LONG, [size[1]]), (258, SHORT, [16]), (259, SHORT, [1]),
        (262, SHORT, [32803]), (271, ASCII, "damfs"), (272, ASCII, "Sample Camera"), (273, LONG, [head]),
        (274, SHORT, [1]), (277, SHORT, [1]), (278, LONG, [size[1]]), (279, LONG, [strip]), (284, SHORT, [1]),
        (33421, SHORT, [2, 2]), (33422, BYTE, [0, 1, 1, 2]), (34665, LONG, [exif_at]),
        (50706, BYTE, [1, 4, 0, 0]), (50708, ASCII, "damfs Sample Camera"), (50714, SHORT, [0]), (50717, LONG, [65535]),
        (50721, SRATIONAL, [(value, 10000) for value in XYZ_TO_SRGB]),
        (50728, RATIONAL, [(1, 1), (1, 1), (1, 1)]), (50778, SHORT, [21]),
    ]  # fmt: skip
    main_at = exif_at + len(exif_block)
    path.write_bytes(struct.pack("<2sHI", b"II", 42, main_at) + pixels + exif_block + ifd(tags, main_at))
    return path


def bayer(picture: np.ndarray) -> np.ndarray:
    linear = (picture / 255) ** 2.2 * 60000
    plane = linear[..., 1].copy()
    plane[0::2, 0::2] = linear[0::2, 0::2, 0]
    plane[1::2, 1::2] = linear[1::2, 1::2, 2]
    return plane


def ifd(tags: list[Tag], at: int) -> bytes:
    """A TIFF directory that will stand at offset ``at``, the values too long for it behind it."""
    entries, extra = b"", b""
    behind = at + 2 + len(tags) * 12 + 4
    for number, kind, value in tags:
        count, data = packed(kind, value)
        if len(data) > 4:
            place = struct.pack("<I", behind + len(extra))
            extra += data + b"\0" * (len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        entries += struct.pack("<HHI", number, kind, count) + place
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0) + extra


def packed(kind: int, value: object) -> tuple[int, bytes]:
    if isinstance(value, str):
        data = value.encode("ascii") + b"\0"
        return len(data), data
    assert isinstance(value, list)
    if kind in (RATIONAL, SRATIONAL):
        return len(value), b"".join(struct.pack("<ii", *pair) for pair in value)
    return len(value), struct.pack(f"<{len(value)}{ {BYTE: 'B', SHORT: 'H', LONG: 'I'}[kind] }", *value)

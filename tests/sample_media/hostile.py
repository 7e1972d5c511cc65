"""Media that means harm: it declares what it is not, unpacks to more than memory holds, or never ends.

Each function writes one small file at ``path`` and returns it. Formats as their specifications have them: PNG 1.2,
TIFF 6, RIFF, ISO 14496-12 (boxes), Matroska.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.sample_media.clips import Clip as _Clip
from tests.sample_media.clips import Track, h264, write
from tests.sample_media.damage import corrupt, truncated_jpeg

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
RGBA, GREY = 6, 0
SMALL = (64, 48)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(path: Path, width: int, height: int, colour: int, packed: bytes, *texts: bytes) -> Path:
    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, colour, 0, 0, 0))
    path.write_bytes(PNG_HEAD + header + b"".join(texts) + chunk(b"IDAT", packed) + chunk(b"IEND", b""))
    return path


def zeros(size: int) -> bytes:
    """A zlib stream that unpacks to so many zero bytes (a multiple of a megabyte), made in no time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = (size % 65521) << 16 | 1
    return b"\x78\xda" + block * (size >> 20) + packer.flush(zlib.Z_FINISH) + struct.pack(">I", checksum)


def huge_png(path: Path) -> Path:
    return png_of(path, 100_000, 100_000, RGBA, zlib.compress(bytes(100)))


def unpacking_png(path: Path) -> Path:
    """A megabyte that is a gigabyte of pixels."""
    return png_of(path, 16_384, 16_384, RGBA, zeros(1100 << 20))


def texts_png(path: Path) -> Path:
    """Metadata that unpacks to 80 MB: XMP and a text."""
    bomb = zeros(80 << 20)
    xmp = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb)
    return png_of(path, 1, 1, GREY, zlib.compress(bytes(2)), xmp, chunk(b"zTXt", b"Comment\0\0" + bomb))


def profile_png(path: Path) -> Path:
    """A colour profile that unpacks to 200 MB."""
    return png_of(path, 1, 1, GREY, zlib.compress(bytes(2)), chunk(b"iCCP", b"x\0\0" + zeros(200 << 20)))


def tiff_of(path: Path, entries: list[tuple[int, int, int, int]], following: int = 0) -> Path:
    """One directory at offset 8; ``entries``: tag, type, count, value."""
    packed = b"".join(struct.pack("<2H2I", *entry) for entry in sorted(entries))
    directory = struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + directory + bytes(64))
    return path


def tiff_entries(width: int, height: int) -> list[tuple[int, int, int, int]]:
    short, long = 3, 4
    return [
        (256, long, 1, width), (257, long, 1, height), (258, short, 1, 8), (259, short, 1, 1), (262, short, 1, 1),
        (273, long, 1, 8), (277, short, 1, 1), (278, long, 1, height), (279, long, 1, 64),
    ]  # fmt: skip


def huge_tiff(path: Path) -> Path:
    return tiff_of(path, tiff_entries(100_000, 100_000))


def circling_tiff(path: Path) -> Path:
    """The directory behind the first one is the first one."""
    return tiff_of(path, tiff_entries(16, 4), following=8)


def huge_gif(path: Path) -> Path:
    screen = b"GIF89a" + struct.pack("<2H3B", 65535, 65535, 0, 0, 0)
    path.write_bytes(screen + b"\x2c" + struct.pack("<4HB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\x00\x3b")
    return path


def riff(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def huge_avi(path: Path) -> Path:
    """Raw pictures of 100,000 by 100,000."""
    size = 100_000
    main = riff(b"avih", struct.pack("<14I", 40_000, 0, 0, 16, 1, 0, 1, 0, size, size, 0, 0, 0, 0))
    stream = riff(
        b"strh", b"vids" + b"\0\0\0\0" + struct.pack("<IHHIIIIIIII4H", 0, 0, 0, 0, 1, 25, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    )
    form = riff(b"strf", struct.pack("<3I2H6I", 40, size, size, 1, 24, 0, 0, 0, 0, 0, 0))
    header = riff(b"LIST", b"hdrl", main, riff(b"LIST", b"strl", stream, form))
    path.write_bytes(riff(b"RIFF", b"AVI ", header, riff(b"LIST", b"movi", riff(b"00db", bytes(4096)))))
    return path


def endless_wav(path: Path) -> Path:
    """One sample a second, four thousand million of them by its header."""
    form = riff(b"fmt ", struct.pack("<2H2I2H", 1, 1, 1, 1, 1, 8))
    path.write_bytes(b"RIFF\xff\xff\xff\xffWAVE" + form + b"data\xff\xff\xff\xff" + bytes(4000))
    return path


def patched(path: Path, change: Callable[[bytearray], None]) -> Path:
    """A small clip whose bytes were changed. Its index comes last, so that nothing else moves."""
    h264(path, seconds=0.5, size=SMALL, options={"preset": "ultrafast", "g": "5"})
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)
    return path


def boxes(content: bytes | bytearray, kind: bytes) -> list[int]:
    """Where the content of each box of a kind begins; by its name, which a clip this small holds by chance nowhere."""
    found, at = [], content.find(b"moov")
    while (at := content.find(kind, at + 1)) >= 0:
        found.append(at + 4)
    return found


def huge_mp4(path: Path) -> Path:
    """As large as the fields of its boxes can say."""

    def change(content: bytearray) -> None:
        for at in boxes(content, b"tkhd"):
            content[at + 76 : at + 84] = b"\xff\xff\xff\xff" * 2
        for at in boxes(content, b"avc1"):
            content[at + 24 : at + 28] = b"\xff\xff\xff\xff"

    return patched(path, change)


def endless_mp4(path: Path) -> Path:
    """Every time in it is as large as can be."""

    def change(content: bytearray) -> None:
        for kind in (b"mvhd", b"mdhd"):
            for at in boxes(content, kind):
                content[at + 12 : at + 20] = struct.pack(">2I", 1, 0xFFFFFFFE)
        for at in boxes(content, b"elst"):
            content[at + 8 : at + 12] = b"\xff\xff\xff\xfe"

    return patched(path, change)


def timeless_mp4(path: Path) -> Path:
    """Times of frames that lead backwards, and over the edge of their numbers."""

    def change(content: bytearray) -> None:
        for at in boxes(content, b"stts"):
            content[at + 12 : at + 16] = b"\xff\xff\xff\xf0"
        for at in boxes(content, b"ctts"):
            content[at + 12 : at + 16] = b"\x80\x00\x00\x01"
        for at in boxes(content, b"elst"):
            content[at + 12 : at + 16] = b"\x7f\xff\xff\xff"

    return patched(path, change)


def crowded_mp4(path: Path, streams: int = 1000) -> Path:
    """Its tracks a thousand times."""
    h264(path, seconds=0.2, size=SMALL, options={"preset": "ultrafast"})
    content = path.read_bytes()
    start = content.index(b"moov") - 4
    moov, track = content[start:], content.index(b"trak") - 4
    length = struct.unpack(">I", content[track : track + 4])[0]
    grown = moov[8:] + content[track : track + length] * streams
    path.write_bytes(content[:start] + struct.pack(">I", len(grown) + 8) + b"moov" + grown)
    return path


def crowded_mkv(path: Path, streams: int = 1000) -> Path:
    tracks = tuple(Track("mono") for _ in range(streams - 1))
    return write(
        path, _Clip(codec="mjpeg", pixel_format="yuvj420p", size=SMALL, seconds=0.04, sound="pcm_s16le", tracks=tracks)
    )


def nested_mp4(path: Path) -> Path:
    """A hundred thousand boxes, each in the one before."""
    depth = 100_000
    sizes = range(8 * depth, 0, -8)
    path.write_bytes(
        struct.pack(">I4sI4s", 16, b"ftyp", 0, b"isom") + b"".join(struct.pack(">I4s", size, b"moov") for size in sizes)
    )
    return path


def unpacking_mov(path: Path) -> Path:
    """An index that is packed, and says it unpacks to four gigabytes."""
    packed = zeros(200 << 20)
    inside = (
        struct.pack(">I4s4s", 12, b"dcom", b"zlib")
        + struct.pack(">I4sI", len(packed) + 12, b"cmvd", 0xFFFFFFF0)
        + packed
    )
    cmov = struct.pack(">I4s", len(inside) + 8, b"cmov") + inside
    path.write_bytes(
        struct.pack(">I4sI4s", 16, b"ftyp", 0, b"qt  ") + struct.pack(">I4s", len(cmov) + 8, b"moov") + cmov
    )
    return path


def endless_mkv(path: Path) -> Path:
    """Its duration is 1e300 milliseconds."""
    write(path, _Clip(codec="mjpeg", pixel_format="yuvj420p", size=SMALL, seconds=0.2, tracks=()))
    content = bytearray(path.read_bytes())
    at = content.index(b"\x44\x89\x88") + 3
    content[at : at + 8] = struct.pack(">d", 1e300)
    path.write_bytes(content)
    return path


def noise(path: Path, head: bytes) -> Path:
    path.write_bytes(head + random.Random(1).randbytes(200_000))
    return path


def fuzzed(path: Path) -> Path:
    return corrupt(path, 7)


HOSTILE: dict[str, Callable[[Path], Path]] = {
    "huge.png": huge_png,
    "unpacking.png": unpacking_png,
    "texts.png": texts_png,
    "profile.png": profile_png,
    "huge.tif": huge_tiff,
    "circling.tif": circling_tiff,
    "huge.gif": huge_gif,
    "huge.avi": huge_avi,
    "endless.wav": endless_wav,
    "huge.mp4": huge_mp4,
    "endless.mp4": endless_mp4,
    "timeless.mp4": timeless_mp4,
    "crowded.mp4": crowded_mp4,
    "crowded.mkv": crowded_mkv,
    "nested.mp4": nested_mp4,
    "unpacking.mov": unpacking_mov,
    "endless.mkv": endless_mkv,
    "half.jpg": truncated_jpeg,
    "fuzzed.mp4": fuzzed,
    "noise.jpg": lambda path: noise(path, b"\xff\xd8\xff\xe1"),
    "noise.mkv": lambda path: noise(path, b"\x1aE\xdf\xa3"),
}

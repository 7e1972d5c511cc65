"""What "finished" means in each container: one table says by which bytes a program shows that it ended a recording.

Reads a few bytes by position, of a picture as far as its end; blocks. Any file may be hostile: every walk is bounded.
Crash rule: nothing is kept. What programs write meanwhile was read off recorders and FFmpeg's muxers; lengths that
are not known yet are 0 or all ones.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

UNFINISHED = "its recording is not finished: "
NO_LENGTH = UNFINISHED + "its length is not written yet"
CUT_OFF = "it is not all there: it is shorter than it says"
STEPS = 20_000
"""Boxes, chunks and segments followed; what has more is not judged."""
HEAD = 64
BLOCK = 1 << 20
LAST_PAGE = 65_307
"""The longest page of Ogg (RFC 3533)."""
PARTITION = bytes.fromhex("060e2b34020501010d0102010102")
HEADER, FOOTER = 2, 4
"""Kinds of MXF partitions."""
RANDOM_INDEX = bytes.fromhex("060e2b34020501010d01020101110100")


class Bytes:
    """A file that is read here and there."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def at(self, offset: int, length: int) -> bytes:
        """Fewer at the end. Raises OSError."""
        return os.pread(self._descriptor, length, offset) if 0 <= offset < self.size else b""

    def number(self, offset: int, layout: str) -> int | None:
        """One number laid out as by struct; None where the file ends before."""
        found = self.at(offset, struct.calcsize(layout))
        return struct.unpack(layout, found)[0] if len(found) == struct.calcsize(layout) else None

    def ends_before(self, end: int) -> bool:
        return end > self.size


def boxes(file: Bytes) -> str | None:
    """ISO 14496-12, 4.2; QuickTime. An index of the clip (moov), of its pieces (moof) or of a still (meta)."""
    found = list(_boxes(file))
    if not {kind for kind, _ in found} & {b"moov", b"moof", b"meta"}:
        return UNFINISHED + "it has no index (moov) yet"
    return CUT_OFF if file.ends_before(found[-1][1]) else None


def _boxes(file: Bytes) -> Iterator[tuple[bytes, int]]:
    """Outermost boxes: type and where they end."""
    at = 0
    for _ in range(STEPS):
        head = file.at(at, 16)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if not kind.isalnum() or (length < 8 and length != 0):
            return
        at = file.size if length == 0 else at + length
        yield kind, at


def segment(file: Bytes) -> str | None:
    """Matroska, WebM (RFC 8794): the size of the segment is written last. Live streams never have one."""
    body = _element(file, 0, b"\x1aE\xdf\xa3")
    at = None if body is None else body[1]
    found = None if at is None else _element(file, at, b"\x18S\x80g")
    if found is None:
        return CUT_OFF
    start, end = found
    if end is None or end == start:
        return NO_LENGTH
    return CUT_OFF if file.ends_before(end) else None


def _element(file: Bytes, at: int, mark: bytes) -> tuple[int, int | None] | None:
    """Where what an element holds begins and ends, None for an end that is not known; None: it is not there."""
    head = file.at(at, len(mark) + 8)
    if not head.startswith(mark) or len(head) == len(mark) or head[len(mark)] == 0:
        return None
    digits = 9 - head[len(mark)].bit_length()
    if len(head) < len(mark) + digits:
        return None
    ones = (1 << 7 * digits) - 1
    length = int.from_bytes(head[len(mark) : len(mark) + digits], "big") & ones
    start = at + len(mark) + digits
    return start, None if length == ones else start + length


def riff(file: Bytes) -> str | None:
    """AVI, WAV. A long AVI is of several such parts (OpenDML)."""
    at = 0
    for _ in range(STEPS):
        length = file.number(at + 4, "<I")
        if length is None or file.at(at, 4) != b"RIFF":
            return None
        if length in (0, 0xFFFFFFFF):
            return NO_LENGTH
        if file.ends_before(at + 8 + length):
            return CUT_OFF
        at += 8 + length + length % 2
    return None


@dataclass(frozen=True, slots=True)
class Length:
    """A length in the header, laid out as by struct, and what comes to it."""

    at: int
    layout: str
    more: int

    def __call__(self, file: Bytes) -> str | None:
        length = file.number(self.at, self.layout)
        if length is None:
            return CUT_OFF
        if length in (0, (1 << 8 * struct.calcsize(self.layout)) - 1):
            return NO_LENGTH
        return CUT_OFF if file.ends_before(length + self.more) else None


def caf(file: Bytes) -> str | None:
    """Core Audio: chunks; of the one of sound the length is -1 while it grows."""
    at = 8
    for _ in range(STEPS):
        length = file.number(at + 4, ">q")
        if length is None:
            return None
        if length < 0:
            return NO_LENGTH if length == -1 else None
        if file.ends_before(at + 12 + length):
            return CUT_OFF
        at += 12 + length
    return None


def partitions(file: Bytes) -> str | None:
    """MXF (SMPTE ST 377-1): the footer comes last, and both the header and the random index say where it is."""
    at = _footer(file)
    if at is None:
        return UNFINISHED + "it has no footer yet"
    pack = _pack(file, at)
    if pack is None:
        return CUT_OFF
    grid, metadata, index = (file.number(pack + offset, kind) for offset, kind in ((4, ">I"), (32, ">Q"), (40, ">Q")))
    if grid is None or metadata is None or index is None:
        return CUT_OFF
    filled = max(88, min(grid, BLOCK))  # what follows the pack begins on the grid
    return CUT_OFF if file.ends_before(at + filled + metadata + index) else None


def _footer(file: Bytes) -> int | None:
    """Where it says that its footer is."""
    header = _pack(file, 0, HEADER)
    said = None if header is None else file.number(header + 24, ">Q")
    if said:
        return said
    length = file.number(file.size - 4, ">I") or 0
    return file.number(file.size - 12, ">Q") if file.at(file.size - length, 16) == RANDOM_INDEX else None


def _pack(file: Bytes, at: int, kind: int = FOOTER) -> int | None:
    """Where what a partition pack says begins; None: there is none of that kind."""
    head = file.at(at, 17)
    if len(head) < 17 or not head.startswith(PARTITION[:13]) or head[13] != kind:
        return None
    return at + 17 + (head[16] & 0x7F if head[16] & 0x80 else 0)


def flac(file: Bytes) -> str | None:
    """STREAMINFO: how many samples, and the sum of them. Who writes into a pipe never knows."""
    told = file.at(8, 34)
    if len(told) < 34:
        return CUT_OFF
    samples = int.from_bytes(told[13:18], "big") & 0xF_FFFF_FFFF
    return NO_LENGTH if not samples and not any(told[18:]) else None


def ogg(file: Bytes) -> str | None:
    """The last page says that it is the last, and is all there."""
    tail = file.at(max(0, file.size - 2 * LAST_PAGE), 2 * LAST_PAGE)
    at = tail.rfind(b"OggS\0")
    page = tail[at:] if at >= 0 else b""
    whole = len(page) >= 27 and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
    if not whole:
        return CUT_OFF
    return None if page[5] & 4 else UNFINISHED + "its last page is not written yet"


def png(file: Bytes) -> str | None:
    at = 8
    for _ in range(STEPS):
        head = file.at(at, 8)
        if len(head) < 8:
            return CUT_OFF
        if head[4:] == b"IEND":
            return None
        at += 12 + int.from_bytes(head[:4], "big")
    return None


def jpeg(file: Bytes) -> str | None:
    """Segments up to the picture, then its end: no other bytes of a picture look like that."""
    at = 2
    for _ in range(STEPS):
        head = file.at(at, 4)
        if len(head) < 4 or head[0] != 0xFF:
            return CUT_OFF if len(head) < 4 else None
        if head[1] == 0xDA:
            return None if _holds(file, at, b"\xff\xd9") else CUT_OFF
        at += 2 + int.from_bytes(head[2:], "big") if head[1] != 0xFF else 1
    return None


def _holds(file: Bytes, at: int, mark: bytes) -> bool:
    while at < file.size:
        if mark in file.at(at, BLOCK + len(mark) - 1):
            return True
        at += BLOCK
    return False


@dataclass(frozen=True, slots=True)
class Container:
    name: str
    begins: re.Pattern[bytes]
    lacks: Callable[[Bytes], str | None] | None
    """What it still lacks, in words. None: such a file may be added to at any time, so that quiet alone can tell."""


def _c(name: str, begins: bytes, lacks: Callable[[Bytes], str | None] | None) -> Container:
    return Container(name, re.compile(begins, re.DOTALL), lacks)


CONTAINERS: tuple[Container, ...] = (
    _c("QuickTime, MP4, HEIF, CR3", rb".{4}(ftyp|moov|mdat|wide|free|skip|pnot)", boxes),
    _c("Matroska, WebM", rb"\x1aE\xdf\xa3", segment),
    _c("MXF", re.escape(PARTITION[:13]) + rb"\x02", partitions),
    _c("AVI, WAV, WebP", rb"RIFF", riff),
    _c("RF64, BW64", rb"(RF64|BW64).{8}ds64", Length(20, "<Q", 8)),
    _c("Wave64", rb"riff\x2e\x91\xcf\x11", Length(16, "<Q", 0)),
    _c("AIFF", rb"FORM.{4}AIF[FC]", Length(4, ">I", 8)),
    _c("Core Audio", rb"caff", caf),
    _c("FLAC", rb"fLaC", flac),
    _c("Ogg", rb"OggS", ogg),
    _c("PNG", rb"\x89PNG\r\n\x1a\n", png),
    _c("JPEG", rb"\xff\xd8\xff", jpeg),
    _c("MPEG transport stream", rb"(.{4})?\x47.{187}(.{4})?\x47", None),
    _c("MPEG program stream", rb"\0\0\x01\xba", None),
    _c("MP3", rb"ID3|\xff[\xe2-\xff]", None),
    _c("Flash video", rb"FLV", None),
)


def what_it_lacks(descriptor: int) -> str | None:
    """Why a file is not finished; None when it is, or when nothing can be told. Raises OSError."""
    file = Bytes(descriptor)
    row = _row_of(file)
    return None if row is None or row.lacks is None else row.lacks(file)


def may_grow(descriptor: int) -> bool:
    """Whether a file is whole wherever its recording stops. Raises OSError."""
    file = Bytes(descriptor)
    row = _row_of(file)
    return row is not None and (row.lacks is None or (row.lacks is boxes and _is_of_pieces(file)))


def _row_of(file: Bytes) -> Container | None:
    head = file.at(0, 512)
    return next((row for row in CONTAINERS if row.begins.match(head)), None)


def _is_of_pieces(file: Bytes) -> bool:
    return any(kind == b"moof" for kind, _ in _boxes(file))


def lacks(path: Path) -> str | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return what_it_lacks(descriptor)
    finally:
        os.close(descriptor)

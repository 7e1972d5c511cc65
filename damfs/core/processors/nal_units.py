"""The units that H.264 and HEVC streams are made of: finding them, and the numbers that parameter sets go by. Pure.

Formats: ISO/IEC 14496-10 and 23008-2 (units, Annex B), 14496-15 (units with their length before them, avcC).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

START = b"\0\0\0\1"
_STARTS = re.compile(b"\0\0\1")
H264_IDR, H264_SPS, H264_PPS = 5, 7, 8
HEVC_IRAP = range(16, 24)
HEVC_SPS = 33
HEVC_END_OF_SEQUENCE = START + bytes((36 << 1, 1))
"""What comes after it starts a new sequence, whatever its numbers of pictures are."""


def units_of(data: bytes, length_size: int) -> Iterator[bytes]:
    """The units of a packet: with lengths of so many bytes before them, or with start codes where that is 0."""
    if not length_size:
        yield from units_between_starts(data)
        return
    at = 0
    while at + length_size <= len(data):
        length = int.from_bytes(data[at : at + length_size], "big")
        at += length_size
        if length:
            yield data[at : at + length]
        at += length


def units_between_starts(data: bytes) -> Iterator[bytes]:
    starts = [found.start() for found in _STARTS.finditer(data)]
    for number, start in enumerate(starts, 1):
        unit = data[start + 3 : starts[number] if number < len(starts) else None].rstrip(b"\0")
        if unit:
            yield unit


def with_starts(units: Iterable[bytes]) -> bytes:
    return b"".join(START + unit for unit in units)


def h264_kind(unit: bytes) -> int:
    return unit[0] & 31


def hevc_kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def h264_length_size(extradata: bytes) -> int:
    """0 for a stream with start codes."""
    return (extradata[4] & 3) + 1 if len(extradata) > 6 and extradata[0] == 1 else 0


def hevc_length_size(extradata: bytes) -> int:
    return (extradata[21] & 3) + 1 if len(extradata) > 22 and extradata[:3] not in (b"\0\0\0", b"\0\0\1") else 0


def h264_sets(extradata: bytes) -> list[bytes]:
    """The parameter sets that a container keeps beside the packets."""
    if not h264_length_size(extradata):
        return [unit for unit in units_between_starts(extradata) if h264_kind(unit) in (H264_SPS, H264_PPS)]
    found, at = [], 5
    for mask in (31, 255):
        count, at = extradata[at] & mask if at < len(extradata) else 0, at + 1
        for _ in range(count):
            length = int.from_bytes(extradata[at : at + 2], "big")
            found.append(extradata[at + 2 : at + 2 + length])
            at += 2 + length
    return [unit for unit in found if unit]


def hevc_sets(extradata: bytes) -> list[bytes]:
    """As `h264_sets`."""
    if not hevc_length_size(extradata):
        return list(units_between_starts(extradata))
    found, at = [], 23
    for _ in range(extradata[22]):
        count, at = int.from_bytes(extradata[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            length = int.from_bytes(extradata[at : at + 2], "big")
            found.append(extradata[at + 2 : at + 2 + length])
            at += 2 + length
    return [unit for unit in found if unit]


def free_number(sets: Iterable[bytes]) -> int | None:
    """A number by which none of these H.264 parameter sets goes, that both of its kinds may have."""
    taken = {number_of(unit) for unit in sets}
    return next((number for number in range(31, -1, -1) if number not in taken), None)


def number_of(unit: bytes) -> int:
    """By which an H.264 parameter set goes: Exp-Golomb; after profile and level in a sequence parameter set."""
    data = unit[4:12] if h264_kind(unit) == H264_SPS else unit[1:9]
    bits = "".join(f"{byte:08b}" for byte in data)
    zeros = len(bits) - len(bits.lstrip("0"))
    return int(bits[zeros : 2 * zeros + 1] or "1", 2) - 1

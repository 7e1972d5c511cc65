"""When, where and at which timecode something was recorded: the texts that cameras write, turned into values.

Pure and quick; text that makes no sense is None, never an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

NEVER_SET = frozenset({"1903-12-31", "1904-01-01", "1969-12-31", "1970-01-01", "1980-01-01"})
"""Days that a clock which was never set writes: the epochs of QuickTime, Unix and FAT."""
DATE_TIME = re.compile(
    r"\s*(\d{4})[-:/](\d\d)[-:/](\d\d)[T ]+(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d\d:?\d\d)?\s*\0*"
)
ISO6709 = re.compile(r"([+-]\d{2,6}(?:\.\d+)?)([+-]\d{3,7}(?:\.\d+)?)([+-]\d{1,5}(?:\.\d+)?(?=/|CRS|$))?")
TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d\d?)")
UTC_TAGS = ("creation_time", "modification_date")
ZONED_TAGS = ("com.apple.quicktime.creationdate", "com.apple.proapps.shootdate")
GPS_TAGS = ("com.apple.quicktime.location.ISO6709", "location", "location-eng")


@dataclass(frozen=True, slots=True)
class Captured:
    """The wall clock where it was recorded, and its zone or the moment in UTC as far as they are known."""

    local: str | None = None
    offset_min: int | None = None
    utc_ns: int | None = None

    def facts(self) -> dict[str, object]:
        return {
            "captured_local": self.local,
            "captured_offset_min": self.offset_min,
            "captured_utc_ns": self.utc_ns,
        }


def parse_moment(text: str, offset: str | None = None) -> Captured | None:
    """A date and time, ISO or EXIF; ``offset`` is the zone where the text has none. Z alone means: no wall clock."""
    match = DATE_TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        wall = datetime(int(year), int(month), int(day), int(hour), int(minute), min(int(second or 0), 59), tzinfo=UTC)
    except ValueError:
        return None
    if wall.date().isoformat() in NEVER_SET:
        return None
    fraction_ns = int((fraction or "").ljust(9, "0"))
    if zone == "Z":
        return Captured(utc_ns=nanoseconds(wall) + fraction_ns)
    minutes = offset_minutes(zone or offset or "")
    local = wall.strftime("%Y-%m-%dT%H:%M:%S")
    if minutes is None:
        return Captured(local)
    return Captured(local, minutes, nanoseconds(wall) - minutes * 60_000_000_000 + fraction_ns)


def nanoseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def offset_minutes(text: str) -> int | None:
    """``+02:00`` or ``+0200`` as 120; ``Z`` as 0."""
    if text.strip() == "Z":
        return 0
    match = re.fullmatch(r"\s*([+-])(\d\d):?(\d\d)\s*\0*", text)
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    if minutes > 14 * 60:
        return None
    return -minutes if match[1] == "-" else minutes


def captured_of_tags(tags: Mapping[str, str]) -> Captured:
    """The capture time in a container's tags, the one that knows its zone first."""
    for name in ZONED_TAGS:
        found = parse_moment(tags.get(name, ""))
        if found is not None:
            return found
    if "date" in tags and "creation_time" in tags:  # a broadcast wave: day and time in two fields, a wall clock
        found = parse_moment(f"{tags['date']} {tags['creation_time']}")
        if found is not None:
            return found
    for name in UTC_TAGS:
        found = parse_moment(tags.get(name, ""))
        if found is not None:
            return found
    return Captured()


def gps(lat: float, lon: float, alt: float | None = None) -> dict[str, float] | None:
    """A position in degrees, or None for one that cannot be: receivers without a fix write 0, 0. ``alt``: metres."""
    if not (math.isfinite(lat) and math.isfinite(lon)) or abs(lat) > 90 or abs(lon) > 180 or (lat == 0 and lon == 0):
        return None
    height = {} if alt is None or not math.isfinite(alt) else {"alt": round(alt, 2)}
    return {"lat": round(lat, 7), "lon": round(lon, 7), **height}


def gps_of_tags(tags: Mapping[str, str]) -> dict[str, float] | None:
    for name in GPS_TAGS:
        match = ISO6709.match(tags.get(name, ""))
        if match is not None:
            alt = None if match[3] is None else float(match[3])
            return gps(iso6709_degrees(match[1], 2), iso6709_degrees(match[2], 3), alt)
    return None


def iso6709_degrees(text: str, digits: int) -> float:
    """±DD.D, ±DDMM.M or ±DDMMSS.S (``digits`` of whole degrees) as degrees."""
    sign, number = (-1 if text[0] == "-" else 1), text[1:]
    whole = len(number.split(".")[0])
    if whole <= digits:
        return sign * float(number)
    degrees, rest = float(number[:digits]), number[digits:]
    if whole <= digits + 2:
        return sign * (degrees + float(rest) / 60)
    return sign * (degrees + float(rest[:2]) / 60 + float(rest[2:]) / 3600)


def timecode_of_tags(tags: Mapping[str, str]) -> str | None:
    """``hh:mm:ss:ff``, with ``;`` before the frames for drop frame."""
    match = TIMECODE.fullmatch(tags.get("timecode", "").strip())
    if match is None:
        return None
    mark = ":" if match[4] == ":" else ";"
    return f"{match[1]}:{match[2]}:{match[3]}{mark}{match[5]}"


def camera_of_tags(tags: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Make and model."""
    make = tags.get("com.apple.quicktime.make") or tags.get("com.android.manufacturer") or tags.get("make")
    model = tags.get("com.apple.quicktime.model") or tags.get("com.android.model") or tags.get("model")
    return plain(make), plain(model)


def plain(text: object) -> str | None:
    """Printable text of a tag without padding, None for nothing."""
    if not isinstance(text, str):
        return None
    return "".join(c for c in text if c.isprintable()).strip() or None

"""When media was captured and what it is, from the facts that processors found; and what that means for an asset.

`captured` and `local_day` are pure; `describe` runs inside a transaction. Facts come from plug-ins: what makes no sense
is passed over.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from damfs.catalog import assets
from damfs.catalog.database import Connection
from damfs.model import AssetId, Facts, Media

SECOND_NS = 1_000_000_000
NO_CALENDAR = "1970-01-01"
"""The day of a time that no calendar has."""
LIMIT_NS = 1 << 63


def describes(facts: Facts) -> bool:
    """Whether facts tell anything of the kind at all: most processors' do not."""
    return "media" in facts or any(key.startswith("captured_") for key in facts)


def describe(tx: Connection, id_: AssetId, facts: Facts, zone: ZoneInfo | None) -> None:
    """Let an asset be of the media, and of the day, that the facts tell of its bytes; as it was where they do not."""
    media, found = facts.get("media"), captured(facts, zone)
    if isinstance(media, str) and media in set(Media):
        assets.set_media(tx, id_, Media(media))
    if found is not None:
        assets.set_day(tx, id_, *found)


def captured(facts: Facts, zone: ZoneInfo | None) -> tuple[str, int] | None:
    """The wall-clock day of capture and the moment in ns, from a probe's facts; None when they do not say.

    A local time stands as it is; a UTC one (QuickTime) is turned into the library's zone.
    """
    local, offset, utc_ns = (facts.get(f"captured_{part}") for part in ("local", "offset_min", "utc_ns"))
    moment_ns = utc_ns if isinstance(utc_ns, int) and abs(utc_ns) < LIMIT_NS else None
    try:
        if isinstance(local, str):
            moment = _zoned(datetime.fromisoformat(local), offset, zone)
            at_ns = math.floor(moment.timestamp()) * SECOND_NS if moment_ns is None else moment_ns
            return moment.date().isoformat(), at_ns
    except (ValueError, OverflowError, OSError):
        pass
    return None if moment_ns is None else (local_day(moment_ns, zone), moment_ns)


def _zoned(moment: datetime, offset_min: object, zone: ZoneInfo | None) -> datetime:
    if isinstance(offset_min, int):
        return moment.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    if moment.tzinfo is None:
        return moment.replace(tzinfo=zone) if zone else moment.astimezone()
    return moment


def local_day(at_ns: int, zone: ZoneInfo | None) -> str:
    """'YYYY-MM-DD' in the zone; a time that no calendar has becomes the first day of 1970."""
    try:
        return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).astimezone(zone).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return NO_CALENDAR

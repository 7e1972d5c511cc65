"""place: the country, region and nearest town of where something was recorded, from its position. Offline.

By GeoNames, as the package reverse-geocode has it, where that is installed; else, and far from any town, the cell of a
grid of degrees. ``accepts`` is pure; the gazetteer is loaded once in a worker, in about two seconds.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from damfs.core.processors.processor import Output, Processor, Subject

FAR_KM = 100.0
"""From the nearest town: at sea or in a desert its country would be a guess."""
EARTH_KM = 6371.0
HAS_GAZETTEER = find_spec("reverse_geocode") is not None


class Place(Processor):
    name: ClassVar[str] = "place"
    version: ClassVar[int] = 2 if HAS_GAZETTEER else 1  # who installs the gazetteer later has the places named
    needs: ClassVar[frozenset[str]] = frozenset({"probe", "exiftool"})
    priority: ClassVar[int] = 36
    timeout_s: ClassVar[float] = 120.0

    def accepts(self, subject: Subject) -> bool:
        return subject.settings.get("places") is not False and position(subject) is not None

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        found = position(subject)
        assert found is not None, "accepts was asked"
        return Output(facts=town(*found) or cell(*found))


def position(subject: Subject) -> tuple[float, float] | None:
    for processor in ("probe", "exiftool"):
        gps = subject.facts.get(processor, {}).get("gps")
        lat, lon = (gps.get("lat"), gps.get("lon")) if isinstance(gps, dict) else (None, None)
        if isinstance(lat, int | float) and isinstance(lon, int | float) and abs(lat) <= 90 and abs(lon) <= 180:
            return float(lat), float(lon)
    return None


def town(lat: float, lon: float) -> dict[str, object] | None:
    """Of the nearest town, None when there is no gazetteer or no town near."""
    if not HAS_GAZETTEER:
        return None
    import reverse_geocode

    found = reverse_geocode.get((lat, lon))
    if distance_km(lat, lon, found["latitude"], found["longitude"]) > FAR_KM or not found.get("country"):
        return None
    names = {"country": found["country"], "region": found.get("state"), "city": found["city"]}
    return {"place": names, "country_code": found["country_code"]}


def cell(lat: float, lon: float) -> dict[str, object]:
    """A cell of one degree by one, named by its corner nearest to 0°, 0°."""
    south, west = "S" if lat < 0 else "N", "W" if lon < 0 else "E"
    return {"place": {"country": "by degrees", "region": f"{int(abs(lat)):02d}{south} {int(abs(lon)):03d}{west}"}}


def distance_km(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """Along the surface of the earth (haversine)."""
    a, b = math.radians(lat), math.radians(other_lat)
    half = math.sin((b - a) / 2) ** 2
    half += math.cos(a) * math.cos(b) * math.sin(math.radians(other_lon - lon) / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, half)))

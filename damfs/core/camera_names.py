"""How cameras call the small copy that they record beside a clip, and whether it can stand in for the clip. Pure.

Names as Kdenlive's data/externalproxies.rc has them, and of the cards themselves; case is as cards and copies have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

SECOND_NS = 1_000_000_000
RATE_TOLERANCE = Fraction(1, 2000)
"""Of files whose rate is only known on average; 24 and 23.976 are twice as far apart."""


@dataclass(frozen=True, slots=True)
class Camera:
    """``original`` and ``proxy``: patterns with the group ``id``; the names are made of the templates."""

    name: str
    original: str
    proxy: str
    original_names: tuple[str, ...]
    proxy_names: tuple[str, ...]
    original_folder: str = ""
    """Name of the folder of originals, beside that of the proxies; '': they lie together."""
    proxy_folder: str = ""


CAMERAS = (
    Camera(
        "Sony", r"(?P<id>.+)\.(?:mxf|mp4)", r"(?P<id>.+)S03\.mp4", ("{id}.MXF", "{id}.MP4"), ("{id}S03.MP4",),
        "Clip", "Sub",
    ),
    Camera("GoPro", r"G[HX](?P<id>\d{6})\.mp4", r"GL(?P<id>\d{6})\.lrv", ("GX{id}.MP4", "GH{id}.MP4"), ("GL{id}.LRV",)),
    Camera("Insta360", r"VID(?P<id>_.+)\.mp4", r"LRV(?P<id>_.+)\.lrv", ("VID{id}.MP4",), ("LRV{id}.LRV",)),
    Camera("DJI", r"(?P<id>.+)\.(?:mp4|mov)", r"(?P<id>.+)\.lrf", ("{id}.MP4", "{id}.MOV"), ("{id}.LRF",)),
    Camera("others", r"(?P<id>.+)\.mp4", r"(?P<id>.+)\.lrv", ("{id}.MP4",), ("{id}.LRV",)),
)  # fmt: skip


class Partner(NamedTuple):
    """Where the other one of a pair may lie."""

    folder: str
    """Beside the folder that the first lies in; '': in that folder."""
    name: str


def proxies_of(folder: str, name: str) -> Iterator[Partner]:
    """Where the camera's proxy of a file in a folder may lie; several spellings."""
    for camera in CAMERAS:
        yield from _partners(
            folder, name, camera.original, camera.original_folder, camera.proxy_folder, camera.proxy_names
        )


def originals_of(folder: str, name: str) -> Iterator[Partner]:
    """The other way round."""
    for camera in CAMERAS:
        yield from _partners(
            folder, name, camera.proxy, camera.proxy_folder, camera.original_folder, camera.original_names
        )


def _partners(
    folder: str, name: str, pattern: str, own_folder: str, other_folder: str, templates: tuple[str, ...]
) -> Iterator[Partner]:
    found = re.fullmatch(pattern, name, re.IGNORECASE)
    if found is None or (own_folder and folder.lower() != own_folder.lower()):
        return
    folders = (other_folder, other_folder.upper(), other_folder.lower()) if other_folder else ("",)
    for template in templates:
        stem, _, ending = template.format(id=found["id"]).rpartition(".")
        for each in folders:
            yield from (Partner(each, f"{stem}.{spelled}") for spelled in (ending, ending.lower()))


def why_not(original: Mapping[str, object], proxy: Mapping[str, object]) -> str | None:
    """By the probe's facts: what keeps a camera's proxy from standing in for its clip; None: nothing."""
    rates = [_rate(facts) for facts in (original, proxy)]
    lengths = [facts.get("duration_ns") for facts in (original, proxy)]
    heights = [facts.get("height") for facts in (original, proxy)]
    if {original.get("media"), proxy.get("media")} != {"video"}:
        return "one of them holds no moving pictures"
    if rates[0] is None or rates[1] is None or abs(rates[1] / rates[0] - 1) > RATE_TOLERANCE:
        return f"frame rate {rates[1]} instead of {rates[0]}"
    first, second = lengths
    if not isinstance(first, int) or not isinstance(second, int) or abs(second - first) > SECOND_NS / rates[0]:
        return f"duration {second} instead of {first}"
    if original.get("timecode") and proxy.get("timecode") and original["timecode"] != proxy["timecode"]:
        return f"timecode {proxy['timecode']} instead of {original['timecode']}"
    whole, small = heights
    if isinstance(whole, int) and isinstance(small, int) and small >= whole:
        return "it is not smaller"
    return None


def _rate(facts: Mapping[str, object]) -> Fraction | None:
    video = facts.get("video")
    text = video.get("frame_rate") if isinstance(video, dict) else None
    try:
        return Fraction(text) if isinstance(text, str) and Fraction(text) > 0 else None
    except (ValueError, ZeroDivisionError):
        return None

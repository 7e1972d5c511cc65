"""How cameras call the small copy that they record beside a clip. Pure.

Names as Kdenlive's data/externalproxies.rc has them, and of the cards themselves; case is as cards and copies have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


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

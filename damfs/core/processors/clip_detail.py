"""What a container says beside its pictures and sound: chapters, subtitles, brightness of HDR, texts.

Runs in worker processes only (imports av). Any file may be hostile: lists are cut, numbers without sense are None.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from av.container import InputContainer
from av.video.frame import VideoFrame

from damfs.core.processors.capture import plain
from damfs.core.processors.media import NANO, codec_name, language, said, shown

LISTED_STREAMS = 128
"""Streams of which facts are kept; how many there are is a fact of its own."""
LISTED_CHAPTERS = 1000
TEXT_LIMIT = 2000
TEXTS = {"title": ("title",), "artist": ("artist", "author"), "copyright": ("copyright",)} | {
    "description": ("description", "synopsis", "comment"),
}
MASTERING = struct.Struct("=20i2i")
"""AVMasteringDisplayMetadata: three primaries and the white point as x and y, least and most light, all fractions;
then whether the former and whether the latter are said."""
LIGHT = struct.Struct("=2I")
"""AVContentLightMetadata: of the brightest pixel, and of the brightest picture on average."""


def container_detail(container: InputContainer) -> dict[str, object]:
    return {
        **texts(container.metadata),
        "streams": len(container.streams),
        "bit_rate": container.bit_rate or None,
        "chapters": chapters(container),
        "subtitles": [
            {"codec": codec_name(stream), "language": language(stream)}
            for stream in container.streams.subtitles[:LISTED_STREAMS]
        ],
    }


def texts(tags: Mapping[str, str]) -> dict[str, str | None]:
    """What people wrote into the file."""
    return {name: first_text(tags, keys) for name, keys in TEXTS.items()}


def first_text(tags: Mapping[str, str], keys: tuple[str, ...]) -> str | None:
    found = (plain(tags.get(key, "")[:TEXT_LIMIT]) for key in keys)
    return next((text for text in found if text), None)


def chapters(container: InputContainer) -> list[dict[str, object]]:
    try:
        found = container.chapters()[:LISTED_CHAPTERS]
    except Exception as error:  # noqa: BLE001 - a damaged title raises anything, and the clip is fine without
        return [{"start_ns": None, "title": shown(said(error))}]
    return [
        {
            "start_ns": round(each["start"] * each["time_base"] * NANO),
            "title": plain(each["metadata"].get("title", "")[:TEXT_LIMIT]),
        }
        for each in found
        if each["time_base"]
    ]


def hdr_detail(frame: VideoFrame) -> dict[str, object] | None:
    """How bright the pictures are, in cd/m²: of the display they were graded on, and of the pictures themselves."""
    try:
        mastering = frame.side_data.get("MASTERING_DISPLAY_METADATA")
        light = frame.side_data.get("CONTENT_LIGHT_LEVEL")
    except ValueError:  # PyAV 18 does not know every kind of side data, and then shows none
        return None
    facts: dict[str, object] = {}
    if light is not None and len(bytes(light)) >= LIGHT.size:  # type: ignore[call-overload]  # it has the buffer protocol
        pixel, picture = LIGHT.unpack(bytes(light)[: LIGHT.size])  # type: ignore[call-overload]  # as above
        facts |= {"max_content_light": pixel or None, "max_frame_light": picture or None}
    if mastering is not None and len(bytes(mastering)) >= MASTERING.size:  # type: ignore[call-overload]  # as above
        *numbers, _, has_luminance = MASTERING.unpack(bytes(mastering)[: MASTERING.size])  # type: ignore[call-overload]  # as above
        least, most = (ratio(numbers[at], numbers[at + 1]) for at in (16, 18))
        facts |= {"mastering_min": least, "mastering_max": most} if has_luminance else {}
    return facts or None


def ratio(numerator: int, denominator: int) -> float | None:
    return round(numerator / denominator, 4) if denominator else None

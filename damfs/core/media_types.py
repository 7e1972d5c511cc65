"""What kind of media bytes are, as far as their first bytes and their name tell; the probe has the last word. Pure."""

from __future__ import annotations

import mimetypes

import filetype
from filetype.types import TYPES

from damfs.core.asset_names import split_ending
from damfs.model import Media

BY_ENDING: dict[str, Media] = {
    **dict.fromkeys(("mov", "mp4", "m4v", "mxf", "mkv", "webm", "avi", "mts", "m2ts", "mpg", "mpeg", "dv", "ts", "wmv",
                     "flv", "3gp", "r3d", "braw", "lrv", "lrf", "ogv", "vob", "y4m"), Media.VIDEO),
    **dict.fromkeys(("jpg", "jpeg", "png", "heic", "heif", "avif", "tif", "tiff", "gif", "webp", "bmp", "dng", "cr2",
                     "cr3", "nef", "arw", "raf", "rw2", "orf", "x3f", "jxl", "jp2", "dpx", "exr", "psd"), Media.IMAGE),
    **dict.fromkeys(("wav", "bwf", "flac", "mp3", "m4a", "aac", "ogg", "oga", "opus", "aif", "aiff", "wma", "caf",
                     "ac3", "mka", "w64", "rf64"), Media.AUDIO),
}  # fmt: skip
"""Endings that the system's MIME table lacks or calls something else."""


_MEDIA = {id(each) for each in (*filetype.image_matchers, *filetype.video_matchers, *filetype.audio_matchers)}
MATCHERS = TYPES[: 1 + max(number for number, each in enumerate(TYPES) if id(each) in _MEDIA)]
"""In their order; those that come after the last of media would say no more than the name does."""


def guess_media(name: str, head: bytes) -> Media:
    """By the bytes where they are known, else by the ending of the name."""
    by_name = media_of_name(name)
    kind = filetype.match(head, MATCHERS) if head else None
    if kind is None:
        return by_name
    by_bytes = media_of_mime(kind.mime)
    if by_bytes is Media.OTHER:
        return by_name
    if {by_bytes, by_name} == {Media.VIDEO, Media.AUDIO}:
        return by_name  # containers such as MP4 and Ogg carry either; only the probe can tell
    return by_bytes


def media_of_name(name: str) -> Media:
    ending = split_ending(name.lower())[1].removeprefix(".")
    if ending in BY_ENDING:
        return BY_ENDING[ending]
    return media_of_mime(mimetypes.guess_type(name, strict=False)[0] or "")


def media_of_mime(mime: str) -> Media:
    head = mime.partition("/")[0]
    return Media(head) if head in {"video", "image", "audio"} else Media.OTHER

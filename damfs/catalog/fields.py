"""The fields that media has: one table says where each comes from, what it is, and whether it is a view.

Pure. A field is a row of `FIELDS`; one that is ``browsable`` is the view ``by-<name>/`` for one line more, in the entry
points. ``standard`` names the XMP property to which both IPTC Photo Metadata and the IPTC Video Metadata Hub
map it ("" where they have none). Facts come from plug-ins as well: what makes no sense is passed over.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from damfs.catalog.units import Unit
from damfs.model import Facts

TEXT_LIMIT = 200
"""Bytes of a value that are kept for asking; the facts have all of it. A directory has to be able to be called so."""
SLASH = "\u2215"
"""In names of directories, for the slash that no file name can have: ``EF24-105mm f∕4L``."""
VALUES_LIMIT = 32
"""Different values of one field that are kept of one blob: a file may have a thousand streams."""
NANO = 1e9
FILLER = "exiftool"
"""The processor that reads what the probe cannot, by the same names."""


class Kind(StrEnum):
    TEXT = "text"
    NUMBER = "number"
    SHOWN = "shown"
    """For people to read; nothing asks for it."""


class Group(StrEnum):
    """Headings of ``damfs info``, in this order."""

    FILE = "File"
    PICTURE = "Picture"
    COLOUR = "Colour"
    SOUND = "Sound"
    CAMERA = "Camera"
    MOMENT = "Time and place"
    TEXT = "Description"


Turn = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    """As it is asked for (``name:value``), and in ``by-<name>/``."""
    label: str
    group: Group
    path: str
    """Where it is in the facts: ``video.codec``; ``audio[].codec`` for each of a list; "" for all of the facts."""
    kind: Kind = Kind.TEXT
    unit: Unit = Unit.NONE
    standard: str = ""
    turn: Turn | None = None
    """What becomes of the fact; None: it is the value."""
    processor: str = "probe"
    browsable: bool = False
    """Whether it is a view."""
    levels: bool = False
    """Whether a ``/`` in its text begins a directory below; else it is part of the name."""


class TextValue(NamedTuple):
    """``key``: the text as it is compared, without case."""

    field: str
    key: str
    text: str


class NumberValue(NamedTuple):
    field: str
    number: float


def key_of(text: str) -> str:
    """What is compared: without case, with single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def directories_of(field: Field, text: str) -> tuple[str, ...]:
    """Names of the directories that lead to a value."""
    return tuple(text.split("/")) if field.levels else (text.replace("/", SLASH),)


def text_of(field: Field, directories: Iterable[str]) -> str:
    """The value to which directories lead."""
    path = "/".join(directories)
    return path if field.levels else path.replace(SLASH, "/")


def rational(value: object) -> float | None:
    """``30000/1001``."""
    try:
        return float(Fraction(str(value)))
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


def seconds(value: object) -> float | None:
    return value / NANO if isinstance(value, int | float) else None


def camera(facts: object) -> str | None:
    """Make and model, the make once: ``Canon`` and ``Canon EOS R5`` are one Canon EOS R5."""
    make, model = (part(facts, name) for name in ("camera_make", "camera_model"))
    if not (isinstance(model, str) and model):
        return make if isinstance(make, str) else None
    if not (isinstance(make, str) and make) or model.casefold().startswith(make.split()[0].casefold()):
        return model
    return f"{make} {model}"


def resolution(facts: object) -> str | None:
    """Clips by their size, photos by their megapixels: a cropped photo has a size that no other has."""
    width, height = part(facts, "width"), part(facts, "height")
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        return None
    if part(facts, "media") == "image":
        millions = round(width * height / 1e6)
        return f"{millions} megapixels" if millions > 1 else "1 megapixel"
    return f"{width}x{height}"


def codec(facts: object) -> object:
    """Of the pictures; of sound where there are none."""
    found = part(part(facts, "video"), "codec")
    sounds = part(facts, "audio")
    if found is None and part(facts, "media") == "audio" and isinstance(sounds, list) and sounds:
        return part(sounds[0], "codec")
    return found if found is not None else part(facts, "container") if part(facts, "media") == "image" else None


def hdr(transfer: object) -> str | None:
    return {"smpte2084": "PQ", "arib-std-b67": "HLG"}.get(str(transfer))


def place(found: object) -> str | None:
    """``Germany/Berlin``."""
    names = [part(found, name) for name in ("country", "region")]
    return "/".join(name.replace("/", "-") for name in names if isinstance(name, str) and name) or None


def captured(facts: object) -> str | None:
    local, offset = part(facts, "captured_local"), part(facts, "captured_offset_min")
    if not isinstance(local, str):
        return _utc(part(facts, "captured_utc_ns"))
    text = local.replace("T", " ")
    if not isinstance(offset, int):
        return text
    hours, minutes = divmod(abs(offset), 60)
    return f"{text} {'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}"


def _utc(at_ns: object) -> str | None:
    try:
        return f"{datetime.fromtimestamp(at_ns / NANO, UTC):%Y-%m-%d %H:%M:%S} UTC" if isinstance(at_ns, int) else None
    except (ValueError, OverflowError, OSError):
        return None


def count(value: object) -> int | None:
    return len(value) if isinstance(value, list) and value else None


def part(facts: object, name: str) -> object:
    return facts.get(name) if isinstance(facts, Mapping) else None


def _f(name: str, label: str, group: Group, path: str, **more: object) -> Field:
    return Field(name, label, group, path, **more)  # type: ignore[arg-type]  # the table below reads better so


NUM = Kind.NUMBER
F, P, C, S, K, M, T = Group  # the table's second column
FIELDS: tuple[Field, ...] = (
    _f("container", "Container", F, "container", standard="dc:format"),
    _f("duration", "Duration", F, "duration_ns", kind=NUM, unit=Unit.SECONDS, turn=seconds, standard="xmpDM:duration"),
    _f("bitrate", "Bit rate", F, "bit_rate", kind=NUM, unit=Unit.BITRATE, standard="xmpDM:fileDataRate"),
    _f("unfinished", "Not finished", F, "unfinished"),
    _f("streams", "Streams", F, "streams", kind=NUM),
    _f("chapters", "Chapters", F, "chapters", kind=NUM, turn=count),
    _f("subtitles", "Subtitle languages", F, "subtitles[].language", standard="dc:language"),
    _f("codec", "Codec", P, "", turn=codec, browsable=True, standard="xmpDM:videoCompressor"),
    _f("profile", "Profile", P, "video.profile"),
    _f("resolution", "Resolution", P, "", turn=resolution, browsable=True, standard="xmpDM:videoFrameSize"),
    _f("width", "Width", P, "width", kind=NUM, unit=Unit.PIXELS, standard="exif:PixelXDimension"),
    _f("height", "Height", P, "height", kind=NUM, unit=Unit.PIXELS, standard="exif:PixelYDimension"),
    _f("fps", "Frame rate", P, "video.frame_rate", kind=NUM, unit=Unit.FPS, turn=rational,
       standard="xmpDM:videoFrameRate"),
    _f("frames", "Frames", P, "video.frames", kind=NUM),
    _f("rotation", "Rotation", P, "rotation", kind=NUM, unit=Unit.DEGREES, standard="tiff:Orientation"),
    _f("par", "Pixel aspect", P, "video.sample_aspect", kind=NUM, turn=rational,
       standard="xmpDM:videoPixelAspectRatio"),
    _f("field-order", "Field order", P, "video.field_order", standard="xmpDM:videoFieldOrder"),
    _f("pixel-format", "Pixel format", C, "video.pixel_format"),
    _f("bits", "Bit depth", C, "video.bit_depth", kind=NUM, unit=Unit.BITS, standard="xmpDM:videoPixelDepth"),
    _f("primaries", "Primaries", C, "video.colour_primaries", standard="xmpDM:videoColorSpace"),
    _f("transfer", "Transfer", C, "video.colour_transfer"),
    _f("matrix", "Matrix", C, "video.colour_space"),
    _f("range", "Range", C, "video.colour_range"),
    _f("hdr", "HDR", C, "video.colour_transfer", turn=hdr),
    _f("max-light", "Brightest pixel", C, "hdr.max_content_light", kind=NUM, unit=Unit.NITS),
    _f("mastering-max", "Mastering display, brightest", C, "hdr.mastering_max", kind=NUM, unit=Unit.NITS),
    _f("mastering-min", "Mastering display, darkest", C, "hdr.mastering_min", kind=NUM, unit=Unit.NITS),
    _f("audio-codec", "Sound codec", S, "audio[].codec", standard="xmpDM:audioCompressor"),
    _f("tracks", "Sound tracks", S, "audio", kind=NUM, turn=count),
    _f("channels", "Channels", S, "audio[].channels", kind=NUM, standard="xmpDM:audioChannelType"),
    _f("layout", "Layout", S, "audio[].layout", standard="xmpDM:audioChannelType"),
    _f("sample-rate", "Sample rate", S, "audio[].sample_rate", kind=NUM, unit=Unit.HERTZ,
       standard="xmpDM:audioSampleRate"),
    _f("language", "Languages", S, "audio[].language", standard="dc:language"),
    _f("loudness", "Loudness", S, "integrated_lufs", kind=NUM, unit=Unit.LUFS, processor="loudness"),
    _f("loudness-range", "Loudness range", S, "range_lu", kind=NUM, unit=Unit.LU, processor="loudness"),
    _f("true-peak", "True peak", S, "true_peak_dbtp", kind=NUM, unit=Unit.DBTP, processor="loudness"),
    _f("camera", "Camera", K, "", turn=camera, browsable=True, standard="tiff:Model"),
    _f("make", "Make", K, "camera_make", standard="tiff:Make"),
    _f("serial", "Serial number", K, "serial", standard="exifEX:BodySerialNumber"),
    _f("lens", "Lens", K, "lens", browsable=True, standard="exifEX:LensModel"),
    _f("iso", "Sensitivity (ISO)", K, "iso", kind=NUM, standard="exifEX:PhotographicSensitivity"),
    _f("exposure", "Exposure", K, "exposure_s", kind=NUM, unit=Unit.EXPOSURE, standard="exif:ExposureTime"),
    _f("aperture", "Aperture", K, "aperture", kind=NUM, unit=Unit.F_NUMBER, standard="exif:FNumber"),
    _f("focal", "Focal length", K, "focal_mm", kind=NUM, unit=Unit.MILLIMETRES, standard="exif:FocalLength"),
    _f("captured", "Captured", M, "", kind=Kind.SHOWN, turn=captured, standard="photoshop:DateCreated"),
    _f("timecode", "Start timecode", M, "timecode", standard="xmpDM:startTimecode"),
    _f("reel", "Reel", M, "reel", standard="xmpDM:tapeName"),
    _f("latitude", "Latitude", M, "gps.lat", kind=NUM, unit=Unit.DEGREES, standard="exif:GPSLatitude"),
    _f("longitude", "Longitude", M, "gps.lon", kind=NUM, unit=Unit.DEGREES, standard="exif:GPSLongitude"),
    _f("altitude", "Altitude", M, "gps.alt", kind=NUM, unit=Unit.METRES, standard="exif:GPSAltitude"),
    _f("place", "Place", M, "place", processor="place", turn=place, browsable=True, levels=True,
       standard="Iptc4xmpExt:LocationCreated"),
    _f("city", "Nearest town", M, "place.city", processor="place", standard="photoshop:City"),
    _f("title", "Title", T, "title", standard="dc:title"),
    _f("description", "Description", T, "description", standard="dc:description"),
    _f("artist", "Artist", T, "artist", standard="dc:creator"),
    _f("copyright", "Copyright", T, "copyright", standard="dc:rights"),
    _f("headline", "Headline", T, "headline", standard="photoshop:Headline"),
    _f("credit", "Credit", T, "credit", standard="photoshop:Credit"),
    _f("event", "Event", T, "event", standard="Iptc4xmpExt:Event"),
    _f("keyword", "Keywords in the file", T, "keywords[]", standard="dc:subject"),
)  # fmt: skip
BY_NAME: Mapping[str, Field] = {field.name: field for field in FIELDS}
BROWSABLE: tuple[str, ...] = tuple(field.name for field in FIELDS if field.browsable)


def tells_values(processor: str) -> bool:
    """Whether its facts are values of fields."""
    return processor == FILLER or any(field.processor == processor for field in FIELDS)


def values_of(facts: Mapping[str, Facts]) -> Iterator[TextValue | NumberValue]:
    """What can be asked of bytes about which each processor found these facts."""
    known = {processor: _known(processor, facts) for processor in {"probe", *facts} - {FILLER}}
    for field in FIELDS:
        if field.kind is not Kind.SHOWN and field.processor in known:
            yield from _askable(field, known)


def _askable(field: Field, facts: Mapping[str, Facts]) -> Iterable[TextValue | NumberValue]:
    if field.turn is None and _has_none(facts[field.processor], field.path):
        return ()
    if field.kind is Kind.NUMBER:
        return dict.fromkeys(NumberValue(field.name, number) for number in numbers(field, facts))
    found = {key_of(text): text for text in reversed(texts(field, facts))}
    return [TextValue(field.name, key, text) for key, text in found.items()]


def texts(field: Field, facts: Mapping[str, Facts]) -> list[str]:
    """The values of a field that are text, fit for the name of a directory."""
    found = (_tidy(value, levels=field.levels) for value in raw_values(field, facts) if isinstance(value, str))
    return [text for text in dict.fromkeys(found) if text][:VALUES_LIMIT]


def _tidy(text: str, *, levels: bool) -> str:
    said = " ".join(unicodedata.normalize("NFC", text).split())
    fit = "".join(char for char in said if char.isprintable()).encode()[:TEXT_LIMIT].decode("utf-8", "ignore").strip()
    steps = [step.strip() for step in fit.split("/")] if levels else [fit]
    return "/".join(f"_{step}" if step in (".", "..") else step for step in steps if step)


def numbers(field: Field, facts: Mapping[str, Facts]) -> list[float]:
    found = (
        float(value)
        for value in raw_values(field, facts)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18 and math.isfinite(value)
    )
    return list(dict.fromkeys(found))[:VALUES_LIMIT]


def raw_values(field: Field, facts: Mapping[str, Facts]) -> Iterator[object]:
    for value in _at(_known(field.processor, facts), field.path):
        with suppress(ArithmeticError):  # a plug-in may say any number
            yield value if field.turn is None else field.turn(value)


def _known(processor: str, facts: Mapping[str, Facts]) -> Facts:
    """What a processor found; what the probe left open is as a `FILLER` has it."""
    found = facts.get(processor, {})
    if processor != "probe" or FILLER not in facts:
        return found
    return {**facts[FILLER], **{name: value for name, value in found.items() if value is not None}}


def _at(facts: object, path: str) -> list[object]:
    found = [facts]
    for name, is_list in _steps(path):
        found = [part(each, name) for each in found]
        if is_list:
            found = [one for each in found if isinstance(each, list) for one in each]
    return found


@cache
def _steps(path: str) -> tuple[tuple[str, bool], ...]:
    """Names on the way, and whether each is of a list."""
    return tuple((step.removesuffix("[]"), step.endswith("[]")) for step in path.split(".") if step)


def _has_none(facts: Facts, path: str) -> bool:
    """At once, of the many fields of which a file says nothing."""
    steps = _steps(path)
    return bool(steps) and facts.get(steps[0][0]) is None

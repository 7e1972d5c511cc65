"""How a photo was exposed, and what people wrote into it: numbers and texts of its EXIF.

Runs in worker processes only (imports PIL). What makes no sense is None, never an error.
"""

from __future__ import annotations

import math

from PIL import ExifTags, Image

from damfs.core.processors.capture import plain

NUMBERS = {
    "iso": ExifTags.Base.ISOSpeedRatings,
    "exposure_s": ExifTags.Base.ExposureTime,
    "aperture": ExifTags.Base.FNumber,
    "focal_mm": ExifTags.Base.FocalLength,
}
TEXTS = {
    "serial": ExifTags.Base.BodySerialNumber,
    "description": ExifTags.Base.ImageDescription,
    "artist": ExifTags.Base.Artist,
    "copyright": ExifTags.Base.Copyright,
}
TEXT_LIMIT = 2000


def exposure_of(detail: dict[int, object]) -> dict[str, object]:
    return {name: positive(detail.get(tag)) for name, tag in NUMBERS.items()}


def positive(value: object) -> float | None:
    """A number above zero; a camera that does not know writes 0, or 1/0."""
    first = value[0] if isinstance(value, tuple) and value else value
    try:
        number = round(float(first), 7)  # type: ignore[arg-type]  # whatever is no number raises
    except (TypeError, ValueError, ArithmeticError):
        return None
    if not (math.isfinite(number) and 0 < number < 1e9):
        return None
    return int(number) if number == int(number) else number


def texts_of(exif: Image.Exif, detail: dict[int, object]) -> dict[str, object]:
    found = {name: detail.get(tag, exif.get(tag)) for name, tag in TEXTS.items()}
    return {name: plain(text[:TEXT_LIMIT]) if isinstance(text, str) else None for name, text in found.items()}


def altitude(ifd: dict[int, object]) -> float | None:
    found = positive(ifd.get(ExifTags.GPS.GPSAltitude))
    below = ifd.get(ExifTags.GPS.GPSAltitudeRef) in (1, b"\x01")
    return None if found is None else -found if below else found

"""Photos as cameras write them: JPEG with EXIF and GPS, PNG, HEIC.

Each function writes one file at ``path`` and returns it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pillow_heif
from PIL import ExifTags, Image

from tests.sample_media.pictures import Size, paint


@dataclass(frozen=True, slots=True)
class Camera:
    make: str = "Fujifilm"
    model: str = "X-T5"
    lens: str = "XF23mmF1.4"


def jpeg(
    path: Path,
    *,
    scene: str = "beach",
    seed: int = 1,
    size: Size = (1200, 800),
    taken: datetime | None = datetime(2024, 7, 15, 12, 34, 56),  # noqa: DTZ001 - EXIF holds a wall clock without zone
    offset: str = "+02:00",
    gps: tuple[float, float] | None = (48.8584, 2.2945),
    camera: Camera | None = Camera(),
    orientation: int = 1,
) -> Path:
    """A JPEG whose EXIF says when, where and with what it was taken; ``size`` is as displayed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = exif_of(taken, offset, gps, camera, orientation)
    stored(paint(scene, size, seed), orientation).save(path, "JPEG", quality=88, exif=exif)
    return path


def stored(upright: Image.Image, orientation: int) -> Image.Image:
    """As a camera held that way would store it."""
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    return upright if turn is None else upright.transpose(turn)


def exif_of(
    taken: datetime | None,
    offset: str,
    gps: tuple[float, float] | None,
    camera: Camera | None,
    orientation: int,
) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    if camera is not None:
        exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = camera.make, camera.model
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] = camera.lens
    if taken is not None:
        detail = exif.get_ifd(ExifTags.IFD.Exif)
        detail[ExifTags.Base.DateTimeOriginal] = taken.strftime("%Y:%m:%d %H:%M:%S")
        if offset:
            detail[ExifTags.Base.OffsetTimeOriginal] = offset
    if gps is not None:
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps_ifd(*gps))
    return exif


def gps_ifd(lat: float, lon: float) -> dict[int, object]:
    return {
        ExifTags.GPS.GPSLatitudeRef: "N" if lat >= 0 else "S",
        ExifTags.GPS.GPSLatitude: sexagesimal(abs(lat)),
        ExifTags.GPS.GPSLongitudeRef: "E" if lon >= 0 else "W",
        ExifTags.GPS.GPSLongitude: sexagesimal(abs(lon)),
    }


def sexagesimal(degrees: float) -> tuple[float, float, float]:
    whole, rest = divmod(degrees * 60, 60)
    minutes, seconds = divmod(rest * 60, 60)
    return float(whole), float(minutes), round(seconds, 4)


def png(path: Path, *, scene: str = "flowers", seed: int = 1, size: Size = (800, 600), alpha: bool = False) -> Path:
    """A PNG without any metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = paint(scene, size, seed)
    if alpha:
        picture.putalpha(Image.linear_gradient("L").resize(size))
    picture.save(path, "PNG", compress_level=1)
    return path


def heic(
    path: Path,
    *,
    scene: str = "sunset",
    seed: int = 1,
    size: Size = (800, 600),
    taken: datetime | None = datetime(2025, 3, 2, 18, 4, 9),  # noqa: DTZ001 - EXIF holds a wall clock without zone
    orientation: int = 1,
) -> Path:
    """A HEIC as phones make it (HEVC, EXIF)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    camera = Camera("Apple", "iPhone 15", "iPhone 15 back camera 5.96mm f/1.6")
    exif = exif_of(taken, "+01:00", None, camera, orientation)
    picture = pillow_heif.from_pillow(paint(scene, size, seed))
    picture.save(path, quality=70, exif=exif.tobytes())
    return path

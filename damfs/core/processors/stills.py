"""What the processors share about photos: opening by Pillow, HEIF and RAW, what EXIF says, an upright reduced picture.

Runs in worker processes only (imports PIL): everything blocks, and any file may be hostile. Sizes are checked before
pixels are decoded; what is damaged is BadMedia, an error of the disk below stays an OSError.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pillow_heif
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from damfs.core.processors.capture import Captured, gps, parse_moment, plain
from damfs.core.processors.exposure import altitude, exposure_of, texts_of
from damfs.errors import BadMedia

if TYPE_CHECKING:
    import rawpy

MAX_PIXELS = 1_000_000_000
FORMATS = (
    "JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "HEIF", "AVIF", "JPEG2000", "PSD", "ICO", "PPM", "QOI", "SGI",
)  # fmt: skip
RAW_SUFFIXES = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mrw", ".nef", ".nrw", ".orf",
    ".pef", ".raf", ".rw2", ".sr2", ".srf", ".srw", ".x3f",
})  # fmt: skip
DNG_VERSION = 50706
WORKING_SIZE = 1920
SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
XMP_DATE = re.compile(
    rb"(?:exif:DateTimeOriginal|photoshop:DateCreated|xmp:CreateDate)\s*(?:=\s*[\"']|>)\s*([0-9T:.Z+-]+)"
)
CLOCKWISE = {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}
"""Degrees that the EXIF orientation turns a picture for display (mirroring aside)."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
RAW_CLOCKWISE = {3: 180, 5: 270, 6: 90}


class NotAStill(Exception):
    """The bytes are no photo of a known kind; they may still be a clip."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What EXIF or XMP say about where a photo comes from."""

    captured: Captured
    gps: dict[str, float] | None
    make: str | None
    model: str | None
    lens: str | None
    more: dict[str, object] = field(default_factory=dict)
    """How it was exposed, and what people wrote."""

    def facts(self) -> dict[str, object]:
        camera = {"camera_make": self.make, "camera_model": self.model, "lens": self.lens}
        return {**self.captured.facts(), "gps": self.gps, **camera, **self.more}


NOTHING_SAID = Origin(Captured(), None, None, None, None)
XMP_LIMIT = 4 << 20


def looks_raw(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in RAW_SUFFIXES


@contextmanager
def opened_still(source: Path, name: str) -> Iterator[Image.Image]:
    """The picture, not decoded yet. Raises NotAStill, or BadMedia (also for errors of Pillow inside the block)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(source, formats=known_formats()) as image:
                check_size(image.width, image.height, name)
                yield image
        except UnidentifiedImageError:
            raise NotAStill from None
        except BadMedia:
            raise
        except MemoryError:
            raise too_much(name) from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise BadMedia(f"{name}: its size is over the limit of {MAX_PIXELS // 1_000_000} megapixels") from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise damaged(name, error) from None


@cache
def known_formats() -> tuple[str, ...]:
    """FORMATS that this Pillow has, HEIC added; sets our limit of size: Pillow's refuses panoramas."""
    Image.init()
    pillow_heif.register_heif_opener()
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    return tuple(name for name in FORMATS if name in Image.OPEN)


def check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise BadMedia(f"{name}: {width}x{height} is over the limit of {MAX_PIXELS // 1_000_000} megapixels")


def too_much(name: str) -> BadMedia:
    return BadMedia(f"{name}: to decode it takes more memory than a worker may have; see indexer.memory_limit_mb")


def damaged(name: str, error: Exception) -> BadMedia:
    text = " ".join(str(error).split()) or type(error).__name__
    return BadMedia(f"{name}: damaged picture ({text}); restore it from the card or from a copy")


def is_raw(image: Image.Image) -> bool:
    return image.format == "TIFF" and DNG_VERSION in image.getexif()


def still_facts(source: Path, name: str) -> dict[str, object]:
    """What a photo is. Raises NotAStill or BadMedia."""
    if looks_raw(name):
        return raw_facts(source, name)
    with opened_still(source, name) as image:
        if not is_raw(image):
            return picture_facts(image)
    return raw_facts(source, name)


def picture_facts(image: Image.Image) -> dict[str, object]:
    frames = getattr(image, "n_frames", 1)
    mode, size, container = image.mode, image.size, (image.format or "").lower()
    origin, turned = origin_of(image), orientation(image)
    prove_sound(image)
    width, height = size if turned < 5 else size[::-1]
    return {
        "media": "image",
        "container": container,
        "width": width,
        "height": height,
        "rotation": CLOCKWISE.get(turned, 0),
        "image": {"pixel_format": mode, "frames": frames},
        **origin.facts(),
    }


def prove_sound(image: Image.Image) -> None:
    """Decode all of it, a JPEG at an eighth of its size: half a file must not pass as a picture."""
    image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
    image.load()


def orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8. HEIF is turned by its decoder already and says 1."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - Pillow raises anything on damaged EXIF, and the picture is fine without it
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def origin_of(image: Image.Image) -> Origin:
    try:
        return origin_of_exif(image.getexif(), image.info.get("xmp"))
    except Exception:  # noqa: BLE001 - as above
        return NOTHING_SAID


def origin_of_exif(exif: Image.Exif, xmp: object) -> Origin:
    detail = exif.get_ifd(ExifTags.IFD.Exif)
    return Origin(
        captured=captured_of_exif(exif, detail) or captured_of_xmp(xmp) or Captured(),
        gps=gps_of_ifd(exif.get_ifd(ExifTags.IFD.GPSInfo)),
        make=plain(exif.get(ExifTags.Base.Make)),
        model=plain(exif.get(ExifTags.Base.Model)),
        lens=plain(detail.get(ExifTags.Base.LensModel)),
        more=exposure_of(detail) | texts_of(exif, detail),
    )


def captured_of_exif(exif: Image.Exif, detail: dict[int, object]) -> Captured | None:
    """DateTimeOriginal, else the time of digitising; the time of the last change (DateTime) is no capture time."""
    pairs = (
        (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
        (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
    )
    for tag, offset_tag in pairs:
        text = detail.get(tag, exif.get(tag))
        offset = detail.get(offset_tag, detail.get(ExifTags.Base.OffsetTime))
        found = parse_moment(text, offset if isinstance(offset, str) else None) if isinstance(text, str) else None
        if found is not None:
            return found
    return None


def captured_of_xmp(packet: object) -> Captured | None:
    match = XMP_DATE.search(packet, 0, XMP_LIMIT) if isinstance(packet, bytes) else None
    return None if match is None else parse_moment(match[1].decode("ascii"))


def gps_of_ifd(ifd: dict[int, object]) -> dict[str, float] | None:
    try:
        lat = degrees(ifd[ExifTags.GPS.GPSLatitude], ifd.get(ExifTags.GPS.GPSLatitudeRef) == "S")
        lon = degrees(ifd[ExifTags.GPS.GPSLongitude], ifd.get(ExifTags.GPS.GPSLongitudeRef) == "W")
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return gps(lat, lon, altitude(ifd))


def degrees(parts: object, negative: bool) -> float:
    if not isinstance(parts, tuple):
        raise TypeError(parts)
    value = sum(float(part) / (60.0**i) for i, part in enumerate(parts[:3]))
    return -value if negative else value


def load_still(source: Path, name: str, longest: int = WORKING_SIZE) -> Image.Image:
    """Upright, RGB in sRGB, at most ``longest`` on a side. Raises NotAStill or BadMedia."""
    if looks_raw(name):
        return load_raw(source, name, longest)
    with opened_still(source, name) as image:
        if not is_raw(image):
            return reduced(image, longest)
    return load_raw(source, name, longest)


def reduced(image: Image.Image, longest: int) -> Image.Image:
    share = min(1.0, longest / max(image.size))  # of both sides: draft makes neither smaller than it is asked for
    image.draft("RGB", (max(1, round(share * image.width)), max(1, round(share * image.height))))
    turned = turned_upright(image)
    profile = image.info.get("icc_profile")
    small = eight_bits(turned)
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=2)
    return flattened(in_srgb(small, profile))


def turned_upright(image: Image.Image) -> Image.Image:
    method = UPRIGHT.get(orientation(image))
    return image if method is None else image.transpose(method)


def eight_bits(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT_MODES:
        return image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode in ("P", "PA", "1", "LA", "La"):
        return image.convert("RGBA" if "transparency" in image.info or image.mode != "1" else "RGB")
    return image


def in_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Display P3, Adobe RGB and CMYK turned into what screens expect; an unusable profile is left alone."""
    if not isinstance(profile, bytes) or image.mode not in ("RGB", "CMYK"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        turned = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return image if turned is None else turned


def flattened(image: Image.Image) -> Image.Image:
    """Transparency over white: a JPEG has none."""
    if image.mode in ("RGBA", "RGBa"):
        canvas = Image.new("RGB", image.size, "white")
        straight = image.convert("RGBA")
        canvas.paste(straight, mask=straight.getchannel("A"))
        return canvas
    return image.convert("RGB")


@contextmanager
def opened_raw(source: Path, name: str) -> Iterator[rawpy.RawPy]:
    import rawpy

    try:
        with source.open("rb") as file, rawpy.imread(file) as raw:
            check_size(raw.sizes.raw_width, raw.sizes.raw_height, name)
            yield raw
    except MemoryError:
        raise too_much(name) from None
    except (rawpy.LibRawError, ValueError) as error:
        raise damaged(name, error) from None


def raw_facts(source: Path, name: str) -> dict[str, object]:
    with opened_raw(source, name) as raw:
        sizes = raw.sizes
        turned = RAW_CLOCKWISE.get(sizes.flip, 0)
        preview = embedded(raw)
        width, height = (sizes.height, sizes.width) if turned in (90, 270) else (sizes.width, sizes.height)
    return {
        "media": "image",
        "container": PurePosixPath(name).suffix.lower().lstrip(".") or "raw",
        "width": width,
        "height": height,
        "rotation": turned,
        "image": {"pixel_format": "raw", "frames": 1},
        **raw_origin(source, preview).facts(),
    }


def raw_origin(source: Path, preview: Image.Image | None) -> Origin:
    """From the EXIF of the file where it is built like a TIFF, else of the embedded JPEG."""
    found = tiff_origin(source)
    return origin_of(preview) if found == NOTHING_SAID and preview is not None else found


def tiff_origin(source: Path) -> Origin:
    with source.open("rb") as file:
        if file.read(2) not in (b"II", b"MM"):
            return NOTHING_SAID
        file.seek(0)
        exif = Image.Exif()
        try:
            exif.load_from_fp(file)
            return origin_of_exif(exif, None)
        except Exception:  # noqa: BLE001 - as above
            return NOTHING_SAID


def embedded(raw: rawpy.RawPy) -> Image.Image | None:
    """The camera's own JPEG, if it left one that opens."""
    import rawpy

    try:
        thumb = raw.extract_thumb()
        if thumb.format == rawpy.ThumbFormat.JPEG:
            return Image.open(io.BytesIO(thumb.data), formats=("JPEG",))
    except (rawpy.LibRawError, UnidentifiedImageError, OSError, ValueError):
        return None
    return None


def load_raw(source: Path, name: str, longest: int) -> Image.Image:
    """The embedded JPEG where it is large enough, else the sensor data developed."""
    with opened_raw(source, name) as raw:
        preview = embedded(raw)
        flip = raw.sizes.flip
        if preview is not None and max(preview.size) >= min(longest, max(raw.sizes.width, raw.sizes.height)) // 2:
            try:
                return upright_preview(preview, flip, longest)
            except OSError:
                pass  # the embedded JPEG is damaged: develop the sensor data instead
        half = max(raw.sizes.width, raw.sizes.height) >= 2 * longest
        picture = Image.fromarray(raw.postprocess(half_size=half, use_camera_wb=True, output_bps=8))
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=2)
    return picture


def upright_preview(preview: Image.Image, flip: int, longest: int) -> Image.Image:
    """Embedded JPEGs are stored as the sensor lies; those without an orientation of their own take the file's."""
    own = orientation(preview)
    small = reduced(preview, longest)
    clockwise = RAW_CLOCKWISE.get(flip, 0)
    if own == 1 and clockwise and not (clockwise in (90, 270) and preview.height > preview.width):
        return small.rotate(-clockwise, expand=True)
    return small

"""What people and programs do to pictures and clips before they keep them a second time; and pictures to do it to.

Real pictures are those of Debian packages, where they are installed; else paintings of `tests.sample_media`.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from tests.sample_media import SCENES, paint

Edit = Callable[[Image.Image], Image.Image]
REAL = ("/usr/share/tuxpaint/stamps", "/usr/share/backgrounds")
"""Where tuxpaint-stamps-default and packages of backgrounds (mate-backgrounds …) put their pictures."""
LONGEST = 640
COPIES = re.compile(r".*(_mirror|_\d+x\d+)")
"""Stems of pictures that show another one, mirrored or in another size."""
EMPTY, COLOURS = 0.55, 500
"""Outlines and cut-outs before white are no photographs."""
FEWEST = 40
SIZE, RATE = (320, 180), 10


def _jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def _scaled(picture: Image.Image, share: float) -> Image.Image:
    return picture.resize((max(8, round(picture.width * share)), max(8, round(picture.height * share))))


def _cropped(picture: Image.Image, share: float, *, corner: bool = False) -> Image.Image:
    width, height = round(picture.width * (1 - share)), round(picture.height * (1 - share))
    left, top = (0, 0) if corner else ((picture.width - width) // 2, (picture.height - height) // 2)
    return picture.crop((left, top, left + width, top + height))


def _barred(picture: Image.Image, top: float, bottom: float) -> Image.Image:
    """Black over so much at the top and at the bottom."""
    barred = picture.copy()
    barred.paste((0, 0, 0), (0, 0, picture.width, round(picture.height * top)))
    barred.paste((0, 0, 0), (0, round(picture.height * (1 - bottom)), picture.width, picture.height))
    return barred


def _letterboxed(picture: Image.Image) -> Image.Image:
    """As a film of 2.35 would show it; of tall pictures not less than 60 %."""
    bar = (1 - max(picture.width / 2.35 / picture.height, 0.6)) / 2
    return _barred(picture, max(0.0, bar), max(0.0, bar))


EDITS: dict[str, Edit] = {
    "jpeg q20": lambda picture: _jpeg(picture, 20),
    "resize 20 %": lambda picture: _scaled(picture, 0.2),
    "blur 3 px": lambda picture: picture.filter(ImageFilter.GaussianBlur(3)),
    "brightness +40 %": lambda picture: ImageEnhance.Brightness(picture).enhance(1.4),
    "brightness -40 %": lambda picture: ImageEnhance.Brightness(picture).enhance(0.6),
    "contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(1.5),
    "saturation": lambda picture: ImageEnhance.Color(picture).enhance(1.8),
    "greyscale": lambda picture: ImageOps.grayscale(picture).convert("RGB"),
    "crop 10 %": lambda picture: _cropped(picture, 0.1),
    "crop 25 %": lambda picture: _cropped(picture, 0.25),
    "crop 40 %": lambda picture: _cropped(picture, 0.4),
    "corner crop 25 %": lambda picture: _cropped(picture, 0.25, corner=True),
    "rotate 3°": lambda picture: picture.rotate(3, Image.Resampling.BICUBIC),
    "rotate 90°": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    "mirror": ImageOps.mirror,
    "burn-in bar": lambda picture: _barred(picture, 0, 0.12),
    "letterbox 2.35": _letterboxed,
    "crop 15 %, q30, bright": lambda picture: _jpeg(ImageEnhance.Brightness(_cropped(picture, 0.15)).enhance(1.25), 30),
}


def pictures(number: int, seed: int = 5) -> tuple[list[Image.Image], str]:
    """So many pictures at most, of different things, and what they are."""
    paths = [path for root in REAL for ending in ("png", "jpg") for path in Path(root).rglob(f"*.{ending}")]
    wanted = sorted(path for path in paths if not COPIES.fullmatch(path.stem))
    random.Random(seed).shuffle(wanted)
    found: list[Image.Image] = []
    for path in wanted:
        picture = _opened(path) if len(found) < number else None
        if picture is not None:
            found.append(picture)
    if len(found) >= min(number, FEWEST):
        return found, "photographs of Debian packages"
    return [paint(scene, (480, 320), seed) for scene in SCENES][:number], "paintings"


def _opened(path: Path) -> Image.Image | None:
    """None for what is no photograph."""
    with Image.open(path) as image:
        image.draft("RGB", (LONGEST, LONGEST))
        cut_out = image.convert("RGBA")
    cut_out.thumbnail((LONGEST, LONGEST))
    ground = Image.new("RGBA", cut_out.size, (255, 255, 255, 255))
    ground.alpha_composite(cut_out)
    picture = ground.convert("RGB")
    small = np.asarray(picture.resize((96, 96)))
    empty = float((small.min(axis=2) > 245).mean())
    colours = len(np.unique((small >> 3).reshape(-1, 3), axis=0))
    return picture if empty < EMPTY and colours > COLOURS else None


def film(path: Path, shots: list[Image.Image], seconds: float) -> Path:
    """A clip that pans over one picture after the other."""
    frames = round(seconds * RATE / len(shots))
    return encoded(path, (_panned(shot, step / frames) for shot in shots for step in range(frames)), SIZE, 20)


def _panned(picture: Image.Image, share: float) -> Image.Image:
    width, height = picture.width * 0.7, min(picture.height, picture.width * 0.7 * SIZE[1] / SIZE[0])
    left, top = (picture.width - width) * share, (picture.height - height) * (1 - share)
    return picture.resize(SIZE, Image.Resampling.BILINEAR, (left, top, left + width, top + height))


def encoded(path: Path, frames: Iterator[Image.Image], size: tuple[int, int], crf: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": str(crf), "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture.resize(size)), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


CLIP_EDITS: dict[str, tuple[float, float, float, int]] = {
    "encoded anew": (0, 1, 1, 35),
    "half the size": (0, 1, 0.5, 28),
    "beginning cut off": (0.3, 1, 1, 28),
    "middle third": (0.34, 0.67, 1, 28),
    "small, poor, cut": (0.2, 0.8, 0.4, 38),
}
"""From and to which share of the clip, scaled by what, how poor."""


def edited_clip(source: Path, target: Path, edit: str) -> Path:
    begin, end, scale, crf = CLIP_EDITS[edit]
    with av.open(str(source)) as container:
        shown = [Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    kept = shown[round(len(shown) * begin) : round(len(shown) * end)]
    size = (round(SIZE[0] * scale) // 2 * 2, round(SIZE[1] * scale) // 2 * 2)
    return encoded(target, iter(kept), size, crf)

"""Pictures with something to see in them, painted with Pillow and NumPy; the same name and seed give the same picture.

Pure apart from the pictures themselves; nothing is read from disk.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Size = tuple[int, int]
Colour = tuple[int, int, int]


def paint(scene: str, size: Size = (1600, 1067), seed: int = 1) -> Image.Image:
    """A picture of one of SCENES."""
    picture = SCENES[scene](size, np.random.default_rng(seed))
    return grain(picture, seed)


def sky(size: Size, top: Colour, bottom: Colour) -> Image.Image:
    """A vertical gradient."""
    width, height = size
    share = np.linspace(0.0, 1.0, height)[:, None, None]
    rows = (1 - share) * np.array(top) + share * np.array(bottom)
    return Image.fromarray(np.broadcast_to(rows, (height, width, 3)).astype(np.uint8), "RGB")


def grain(picture: Image.Image, seed: int) -> Image.Image:
    """Film grain, so that the picture is no flat drawing to codecs and detectors."""
    noise = np.random.default_rng(seed).normal(0, 4, (picture.height, picture.width, 1))
    return Image.fromarray(np.clip(np.asarray(picture, dtype=np.float32) + noise, 0, 255).astype(np.uint8), "RGB")


def ridge(width: int, level: float, swing: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Points of a mountain line around ``level``: a sum of random waves."""
    x = np.linspace(0, 1, 80)
    line = sum(rng.uniform(-1, 1) / k * np.sin(2 * np.pi * (k * x + rng.uniform())) for k in range(1, 12))
    return [(float(a * width), float(level + swing * b)) for a, b in zip(x, np.asarray(line), strict=True)]


def beach(size: Size, rng: np.random.Generator) -> Image.Image:
    width, height = size
    picture = sky(size, (70, 150, 225), (205, 230, 245))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, height * 0.5, width, height), fill=(25, 110, 160))
    draw.polygon([(0, height), *ridge(width, height * 0.75, height * 0.03, rng), (width, height)], fill=(226, 200, 150))
    for _ in range(60):
        x, y = rng.uniform(0, width), rng.uniform(height * 0.52, height * 0.7)
        draw.line((x, y, x + width * 0.04, y), fill=(215, 235, 245), width=max(1, height // 300))
    x = rng.uniform(0.2, 0.7) * width
    draw.pieslice((x, height * 0.55, x + width * 0.2, height * 0.85), 180, 360, fill=(205, 40, 50))
    draw.line((x + width * 0.1, height * 0.6, x + width * 0.1, height * 0.9), fill=(90, 60, 40), width=width // 160 + 1)
    return picture


def sunset(size: Size, rng: np.random.Generator) -> Image.Image:
    width, height = size
    picture = sky(size, (60, 30, 90), (255, 150, 60))
    draw = ImageDraw.Draw(picture)
    x, radius = rng.uniform(0.3, 0.7) * width, height * 0.12
    draw.ellipse((x - radius, height * 0.5 - radius, x + radius, height * 0.5 + radius), fill=(255, 225, 140))
    draw.rectangle((0, height * 0.6, width, height), fill=(50, 30, 60))
    for i in range(40):
        y, half = height * (0.61 + i * 0.009), width * rng.uniform(0.01, 0.1)
        draw.line((x - half, y, x + half, y), fill=(250, 170, 90), width=max(1, height // 250))
    return picture


def mountains(size: Size, rng: np.random.Generator) -> Image.Image:
    width, height = size
    picture = sky(size, (120, 170, 220), (240, 240, 235))
    draw = ImageDraw.Draw(picture)
    for i, colour in enumerate([(150, 165, 190), (95, 115, 145), (50, 80, 70), (25, 50, 35)]):
        line = ridge(width, height * (0.4 + 0.15 * i), height * 0.12, rng)
        draw.polygon([(0, height), *line, (width, height)], fill=colour)
    return picture


def city(size: Size, rng: np.random.Generator) -> Image.Image:
    width, height = size
    picture = sky(size, (5, 8, 25), (40, 35, 70))
    draw = ImageDraw.Draw(picture)
    step = width // 14
    for x in range(0, width, step):
        top = int(height * rng.uniform(0.2, 0.65))
        draw.rectangle((x, top, x + step - 4, height), fill=(18, 20, 32))
        for wx in range(x + 6, x + step - 12, max(8, step // 6)):
            for wy in range(top + 8, height, max(10, height // 40)):
                if rng.uniform() < 0.45:
                    draw.rectangle((wx, wy, wx + step // 14, wy + height // 90), fill=(250, 215, 120))
    return picture


def flowers(size: Size, rng: np.random.Generator) -> Image.Image:
    width, height = size
    picture = sky(size, (60, 110, 40), (25, 60, 20)).filter(ImageFilter.GaussianBlur(8))
    draw = ImageDraw.Draw(picture)
    for _ in range(14):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), height * rng.uniform(0.04, 0.12)
        colour = tuple(int(c) for c in rng.integers((170, 30, 90), (255, 160, 230)))
        for angle in np.arange(0, 2 * np.pi, np.pi / 4):
            px, py = x + r * np.cos(angle), y + r * np.sin(angle)
            draw.ellipse((px - r * 0.6, py - r * 0.6, px + r * 0.6, py + r * 0.6), fill=colour)
        draw.ellipse((x - r / 2, y - r / 2, x + r / 2, y + r / 2), fill=(250, 210, 60))
    return picture


def portrait(size: Size, rng: np.random.Generator) -> Image.Image:
    width, height = size
    red, green, blue = (int(c) for c in rng.integers((50, 60, 80), (120, 130, 160)))
    picture = sky(size, (red, green, blue), (20, 22, 30))
    draw = ImageDraw.Draw(picture)
    x, skin = width * rng.uniform(0.35, 0.6), (215, 165, 135)
    draw.ellipse((x - height * 0.4, height * 0.72, x + height * 0.4, height * 1.5), fill=(40, 60, 110))
    draw.rectangle((x - height * 0.07, height * 0.55, x + height * 0.07, height * 0.78), fill=skin)
    draw.ellipse((x - height * 0.18, height * 0.17, x + height * 0.18, height * 0.65), fill=skin)
    draw.pieslice((x - height * 0.2, height * 0.12, x + height * 0.2, height * 0.55), 180, 360, fill=(60, 40, 25))
    for side in (-1, 1):
        eye = x + side * height * 0.07
        draw.ellipse((eye - 0.02 * height, 0.38 * height, eye + 0.02 * height, 0.42 * height), fill=(30, 30, 30))
    draw.arc((x - height * 0.08, height * 0.44, x + height * 0.08, height * 0.56), 20, 160, fill=(150, 60, 60), width=4)
    return picture


SCENES: dict[str, Callable[[Size, np.random.Generator], Image.Image]] = {
    "beach": beach,
    "sunset": sunset,
    "mountains": mountains,
    "city": city,
    "flowers": flowers,
    "portrait": portrait,
}

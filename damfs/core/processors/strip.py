"""Small pictures of the moments of a clip in one file, one below the other.

Runs in worker processes; the daemon imports the names only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from damfs.model import RenditionKind

if TYPE_CHECKING:
    from PIL.Image import Image

STRIP = "moments"
"""Profile of the rendition."""
STRIP_KEY = f"{RenditionKind.OTHER}/{STRIP}"


def save_strip(pictures: Sequence[Image], path: Path) -> tuple[int, int]:
    """One below the other; the size of each."""
    from PIL import Image

    width, height = pictures[0].size
    strip = Image.new("RGB", (width, height * len(pictures)))
    for number, picture in enumerate(pictures):
        strip.paste(
            picture if picture.size == (width, height) else picture.resize((width, height)), (0, number * height)
        )
    strip.save(path, "JPEG", quality=88)
    return width, height


def pictures_of_strip(path: Path, height: int) -> Iterator[Image]:
    from PIL import Image

    with Image.open(path) as strip:
        for top in range(0, strip.height, height):
            yield strip.crop((0, top, strip.width, top + height))

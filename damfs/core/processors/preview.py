"""preview: the poster, thumbnails in four sizes, and the ``look`` descriptor of a photo or clip.

``accepts`` is pure; ``run`` happens in a worker process and writes below ``out`` only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from damfs.core.processors.processor import LOOK_MODEL, MadeEmbedding, MadeRendition, Output, Processor, Subject
from damfs.errors import BadMedia
from damfs.model import Media, RenditionKind

if TYPE_CHECKING:  # the daemon imports this module and must not load what decodes
    from PIL.Image import Image

    from damfs.core.processors.keyframes import Shot

POSTER_SIZE = 1920
THUMBNAIL_SIZES = (1024, 512, 256, 128)
DESKTOP_SIZES = frozenset({512, 256, 128})
"""As PNG, which is what desktops take (see views/thumbnails.py); a larger one would cost more than it shows."""


class Preview(Processor):
    name: ClassVar[str] = "preview"
    version: ClassVar[int] = 2
    needs: ClassVar[frozenset[str]] = frozenset({"probe"})
    priority: ClassVar[int] = 20
    timeout_s: ClassVar[float] = 300.0

    def accepts(self, subject: Subject) -> bool:
        return subject.facts.get("probe", {}).get("media", subject.media) in (Media.VIDEO, Media.IMAGE)

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from damfs.core.processors import look

        shot = shown_picture(source, subject.name)
        vector = look.look(shot.picture).astype("<f4").tobytes()
        return Output(
            facts={
                "poster_at_ns": shot.at_ns,
                "decoded": shot.decoded,
                "width": shot.picture.width,
                "height": shot.picture.height,
                "colour": dominant_colour(shot.picture),
            },
            renditions=tuple(save_all(shot.picture, out)),
            embeddings=(MadeEmbedding(LOOK_MODEL, vector),),
        )


def shown_picture(source: Path, name: str) -> Shot:
    """The photo, or the best frame of the clip. Raises BadMedia."""
    from damfs.core.processors import keyframes, media, stills

    shown = media.shown(name)
    media.check_bytes(source, shown)
    try:
        return keyframes.Shot(stills.load_still(source, shown, POSTER_SIZE), 0)
    except stills.NotAStill:
        pass
    with media.opened(source, shown) as container:
        stream = media.picture_stream(container)
        if stream is None:
            raise BadMedia(f"{shown}: it holds no pictures that can be decoded here")
        media.check_size(stream.width, stream.height, shown)
        return keyframes.best_shot(container, stream, shown, POSTER_SIZE)


def save_all(picture: Image, out: Path) -> list[MadeRendition]:
    """Poster first, then each thumbnail from the next larger one; none is larger than the source."""
    from PIL.Image import Resampling

    made = [save(picture, out / "poster.jpg", RenditionKind.POSTER, "jpeg", 88)]
    for size in THUMBNAIL_SIZES:
        picture = picture.copy()
        picture.thumbnail((size, size), Resampling.LANCZOS, reducing_gap=3)
        ending = "png" if size in DESKTOP_SIZES else "jpg"
        made.append(save(picture, out / f"thumbnail-{size}.{ending}", RenditionKind.THUMBNAIL, str(size), 84))
    return made


def save(picture: Image, path: Path, kind: RenditionKind, profile: str, quality: int) -> MadeRendition:
    if path.suffix == ".png":
        picture.save(path, "PNG")
    else:
        picture.save(path, "JPEG", quality=quality, progressive=kind is RenditionKind.POSTER)
    return MadeRendition(kind, profile, path, {"width": picture.width, "height": picture.height})


def dominant_colour(picture: Image) -> str:
    """The commonest of five colours, as ``#rrggbb``."""
    small = picture.resize((64, 64)).quantize(5)
    palette = small.getpalette() or [0, 0, 0]
    index = max(range(len(palette) // 3), key=small.histogram().__getitem__)
    red, green, blue = palette[index * 3 : index * 3 + 3]
    return f"#{red:02x}{green:02x}{blue:02x}"

"""How bright pictures are: a processor of another package than damfs, on its public base class alone."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import ClassVar

from damfs.core.processors.processor import MadeRendition, Output, Processor, Subject
from damfs.errors import BadMedia
from damfs.model import Media, RenditionKind

POSTER = "poster/jpeg"


class Brightness(Processor):
    """Makes a fact, and a small picture of its own kind."""

    name: ClassVar[str] = "brightness"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset({"preview"})
    priority: ClassVar[int] = 70

    def accepts(self, subject: Subject) -> bool:
        return "colour" in subject.facts.get("preview", {})

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from PIL import Image, ImageStat

        if POSTER not in subject.renditions:
            raise BadMedia(f"{subject.name}: there is no poster to look at; try: damfs retry LIBRARY preview")
        with Image.open(subject.renditions[POSTER]) as poster:
            grey = poster.convert("L")
        (mean,) = ImageStat.Stat(grey).mean
        swatch = out / "swatch.png"
        Image.new("L", (8, 8), round(mean)).save(swatch)
        made = MadeRendition(RenditionKind.OTHER, "brightness-swatch", swatch, {"mean": round(mean)})
        return Output(facts={"mean": round(mean / 255, 3)}, renditions=(made,))


class Slate(Processor):
    """What a picture's file says in its comment, as if it were read on screen."""

    name: ClassVar[str] = "slate"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset({"probe"})
    priority: ClassVar[int] = 70

    def accepts(self, subject: Subject) -> bool:
        return subject.media is Media.IMAGE

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from PIL import Image

        with Image.open(source) as picture:
            comment = picture.info.get("comment", b"")
        return Output(facts={"text": [{"at_ns": 0, "text": comment.decode()}]} if comment else {})


class Fragile(Processor):
    """Crashes its worker, as C code does."""

    name: ClassVar[str] = "fragile"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset({"probe"})
    priority: ClassVar[int] = 90

    def accepts(self, subject: Subject) -> bool:
        return "fragile" in subject.name

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        ctypes.string_at(0)
        raise AssertionError("nobody gets here")

"""sprite: small pictures of a clip every few seconds in one JPEG, with WebVTT cues, for scrubbing in a player.

``accepts`` is pure; ``run`` happens in a worker process and writes below ``out`` only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from damfs.core.processors.processor import MadeRendition, Output, Processor, Subject
from damfs.core.processors.sprite_layout import SECOND_NS, Grid, cues, moments
from damfs.model import Media, RenditionKind

if TYPE_CHECKING:  # the daemon imports this module and must not load what decodes
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from PIL.Image import Image

CELL = 160
"""Longest side of a cell."""
QUALITY = 75
PICTURE = "sprite.jpg"
"""What the cues call the picture; the view previews/ puts its name there in place of it."""
PROFILES = ("jpeg", "vtt")


class Sprite(Processor):
    """Made by seeking: of a long clip nothing is decoded but the key frames that are shown."""

    name: ClassVar[str] = "sprite"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset({"probe"})
    priority: ClassVar[int] = 50
    timeout_s: ClassVar[float] = 900.0

    def accepts(self, subject: Subject) -> bool:
        probed = subject.facts.get("probe", {})
        timed = isinstance(probed.get("duration_ns"), int)
        return timed and probed.get("media") == Media.VIDEO and bool(subject.settings.get("sprites", True))

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from damfs.core.processors import media
        from damfs.core.processors.chosen_frames import frames_near, small_pictures

        interval = round(float(str(subject.settings.get("sprite_interval_s", 5))) * SECOND_NS)
        columns = int(str(subject.settings.get("sprite_columns", 10)))
        damage = media.Damage()

        def pick(container: InputContainer, stream: VideoStream, duration: int) -> Iterator[VideoFrame]:
            return frames_near(container, stream, moments(duration, interval), duration, damage)

        duration, shown = small_pictures(source, media.shown(subject.name), "sprite", CELL, damage, pick)
        grid = Grid(columns, shown[0][1].size)
        picture, text = out / PICTURE, out / "sprite.vtt"
        pasted([each for _, each in shown], grid).save(picture, "JPEG", quality=QUALITY)
        text.write_text(cues([at_ns for at_ns, _ in shown], duration, grid, PICTURE), encoding="utf-8")
        detail = {"cells": len(shown), "columns": columns, "width": grid.cell[0], "height": grid.cell[1]}
        made = zip(PROFILES, (picture, text), strict=True)
        return Output(
            facts={**detail, "decoded": damage.frames, "errors": damage.errors},
            renditions=tuple(MadeRendition(RenditionKind.SPRITE, profile, path, detail) for profile, path in made),
        )


def pasted(pictures: list[Image], grid: Grid) -> Image:
    from PIL import Image

    whole = Image.new("RGB", grid.size(len(pictures)))
    for number, picture in enumerate(pictures):
        whole.paste(picture if picture.size == grid.cell else picture.resize(grid.cell), grid.at(number))
    return whole

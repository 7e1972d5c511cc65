"""sheet: a contact sheet, one stamped frame a scene; evenly spread key frames where the scenes are not known.

``accepts`` is pure; ``run`` happens in a worker process and writes below ``out`` only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from damfs.core.processors.processor import MadeRendition, Output, Processor, Subject
from damfs.core.processors.sprite_layout import Grid, clock, halved, moments, spread
from damfs.model import Facts, Media, RenditionKind

if TYPE_CHECKING:  # the daemon imports this module and must not load what decodes
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from PIL.Image import Image

CELL = 384
"""Longest side of a picture."""
GAP, LABEL = 10, 22
QUALITY = 85
GROUND, INK = (24, 24, 26), (226, 226, 226)
FEWEST = 6
"""Pictures of a clip of fewer scenes."""
Scene = tuple[int, int]
"""Where it begins and ends, nanoseconds from the start."""


class Sheet(Processor):
    name: ClassVar[str] = "sheet"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset({"probe"})
    after: ClassVar[frozenset[str]] = frozenset({"scenes"})
    priority: ClassVar[int] = 65
    timeout_s: ClassVar[float] = 900.0

    def accepts(self, subject: Subject) -> bool:
        probed = subject.facts.get("probe", {})
        timed = isinstance(probed.get("duration_ns"), int)
        return timed and probed.get("media") == Media.VIDEO and bool(subject.settings.get("sheets", True))

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from damfs.core.processors import media
        from damfs.core.processors.chosen_frames import frame_of_scene, frames_near, small_pictures

        columns = int(str(subject.settings.get("sheet_columns", 4)))
        cells = int(str(subject.settings.get("sheet_cells", 24)))
        damage = media.Damage()
        known = scenes_of(subject.facts.get("scenes", {}))

        def pick(container: InputContainer, stream: VideoStream, duration: int) -> Iterator[VideoFrame]:
            if not known:
                yield from frames_near(container, stream, moments(duration, 1, cells, cells), duration, damage)
            for scene in spread(halved(known, min(cells, FEWEST)), cells):
                frame = frame_of_scene(container, stream, *scene, damage)
                if frame is not None:
                    yield frame

        _, shown = small_pictures(source, media.shown(subject.name), "contact sheet", CELL, damage, pick)
        path = out / "sheet.jpg"
        laid_out(shown, columns).save(path, "JPEG", quality=QUALITY)
        detail = {"cells": len(shown), "columns": columns, "of_scenes": bool(known)}
        made = MadeRendition(RenditionKind.CONTACT_SHEET, "jpeg", path, detail)
        return Output(facts={**detail, "decoded": damage.frames, "errors": damage.errors}, renditions=(made,))


def scenes_of(facts: Facts) -> list[Scene]:
    """As the processor "scenes" found them; none where it did not look."""
    found = facts.get("scenes", [])
    return [(scene["start_ns"], scene["end_ns"]) for scene in found] if isinstance(found, list) else []


def laid_out(shown: Sequence[tuple[int, Image]], columns: int) -> Image:
    """Pictures side by side, under each the moment that it shows."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = shown[0][1].size
    grid = Grid(columns, (width, height + LABEL), GAP)
    whole = Image.new("RGB", grid.size(len(shown)), GROUND)
    draw = ImageDraw.Draw(whole)
    font = ImageFont.load_default(size=15)
    for number, (at_ns, picture) in enumerate(shown):
        x, y = grid.at(number)
        whole.paste(picture if picture.size == (width, height) else picture.resize((width, height)), (x, y))
        draw.text((x + 1, y + height + LABEL // 2 + 2), clock(at_ns)[:-2], fill=INK, font=font, anchor="lm")
    return whole

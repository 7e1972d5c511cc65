"""waveform: a picture of the loudness of a sound file or of the sound of a clip, decoded as a stream.

``accepts`` is pure; ``run`` happens in a worker process and writes below ``out`` only. A long sound needs no more
memory than a short one.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from damfs.core.processors.processor import MadeRendition, Output, Processor, Subject
from damfs.errors import BadMedia
from damfs.model import RenditionKind

if TYPE_CHECKING:  # the daemon imports this module and must not load what decodes
    from PIL.Image import Image

    from damfs.core.processors.loudness_bins import LoudnessBins

SIZE = (1600, 256)
GROUND, LINE, PEAK, RMS = (24, 24, 26), (64, 66, 72), (52, 118, 172), (136, 196, 240)


class Waveform(Processor):
    """Of the first sound track that can be decoded."""

    name: ClassVar[str] = "waveform"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset({"probe"})
    priority: ClassVar[int] = 55
    timeout_s: ClassVar[float] = 1800.0

    def accepts(self, subject: Subject) -> bool:
        tracks = subject.facts.get("probe", {}).get("audio")
        return isinstance(tracks, list) and bool(tracks) and bool(subject.settings.get("waveforms", True))

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from damfs.core.processors import media
        from damfs.core.processors.loudness_bins import LoudnessBins
        from damfs.core.processors.sound_samples import sounds

        name = media.shown(subject.name)
        damage, bins = media.Damage(), LoudnessBins()
        with media.opened(source, name) as container:
            if not media.sound_streams(container):
                raise BadMedia(
                    f"{name}: no waveform: it holds no sound that can be decoded here; nothing is to be done"
                )
            for part in sounds(container, damage):
                bins.add(part)
        if not bins.samples:
            why = damage.first or "there is none"
            raise BadMedia(f"{name}: no waveform: no sound can be decoded ({why}){media.ADVICE}")
        path = out / "waveform.png"
        drawn(bins).save(path, "PNG", optimize=True)
        facts = {"peak_dbfs": decibels(bins.peak), "rms_dbfs": decibels(bins.rms), "errors": damage.errors}
        detail = {"width": SIZE[0], "height": SIZE[1]}
        return Output(facts=facts, renditions=(MadeRendition(RenditionKind.WAVEFORM, "png", path, detail),))


def drawn(bins: LoudnessBins) -> Image:
    """Peaks dark, the root mean square bright in front of them, both ways from the middle."""
    import numpy as np
    from PIL import Image

    width, height = SIZE
    away = np.abs(np.arange(height) - (height - 1) / 2)[:, None] / ((height - 1) / 2)
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = GROUND
    pixels[height // 2 - 1 : height // 2 + 1] = LINE
    for level, colour in zip(bins.columns(width), (PEAK, RMS), strict=True):
        pixels[away <= level[None, :]] = colour
    return Image.fromarray(pixels)


def decibels(level: float) -> float | None:
    """None: silence."""
    return round(20 * math.log10(level), 2) if level > 0 else None

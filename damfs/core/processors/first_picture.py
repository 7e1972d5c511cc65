"""Whether two clips begin with the same picture: what tells that it was turned the right way, and is no garbage. Pure.

NumPy over small pictures; reads nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from damfs.core.processors.media import Turn

Light = NDArray[np.float32]
WIDTH, HEIGHT = 32, 18
ALIKE = 0.8
"""Correlation; encoders stay above 0.98, the same picture upside down is far below."""
PLAIN = 6.0
"""Levels of grey: contrast of a picture that tells nothing, such as black."""
STEPS: Mapping[tuple[str, str | None], Callable[[Light], Light]] = {
    ("hflip", None): np.fliplr,
    ("vflip", None): np.flipud,
    ("transpose", "clock"): lambda light: np.rot90(light, -1),
    ("transpose", "cclock"): lambda light: np.rot90(light, 1),
    ("transpose", "clock_flip"): lambda light: np.flipud(np.rot90(light, -1)),
    ("transpose", "cclock_flip"): lambda light: np.flipud(np.rot90(light, 1)),
}
"""Filters of a turn, for small pictures."""


def light_of(frame: VideoFrame, turn: Turn) -> Light:
    """Small, grey and upright, whatever its shape is."""
    size = (HEIGHT, WIDTH) if turn.swaps else (WIDTH, HEIGHT)
    light: Light = frame.reformat(*size, "gray", interpolation="AREA").to_ndarray().astype(np.float32)
    for step in turn.filters:
        light = STEPS[step](light)
    return light


def likeness(source: Light, other: Light) -> float:
    """Up to 1; also 1 where the first shows nothing that could be told apart."""
    if float(source.std()) < PLAIN:
        return 1.0
    one, two = source - source.mean(), other - other.mean()
    spread = float(np.sqrt((one**2).mean() * (two**2).mean()))
    return round(float((one * two).mean()) / spread, 2) if spread else 0.0

"""A sound track of a file as floats, a stretch at a time.

Runs in worker processes only (imports av); keeps a second or two, whatever the length.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.stream import Discard
from numpy.typing import NDArray

from damfs.core.processors import media

BATCH = 1 << 16
"""Samples looked at together: decoders give a thousand at a time."""

Samples = NDArray[np.float32]
"""Channels by samples, 1.0 is full scale."""


def sounds(container: InputContainer, damage: media.Damage, number: int = 0) -> Iterator[Samples]:
    """Nothing else of the file is read where the container allows it. The file must have a track of that number."""
    track = media.sound_streams(container)[number]
    for stream in container.streams:
        if stream is not track:
            stream.discard = Discard.all
    waiting: list[Samples] = []
    held = 0
    for part in floats(media.decoded(container, [track], damage), damage):
        if held >= BATCH or (waiting and waiting[0].shape[0] != part.shape[0]):
            yield whole(waiting)
            waiting, held = [], 0
        waiting.append(part)
        held += part.shape[1]
    if waiting:
        yield whole(waiting)


def floats(frames: Iterator[tuple[object, object]], damage: media.Damage) -> Iterator[Samples]:
    resampler = AudioResampler(format="fltp")
    for _, frame in frames:
        if isinstance(frame, AudioFrame):
            try:
                parts = resampler.resample(frame)
            except Exception as error:  # noqa: BLE001 - a damaged frame may say anything of its form; the rest goes on
                damage.note(error)
                resampler = AudioResampler(format="fltp")
                continue
            yield from (part.to_ndarray().astype(np.float32, copy=False) for part in parts)


def whole(parts: list[Samples]) -> Samples:
    return np.nan_to_num(np.concatenate(parts, axis=1), posinf=1.0, neginf=-1.0)

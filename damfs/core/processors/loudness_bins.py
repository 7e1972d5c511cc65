"""How loud a sound is over its length, in a bounded number of bins that grow wider as more comes. Pure.

Ten hours need no more memory than ten seconds: when every bin is full, each two become one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BINS = 8192
FIRST_WIDTH = 64
"""Samples of a bin at the beginning."""

Floats = NDArray[np.float64]


def zeros() -> Floats:
    return np.zeros(BINS)


@dataclass(slots=True)
class LoudnessBins:
    """Samples go in by `add`, one after the other; 1.0 is full scale."""

    width: int = FIRST_WIDTH
    samples: int = 0
    _peaks: Floats = field(default_factory=zeros)
    _energy: Floats = field(default_factory=zeros)

    def add(self, sounds: NDArray[np.float32]) -> None:
        """``sounds``: channels by samples. The peak is that of the loudest channel, the energy the mean of all."""
        loudest, energy = np.abs(sounds).max(axis=0), np.square(sounds, dtype=np.float64).mean(axis=0)
        while self.samples + loudest.size > self.width * BINS:
            self._widen()
        at = np.arange(self.samples, self.samples + loudest.size) // self.width
        starts = np.flatnonzero(np.diff(at, prepend=-1))
        self._peaks[at[starts]] = np.maximum(self._peaks[at[starts]], np.maximum.reduceat(loudest, starts))
        self._energy[at[starts]] += np.add.reduceat(energy, starts)
        self.samples += loudest.size

    def columns(self, number: int) -> tuple[Floats, Floats]:
        """Peak and root mean square in so many equal parts of the whole."""
        used = -(-self.samples // self.width)
        if not used:
            return np.zeros(number), np.zeros(number)
        edges = np.arange(number) * used // number
        peaks = np.maximum.reduceat(self._peaks[:used], edges)
        energy, bins = np.add.reduceat(self._energy[:used], edges), np.maximum(1, np.diff(edges, append=used))
        return np.minimum(peaks, 1.0), np.sqrt(np.minimum(energy / (bins * self.width), 1.0))

    @property
    def peak(self) -> float:
        return float(self._peaks.max())

    @property
    def rms(self) -> float:
        return float(np.sqrt(self._energy.sum() / max(1, self.samples)))

    def _widen(self) -> None:
        """Each two bins become one."""
        half = BINS // 2
        self._peaks[:half], self._peaks[half:] = np.maximum(self._peaks[::2], self._peaks[1::2]), 0
        self._energy[:half], self._energy[half:] = self._energy[::2] + self._energy[1::2], 0
        self.width *= 2

"""Peaks and energy of a sound in a bounded number of bins, whatever its length and in whatever parts it comes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from damfs.core.processors.loudness_bins import BINS, FIRST_WIDTH, LoudnessBins


def filled(sound: NDArray[np.float32], part: int) -> LoudnessBins:
    bins = LoudnessBins()
    for start in range(0, sound.shape[1], part):
        bins.add(sound[:, start : start + part])
    return bins


def tone(samples: int, channels: int = 2) -> NDArray[np.float32]:
    at = np.arange(samples) / 48000
    return np.stack([0.5 * np.sin(2 * np.pi * 440 * at)] * channels).astype(np.float32)


@pytest.mark.parametrize("samples", [1, 100, 48_000, BINS * FIRST_WIDTH, BINS * FIRST_WIDTH + 1, 3_000_000])
def test_it_does_not_depend_on_the_parts(samples: int) -> None:
    sound = tone(samples)
    whole, parts = filled(sound, samples), filled(sound, 1024 * 7 + 3)
    assert whole.samples == parts.samples == samples
    for one, other in zip(whole.columns(50), parts.columns(50), strict=True):
        assert one == pytest.approx(other)


def test_a_tone_has_its_peak_and_root_mean_square() -> None:
    bins = filled(tone(480_000), 1024)
    peaks, levels = bins.columns(100)
    assert peaks == pytest.approx(0.5, abs=0.01)
    assert levels[:-1] == pytest.approx(0.5 / np.sqrt(2), abs=0.01)
    assert bins.peak == pytest.approx(0.5, abs=0.001)
    assert bins.rms == pytest.approx(0.5 / np.sqrt(2), abs=0.001)


def test_a_long_sound_needs_no_more_than_a_short_one() -> None:
    bins = LoudnessBins()
    part = np.full((1, 300_000), 0.25, np.float32)
    for _ in range(100):
        bins.add(part)
    assert bins.samples == 30_000_000
    assert bins.samples <= bins.width * BINS < bins.samples * 2
    peaks, levels = bins.columns(1600)
    assert peaks == pytest.approx(0.25)
    assert levels[:-1] == pytest.approx(0.25)
    assert bins._peaks.size == BINS


def test_a_click_is_seen_where_it_is() -> None:
    sound = np.zeros((1, 1_000_000), np.float32)
    sound[0, 750_000] = -1.0
    peaks, levels = filled(sound, 4096).columns(100)
    assert np.flatnonzero(peaks).tolist() == [75]
    assert peaks[75] == 1.0
    assert levels.max() < 0.05


def test_what_is_over_full_scale_is_drawn_as_full() -> None:
    peaks, levels = filled(np.full((1, 1000), 7.0, np.float32), 100).columns(10)
    assert peaks.max() == levels.max() == 1.0


def test_nothing() -> None:
    peaks, levels = LoudnessBins().columns(10)
    assert not peaks.any()
    assert not levels.any()


def test_fewer_samples_than_columns() -> None:
    peaks, _ = filled(np.full((1, 3), 0.5, np.float32), 3).columns(10)
    assert peaks == pytest.approx(0.5)

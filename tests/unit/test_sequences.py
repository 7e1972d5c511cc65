"""Clips that run together are found at the right offset; others are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.core.near_duplicates import clip_reason
from damfs.core.sequences import Sequence, band_values, overlap, sequence

RANDOM = np.random.default_rng(7)
FILM = RANDOM.integers(0, 256, (80, 16), dtype=np.uint8)
OTHER = RANDOM.integers(0, 256, (80, 16), dtype=np.uint8)


def clip(marks: np.ndarray, first_ms: int = 0, step_ms: int = 500) -> Sequence:
    return sequence(marks.tobytes(), [first_ms + position * step_ms for position in range(len(marks))])


def noisy(marks: np.ndarray, bits: int) -> np.ndarray:
    """So many bits of each mark differ: what encoding anew does."""
    flips = np.zeros((len(marks), 128), np.uint8)
    for row in flips:
        row[RANDOM.choice(128, bits, replace=False)] = 1
    return marks ^ np.packbits(flips, axis=1)


@given(first=st.integers(0, 60), length=st.integers(6, 20), late_ms=st.integers(0, 200), bits=st.integers(0, 22))
def test_a_cut_and_encoded_clip_is_found_where_it_was_cut(first: int, length: int, late_ms: int, bits: int) -> None:
    part = clip(noisy(FILM[first : first + length], bits), late_ms)
    found = overlap(part, clip(FILM))
    assert found is not None
    assert abs(found.offset_ms - (first * 500 - late_ms)) <= 500
    assert found.share == 1.0
    assert abs(found.bits - bits) < 1
    back = overlap(clip(FILM), part)
    assert back is not None
    assert abs(back.offset_ms + found.offset_ms) <= 500


def test_clips_that_overlap_in_part_share_that_part() -> None:
    found = overlap(clip(FILM[:50]), clip(FILM[30:]))
    assert found is not None
    assert abs(found.offset_ms + 15_000) <= 500
    assert 0.38 <= found.share <= 0.44


def test_all_of_a_piece_is_in_a_long_film_of_which_few_moments_were_looked_at() -> None:
    """Twenty minutes have a moment every ten seconds, a piece of one minute two a second."""
    seconds = RANDOM.integers(0, 256, (1200, 16), dtype=np.uint8)
    whole, piece = clip(seconds[::10], step_ms=10_000), clip(np.repeat(seconds[300:360], 2, axis=0))
    for one, other, offset_ms in ((piece, whole, 300_000), (whole, piece, -300_000)):
        found = overlap(one, other)
        assert found is not None
        assert abs(found.offset_ms - offset_ms) <= 1000
        assert found.share == 1.0
        assert clip_reason(found).startswith("the same film, one begins ")


def test_other_films_do_not_run_together() -> None:
    assert overlap(clip(FILM), clip(OTHER)) is None
    assert overlap(clip(FILM[:1]), clip(OTHER)) is None
    assert overlap(clip(FILM[:0]), clip(FILM)) is None


def test_a_common_title_is_no_common_film() -> None:
    """Two seconds of the same opening credits."""
    one, other = FILM.copy(), OTHER.copy()
    other[:4] = one[:4]
    assert overlap(clip(one), clip(other)) is None


@pytest.mark.parametrize(
    ("film", "is_placed"),
    [
        (np.repeat(FILM[:1], 60, axis=0), False),
        (np.repeat(FILM[:2], 30, axis=0), True),
        (np.repeat(FILM[:1], 3, axis=0), True),
        (FILM, True),
    ],
    ids=["one view", "a cut", "a second of one view", "all of it moves"],
)
def test_where_little_moves_the_place_is_not_told(film: np.ndarray, is_placed: bool) -> None:
    found = overlap(clip(noisy(film[len(film) // 3 :], 4)), clip(film))
    assert found is not None
    assert found.is_placed == is_placed
    assert clip_reason(found).endswith("too little moves to tell") != is_placed


def test_a_clip_is_looked_for_under_the_marks_it_was_kept_by() -> None:
    kept = set(band_values(clip(FILM), 60))
    assert len(kept) <= 60 * 8
    for first in (0, 33, 60):
        assert len(kept & set(band_values(clip(noisy(FILM[first : first + 12], 12))))) >= 3
    assert len(kept & set(band_values(clip(OTHER)))) <= 3


def test_times_and_marks_belong_together() -> None:
    with pytest.raises(ValueError, match="times"):
        sequence(FILM.tobytes(), [0])

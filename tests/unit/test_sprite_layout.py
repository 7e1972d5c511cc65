"""Where small pictures lie in a large one, which moments they show, and the WebVTT about them."""

from __future__ import annotations

import pytest

from damfs.core.processors.sprite_layout import FEWEST, MOST, Grid, clock, cues, halved, moments, spread

SECOND = 1_000_000_000


def test_cells_fill_row_after_row() -> None:
    grid = Grid(3, (160, 90))
    assert [grid.at(number) for number in range(4)] == [(0, 0), (160, 0), (320, 0), (0, 90)]
    assert grid.size(4) == (480, 180)
    assert grid.size(2) == (320, 90)


def test_gaps_lie_around_every_cell() -> None:
    grid = Grid(2, (100, 50), gap=10)
    assert [grid.at(number) for number in range(3)] == [(10, 10), (120, 10), (10, 70)]
    assert grid.size(3) == (230, 130)


@pytest.mark.parametrize(
    ("seconds", "wanted"), [(2, FEWEST), (200, 40), (600, 120), (2000, MOST), (36_000, MOST), (0, FEWEST)]
)
def test_how_many_moments(seconds: int, wanted: int) -> None:
    found = moments(seconds * SECOND, 5 * SECOND)
    assert len(found) == wanted
    assert found == sorted(found)
    assert all(0 <= each <= seconds * SECOND for each in found)


def test_moments_lie_in_the_middle_of_their_parts() -> None:
    assert moments(100, 50, fewest=1) == [25, 75]


def test_a_choice_of_scenes_is_spread() -> None:
    scenes = [(number, number + 1) for number in range(100)]
    assert spread(scenes, 5) == [(0, 1), (25, 26), (50, 51), (74, 75), (99, 100)]
    assert spread(scenes[:3], 5) == scenes[:3]
    assert spread(scenes, 1) == [(0, 1)]


def test_few_scenes_are_halved_but_not_to_pieces() -> None:
    assert halved([(0, 8 * SECOND)], 3) == [(0, 2 * SECOND), (2 * SECOND, 4 * SECOND), (4 * SECOND, 8 * SECOND)]
    assert halved([(0, SECOND - 1)], 6) == [(0, SECOND - 1)]
    assert halved([], 6) == []


def test_cues_follow_each_other_from_the_start_to_the_end() -> None:
    text = cues([400_000_000, 2 * SECOND], 3 * SECOND, Grid(1, (160, 90)), "a%20b.sprite.jpg")
    assert text == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:02.000\na%20b.sprite.jpg#xywh=0,0,160,90\n\n"
        "00:00:02.000 --> 00:00:03.000\na%20b.sprite.jpg#xywh=0,90,160,90\n"
    )


def test_the_last_cue_takes_time_even_where_the_clip_says_it_has_ended() -> None:
    assert "00:00:05.000 --> 00:00:05.001" in cues([0, 5 * SECOND], 5 * SECOND, Grid(2, (1, 1)), "x.jpg")


@pytest.mark.parametrize(
    ("at_ns", "text"), [(0, "00:00:00.000"), (72_040_000_000, "00:01:12.040"), (363_599_999_999_999, "100:59:59.999")]
)
def test_clock(at_ns: int, text: str) -> None:
    assert clock(at_ns) == text

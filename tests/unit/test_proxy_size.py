"""The size of a proxy: half, 1280 at most, even, the same shape; one that Blender has a name for, where there is."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.core.editors import share_of
from damfs.core.processors.proxy_plan import KEPT_BELOW, SizeRule, proxy_size

USUAL = SizeRule()


@pytest.mark.parametrize(
    ("source", "size", "share"),
    [
        ((640, 360), (640, 360), 100),
        ((960, 540), (960, 540), 100),
        ((1280, 720), (640, 360), 50),
        ((1440, 1080), (720, 540), 50),
        ((1920, 1080), (960, 540), 50),
        ((1080, 1920), (540, 960), 50),
        ((2048, 1080), (1024, 540), 50),
        ((2560, 1440), (1280, 720), 50),
        ((2704, 1520), (676, 380), 25),
        ((3840, 2160), (960, 540), 25),
        ((2160, 3840), (540, 960), 25),
        ((4096, 2160), (1024, 540), 25),
        ((5120, 2880), (1280, 720), 25),
        ((1998, 1080), (666, 360), None),
        ((7680, 4320), (1280, 720), None),
    ],
)
def test_what_cameras_record(source: tuple[int, int], size: tuple[int, int], share: int | None) -> None:
    assert proxy_size(source, USUAL) == size
    assert share_of(size[1], source[1]) == share


def test_the_longer_side_is_a_setting() -> None:
    assert proxy_size((3840, 2160), SizeRule(longest=960)) == (960, 540)
    assert proxy_size((2560, 1440), SizeRule(longest=960)) == (640, 360)
    assert proxy_size((7680, 4320), SizeRule(longest=1920)) == (1920, 1080), "so that Blender has a name for it"


def test_fields_are_kept_in_pairs() -> None:
    assert proxy_size((1920, 1080), USUAL, step=4) == (960, 540)
    assert proxy_size((1920, 1088), USUAL, step=4) == (960, 544)


SIDE = st.integers(200, 9000)


@given(width=SIDE, height=SIDE, longest=st.sampled_from([960, 1280, 1920]))
def test_any_picture(width: int, height: int, longest: int) -> None:
    made = proxy_size((width, height), SizeRule(longest=longest))
    assert all(side % 2 == 0 for side in made)
    longer = max(width, height)
    assert max(made) <= (longest + 1 if longer > KEPT_BELOW else longer + 1)
    slack = Fraction(1, made[0]) + Fraction(1, made[1])  # each side is rounded by one at most
    assert abs(Fraction(made[0], made[1]) / Fraction(width, height) - 1) <= slack * Fraction(101, 100)

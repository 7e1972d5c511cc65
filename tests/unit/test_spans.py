"""Times and spans: one spelling each, and everything else is none; timecode arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.core.spans import Span, moment_of, said_ms, span_of, time_name
from damfs.core.timecodes import timecode_after

MS = st.integers(0, 1000 * 3600 * 1000 - 1)
NTSC = Fraction(30000, 1001)


@given(start=MS, length=st.integers(1, 10_000_000), exact=st.booleans())
def test_the_name_of_a_span_is_read_back(start: int, length: int, exact: bool) -> None:
    span = Span(start, min(start + length, 1000 * 3600 * 1000 - 1), exact)
    assert span_of(span.name) == (span if span.start_ms < span.end_ms else None)


@given(at=MS)
def test_the_name_of_a_moment_is_read_back(at: int) -> None:
    assert moment_of(time_name(at) + ".jpg") == at
    assert said_ms(time_name(at)) == at


def test_names_are_as_the_documents_say() -> None:
    assert span_of("00-01-12.000_00-01-20.500.mov") == Span(72_000, 80_500)
    assert span_of("00-01-12.000_00-01-20.500_exact.mov") == Span(72_000, 80_500, exact=True)
    assert moment_of("00-01-12.040.jpg") == 72_040


@pytest.mark.parametrize(
    "name",
    [
        "", "00-01-12.000.mov", "00-01-12.000_00-01-12.000.mov", "00-01-20.500_00-01-12.000.mov",
        "00-01-12.000_00-01-20.500.mp4", "00-01-12.000_00-01-20.500", "00-60-12.000_00-61-20.500.mov",
        "000-01-12.000_00-01-20.500.mov", "00-01-12_00-01-20.mov", "00:01:12.000_00:01:20.500.mov",
        "00-01-12.000_00-01-20.500_EXACT.mov", "\u0660\u0660-01-12.000_00-01-20.500.mov",
        "-0-01-12.000_00-01-20.500.mov",
    ],
)  # fmt: skip
def test_anything_else_is_no_span(name: str) -> None:
    assert span_of(name) is None
    assert moment_of(name) is None


@pytest.mark.parametrize(
    ("text", "ms"),
    [("00:01:12.040", 72_040), ("1:12.5", 72_500), ("72", 72_000), ("00-01-12.040", 72_040), (" 1:00:00 ", 3_600_000)],
)
def test_people_may_say_it_in_several_ways(text: str, ms: int) -> None:
    assert said_ms(text) == ms


@pytest.mark.parametrize("text", ["", "x", "1:60", "1:60:00", "-1", "1.2345", "00:01:12:04", "1,5"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^.*$"):
        said_ms(text)


@pytest.mark.parametrize(
    ("timecode", "rate", "frames", "expected"),
    [
        ("10:58:07:12", Fraction(25), 13, "10:58:08:00"),
        ("23:59:59:24", Fraction(25), 1, "00:00:00:00"),
        ("00:00:59;29", NTSC, 1, "00:01:00;02"),
        ("00:09:59;29", NTSC, 1, "00:10:00;00"),
        ("01:00:00;00", NTSC, 107_892, "02:00:00;00"),
        ("00:00:59;59", 2 * NTSC, 1, "00:01:00;04"),
        ("00:00:59:29", NTSC, 1, "00:01:00:00"),
        ("nothing", NTSC, 1, None),
    ],
)
def test_timecode_goes_on(timecode: str, rate: Fraction, frames: int, expected: str | None) -> None:
    assert timecode_after(timecode, rate, frames) == expected

"""What a program changed of a sidecar, and what damfs wants it to say: every way in which the two can differ."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.core.sidecar_record import (
    REJECTED,
    Edits,
    Said,
    SidecarRecord,
    TagPath,
    edits,
    merged_tags,
    stars_of,
    wanted,
)

BEACH, SUN = ("Nature", "Beach"), ("Sun",)
IN_STEP = SidecarRecord(("Beach", "Sun"), (BEACH, SUN), (BEACH, SUN), 4, "Red", "a day")
SAID = Said(frozenset({BEACH, SUN}), 4, "Red", "a day")


def merged(base: SidecarRecord, now: SidecarRecord, *tags: TagPath) -> set[TagPath]:
    return set(merged_tags(tags, edits(base, now)))


def test_what_is_in_step_is_neither_read_nor_written() -> None:
    assert edits(IN_STEP, IN_STEP) == Edits()
    assert wanted(SAID, IN_STEP) == IN_STEP


def test_a_tag_added_to_one_list_only_is_taken_over() -> None:
    assert merged(IN_STEP, replace(IN_STEP, subjects=("Beach", "Sun", "Dusk")), BEACH, SUN) == {BEACH, SUN, ("Dusk",)}
    longer = replace(IN_STEP, hierarchical=(BEACH, SUN, ("Places", "Sylt")), subjects=("Beach", "Sun", "Sylt"))
    assert merged(IN_STEP, longer, BEACH, SUN) == {BEACH, SUN, ("Places", "Sylt")}


@pytest.mark.parametrize("field", ["subjects", "hierarchical", "tags_list"])
def test_a_tag_taken_from_one_list_only_is_taken_away(field: str) -> None:
    left = tuple(each for each in getattr(IN_STEP, field) if "Beach" not in each)
    now = SidecarRecord(**{**{name: getattr(IN_STEP, name) for name in SidecarRecord.__slots__}, field: left})
    assert merged(IN_STEP, now, BEACH, SUN) == {SUN}


def test_a_list_that_a_program_does_not_know_takes_no_tag_away() -> None:
    assert edits(IN_STEP, replace(IN_STEP, tags_list=())) == Edits()
    assert merged(IN_STEP, replace(IN_STEP, tags_list=(), hierarchical=(), subjects=()), BEACH, SUN) == set()


def test_both_sides_are_heard() -> None:
    """Since they were in step a person tagged Dusk here, and a program took Sun away and gave Sea."""
    now = replace(IN_STEP, subjects=("Beach", "Sea"), hierarchical=(BEACH, ("Sea",)), tags_list=(BEACH, ("Sea",)))
    assert merged(IN_STEP, now, BEACH, SUN, ("Dusk",)) == {BEACH, ("Sea",), ("Dusk",)}


def test_a_tag_that_moved_below_another_stays() -> None:
    now = replace(IN_STEP, hierarchical=(("Places", "Beach"), SUN), tags_list=(("Places", "Beach"), SUN))
    assert edits(IN_STEP, now).removed == frozenset()


def test_broader_names_in_the_flat_list_are_no_tags() -> None:
    lightroom = SidecarRecord(("Nature", "Beach"), (BEACH,), ())
    assert merged(SidecarRecord(), lightroom) == {BEACH}
    assert wanted(Said(frozenset({BEACH})), lightroom).subjects == ("Nature", "Beach")


def test_the_first_time_a_sidecar_is_read_it_takes_nothing_away() -> None:
    assert merged(SidecarRecord(), SidecarRecord(("Sea",)), BEACH) == {BEACH, ("Sea",)}
    assert edits(SidecarRecord(), SidecarRecord()) == Edits()


def test_notes_of_darktable_stay_there_and_never_become_tags() -> None:
    there = SidecarRecord(("darktable|exported", "Sun"), (("darktable", "exported"), SUN), ())
    assert merged(SidecarRecord(), there) == {SUN}
    target = wanted(Said(frozenset({BEACH})), there)
    assert target.subjects == ("darktable|exported", "Beach")
    assert target.hierarchical == (("darktable", "exported"), BEACH)


def test_a_rejection_stays_until_somebody_rates() -> None:
    rejected = SidecarRecord(stars=REJECTED)
    assert edits(SidecarRecord(), rejected).stars is None
    assert wanted(Said(stars=0), rejected).stars == REJECTED
    assert wanted(Said(stars=3), rejected).stars == 3
    assert edits(SidecarRecord(stars=4), rejected).stars == 0


def test_half_stars_survive() -> None:
    assert [stars_of(rating) for rating in range(11)] == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_a_term_with_a_bar_in_its_name_is_said_where_it_can_be() -> None:
    target = wanted(Said(frozenset({("a|b",)})), SidecarRecord())
    assert (target.subjects, target.hierarchical, target.tags_list) == (("a|b",), (), (("a|b",),))
    assert edits(target, target) == Edits()


PATHS = st.frozensets(
    st.sampled_from([BEACH, SUN, ("Dusk",), ("Places", "Sylt"), ("Places",), ("Nature",)]), max_size=5
)


@given(before=PATHS, here=PATHS)
def test_what_was_written_reads_back_as_said(before: frozenset[TagPath], here: frozenset[TagPath]) -> None:
    """After a write nothing is left to do, and to read what was written changes nothing."""
    written = wanted(Said(here), wanted(Said(before), SidecarRecord()))
    assert wanted(Said(here), written) == written
    assert set(merged_tags(here, edits(written, written))) == here
    assert {path[-1] for path in here} <= set(written.subjects)

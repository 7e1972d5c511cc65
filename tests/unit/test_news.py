"""What is told of a change: every place whose listing it may have moved, and no other."""

from __future__ import annotations

from damfs.catalog.predicates import ALL_FACET, day_facets
from damfs.core.news import Seen, moved

NAMES = frozenset({"clip.mov"})


def test_an_asset_that_stays_where_it_is_tells_no_place() -> None:
    here = Seen(day_facets("2024-07-15") | {ALL_FACET}, NAMES)
    assert moved(here, here).facets == frozenset()


def test_another_day_tells_every_directory_above_both() -> None:
    """The years are listed by by-date/ itself, which both days have in common."""
    before, after = (Seen(day_facets(day) | {ALL_FACET}, NAMES) for day in ("2026-11-22", "2024-07-16"))
    assert moved(before, after).facets == day_facets("2026-11-22") | day_facets("2024-07-16")


def test_another_name_tells_every_place() -> None:
    here = Seen(day_facets("2024-07-15") | {ALL_FACET}, NAMES)
    assert moved(here, here._replace(names=frozenset({"b.mov"}))).facets == here.facets

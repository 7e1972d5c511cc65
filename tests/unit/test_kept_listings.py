"""Listings that the kernel keeps: their order, going on in them after a change, and who has to drop a stale one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from damfs.model import AssetId
from damfs.presentation.fuse.inodes import ASSET_MARK, Inode
from damfs.presentation.fuse.listings import KeptListing, Listings, Ordered, in_order, index_after
from damfs.presentation.views.view import Entry, Place, Thing, ThingKind

PLACE = Inode(9 << 56)


def number(node: Thing | Place) -> int:
    return node.kind << 56 | node.id if isinstance(node, Thing) else 9 << 56 | (node.id or 0)


def file(id_: int, name: str = "x") -> Entry:
    return Entry(name, Thing(ThingKind.ASSET, id_), 0, 0, 0o444)


def directory(id_: int) -> Entry:
    return Entry(f"d{id_}", Place("originals", (), id_), 0, 0, 0o555)


def listing_of(entries: list[Entry]) -> KeptListing:
    return KeptListing(PLACE, Ordered((), in_order(entries, number)))


def rest(listing: KeptListing, mark: int) -> list[str]:
    assert listing.content is not None
    return [entry.name for _, entry in listing.content.others[index_after(listing, listing.content, mark) :]]


def test_entries_ascend_by_a_mark_of_their_own() -> None:
    marked = in_order([directory(7), file(3, "c"), file(1, "a"), directory(2)], number)
    assert [entry.name for _, entry in marked] == ["a", "c", "d2", "d7"]
    assert [mark for mark, _ in marked] == sorted({mark for mark, _ in marked})


def test_two_names_of_one_asset_have_two_marks() -> None:
    marked = in_order([file(1, "a"), file(5, "one"), file(5, "two"), file(6, "b")], number)
    assert len({mark for mark, _ in marked}) == 4
    assert sorted(entry.name for _, entry in marked) == ["a", "b", "one", "two"]


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)), st.integers(0, 60))
def test_who_goes_on_after_a_change_misses_nothing_and_sees_nothing_twice(
    ids: set[int], gone: set[int], taken: int
) -> None:
    before = in_order([file(id_, str(id_)) for id_ in sorted(ids)], number)
    seen, last = [entry.name for _, entry in before[:taken]], before[:taken][-1:]
    fresh = listing_of([file(id_, str(id_)) for id_ in sorted(ids - gone)])
    seen += rest(fresh, last[0][0] if last else 0)
    assert len(seen) == len(set(seen))
    assert set(seen) >= {str(id_) for id_ in ids - gone}


def test_the_place_where_a_page_ended_is_remembered() -> None:
    listing = listing_of([file(1, "a"), file(2, "b"), file(3, "c")])
    assert listing.content is not None
    marks = [mark for mark, _ in listing.content.others]
    listing.ended = (marks[1], 2)
    assert rest(listing, marks[1]) == ["c"]
    assert rest(listing, marks[0]) == ["b", "c"]
    listing.ended = (0, 0)
    assert rest(listing, 0) == ["a", "b", "c"]


@given(st.sets(st.integers(1, 60)), st.integers(0, 70))
def test_files_and_others_are_gone_on_in_by_their_own_marks(ids: set[int], taken: int) -> None:
    files = [(AssetId(id_), str(id_), 0, 0, 0o444) for id_ in sorted(ids)]
    content = Ordered(files, in_order([directory(2), directory(7)], number))
    marks = [ASSET_MARK | id_ for id_ in sorted(ids)] + [mark for mark, _ in content.others]
    assert content.index_after(0) == 0
    for position, mark in enumerate(marks, start=1):
        assert content.index_after(mark) == position
    assert content.index_after(ASSET_MARK | taken) == len([id_ for id_ in ids if id_ <= taken])


def test_a_change_drops_what_nobody_reads() -> None:
    assert Listings().changed(PLACE)


def test_a_change_makes_the_open_listings_of_the_place_stale() -> None:
    listings = Listings()
    one, two, other = listings.opened(PLACE), listings.opened(PLACE), listings.opened(Inode(5))
    assert not listings.changed(PLACE)
    assert (one.stale, two.stale, other.stale) == (True, True, False)
    listings.closed(one)
    assert not listings.changed(PLACE)
    listings.closed(two)
    assert listings.changed(PLACE)

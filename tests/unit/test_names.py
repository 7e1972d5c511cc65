"""The name rule: unique, pure, resolvable, and never longer than a file system allows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from damfs.catalog import assets
from damfs.catalog.database import Database
from damfs.catalog.migrations import open_catalog
from damfs.catalog.predicates import Everything
from damfs.core.asset_names import NAME_LIMIT, clean_name, size_of
from damfs.model import AssetId, Digest, Media
from damfs.presentation.views.facet import find
from damfs.presentation.views.names import decode_id, encode_id, qualified, qualifiers, ranked, shown_names

MARK = st.integers(1, 40).map(lambda id_: f"~{encode_id(AssetId(id_))}")
STEM = st.one_of(st.sampled_from(["x", "clip", "a.b", "", "y" * 250, "\u00e9" * 124]), st.text(max_size=3))
ENDING = st.sampled_from([".mov", ".", "", ".jpg", "." + "z" * 31, "." + "\u00e9" * 16, "." + "\u00e9" * 17])
NAME = st.builds("{}{}{}".format, STEM, st.one_of(st.just(""), MARK), ENDING).map(clean_name)
"""Biased to clash: few stems, and names that look as if they were qualified."""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with closing(open_catalog(tmp_path_factory.mktemp("names") / "catalog.sqlite3", create=True)) as made:
        yield made


def fill(database: Database, names: list[str]) -> list[AssetId]:
    with database.transaction() as tx:
        for table in ("tagging", "version", "asset", "blob", "sqlite_sequence"):
            tx.run(f"DELETE FROM {table}")
        tx.run("INSERT INTO blob VALUES (1, ?, 1)", Digest(bytes(32)))
        for name in names:
            tx.insert(
                "INSERT INTO asset (name, media, state, triaged, size, mtime_ns, day, blob, created_ns)"
                " VALUES (?, ?, 'present', 1, 1, 1, '2024-07-15', 1, 1)",
                name,
                str(Media.VIDEO),
            )
    return [row.id for row in assets.list_place(database.writer, Everything())]


@given(names=st.lists(NAME, max_size=45))
@example(names=["x.mov"] * 36 + ["x~15.mov", "x~15.mov"])
@example(names=["x.mov", "x~1.mov", "x~1~2.mov"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_shown_name_is_unique_fits_and_resolves(database: Database, names: list[str]) -> None:
    ids = fill(database, names)
    shown = shown_names(ids, names)
    assert len(set(shown)) == len(shown)
    assert all(size_of(name) <= NAME_LIMIT and "/" not in name for name in shown)
    for id_, own, name in zip(ids, names, shown, strict=True):
        found = find(database.writer, Everything(), name)
        assert found is not None, name
        assert found.id == id_
        whole = find(database.writer, Everything(), qualified(own, id_))
        assert whole is not None, "the qualified form resolves for ever"
        assert whole.id == id_
    assert shown_names(ids, names) == shown


@given(st.lists(NAME, max_size=12), st.sets(NAME, max_size=6))
def test_no_file_has_the_name_of_a_directory(names: list[str], directories: set[str]) -> None:
    ids = [AssetId(id_) for id_ in range(1, len(names) + 1)]
    shown = shown_names(ids, names, directories)
    plain = directories - {qualified(name, id_) for name, id_ in zip(names, ids, strict=True)}
    assert not plain & set(shown)


def test_the_lowest_id_keeps_its_name() -> None:
    ids = [AssetId(3), AssetId(37), AssetId(38)]
    assert shown_names(ids, ["clip.mov"] * 3) == ["clip.mov", "clip~15.mov", "clip~16.mov"]
    assert shown_names(ids, ["a", "b", "c"]) == ["a", "b", "c"]


def test_a_literal_name_gives_way_to_the_qualified_form_of_another() -> None:
    assert shown_names([AssetId(3), AssetId(37), AssetId(40)], ["x~15.mov", "x.mov", "y"]) == [
        "x~15~3.mov",
        "x.mov",
        "y",
    ]
    assert shown_names([AssetId(3), AssetId(37)], ["x~15.mov", "other.mov"]) == ["x~15.mov", "other.mov"]


def test_one_asset_may_be_shown_by_two_names() -> None:
    assert shown_names([AssetId(1), AssetId(1), AssetId(2)], ["a.mov", "b.mov", "a.mov"]) == [
        "a.mov",
        "b.mov",
        "a~2.mov",
    ]


@given(st.integers(0, (1 << 56) - 1))
def test_ids_in_base_32(id_: int) -> None:
    assert id_ == 0 or decode_id(encode_id(AssetId(id_))) == id_


@pytest.mark.parametrize("text", ["", "0", "01", "i", "l", "o", "u", "A", "1" * 13, "zzzzzzzzzzzz", "1 "])
def test_no_other_text_is_an_id(text: str) -> None:
    assert decode_id(text) is None


@given(NAME, st.integers(1, (1 << 56) - 1).map(AssetId))
def test_the_qualified_form_tells_its_id(name: str, id_: AssetId) -> None:
    form = qualified(name, id_)
    assert size_of(form) <= NAME_LIMIT
    assert id_ in qualifiers(form)


@given(st.binary(min_size=1, max_size=255), st.integers(1, 1 << 40).map(AssetId))
def test_names_that_are_no_text_can_be_qualified(raw: bytes, id_: AssetId) -> None:
    name = raw.decode("utf-8", "surrogateescape")
    assert size_of(qualified(name, id_)) <= NAME_LIMIT
    assert id_ in qualifiers(qualified(name, id_))


@given(NAME, st.integers(1, 150))
def test_ranked_names_sort_by_rank(name: str, total: int) -> None:
    listed = [ranked(position, total, name) for position in range(1, total + 1)]
    assert all(first < second for first, second in pairwise(listed))
    assert all(size_of(each) <= NAME_LIMIT for each in listed)


def test_ranked() -> None:
    assert ranked(1, 50, "clip.mov") == "01 clip.mov"
    assert ranked(7, 120, "clip.mov") == "007 clip.mov"

"""A predicate says the same by SQL, of one row, in Python, and to invalidation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from damfs.catalog import assets, remarks, vocabulary
from damfs.catalog.asked_predicates import CapturedBetween, Named, OfSize, Rated, Span
from damfs.catalog.database import Connection, Database
from damfs.catalog.migrations import open_catalog
from damfs.catalog.predicates import (
    And,
    CapturedIn,
    Everything,
    HasTag,
    InInbox,
    Not,
    OfMedia,
    Or,
    Predicate,
    Traits,
    Untagged,
    all_of,
    day_facets,
    media_facet,
    tag_facet,
)
from damfs.model import AssetId, AssetState, BlobId, Digest, Media, TagSource, TermId

TERMS = {"beach": None, "sunset": "beach", "dusk": "sunset", "city": None}
DAYS = ["2024-07-15", "2024-07-16", "2024-12-31", "2025-01-01", "1999-07-15"]
ROW = st.tuples(
    st.sampled_from(
        [AssetState.RECEIVING, AssetState.PRESENT, AssetState.PRESENT, AssetState.MISSING, AssetState.TRASHED]
    ),
    st.booleans(),
    st.sampled_from(Media),
    st.sampled_from(DAYS),
    st.sets(st.sampled_from(sorted(TERMS))),
    st.sampled_from(["clip.mov", "x.jpg", "CLIP.MOV", "Ünder.mov"]),
    st.sampled_from([0, 2, 6, 7, 10]),
)
Row = tuple[AssetState, bool, Media, str, set[str], str, int]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with closing(open_catalog(tmp_path_factory.mktemp("predicates") / "catalog.sqlite3", create=True)) as made:
        with made.transaction() as tx:
            tx.run("INSERT INTO blob VALUES (1, ?, 1)", Digest(bytes(32)))
            for name, broader in TERMS.items():
                above = None if broader is None else term_id(tx, broader)
                vocabulary.define(tx, name, above, 1)
        yield made


def term_id(connection: Connection, name: str) -> TermId:
    found = vocabulary.term_named(connection, name)
    assert found is not None
    return found.id


def fill(database: Database, rows: list[Row]) -> None:
    with database.transaction() as tx:
        tx.run("DELETE FROM asset")
        for state, triaged, media, day, terms, name, rating in rows:
            id_ = assets.insert_present(tx, name, media, BlobId(1), 1, 1, 0o644, day, 1)
            tx.run("UPDATE asset SET state = ?, triaged = ? WHERE id = ?", str(state), int(triaged), id_)
            if rating:
                remarks.set_rating(tx, id_, rating)
            for term in terms:
                vocabulary.attach(tx, id_, term_id(tx, term), TagSource.PERSON, 1.0, 1)


def traits(connection: Connection) -> dict[AssetId, Traits]:
    rows = connection.rows("SELECT id, visible, triaged, media, day, name, size FROM asset")
    return {
        id_: Traits(
            bool(visible), bool(triaged), Media(media), day, vocabulary.terms_of(connection, id_), name=name, size=size,
            rating=remarks.remark(connection, id_).rating,
        )
        for id_, visible, triaged, media, day, name, size in rows
    }  # fmt: skip


def has_tag(connection: Connection, name: str) -> HasTag:
    id_ = term_id(connection, name)
    return HasTag(id_, name, vocabulary.with_narrower(connection, id_))


def every_predicate(connection: Connection) -> list[Predicate]:
    tags: list[Predicate] = [has_tag(connection, name) for name in TERMS]
    periods: list[Predicate] = [CapturedIn(period) for period in ("2024", "2024-07", "2024-07-15", "2023", "1999-07")]
    asked: list[Predicate] = [
        *(Rated(Span(*ends), "") for ends in ((6, None), (None, 6), (0, 0), (2, 7))),
        *(OfSize(Span(*ends), "") for ends in ((1, None), (2, 5), (None, 1))),
        *(Named(pattern) for pattern in ("*.mov", "CLIP.*", "x.jpg", "*", "c%", "clip_mov", "*l*p*")),
        CapturedBetween("2024-07", "2024-08~", ""), CapturedBetween("", "2024", ""), CapturedBetween("2024~", "~", ""),
        Not(tags[0]), Not(Rated(Span(6, None), "")), Or((tags[3], OfMedia(Media.VIDEO))),
        Or((Not(tags[1]), And((tags[0], CapturedIn("2024"))))), Not(Or((tags[0], InInbox()))),
    ]  # fmt: skip
    plain: list[Predicate] = [Everything(), InInbox(), Untagged(), *(OfMedia(media) for media in Media)]
    pairs: list[Predicate] = [all_of([tags[0], tags[3]]), And((tags[1], periods[1], plain[1])), all_of([tags[2]])]
    return [*asked, *tags, *periods, *plain, *pairs]


@given(rows=st.lists(ROW, max_size=12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sql_and_match_agree(database: Database, rows: list[Row]) -> None:
    fill(database, rows)
    writer = database.writer
    known = traits(writer)
    for predicate in every_predicate(writer):
        wanted = [id_ for id_, trait in sorted(known.items()) if predicate.match(trait)]
        assert [row.id for row in assets.list_place(writer, predicate)] == wanted, predicate.text()
        inside = [id_ for id_ in sorted(known) if assets.in_place(writer, predicate, id_) is not None]
        assert inside == wanted, predicate.text()
        for name in ("clip.mov", "x.jpg", "absent"):
            first = assets.first_of_name(writer, predicate, name)
            named = [id_ for id_ in wanted if assets_name(writer, id_) == name]
            assert (None if first is None else first.id) == (named[0] if named else None), predicate.text()


def assets_name(connection: Connection, id_: AssetId) -> str:
    found = assets.asset(connection, id_)
    assert found is not None
    return found.name


@given(rows=st.lists(ROW, max_size=6))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_in_a_place_touches_one_of_its_facets(database: Database, rows: list[Row]) -> None:
    fill(database, rows)
    writer = database.writer
    for predicate in every_predicate(writer):
        for listed in assets.list_place(writer, predicate):
            assert assets.facets(writer, listed.id) & predicate.facets(), predicate.text()


def test_facets_and_texts(database: Database) -> None:
    beach, city = has_tag(database.writer, "beach"), has_tag(database.writer, "city")
    both = all_of([beach, city])
    assert both.facets() == {tag_facet(beach.term), tag_facet(city.term)}
    assert both.text() == "tag:beach tag:city"
    assert day_facets("2024-07-15") == {"date:", "date:2024", "date:2024-07", "date:2024-07-15"}
    assert OfMedia(Media.VIDEO).facets() == {media_facet(Media.VIDEO)}
    assert all_of([beach]) is beach

"""The plans of hot statements: each finds its rows by an index, however large the library is.

The statements are taken from the functions that run them, as they run them; a plan that walks a table fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from damfs.catalog import (
    assets,
    change_feed,
    derived,
    field_values,
    full_text,
    job_table,
    merging,
    preview_rows,
    proposals,
    remarks,
    saved_searches,
    stand_ins,
    statistics,
    stores,
    term_names,
    vectors,
    vocabulary,
)
from damfs.catalog.asked_predicates import Says
from damfs.catalog.database import Connection, Database, Row
from damfs.catalog.field_predicates import HasText, NumberIn, TextLike
from damfs.catalog.fields import TextValue
from damfs.catalog.migrations import open_catalog
from damfs.catalog.predicates import (
    INBOX_FACET,
    CapturedIn,
    Everything,
    HasTag,
    InInbox,
    OfMedia,
    Predicate,
    Untagged,
    all_of,
)
from damfs.core.processors.profiles import EDITING
from damfs.model import AssetId, BlobId, CopyId, Digest, FolderId, Media, RenditionId, StoreId, TermId
from tests.unit.golden_catalog import fill

Question = Callable[[Connection], object]
BEACH, SEA = HasTag(TermId(1), "beach", (TermId(1),)), HasTag(TermId(2), "sea", (TermId(2), TermId(3)))
MANY = tuple(map(TermId, range(1, 40_001)))
"""More than SQLite takes one by one."""
PLACES: dict[str, Predicate] = {
    "tag": BEACH,
    "tags": all_of([BEACH, SEA]),
    "day": CapturedIn("2024-07-15"),
    "year": CapturedIn("2024"),
    "media": OfMedia(Media.VIDEO),
    "inbox": InInbox(),
    "untagged": Untagged(),
    "everything": Everything(),
    "camera": HasText("camera", "sony fx3"),
    "place": HasText("place", "germany", below=True),
    "text like": TextLike("camera", "*fx3*"),
    "width": NumberIn("width", low=3840),
}
LISTED_BY_INDEX = ("tag", "tags", "day", "year", "media", "inbox", "camera", "place", "text like", "width")
"""untagged/ and similar-to/ list by walking the table of assets once, in a reader thread."""
JOBS = ("probe", "preview")


def by_name(predicate: Predicate) -> Question:
    return lambda connection: assets.first_of_name(connection, predicate, "clip.mov")


def by_id(predicate: Predicate) -> Question:
    return lambda connection: assets.in_place(connection, predicate, AssetId(5))


def listing(predicate: Predicate) -> Question:
    return lambda connection: assets.list_place(connection, predicate)


QUESTIONS: dict[str, Question] = {
    **{f"by name in {name}": by_name(place) for name, place in PLACES.items()},
    **{f"by id in {name}": by_id(place) for name, place in PLACES.items()},
    **{f"list {name}": listing(PLACES[name]) for name in LISTED_BY_INDEX},
    "years": lambda connection: assets.list_periods(connection, "", 4),
    "months": lambda connection: assets.list_periods(connection, "2024", 7),
    "has a day": lambda connection: assets.has_period(connection, "2024-07-15"),
    "asset": lambda connection: assets.asset(connection, AssetId(1)),
    "assets of a name": lambda connection: assets.named(connection, "clip.mov", 65),
    "twin": lambda connection: assets.find_twin(connection, BlobId(1), "clip.mov", AssetId(2)),
    "assets of a blob": lambda connection: assets.of_blob(connection, BlobId(1)),
    "receiving": assets.list_receiving,
    "facets": lambda connection: assets.facets(connection, AssetId(1)),
    "terms of an asset": lambda connection: vocabulary.terms_of(connection, AssetId(1)),
    "remark": lambda connection: remarks.remark(connection, AssetId(1)),
    "attribute": lambda connection: remarks.attribute(connection, AssetId(1), b"user.x"),
    "attributes": lambda connection: remarks.attribute_names(connection, AssetId(1)),
    "size of attributes": lambda connection: remarks.attributes_size(connection, AssetId(1), b"user.x"),
    "values of a field": lambda connection: field_values.list_keys(connection, "camera", ""),
    "values below": lambda connection: field_values.list_keys(connection, "place", "germany"),
    "has a value": lambda connection: field_values.has_key(connection, "place", "Germany", "germany"),
    "values of an asset": lambda connection: field_values.browsed(connection, AssetId(1)),
    "values of a blob": lambda connection: field_values.refresh(connection, BlobId(1), {}),
    "spelling": lambda connection: field_values._spelled(connection, TextValue("camera", "fx3", "FX3"), {}),
    "spelling of a path": lambda connection: field_values._spelled(connection, TextValue("place", "a/b", "A/B"), {}),
    "thumbnail": lambda connection: derived.thumbnail(connection, BlobId(1), "256"),
    "term in use": lambda connection: vocabulary.in_use(connection, TermId(1)),
    "what is said of a term": lambda connection: merging.some_assets(connection, TermId(1), 1000),
    "what some carry of a term": lambda connection: merging.carried(connection, [AssetId(1)], TermId(1)),
    "is a term described": lambda connection: term_names.is_described(connection, TermId(1)),
    "judged with a term": lambda connection: proposals.learnt_from(connection, TermId(1), proposals.NOBODY),
    "carriers": lambda connection: vocabulary.carriers(connection, (TermId(1), TermId(2)), 65),
    "file of a folder": lambda connection: stores.shown(connection, FolderId(1), b"clip.mov"),
    "files of a folder": lambda connection: stores.list_shown(connection, FolderId(1)),
    "copy at": lambda connection: stores.copy_at(connection, FolderId(1), b"clip.mov"),
    "copies of a blob": lambda connection: stores.copies_of_blob(connection, BlobId(1)),
    "copies of an asset": lambda connection: stores.copies_of_asset(connection, AssetId(1)),
    "blob": lambda connection: stores.blob_of(connection, Digest(bytes(32))),
    "key": lambda connection: stores.key_of(connection, FolderId(1), b"clip.mov"),
    "folder at": lambda connection: stores.folder_at(connection, StoreId(1), [b"2024", b"07"]),
    "folders": lambda connection: stores.list_folders(connection, FolderId(1)),
    "stand-ins of a folder": lambda connection: stand_ins.list_of_folder(connection, EDITING, FolderId(1)),
    "stand-ins of a stem": lambda connection: stand_ins.of_stem(connection, EDITING, FolderId(1), b"clip"),
    "stand-ins of an asset": lambda connection: stand_ins.of_asset(connection, EDITING, FolderId(1), AssetId(1)),
    "refused copies of a folder": lambda connection: stand_ins.list_refused(connection, FolderId(1)),
    "a refused copy": lambda connection: stand_ins.is_refused(connection, FolderId(1), b"clip.LRF"),
    "stand-in of a copy": lambda connection: stand_ins.of_copy(connection, EDITING, CopyId(1)),
    "stand-in of a hash": lambda connection: stand_ins.of_hash(connection, EDITING, "ab" * 16),
    "previews of a folder": lambda connection: preview_rows.list_previews(connection, FolderId(1)),
    "previews of a file": lambda connection: preview_rows.of_file(connection, FolderId(1), b"clip.mov"),
    "previews of a copy": lambda connection: preview_rows.of_copy(connection, CopyId(1)),
    "rendition": lambda connection: derived.rendition(connection, RenditionId(1)),
    "renditions of a blob": lambda connection: derived.renditions_of(connection, BlobId(1)),
    "vector": lambda connection: derived.vector_of(connection, BlobId(1), "look-1"),
    "last vector": lambda connection: vectors.last_id(connection, "look-1"),
    "vectors after": lambda connection: next(vectors.list_pages(connection, "look-1", 5, 100), None),
    "assets of vectors": lambda connection: vectors.list_owners(connection, [1]),
    "vectors of assets": lambda connection: list(vectors.list_of_assets(connection, "look-1", [AssetId(1)])),
    "vectors that went": lambda connection: vectors.dropped_since(connection, "look-1", 0),
    "enough vectors": lambda connection: vectors.more_than(connection, "look-1", 0),
    "models of moments": lambda connection: derived.models_of_moments(connection, BlobId(1)),
    "texts that are due": lambda connection: full_text.list_due(connection, 100),
    "last due": full_text.last_due,
    "texts of some": lambda connection: full_text.refresh(connection, [AssetId(1), AssetId(2)]),
    "written": lambda connection: full_text.find_texts(connection, [Says("sea")], OfMedia(Media.VIDEO), 200),
    "tagged": lambda connection: full_text.find_texts(
        connection, [Says("sea", terms=(TermId(1),)), Says("sky", terms=(TermId(3),)), Says("car")], BEACH, 200
    ),
    "tagged with any of many": lambda connection: full_text.find_texts(
        connection, [Says("sea", terms=MANY), Says("sky", terms=MANY[1:])], all_of([Says("car", terms=MANY)]), 200
    ),
    "list of those that say any of many": lambda connection: assets.list_place(connection, Says("car", terms=MANY)),
    "where a word is": lambda connection: full_text.columns_saying(connection, AssetId(1), [Says("sea")]),
    "terms of a word": lambda connection: full_text.terms_saying(connection, "sea", prefix=True, limit=50),
    "rows of some": lambda connection: assets.list_rows_of(connection, [AssetId(1), AssetId(2)]),
    "is a search kept": lambda connection: saved_searches.is_saved(connection, "sea"),
    "is a job due": lambda connection: job_table.is_due(connection, JOBS, 5),
    "next due": lambda connection: job_table.next_due_ns(connection, JOBS),
    "lease": lambda connection: job_table.lease(connection, JOBS, 5, 6),
    "states of a blob's jobs": lambda connection: job_table.states_of(connection, BlobId(1)),
    "touched": lambda connection: change_feed.touched_ns(connection, [INBOX_FACET]),
    "copy moved": lambda connection: stores.move_copy(connection, CopyId(1), FolderId(1), b"x", 1, 1, 1),
}
LARGE = (
    "asset",
    "copy",
    "job",
    "remark",
    "attribute",
    "tagging",
    "proposal",
    "judgement",
    "blob",
    "version",
    "embedding",
    "rendition",
    "fact",
    "field_text",
    "field_number",
    "change",
    "folder",
)
WALK = re.compile(r"^SCAN (?:a|c|g|f|j|r|e|t|" + "|".join(LARGE) + r")\b(?! USING (?:COVERING )?INDEX)")
COMPARES_AN_INDEX = re.compile(r"^SCAN \w+ USING (?:COVERING )?INDEX (\w+)")
GIVEN_LIST = re.compile(r"SCAN (?!said\b|w\b)\w+ VIRTUAL TABLE")
"""Not ``said``, a list in a row of the table before it, nor ``w``, the two or three profiles of a proxy."""
PARTIAL = {"asset_in_inbox", "asset_receiving", "job_waiting", "job_leased", "job_due"}
"""Walking one of these walks what is to be done, not the library."""


@pytest.fixture(scope="module", params=["new", "many days", "one day"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One that holds nothing; large ones of which SQLite has statistics, as after a day: of many days, folders and
    terms, and of one each."""
    path = tmp_path_factory.mktemp("plans") / "catalog.sqlite3"
    if request.param != "new":
        with closing(open_catalog(path, create=True)) as made:
            grow(made, spread=500 if request.param == "many days" else 1)
            assert statistics.gather(made.writer, 1)
    with closing(open_catalog(path, create=request.param == "new")) as made:
        yield made


def grow(database: Database, spread: int) -> None:
    """Rows like those of a small catalog, many times over."""
    day = "date('2020-01-01', (i % {spread}) || ' days')"
    others = {
        "blob": {"id": "i", "digest": "randomblob(32)"},
        "folder": {"id": "i", "name": "CAST('folder ' || i AS BLOB)"},
        "term": {"id": "i", "name": "'term ' || i"},
        "asset": {"id": "i", "blob": "i", "name": "'clip ' || i || '.mov'", "day": day, "triaged": "1"},
        "copy": {"id": "i", "asset": "i", "blob": "i", "folder": "{first} + i % {spread}", "name": "randomblob(9)"},
        "tagging": {"asset": "i", "term": "{first} + i % {spread}"},
        "rendition": {"id": "i", "blob": "i", "key": "'key ' || i"},
        "job": {"id": "i", "blob": "i", "state": "'done'"},
        "change": {"seq": "i", "asset": "i"},
        "version": {"id": "i", "asset": "i", "blob": "i"},
        "embedding": {"id": "i", "blob": "i"},
        **{table: {"blob": "i"} for table in ("fact", "field_text", "field_number")},
    }
    like = {"folder": "parent IS NOT NULL", "asset": "name = 'clip.mov'"}
    first, few = 1000, {"folder", "term"}
    with database.transaction() as tx:
        fill(tx)
        for table, changed in others.items():
            last = first + (spread if table in few else statistics.SMALL)
            columns = [name for (name,) in tx.rows("SELECT name FROM pragma_table_info(?)", table)]
            values = ", ".join(changed.get(name, name).format(first=first, spread=spread) for name in columns)
            tx.script(
                f"WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})"  # constants
                f" INSERT INTO {table} ({', '.join(columns)})"
                f" SELECT {values} FROM n, (SELECT * FROM {table} WHERE {like.get(table, '1')} LIMIT 1)"
            )


def statements(database: Database, question: Question) -> list[tuple[str, tuple[object, ...]]]:
    """What a function asks, with its values."""
    seen: list[tuple[str, tuple[object, ...]]] = []

    def trace(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        seen.append((sql, tuple(bindings) if isinstance(bindings, tuple) else ()))
        return True

    database.writer.script("SAVEPOINT before")
    database.writer._apsw.exec_trace = trace
    try:
        question(database.writer)
    finally:
        database.writer._apsw.exec_trace = None
        database.writer.script("ROLLBACK TO before; RELEASE before")
    return seen


def plan(database: Database, sql: str, values: tuple[object, ...]) -> list[str]:
    rows = database.writer.rows(f"EXPLAIN QUERY PLAN {sql}", *values)
    return [row[3] for row in rows]


def walks(step: str) -> bool:
    """Whether a step of a plan looks at every row of a large table or of an index over one."""
    by_index = COMPARES_AN_INDEX.match(step)
    return WALK.match(step) is not None or (by_index is not None and by_index[1] not in PARTIAL)


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_hot_statement_walks_a_table(database: Database, name: str) -> None:
    asked = statements(database, QUESTIONS[name])
    assert asked
    for sql, values in asked:
        steps = plan(database, sql, values)
        assert steps or " VALUES " in sql
        assert not [step for step in steps if walks(step)], f"{sql}\n" + "\n".join(steps)


def searched_again(rows: list[Row]) -> list[str]:
    """Lists that are walked for every row of a table before them in the same join: time grows with both."""
    begun: set[int] = set()
    found = []
    for _, parent, _, step in rows:
        if parent in begun and GIVEN_LIST.match(step):
            found.append(step)
        if step.startswith(("SCAN", "SEARCH")):
            begun.add(parent)
    return found


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_list_that_is_given_is_walked_once(database: Database, name: str) -> None:
    for sql, values in statements(database, QUESTIONS[name]):
        again = searched_again(database.writer.rows(f"EXPLAIN QUERY PLAN {sql}", *values))
        assert not again, sql


def test_a_list_that_is_walked_again_is_seen(tmp_path: Path) -> None:
    """Where nothing is known of the tables."""
    sql = "SELECT e.id FROM json_each(?) AS wanted JOIN asset AS a ON a.id = wanted.value JOIN embedding AS e"
    sql += " ON e.blob = a.blob AND e.model = ? WHERE a.visible"
    with closing(open_catalog(tmp_path / "catalog.sqlite3", create=True)) as made:
        assert searched_again(made.writer.rows(f"EXPLAIN QUERY PLAN {sql}", "[1]", "look-1"))


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name.startswith(("by name", "by id"))])
def test_no_lookup_gathers_the_whole_place(database: Database, name: str) -> None:
    """A list subquery is filled with every asset of the term before the first row is looked at."""
    ((sql, values),) = statements(database, QUESTIONS[name])
    assert not [step for step in plan(database, sql, values) if "LIST SUBQUERY" in step]


@pytest.mark.parametrize("name", QUESTIONS)
def test_terms_are_compared_with_those_of_an_asset(database: Database, name: str) -> None:
    """Not each of the thousands that may be below one asked for in turn, for every asset."""
    for sql, values in statements(database, QUESTIONS[name]):
        asked = [step for step in plan(database, sql, values) if "EXISTS" in step and "(asset=? AND term=?)" in step]
        assert not asked or " IN (" not in sql, sql


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name.startswith("by name")])
def test_lookups_by_name_use_the_index_of_names(database: Database, name: str) -> None:
    ((sql, values),) = statements(database, QUESTIONS[name])
    assert any("asset_by_name (name=?)" in step for step in plan(database, sql, values))


def test_whoever_refers_to_a_term_is_found_by_an_index(database: Database) -> None:
    """The database looks for them itself when one is removed; it tells no plan of that."""
    refer = 'SELECT t.name, f."from" FROM sqlite_schema AS t, pragma_foreign_key_list(t.name) AS f'
    found = database.writer.rows(f"{refer} WHERE t.type = 'table' AND f.\"table\" = 'term'")
    assert {("tagging", "term"), ("proposal", "term"), ("judgement", "term"), ("term", "broader")} <= set(found)
    for table, column in found:
        (step,) = plan(database, f"SELECT 1 FROM {table} WHERE {column} = ?", (1,))
        assert step.startswith("SEARCH"), f"{table}: {step}"


def test_what_some_carry_is_looked_up_for_each(database: Database) -> None:
    """Not among all that was judged with the term."""
    ((sql, values),) = statements(database, QUESTIONS["what some carry of a term"])
    steps = [step for step in plan(database, sql, values) if step.startswith("SEARCH")]
    assert steps
    assert all("asset=?" in step for step in steps), steps


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM asset AS a WHERE a.mtime_ns = 5",
        "SELECT count(*) FROM tagging",
        "SELECT * FROM copy AS c JOIN asset AS a ON a.id = c.asset WHERE c.state = 'present'",
        "SELECT sum(attempts) FROM job",
    ],
)
def test_a_walk_is_seen(database: Database, sql: str) -> None:
    assert [step for step in plan(database, sql, ()) if walks(step)]


def test_statistics_are_gathered_once_a_day_of_large_tables_alone(tmp_path: Path) -> None:
    day = statistics.EVERY_NS
    with closing(open_catalog(tmp_path / "catalog.sqlite3", create=True)) as made:
        assert not statistics.gather(made.writer, 5), "it is small"
        grow(made, spread=3)
        asked = [statistics.gather(made.writer, now) for now in (5, 6, day, day + 5, 4)]
        assert asked == [True, False, False, True, True], "a clock that was set back is no reason to wait"
        known = {table for (table,) in made.writer.rows("SELECT tbl FROM sqlite_stat1")}
        assert {"asset", "copy", "tagging"} <= known
        assert not known & {"term", "folder", "remark", "attribute", "store"}


def test_statistics_that_cannot_be_written_are_no_error(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite3"
    with closing(open_catalog(path, create=True)) as made:
        grow(made, spread=3)
    with closing(Connection(path, read_only=True)) as connection:
        assert not statistics.gather(connection, 5)

"""A catalog comes to the present schema with a backup first, step by step, or stays as it was."""

from __future__ import annotations

import re
import time
from contextlib import closing
from pathlib import Path

import pytest

from damfs.catalog import assets, derived, migrations, stores, trash, vocabulary
from damfs.catalog.database import Connection, Database
from damfs.catalog.migrations import SCHEMA_VERSION, Step, migrate, open_catalog, schema_version
from damfs.errors import BadLibrary
from damfs.model import AssetId, Media

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite3"


def schema_of(database: Database) -> list[tuple[object, ...]]:
    """Without comments and line breaks."""
    rows = database.writer.rows(
        "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    )
    return [(kind, name, " ".join(re.sub(r"--.*", "", sql).split())) for kind, name, sql in rows]


def add_colour(tx: Connection) -> None:
    tx.run("ALTER TABLE asset ADD COLUMN colour TEXT")


def fail_half_way(tx: Connection) -> None:
    tx.run("DELETE FROM asset")
    raise ZeroDivisionError


def with_an_asset(path: Path) -> None:
    with closing(open_catalog(path, create=True)) as database, database.transaction() as tx:
        assets.insert_receiving(tx, "clip.mov", Media.VIDEO, 0o644, "2024-07-15", 1, triaged=False)


def test_a_new_catalog_has_the_present_schema(path: Path) -> None:
    with closing(open_catalog(path, create=True)) as database:
        assert schema_version(database.writer) == SCHEMA_VERSION
        assert database.writer.rows("PRAGMA foreign_key_check") == []
    assert not (path.parent / "backups").exists()


def test_a_missing_catalog_is_not_made_by_opening(path: Path) -> None:
    with pytest.raises(BadLibrary, match="is missing"):
        open_catalog(path)
    assert not path.exists()


def test_a_newer_schema_is_refused_in_one_line_and_left_alone(path: Path) -> None:
    with_an_asset(path)
    with closing(Connection(path)) as connection:
        connection.script(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(BadLibrary) as refusal:
        open_catalog(path)
    assert str(refusal.value) == (
        f"{path} was written by a newer damfs (schema {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION});"
        " update damfs"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"This is no database. " * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_catalog_is_one_line(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(BadLibrary, match=r"is damaged .*backups"):
        open_catalog(path)


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    with closing(Connection(path)) as connection:
        connection.script("CREATE TABLE moz_places (id INTEGER)")
    with pytest.raises(BadLibrary, match="of another program"):
        open_catalog(path)


def test_a_backup_is_made_before_a_step_runs(path: Path) -> None:
    with_an_asset(path)
    seen = []

    def step(tx: Connection) -> None:
        seen.extend(sorted(each.name for each in (path.parent / "backups").iterdir()))
        add_colour(tx)

    with closing(Database(path)) as database:
        migrate(database, SCHEMA_VERSION + 1, {SCHEMA_VERSION: step})
        assert schema_version(database.writer) == SCHEMA_VERSION + 1
        assert database.writer.rows("SELECT name, colour FROM asset") == [("clip.mov", None)]
    assert seen == [f"catalog-schema{SCHEMA_VERSION}-1.sqlite3"]
    with closing(open_catalog(path.parent / "backups" / seen[0])) as backup:
        assert schema_version(backup.writer) == SCHEMA_VERSION
        assert backup.writer.rows("SELECT name FROM asset") == [("clip.mov",)]


def test_a_step_that_fails_leaves_the_version_before_it(path: Path) -> None:
    with_an_asset(path)
    steps: dict[int, Step] = {SCHEMA_VERSION: add_colour, SCHEMA_VERSION + 1: fail_half_way}
    with closing(Database(path)) as database:
        with pytest.raises(ZeroDivisionError):
            migrate(database, SCHEMA_VERSION + 2, steps)
        assert schema_version(database.writer) == SCHEMA_VERSION + 1
        assert database.writer.integer("SELECT count(*) FROM asset") == 1
        steps[SCHEMA_VERSION + 1] = lambda tx: None
        migrate(database, SCHEMA_VERSION + 2, steps)
        assert schema_version(database.writer) == SCHEMA_VERSION + 2
    assert len(list((path.parent / "backups").iterdir())) == 2, "an older backup is never overwritten"


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_a_catalog_of_every_released_schema_opens(path: Path, version: int) -> None:
    with closing(Connection(path)) as connection:
        connection.script((GOLDEN / f"schema-{version}.sql").read_text(encoding="utf-8"))
    with closing(open_catalog(path)) as database, closing(open_catalog(path.with_suffix(".new"), create=True)) as fresh:
        assert schema_version(database.writer) == SCHEMA_VERSION
        assert schema_of(database) == schema_of(fresh)
        assert database.writer.rows("PRAGMA foreign_key_check") == []
        assert_golden_rows(database.writer)


def assert_golden_rows(connection: Connection) -> None:
    """The rows that every golden catalog holds, read by the present code."""
    clip = assets.asset(connection, AssetId(1))
    assert clip is not None
    assert (clip.name, clip.media, clip.size) == ("clip.mov", Media.VIDEO, 1000)
    assert [term.name for term in vocabulary.tagged_terms(connection, AssetId(1))] == ["sunset"]
    assert len(vocabulary.terms_of(connection, AssetId(1))) == 2
    (library,) = stores.all_stores(connection)
    assert b"2024/07/15/clip.mov" in [bytes(key) for key, _ in stores.list_copies(connection, library.id)]
    assert clip.blob is not None
    assert derived.facts_of(connection, clip.blob)["probe"]["width"] == 1920


def test_the_golden_dump_of_the_present_schema_is_the_present_schema() -> None:
    """Whoever changes schema.sql after a release makes a new version, a step, and a new dump (golden_catalog.py)."""
    dump = (GOLDEN / f"schema-{SCHEMA_VERSION}.sql").read_text(encoding="utf-8")
    assert f"PRAGMA user_version = {SCHEMA_VERSION};" in dump
    assert migrations.STEPS.keys() == set(range(1, SCHEMA_VERSION))


def test_what_was_trashed_with_the_first_release_is_kept_a_whole_retention(path: Path) -> None:
    with closing(Connection(path)) as connection:
        connection.script((GOLDEN / "schema-1.sql").read_text(encoding="utf-8"))
        connection.script("UPDATE asset SET state = 'trashed'")
    began = time.time_ns() - 1_000_000_000
    with closing(open_catalog(path)) as database:
        (trashed,) = trash.list_trashed(database.writer)
        assert (trashed.name, trashed.place) == ("clip.mov", "")
        assert began <= trashed.at_ns <= time.time_ns()
        assert trash.list_misplaced(database.writer) == [trashed.asset], "its file is moved aside at the start"

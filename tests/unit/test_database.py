"""The SQLite file below the catalog: all or nothing, one state for a reader, clear errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest
import trio

from damfs.catalog import checkpoints, derived
from damfs.catalog.database import Connection, Database
from damfs.catalog.migrations import open_catalog
from damfs.errors import NoSpace, Unavailable


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(open_catalog(tmp_path / "catalog.sqlite3", create=True)) as made:
        yield made


def fail_after(database: Database, rows: int) -> None:
    with database.transaction() as tx:
        for number in range(rows):
            derived.set_property(tx, f"name {number}", "x" * 1000)
        raise ZeroDivisionError


def test_an_error_undoes_the_whole_transaction(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_after(database, 1)
    assert derived.property_value(database.writer, "name 0") is None
    assert not database.writer.in_transaction


def test_a_durable_transaction_is_synced_and_the_next_is_not(database: Database) -> None:
    seen = []
    with database.transaction(durable=True) as tx:
        seen.append(tx.integer("PRAGMA synchronous"))
    seen.append(database.writer.integer("PRAGMA synchronous"))
    assert seen == [2, 1]


def test_a_full_disk_is_no_space_and_changes_nothing(database: Database) -> None:
    pages = database.writer.integer("PRAGMA page_count")
    database.writer.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(NoSpace, match="no space left for the catalog"):
        fail_after(database, 1000)
    assert derived.property_value(database.writer, "name 0") is None


def test_a_catalog_that_another_process_holds_is_unavailable(database: Database) -> None:
    database.writer._apsw.set_busy_timeout(1)
    with closing(Connection(database.path)) as other:
        other.script("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="cannot be written"), database.transaction():
            pass
        other.script("ROLLBACK")


def test_references_are_held(database: Database) -> None:
    with pytest.raises(apsw.ConstraintError), database.transaction() as tx:
        tx.run("INSERT INTO tagging (asset, term, source, confidence, created_ns) VALUES (1, 1, 'person', 1.0, 1)")


def test_value_refuses_what_is_of_another_kind(database: Database) -> None:
    assert database.writer.value(int, "SELECT 1") == 1
    assert database.writer.value(str, "SELECT NULL") is None
    assert database.writer.value(str, "SELECT 'x' WHERE 0") is None
    with pytest.raises(TypeError, match="int where str was asked for"):
        database.writer.value(str, "SELECT 1")


async def test_a_reader_sees_one_state_however_long_it_asks(database: Database) -> None:
    with database.transaction() as tx:
        derived.set_property(tx, "a", "1")
    asked, changed = threading.Event(), threading.Event()

    def question(reader: Connection) -> list[str | None]:
        answers = [derived.property_value(reader, "a")]
        asked.set()
        assert changed.wait(90)
        return [*answers, derived.property_value(reader, "a")]

    async def change() -> None:
        await trio.to_thread.run_sync(asked.wait)
        with database.transaction() as tx:
            derived.set_property(tx, "a", "2")
        changed.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        assert await database.read(question) == ["1", "1"]
    assert await database.read(lambda reader: derived.property_value(reader, "a")) == "2"


async def test_a_reader_cannot_write_and_an_error_leaves_it_usable(database: Database) -> None:
    def write(reader: Connection) -> None:
        reader.run("DELETE FROM property")

    for _ in range(3):
        with pytest.raises(apsw.ReadOnlyError):
            await database.read(write)
    assert await database.read(lambda reader: reader.integer("SELECT 7")) == 7


async def test_more_questions_than_readers_take_turns(database: Database) -> None:
    answers = []

    async def ask(number: int) -> None:
        answers.append(await database.read(lambda reader: reader.integer("SELECT ?", number)))

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(ask, number)
    assert sorted(answers) == list(range(50))


def test_the_log_is_brought_over_by_a_thread_of_its_own(database: Database) -> None:
    """A commit that does it would keep the loop waiting."""
    log = database.path.with_name(database.path.name + "-wal")
    lengths = []
    for number in range(60):
        with database.transaction() as tx:
            for each in range(25):
                derived.set_property(tx, f"name {number} {each}", "x" * 3000)
        lengths.append(log.stat().st_size)
        database._checkpoints.end()
    assert database._checkpoints.begun >= 1
    assert max(lengths) < 2 * checkpoints.PAGES * 4096, "it begins anew when all of it was brought over"


def test_a_log_that_begins_anew_is_written_over_no_old_blocks(database: Database) -> None:
    """They may have to be read from the disk first, within the commit."""
    log = database.path.with_name(database.path.name + "-wal")
    with database.transaction() as tx:
        for each in range(checkpoints.PAGES + 100):
            derived.set_property(tx, f"name {each}", "x" * 4000)
    assert log.stat().st_size > checkpoints.PAGES * 4096
    database._checkpoints.end()
    for _ in range(2):
        with database.transaction() as tx:
            derived.set_property(tx, "name", "x")
    assert log.stat().st_size < 20 * 4096


def test_a_log_that_no_thread_comes_to_is_brought_over_by_the_commit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "LIMIT_PAGES", 50)
    monkeypatch.setattr(checkpoints, "PAGES", 10_000)
    database._checkpoints._due = 10_000
    log = database.path.with_name(database.path.name + "-wal")
    for number in range(60):
        with database.transaction() as tx:
            derived.set_property(tx, f"name {number}", "x" * 30_000)
    assert database._checkpoints.begun == 0
    assert log.stat().st_size < 150 * 4096


def test_a_commit_is_a_commit_even_if_its_log_cannot_be_brought_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was told that it failed would do it again."""
    monkeypatch.setattr(checkpoints, "LIMIT_PAGES", 1)

    def busy(*_: object) -> int:
        raise apsw.BusyError("the thread is at it")

    monkeypatch.setattr(database._checkpoints, "_consider", busy)
    with database.transaction() as tx:
        derived.set_property(tx, "name", "value")
    assert derived.property_value(database.writer, "name") == "value"

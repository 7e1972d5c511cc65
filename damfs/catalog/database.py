"""The SQLite file below the catalog: one writer, reader threads, transactions.

Concurrency: the writer connection belongs to the thread that opened the database (the loop's); transactions and
point reads run on it inline. Scans go through `read`, in a worker thread with a connection of its own. A
transaction holds no ``await``. Crash rule: WAL; a durable transaction is on disk when it returns
(synchronous=FULL), another one survives a killed process but perhaps not a power loss.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw
import trio

from damfs.catalog.checkpoints import Checkpoints
from damfs.errors import NoSpace, Unavailable

Row = tuple[Any, ...]
"""A row's values have the types of its columns: every table is STRICT, so SQLite itself holds schema.sql to it."""
T = TypeVar("T")

READERS = 4
PRAGMAS = (
    "foreign_keys = ON",
    "synchronous = NORMAL",
    "cache_size = -32768",
    "temp_store = MEMORY",
    # A log that begins anew is written over old blocks, a piece of a block at a time: what copied footage has driven
    # out of the page cache would be read from the disk first, within the commit. Cut off, there is nothing to read.
    "journal_size_limit = 0",
)
"""Of the connection that writes."""
BUSY_TIMEOUT_MS = 10_000


class Connection:
    """A typed, counting face of an APSW connection: all SQL of the catalog passes here."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        self._apsw = apsw.Connection(str(path), flags=flags, statementcachesize=1000)
        self._apsw.set_busy_timeout(BUSY_TIMEOUT_MS)
        self.statements = 0
        """Statements run so far: tests hold queries per operation by it."""

    def rows(self, sql: str, *values: apsw.SQLiteValue) -> list[Row]:
        self.statements += 1
        return self._apsw.execute(sql, values).fetchall()

    def row(self, sql: str, *values: apsw.SQLiteValue) -> Row | None:
        self.statements += 1
        return self._apsw.execute(sql, values).fetchone()

    def value(self, kind: type[T], sql: str, *values: apsw.SQLiteValue) -> T | None:
        """The one value that a statement answers, of the kind its column has; None for NULL or no row."""
        row = self.row(sql, *values)
        if row is None or row[0] is None:
            return None
        if not isinstance(row[0], kind):
            raise TypeError(f"{type(row[0]).__name__} where {kind.__name__} was asked for: {sql}")
        return row[0]

    def integer(self, sql: str, *values: apsw.SQLiteValue) -> int:
        """The one integer a statement answers; 0 for NULL or no row."""
        return self.value(int, sql, *values) or 0

    def exists(self, sql: str, *values: apsw.SQLiteValue) -> bool:
        """Whether a statement answers any row."""
        return self.row(sql, *values) is not None

    def run(self, sql: str, *values: apsw.SQLiteValue) -> int:
        """Run a statement that changes rows; how many it changed."""
        self.statements += 1
        self._apsw.execute(sql, values)
        return self._apsw.changes()

    def insert(self, sql: str, *values: apsw.SQLiteValue) -> int:
        """Run an INSERT; the row id it made."""
        self.statements += 1
        self._apsw.execute(sql, values)
        return self._apsw.last_insert_rowid()

    def insert_all(self, sql: str, rows: Sequence[tuple[apsw.SQLiteValue, ...]]) -> None:
        """An INSERT that ends with the marks of one row, for some dozens of rows in one statement."""
        if rows:
            marks = sql[sql.rindex("(") :]
            self.run(sql + f", {marks}" * (len(rows) - 1), *(value for row in rows for value in row))

    def run_many(self, sql: str, values: Iterator[tuple[apsw.SQLiteValue, ...]]) -> None:
        self.statements += 1
        self._apsw.executemany(sql, values)

    def script(self, sql: str) -> None:
        """Several statements, inside whatever transaction is open."""
        self._apsw.execute(sql)

    def after_commits(self, told: Callable[[apsw.Connection, str, int], int]) -> None:
        """Have somebody told of the length of the write-ahead log, in place of SQLite's own checkpoints."""
        self._apsw.set_wal_hook(told)

    @property
    def in_transaction(self) -> bool:
        return self._apsw.in_transaction

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Every statement of the block sees the same state of the catalog."""
        self._apsw.execute("BEGIN")
        try:
            yield
        finally:
            self._apsw.execute("ROLLBACK")

    def backup_to(self, path: Path) -> None:
        """A consistent copy of the whole database in a new file. Blocks. Raises NoSpace, Unavailable."""
        target = apsw.Connection(str(path))
        try:
            with target.backup("main", self._apsw, "main") as backup:
                backup.step()
        except apsw.FullError:
            raise NoSpace(f"no space left for a copy of the catalog ({path}); free some and try again") from None
        except (apsw.IOError, apsw.CorruptError, apsw.BusyError) as error:
            raise Unavailable(f"the catalog cannot be copied to {path}: {error}") from None
        finally:
            target.close()

    def close(self) -> None:
        self._apsw.close()


class Database:
    """Opens one catalog file. The schema is `migrations`' business: open through `catalog.open_catalog`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.commits = 0
        """Transactions so far: who remembers an answer of the catalog's knows by it whether that still holds."""
        self.on_commit: Callable[[], None] = lambda: None
        """Called after each; it must not raise."""
        self.writer = Connection(path)
        self.writer.rows("PRAGMA journal_mode = WAL")
        for pragma in PRAGMAS:
            self.writer.script(f"PRAGMA {pragma}")
        self._checkpoints = Checkpoints(path)
        self.writer.after_commits(self._checkpoints.committed)
        self._idle_readers: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._reader_limit = trio.CapacityLimiter(READERS)

    @contextmanager
    def transaction(self, *, durable: bool = False, quiet: bool = False) -> Iterator[Connection]:
        """All or nothing. With ``durable`` it survives power loss when the block is left. No ``await`` inside. After a
        ``quiet`` one every answer of before still holds, so that nobody is told of it.

        Raises NoSpace when the disk is full, Unavailable when it fails; nothing is changed then.
        """
        writer = self.writer
        if durable:
            writer.script("PRAGMA synchronous = FULL")
        try:
            writer.script("BEGIN IMMEDIATE")
            try:
                yield writer
                writer.script("COMMIT")
                if not quiet:
                    self.commits += 1
                    self.on_commit()
            except BaseException:
                if writer.in_transaction:
                    writer.script("ROLLBACK")
                raise
        except apsw.FullError:
            raise NoSpace(f"no space left for the catalog ({self.path}); free some and try again") from None
        except (apsw.IOError, apsw.BusyError) as error:
            raise Unavailable(f"the catalog ({self.path}) cannot be written: {error}") from None
        finally:
            if durable:
                writer.script("PRAGMA synchronous = NORMAL")

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Ask something that may scan, in a reader thread: all of it sees one state, with what was committed before."""
        return await trio.to_thread.run_sync(self._read_blocking, question, limiter=self._reader_limit)

    def _read_blocking(self, question: Callable[[Connection], T]) -> T:
        try:
            reader = self._idle_readers.get_nowait()
        except queue.Empty:
            reader = self.open_reader()
        try:
            with reader.snapshot():
                return question(reader)
        finally:
            self._idle_readers.put(reader)

    def open_reader(self) -> Connection:
        """A connection of its own for a thread that reads again and again; whoever asks closes it."""
        return Connection(self.path, read_only=True)

    def close(self) -> None:
        while True:
            try:
                self._idle_readers.get_nowait().close()
            except queue.Empty:
                break
        self._checkpoints.end()
        self.writer.close()

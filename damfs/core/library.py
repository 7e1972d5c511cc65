"""An open library: settings, catalog, stores, staging, and the one door for changes.

Concurrency: belongs to the loop's thread. `execute` commits inline, in one small transaction, and then tells the
followers of the feed; anything that may scan or touch files is asked for in a thread. Only one process has a
library open (a lock on state/lock). Crash rule: closing is a courtesy, never needed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import trio

from damfs.catalog import assets, derived, full_text, statistics, stores, vectors
from damfs.catalog.change_feed import Recorder, new_group
from damfs.catalog.database import Connection, Database
from damfs.catalog.migrations import open_catalog
from damfs.core.arriving import Waiting
from damfs.core.commands import Command, Execution
from damfs.core.complaints import Complaints
from damfs.core.counters import Counters
from damfs.core.description import local_day
from damfs.core.feed import Feed
from damfs.core.followed_index import index_property
from damfs.core.gate import Gate
from damfs.core.model_health import ModelHealth
from damfs.core.model_progress import Pace
from damfs.core.model_report import ModelStatus
from damfs.core.model_state import model_status
from damfs.core.moments import Moments
from damfs.core.nearest import Nearest
from damfs.core.planner import Planner
from damfs.core.processor_registry import ProcessorRegistry
from damfs.core.processors.processor import Worker
from damfs.core.refusals import Refusals
from damfs.core.search_turns import SearchTurns
from damfs.core.searching import Searches
from damfs.core.shown_answers import ShownAnswers
from damfs.core.similar import Similar
from damfs.core.status import status_of
from damfs.core.status_report import Status
from damfs.core.text_upkeep import TextUpkeep
from damfs.core.vector_indexes import VectorIndexes
from damfs.errors import BadLibrary, DamfsError, NotFound, Unavailable
from damfs.model import (
    LIBRARY_STORE,
    Asset,
    AssetId,
    BlobId,
    Copy,
    CopyState,
    RenditionKind,
    Store,
    StoreId,
    StoreKind,
)
from damfs.settings import DEFAULT_SETTINGS, ORIGINALS, SETTINGS_FILE, Settings, read_settings
from damfs.storage.local import LocalStore
from damfs.storage.received_notes import ReceivedNotes
from damfs.storage.staging import Staging, staging_directory

log = logging.getLogger(__name__)

R = TypeVar("R")
TERM_CHANGES = frozenset(
    {"term-defined", "term-renamed", "term-removed", "term-labelled", "term-merged", "terms-imported"}
)
"""Changes of which names lead to which terms."""


class Library:
    """Made by `open_library`."""

    def __init__(self, path: Path, settings: Settings, db: Database, registry: ProcessorRegistry) -> None:
        self.path = path
        self.settings = settings
        self.db = db
        self.registry = registry
        self.feed = Feed()
        self.planner = Planner(registry.processors, settings)
        self.state = path / "state"
        self.originals = path / "originals"
        self.renditions = self.state / "renditions"
        self.staging = Staging(staging_directory(self.state, self.originals))
        self.received_notes = ReceivedNotes(self.state)
        self.skip: frozenset[Path] = frozenset({path})
        """What walks of read-only stores leave out: this library itself, and where it is mounted."""
        self._stores: dict[StoreId, LocalStore] = {}
        self.publishing = Gate()
        """Passed by whoever publishes a file and then commits its row; a scan of the writable store commits alone, so
        that it never takes a file for unknown whose row is just on its way."""
        self.trashing = trio.Lock()
        """Held while files are moved into the trash folder or out of it."""
        self.vectors = Nearest(VectorIndexes(self.state / "vectors", db.open_reader))
        self.similar = Similar(self.vectors, settings.similar.count)
        self.moments = Moments(self.vectors, settings.similar.count)
        self.counters = Counters()
        self.texts = TextUpkeep(db, self.counters, self.feed)
        self.searches = Searches(self.vectors, settings.search.count)
        self.search_turns = SearchTurns(settings.search.at_once, self.counters, self.texts.catch_up)
        self.shown = ShownAnswers()
        self.complaints = Complaints()
        self.refusals = Refusals()
        self.held_back: dict[AssetId, str] = {}
        """Received files that could not be published yet, with the reason."""
        self.not_made: dict[tuple[BlobId, RenditionKind, str], str] = {}
        """Why pieces and frames that somebody asked for could not be made, since the library was opened."""
        self.clock: Callable[[], int] = time.time_ns
        self.arriving: dict[StoreId, Waiting] = {}
        """Files of read-only stores that were still being written when their store was last scanned."""
        self.model_health = ModelHealth(lambda: self.clock())
        self.stop_model_jobs: Callable[[], None] = lambda: None
        """The job runner gives back what it asks the model just now."""
        self.pace = Pace()
        """Of the steps that embed."""
        self.terms_version = 0
        """Goes up after each commit that changed which names lead to which terms."""
        self.tidying = False
        """Whether the long part of the repair is under way: jobs may still come of it."""
        self.made_ns = int(derived.property_value(db.writer, "made-ns") or 0)
        self.extend_status: Callable[[Status], Status] = lambda status: status
        """The daemon adds what only it knows."""

    def use_settings(self, settings: Settings) -> None:
        """Work by other settings from now on; workers that run keep the old ones until they end."""
        self.settings = settings
        self.planner = Planner(self.registry.processors, settings)

    @property
    def zone(self) -> ZoneInfo | None:
        name = self.settings.library.timezone
        return ZoneInfo(name) if name else None

    def day(self, at_ns: int) -> str:
        """The wall-clock day in the library's zone."""
        return local_day(at_ns, self.zone)

    def execute(
        self, commands: Sequence[Command[object]], actor: str, *, durable: bool = False, group: str = ""
    ) -> list[object]:
        """Apply all or none of the commands in one transaction; their answers, in order. Raises what they raise.
        ``group``: of transactions that are taken back together, see `new_group`."""
        if not commands:
            return []
        return self._commit(lambda x: [command.apply(x) for command in commands], actor, durable, group)

    def perform(
        self,
        command: Command[R],
        actor: str,
        *,
        durable: bool = False,
        group: str = "",
        quiet: bool = False,
        at_ns: int | None = None,
    ) -> R:
        """One command, and its answer. ``quiet``: nothing looks different after it. ``at_ns``: when it was done;
        nothing else was, since then."""
        return self._commit(command.apply, actor, durable, group, quiet, at_ns)

    def new_group(self) -> str:
        """A name for transactions that are one thing to take back, however long they take."""
        return new_group(self.db.writer)

    def _commit(
        self,
        work: Callable[[Execution], R],
        actor: str,
        durable: bool,
        group: str,
        quiet: bool = False,
        at_ns: int | None = None,
    ) -> R:
        now = self.clock() if at_ns is None else at_ns
        try:
            with self.db.transaction(durable=durable, quiet=quiet) as tx:
                changes = Recorder(tx, actor, now, group)
                answer = work(
                    Execution(tx, changes, self.planner, self.day(now), self.zone, self.settings.vocabulary.open)
                )
                changes.finish()
        except BaseException:
            self.planner.forget_vocabulary()  # it may remember terms that were undone
            raise
        if any(change.kind in TERM_CHANGES for change in changes.changes):
            self.terms_version += 1
        self.feed.publish(changes.changes)
        return answer

    def stores(self) -> list[Store]:
        return stores.all_stores(self.db.writer)

    def library_store(self) -> Store:
        return next(store for store in self.stores() if store.name == LIBRARY_STORE)

    def blob_store(self, store: StoreId) -> LocalStore:
        """The bytes of a store."""
        if store not in self._stores:
            row = next(row for row in self.stores() if row.id == store)
            root = Path(row.root) if row.root else self.originals
            skip = self.skip if row.kind is StoreKind.READ_ONLY else frozenset[Path]()
            self._stores[store] = LocalStore(root, row.kind, skip)
            self._stores[store].is_away = not row.online
        return self._stores[store]

    def sources(self, blob: BlobId, prefer: AssetId | None = None) -> list[Copy]:
        """Copies that may be read, best first: the asset's own, then others; never damaged or missing ones."""
        online = {store.id for store in self.stores() if store.online}
        copies = [
            copy
            for copy in stores.copies_of_blob(self.db.writer, blob)
            if copy.state is CopyState.PRESENT and copy.store in online
        ]
        return sorted(copies, key=lambda copy: (copy.asset != prefer, copy.store, copy.id))

    def source_paths(self, blob: BlobId, prefer: AssetId | None = None) -> list[Path]:
        """Where the bytes can be read, best first. Raises Unavailable when nowhere."""
        paths = [
            self.blob_store(copy.store).path(stores.key_of(self.db.writer, copy.folder, copy.name))
            for copy in self.sources(blob, prefer)
        ]
        if not paths:
            raise Unavailable("no copy of these bytes can be reached; is their store mounted?")
        return paths

    def asset(self, id_: AssetId) -> Asset | None:
        return assets.asset(self.db.writer, id_)

    def known(self, id_: AssetId) -> Asset:
        """Raises NotFound."""
        asset = self.asset(id_)
        if asset is None:
            raise NotFound(f"no asset {id_}")
        return asset

    def status(self, connection: Connection) -> Status:
        """How the library is. Scans: for a reader thread."""
        status = status_of(connection, str(self.path), self.registry, self.model_status(connection).words, self.clock())
        if self.model_health.resting:
            resting = {each.name for each in self.registry.processors if each.worker is Worker.MODEL}
            status = replace(status, jobs=[each.delayed_if(each.processor in resting) for each in status.jobs])
        return self.extend_status(status)

    def model_status(self, connection: Connection) -> ModelStatus:
        """Which models there are, and what ranks similar-to/. Scans: for a reader thread."""
        pace = self.pace.per_second(self.clock())
        return model_status(connection, self.settings.model.name, self.model_health, pace)

    def save_vectors(self) -> None:
        """Stop following with the vector indexes and save those that changed, if there is room. Blocks: for the end."""
        self.vectors.indexes.close()
        try:
            self.note_vectors(self.vectors.indexes.save())
        except (DamfsError, OSError) as error:
            log.warning("the vector index could not be saved (it is made again when needed): %s", error)

    def note_vectors(self, digests: Mapping[str, bytes]) -> None:
        """Remember what was saved, before the files of before are removed; forget what every index has heard of."""
        heard_of = self.vectors.indexes.heard_of()
        with self.db.transaction() as tx:
            for model, digest in digests.items():
                derived.set_property(tx, index_property(model), digest.hex())
            vectors.forget_dropped(tx, vectors.last_dropped(tx) if heard_of is None else heard_of)
        self.vectors.indexes.saved(digests)


def make_library(path: Path) -> None:
    """A new library: settings, an empty writable store, a catalog. Raises BadLibrary when something is there."""
    try:
        _make_library(path)
    except OSError as error:
        raise BadLibrary(f"{path} cannot be made a library: {error.strerror}; choose another path") from None


def _make_library(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise BadLibrary(f"{path} is not a directory; choose another path")
    if (path / SETTINGS_FILE).exists():
        raise BadLibrary(f"{path} is a damfs library already; mount it with: damfs mount {path} MOUNTPOINT")
    if path.is_dir() and any(path.iterdir()):
        former = f"; if it was a library: damfs rebuild {path}" if (path / ORIGINALS).is_dir() else ""
        raise BadLibrary(
            f"{path} is not empty; choose a new directory (to index its files: damfs add LIBRARY {path}{former})"
        )
    for directory in (path / ORIGINALS, path / "state" / "renditions"):
        directory.mkdir(parents=True)
    new_catalog(path / "state" / "catalog.sqlite3").close()
    (path / SETTINGS_FILE).write_text(DEFAULT_SETTINGS, encoding="utf-8")  # last: what has it is a whole library


def new_catalog(path: Path) -> Database:
    """The catalog of a library that holds nothing yet."""
    db = open_catalog(path, create=True)
    with db.transaction(durable=True) as tx:
        derived.set_property(tx, "library-id", secrets.token_hex(16))
        derived.set_property(tx, "made-ns", str(time.time_ns()))
        stores.add_store(tx, LIBRARY_STORE, StoreKind.WRITABLE, "", time.time_ns())
    return db


@contextmanager
def open_library(path: Path) -> Iterator[Library]:
    """The library, for this process alone. Raises BadLibrary (also when another process has it), BadSettings."""
    path = path.absolute()
    settings = read_settings(path)
    with locked(path), closing(open_catalog(path / "state" / "catalog.sqlite3")) as db:
        with db.transaction() as tx:
            full_text.renew(tx)
        library = Library(path, settings, db, ProcessorRegistry.load())
        try:
            yield library
        finally:
            library.vectors.indexes.close()
            statistics.gather(db.writer, time.time_ns())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """No other process has the library meanwhile. Raises BadLibrary."""
    try:
        fd = os.open(path / "state" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadLibrary(f"{path / 'state'} cannot be used: {error.strerror}; bring it back from a backup") from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise BadLibrary(
                f"{path} is in use by process {holder}; unmount it first (damfs umount MOUNTPOINT) or use that mount"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)

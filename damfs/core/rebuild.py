"""Makes the catalog of a library anew from its files, and from what old catalogs still tell.

For a library that is not mounted. Concurrency: reading old catalogs and scanning in threads, changes on the loop.
Crash rule: the new catalog is made beside the old one and takes its place at the very end; until then nothing is lost
and everything can be run again. The old one is kept in state/backups/.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

import msgspec
import trio

from damfs.catalog import assets, derived, salvage
from damfs.catalog.database import Connection, Database
from damfs.catalog.salvage import Derived
from damfs.core.backups import numbered
from damfs.core.commands import AddStore, Command
from damfs.core.keys import keys_for
from damfs.core.library import Library, locked, new_catalog
from damfs.core.makers import maker
from damfs.core.note_keeping import TAKEN_IN, kept_aside, write_all
from damfs.core.old_catalogs import Learnt, learn, salvaged
from damfs.core.old_terms import RestoreSaid
from damfs.core.processor_registry import ProcessorRegistry
from damfs.core.rebuild_report import RebuildReport
from damfs.core.recall import recall
from damfs.core.reception import Reception
from damfs.core.rendition_files import sync
from damfs.core.restoring import KnownAsset, RestoreAsset, Restored, RestoreDerived, RestoreTerm
from damfs.core.scan_report import ScanProgress
from damfs.core.scanner import scan
from damfs.core.search_commands import SaveSearch
from damfs.core.sidecar_pass import sync_all
from damfs.core.store_notes import out_of_step, parsed
from damfs.core.suggesting import AUTO_TAG
from damfs.core.upkeep import INTERRUPTED
from damfs.errors import BadLibrary, Conflict, DamfsError, Unavailable
from damfs.model import AssetId, AssetState, Digest, Facts, JobState, Store, StoreId, StoreKind
from damfs.settings import DEFAULT_SETTINGS, ORIGINALS, SETTINGS_FILE, parse_settings, read_settings
from damfs.storage.disk_errors import disk_errors
from damfs.storage.folder_steps import is_bare
from damfs.storage.note_file import NoteFile
from damfs.storage.staging import PUBLISHED_MODE
from damfs.storage.tree_walk import NOTES

ACTOR = "rebuild"
CATALOG = "catalog.sqlite3"
MAKING = "catalog.rebuilt.sqlite3"
REPLACED = "replaced-catalog"
BESIDE = ("", "-wal", "-shm")
"""Endings of the files of one SQLite database."""
BATCH = 200

Report = Callable[[str, ScanProgress], None]


async def rebuild(path: Path, report: Report = lambda _, __: None) -> RebuildReport:
    """``path``: absolute; its originals are enough. Raises BadLibrary when the library is in use, NoSpace,
    Unavailable."""
    has_settings = (path / SETTINGS_FILE).exists() or not (path / ORIGINALS).is_dir()
    settings = read_settings(path) if has_settings else parse_settings(DEFAULT_SETTINGS, SETTINGS_FILE)
    if not (path / ORIGINALS).is_dir():
        raise BadLibrary(f"{path / ORIGINALS} is missing: bring the originals back first, the catalog is made of them")
    with disk_errors(path / "state"):
        (path / "state" / "renditions").mkdir(parents=True, exist_ok=True)
    summary = RebuildReport(str(path), new_settings="" if has_settings else str(path / SETTINGS_FILE))
    with locked(path):
        notes = NoteFile(path / ORIGINALS / os.fsdecode(NOTES))
        said = parsed(*await trio.to_thread.run_sync(notes.read))
        asides = kept_aside(notes)
        more = [parsed(*await trio.to_thread.run_sync(each.read)) for each in asides]
        learnt = await trio.to_thread.run_sync(learn, path / "state" / CATALOG, path / "state" / "backups", said, more)
        with closing(_begun(path / "state" / MAKING)) as db:
            library = Library(path, settings, db, ProcessorRegistry.load())
            await _fill(library, learnt, summary, report)
            store = library.library_store().id
        if said.library is not None:  # its ids are those of a catalog that is no more
            await trio.to_thread.run_sync(notes.append, [out_of_step()])
        summary.aside = await trio.to_thread.run_sync(_take_place, path / "state")
        await trio.to_thread.run_sync(library.received_notes.forget)  # of numbers that the old one has reserved
        for aside in asides:  # their ids are those of no catalog any more
            await trio.to_thread.run_sync(aside.rename, aside.path.name + TAKEN_IN)
        await trio.to_thread.run_sync(_note_anew, path / "state" / CATALOG, notes, store)
        if not has_settings:  # last: what has them is a whole library
            with disk_errors(path):
                (path / SETTINGS_FILE).write_text(DEFAULT_SETTINGS, encoding="utf-8")
    return summary


def _note_anew(catalog: Path, notes: NoteFile, store: StoreId) -> None:
    """What cannot be written now is written at the next start of the daemon. Blocks."""
    with suppress(DamfsError, OSError), closing(Connection(catalog, read_only=True)) as connection:
        if not is_bare(os.fsencode(notes.path.parent)):
            write_all(connection, notes, store)


def _begun(path: Path) -> Database:
    """What an earlier attempt left is of no use."""
    with disk_errors(path):
        for ending in BESIDE:
            path.with_name(path.name + ending).unlink(missing_ok=True)
    return new_catalog(path)


async def _fill(library: Library, learnt: Learnt, summary: RebuildReport, report: Report) -> None:
    _take_over(library, learnt)
    await _publish_staged(library, learnt, summary)
    for store in library.stores():
        summary.stores.append(store.name)
        await _scan(library, store, summary, report)
    summary.assets = await _count(library)
    summary.terms = sum(library.perform(RestoreTerm(*term), ACTOR) for term in learnt.terms.items())
    library.execute([SaveSearch(query) for query in learnt.searches], ACTOR)
    library.execute([RestoreSaid(name, said) for name, said in learnt.said.items()], ACTOR)
    ids = await _restore_assets(library, learnt, summary)
    known = await _count(library)
    await recall(library, learnt, ids, summary)
    summary.assets -= known - await _count(library)  # earlier versions are no assets of their own
    found = await sync_all(library, Reception(library), ACTOR, write=False)
    summary.sidecars, summary.problems = found.read, [*summary.problems, *found.problems]
    if learnt.derived_from is not None:
        await _restore_derived(library, learnt.derived_from, summary)
    summary.sources, summary.lost, summary.from_notes = learnt.sources, learnt.lost, learnt.from_notes


async def _count(library: Library) -> int:
    return await library.db.read(lambda connection: sum(assets.list_state_counts(connection).values()))


def _take_over(library: Library, learnt: Learnt) -> None:
    """Who the library is, its stores, and which ids were given."""
    with library.db.transaction(durable=True) as tx:
        for name, value in (("library-id", learnt.library_id), ("made-ns", learnt.made_ns)):
            if value is not None:
                derived.set_property(tx, name, value)
        for table, highest in learnt.highest.items():
            salvage.continue_ids(tx, table, highest)
    for store in learnt.stores.values():
        if store.kind is StoreKind.READ_ONLY:
            library.perform(AddStore(store.name, store.kind, store.root), ACTOR)


async def _publish_staged(library: Library, learnt: Learnt, summary: RebuildReport) -> None:
    """Bytes that were being received, or written over others, have no row now: they go where the scan finds them."""
    staged = await trio.to_thread.run_sync(library.staging.entries)
    noted = {each.number: each.name for each in await trio.to_thread.run_sync(library.received_notes.read)}
    for id_, size in staged.items():
        if size and (id_ not in learnt.arrived or id_ in learnt.rewriting):
            known, row = learnt.assets.get(id_), learnt.receiving.get(id_)
            row = row if known is None else known.row
            name = noted.get(id_, f"recovered-{id_}") if row is None else row.name
            whole = row is not None and learnt.rewriting.get(id_, row.closed)
            name = name if whole else name + INTERRUPTED
            await trio.to_thread.run_sync(_publish, library, id_, name)
            summary.staged.append(name)


def _publish(library: Library, id_: AssetId, name: str) -> None:
    """Under the day it was last written. Blocks."""
    staged = library.staging.path(id_)
    files = library.blob_store(library.library_store().id)
    with disk_errors(staged):
        staged.chmod(PUBLISHED_MODE)
        day = library.day(staged.stat().st_mtime_ns)
    for key in keys_for(name, day):
        try:
            files.publish(staged, key)
        except Conflict:
            continue
        return


async def _scan(library: Library, store: Store, summary: RebuildReport, report: Report) -> None:
    try:
        found = await scan(library, store, lambda progress: report(store.name, progress), quiet_s=None)
    except Unavailable:
        summary.offline.append(store.name)
        return
    summary.files += found.walked
    summary.problems += [f"{store.name}: {problem}" for problem in found.problems]


async def _restore_assets(library: Library, learnt: Learnt, summary: RebuildReport) -> dict[int, AssetId]:
    """First those that lie where they lay, so that no other with the same bytes is taken for one of them. Their ids, by
    the old ones."""
    ids: dict[int, AssetId] = {}
    left = await _restore(library, list(learnt.assets.values()), ids, summary, surely=True)
    await _restore(library, left, ids, summary, surely=False)
    return ids


async def _restore(
    library: Library, known: list[KnownAsset], ids: dict[int, AssetId], summary: RebuildReport, *, surely: bool
) -> list[KnownAsset]:
    """Those that were not restored."""
    left, taken = [], set(ids.values())
    for start in range(0, len(known), BATCH):
        batch = known[start : start + BATCH]
        answers = library.execute([RestoreAsset(each, taken, surely=surely) for each in batch], ACTOR)
        for each, answer in zip(batch, answers, strict=True):
            if not isinstance(answer, Restored):
                left.append(each)
                continue
            ids[each.row.id] = answer.asset
            summary.known += answer.found
            summary.missing += not answer.found and each.row.state is not AssetState.TRASHED
            summary.tags += answer.tags
        await trio.lowlevel.checkpoint()
    return left


async def _restore_derived(library: Library, source: Path, summary: RebuildReport) -> None:
    with salvaged(source) as old:
        found = old.derived()
        while batch := await trio.to_thread.run_sync(lambda: list(islice(found, BATCH))):
            commands = await trio.to_thread.run_sync(_sound, library.renditions, batch)
            summary.blobs += sum(map(bool, library.execute(commands, ACTOR)))


def _sound(renditions: Path, batch: list[Derived]) -> list[Command[object]]:
    """What is worth restoring: of renditions those whose files are there, with the jobs that made them. Blocks."""
    return [_restorable(renditions, each) for each in batch]


def _restorable(root: Path, found: Derived) -> RestoreDerived:
    there = [made for made in found.renditions if _is_file(root / made.key, made.size)]
    gone = [made for made in found.renditions if made not in there]
    made_by_proxy = next(
        (facts_in(fact.facts).get("profile") for fact in found.facts if fact.processor == "proxy"), None
    )
    again = {maker(made.kind, made.profile, made_by_proxy or made.profile, facts_in(made.detail)) for made in gone}
    again.add(AUTO_TAG)  # what it proposed does not come back
    jobs = [job for job in found.jobs if job.state in {JobState.DONE, JobState.FAILED} and job.processor not in again]
    return RestoreDerived(Digest(found.digest), found.facts, there, found.embeddings, jobs)


def facts_in(text: str) -> Facts:
    """What a row of the old catalog says; nothing when that cannot be read."""
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except msgspec.DecodeError:
        return {}


def _is_file(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _take_place(state: Path) -> str:
    """The new catalog takes the old one's place, which is kept; where. Blocks."""
    backups = state / "backups"
    with disk_errors(state):
        backups.mkdir(exist_ok=True)
        aside = backups / f"{REPLACED}-{1 + max(numbered(backups, REPLACED), default=0)}.sqlite3"
        old = [ending for ending in BESIDE[:2] if (state / (CATALOG + ending)).exists()]
        for ending in old:
            _keep(state / (CATALOG + ending), aside.with_name(aside.name + ending))
        sync(backups)
        for ending in BESIDE[1:]:  # of the old one: the new one must not meet them
            (state / (CATALOG + ending)).unlink(missing_ok=True)
        (state / MAKING).rename(state / CATALOG)
        sync(state)
    return str(aside) if old else ""


def _keep(path: Path, target: Path) -> None:
    try:
        target.hardlink_to(path)
    except OSError:  # a file system without hard links
        shutil.copy2(path, target)
        sync(target)

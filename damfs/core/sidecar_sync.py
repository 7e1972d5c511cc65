"""Brings a sidecar and the catalog into step: what a program changed is taken over, what was said here is written.

The catalog is the truth; who wins where both changed: tags are united by three-way merge, of a rating or a description
the newer one holds. Concurrency: on the loop, parsing and files in threads. Crash rule: the catalog first, then the
file (as a version of the sidecar), then the note that both are in step; what is cut short is done again, and changes
nothing twice.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio
from blake3 import blake3

from damfs.catalog import rewrites, sidecars, stores, versions
from damfs.catalog.sidecars import Sidecar
from damfs.catalog.versions import Version
from damfs.core.arranging import SetDestination
from damfs.core.asset_names import clean_name
from damfs.core.commands import Abandon, Command, Execution, Receive, ReceiveInto, SetClosed, SetTimes
from damfs.core.describing import LABEL, SetAttribute, SetComment, SetRating
from damfs.core.further_names import KeepNames, follow
from damfs.core.library import Library
from damfs.core.pruning import prune_version
from damfs.core.reception import Reception
from damfs.core.rewriting import CloseRewrite
from damfs.core.sidecar_links import LinkSidecar, current_copies
from damfs.core.sidecar_record import Edits, SidecarRecord, edits, says_anything, wanted
from damfs.core.sidecar_words import remark_of, retag, said_of, with_present_names
from damfs.errors import BadMedia, Conflict, DamfsError, Unavailable
from damfs.model import Asset, AssetId, BlobId, Copy, Digest, FolderId, StoreKind
from damfs.storage.disk_errors import disk_errors

log = logging.getLogger(__name__)

MODE = 0o644
EMPTY = SidecarRecord()
FileState = tuple[int, int, int]
"""Inode, size and time of a file: another one was written since, if they differ."""


@dataclass(frozen=True, slots=True)
class NoteSidecar:
    """Both are in step."""

    asset: AssetId
    digest: Digest
    record: SidecarRecord
    own: bool

    def apply(self, x: Execution) -> None:
        sidecars.note(x.tx, self.asset, self.digest, msgspec.to_builtins(self.record), own=self.own)


@dataclass(frozen=True, slots=True)
class NoteProblem:
    """These bytes cannot be read; they are not tried again."""

    asset: AssetId
    digest: Digest
    problem: str

    def apply(self, x: Execution) -> None:
        sidecars.note_problem(x.tx, self.asset, self.digest, self.problem)


@dataclass(frozen=True, slots=True)
class Outcome:
    """``read``: it changed the catalog; ``written``: the catalog changed it."""

    read: bool = False
    written: bool = False
    problem: str = ""
    remark: str = ""
    is_due: bool = False
    """With ``problem``: what is said here is not written, and may be later."""


async def sync_sidecar(library: Library, reception: Reception, id_: AssetId, actor: str, *, write: bool) -> Outcome:
    """One that stands beside an original. ``write``: also into its file, where that lies in a writable store."""
    row, asset = sidecars.of(library.db.writer, id_), library.asset(id_)
    if row is None or asset is None or asset.blob is None or not current_copies(library.db.writer, id_):
        return Outcome()
    digest = stores.digest_of(library.db.writer, asset.blob)
    if digest == row.digest and row.problem:
        return Outcome(problem=row.problem)
    base = msgspec.convert(row.said, SidecarRecord)
    try:
        now = base if digest == row.digest else await _read(library, asset)
    except BadMedia as error:
        library.perform(NoteProblem(id_, digest, str(error)), actor)
        return Outcome(problem=str(error))
    has_changed = await _take_over(library, row, asset, edits(base, now), actor) if now != base else False
    if digest != row.digest:
        library.perform(NoteSidecar(id_, digest, now, own=False), actor)
    target = wanted(said_of(library.db.writer, row.original), now)
    if not write or target == now or not _own_copy(library, id_):
        return Outcome(read=has_changed)
    return await _rewrite(library, reception, asset, target, has_changed, was_own=row.own and digest == row.digest)


async def write_new(library: Library, reception: Reception, original: AssetId, actor: str) -> AssetId | None:
    """A sidecar for an asset that has none, if there is anything to say of it and its file lies in a writable store.
    Not where a file of that name lies on the disk: the scan finds it."""
    connection = library.db.writer
    record = wanted(said_of(connection, original), EMPTY)
    copy = _own_copy(library, original)
    if copy is None or not says_anything(record):
        return None
    name = copy.name + b".xmp"
    if stores.copy_at(connection, copy.folder, name) is not None or len(name) > 255:
        return None
    path = library.blob_store(copy.store).path(stores.key_of(connection, copy.folder, name))
    if await trio.to_thread.run_sync(os.path.lexists, path):
        return None
    data = await trio.to_thread.run_sync(_packet, None, record, os.fsdecode(name))
    id_ = await _receive(library, reception, copy.folder, name, data)
    if id_ is not None and library.perform(LinkSidecar(id_), actor) is not None:
        _note_written(library, id_, record, actor)
    return id_


async def _read(library: Library, asset: Asset) -> SidecarRecord:
    """Raises BadMedia; Unavailable when its store is offline."""
    data = await _bytes_of(library, asset)
    return await trio.to_thread.run_sync(_record, data, asset.name)


async def _bytes_of(library: Library, asset: Asset) -> bytes:
    """Refused by its size before anything is read."""
    from damfs.core.xmp_packet import SIZE_LIMIT, too_big  # lxml is loaded where there are sidecars

    if asset.size > SIZE_LIMIT:
        raise too_big(asset.name, asset.size)
    assert asset.blob is not None
    for path in library.source_paths(asset.blob, asset.id):
        try:
            return await trio.to_thread.run_sync(path.read_bytes)
        except OSError as error:
            log.info("a sidecar was not read: %s", error)
    raise Unavailable(f"{asset.name}: no copy of it can be read; is its store connected?")


def _record(data: bytes, name: str) -> SidecarRecord:  # called through to_thread
    from damfs.core.xmp_packet import record_of

    return record_of(data, name)


def _packet(data: bytes | None, record: SidecarRecord, name: str) -> bytes:  # called through to_thread
    from damfs.core.xmp_packet import rewritten

    return rewritten(data, record, name)


async def _take_over(library: Library, row: Sidecar, asset: Asset, change: Edits, actor: str) -> bool:
    """Whether the catalog was changed."""
    if change == Edits():
        return False
    connection, id_ = library.db.writer, row.original
    base, earlier = msgspec.convert(row.said, SidecarRecord), said_of(connection, id_)
    stars = max(0, base.stars or 0)  # a rejection is no rating here
    asks_stars = change.stars is not None and earlier.stars != stars
    asks_text = change.description is not None and earlier.description != base.description
    rated = asks_stars and await _is_newer(library, id_, asset, "rated")
    commented = asks_text and await _is_newer(library, id_, asset, "commented")
    if change.removed:
        change = await library.db.read(functools.partial(with_present_names, change=change))
    here = said_of(connection, id_)  # no await from here on: what a person says meanwhile would be taken back
    commands: list[Command[object]] = []
    if change.added or change.removed:
        commands += retag(connection, id_, change)
    if change.stars not in {None, here.stars} and _holds(here.stars, earlier.stars, stars, rated):
        commands.append(SetRating(id_, (change.stars or 0) * 2))
    if change.description is not None and _holds(here.description, earlier.description, base.description, commented):
        commands.append(SetComment(id_, change.description))
    if change.label is not None and here.label in {"", base.label}:
        commands.append(SetAttribute(id_, LABEL, change.label.encode()))
    library.execute(commands, actor)
    return said_of(connection, id_) != here


def _holds(here: object, earlier: object, base: object, is_newer: bool) -> bool:
    """Whether the word of the sidecar holds: nobody has said something else here since, or not later.

    ``earlier``: what was said here when ``is_newer`` was asked for."""
    return here == base or (is_newer and here == earlier)


async def _is_newer(library: Library, id_: AssetId, sidecar: Asset, kind: str) -> bool:
    said_ns = await library.db.read(lambda connection: sidecars.last_said_ns(connection, id_, kind))
    return said_ns < sidecar.mtime_ns


async def _rewrite(
    library: Library, reception: Reception, asset: Asset, target: SidecarRecord, was_read: bool, *, was_own: bool
) -> Outcome:
    """A version of the sidecar; the one before it is kept unless it was but damfs's own word."""
    former, base, own = (
        versions.current(library.db.writer, asset.id),
        _row_of(library, asset.id),
        _own_path(library, asset),
    )
    assert former is not None
    assert own is not None
    try:
        there, seen = await _read_own(own, asset.name)
        if blake3(there).digest() != former.digest:
            raise Conflict(f"{asset.name} was changed on the disk; look for changes first (damfs scan LIBRARY)")
        data = await trio.to_thread.run_sync(_packet, there, target, asset.name)
        await _write_over(library, reception, asset, data, functools.partial(_check_unchanged, own, seen, asset.name))
    except (BadMedia, Conflict) as error:
        return Outcome(read=was_read, problem=str(error), is_due=isinstance(error, Conflict))
    foreign = await trio.to_thread.run_sync(_foreign, former, _paths_of(library, former))
    if foreign is not None:
        return await _give_back(library, reception, asset.id, base, former, foreign)
    _note_written(library, asset.id, target, "sidecar")
    if was_own and former.number > 1:
        await prune_version(library, reception, former)
    remark = remark_of(library.db.writer, base.original, asset.name)
    return Outcome(read=was_read, written=True, remark=remark)


def _row_of(library: Library, id_: AssetId) -> Sidecar:
    found = sidecars.of(library.db.writer, id_)
    assert found is not None
    return found


async def _read_own(path: Path, name: str) -> tuple[bytes, FileState]:
    """The file that is to be replaced, and how it was before it was read."""
    try:
        seen = await trio.to_thread.run_sync(_state, path)
        return await trio.to_thread.run_sync(path.read_bytes), seen
    except OSError as error:
        raise Unavailable(f"{name} cannot be read: {error.strerror}; it stays as it is") from None


def _state(path: Path) -> FileState:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _check_unchanged(path: Path, seen: FileState, name: str) -> None:
    """Blocks. Raises Conflict where a program has written it since: its edit is taken over when it is found."""
    with suppress(OSError):
        if _state(path) == seen:
            return
    raise Conflict(f"{name} was written by another program just now; its edit is taken over first")


def _paths_of(library: Library, former: Version) -> list[Path]:
    connection = library.db.writer
    return [
        library.blob_store(copy.store).path(stores.key_of(connection, copy.folder, copy.name))
        for copy in stores.copies_of_asset(connection, former.asset)
        if copy.blob == former.blob
    ]


def _foreign(former: Version, paths: Sequence[Path]) -> bytes | None:
    """What a program wrote into the file at the very moment it was set aside: the bytes of the version before are other
    ones than they were. Blocks."""
    for path in paths:
        if path.exists():
            data = path.read_bytes()
            if blake3(data).digest() != former.digest:
                return data
    return None


async def _give_back(
    library: Library, reception: Reception, id_: AssetId, base: Sidecar, former: Version, foreign: bytes
) -> Outcome:
    """The other program's bytes are the file again, and are read as an edit of what it had said before."""
    asset = library.known(id_)
    record = msgspec.convert(base.said, SidecarRecord)
    library.perform(NoteSidecar(id_, former.digest, record, own=False), "sidecar")
    await _write_over(library, reception, asset, foreign, lambda: None)
    told = f"{asset.name} was written by another program meanwhile; its edit is taken over next time"
    return Outcome(problem=told, is_due=True)


def _note_written(library: Library, id_: AssetId, record: SidecarRecord, actor: str) -> None:
    asset = library.known(id_)
    if asset.blob is not None:
        library.perform(NoteSidecar(id_, stores.digest_of(library.db.writer, asset.blob), record, own=True), actor)


async def _write_over(
    library: Library, reception: Reception, asset: Asset, data: bytes, check: Callable[[], None]
) -> None:
    """Raises Conflict while somebody writes it, or has just written it. ``check``: in a thread, at the last moment."""
    async with reception.rewritten(asset.id):
        now = library.asset(asset.id)
        if now is None or now.blob != asset.blob or rewrites.of(library.db.writer, asset.id) is not None:
            raise Conflict(f"{asset.name} is being written just now; it is taken up again when it is closed")
        await trio.to_thread.run_sync(_stage_over, library, asset.id, data)
        try:
            await trio.to_thread.run_sync(check)
        except Conflict:
            await trio.to_thread.run_sync(library.staging.discard, asset.id)
            raise
        library.perform(CloseRewrite(asset.id, len(data), library.clock()), "sidecar", durable=True)
        kept = KeepNames(asset.id)
        await reception.seal_version(asset.id, [kept])
    await follow(library, kept.names)


def _stage_over(library: Library, id_: AssetId, data: bytes) -> None:
    """Blocks."""
    _write_all(library, id_, library.staging.stage_copy(id_, None), data)


async def _receive(
    library: Library, reception: Reception, folder: FolderId, name: bytes, data: bytes
) -> AssetId | None:
    """None where a program got hold of it first: it is read like any other."""

    def lie(id_: AssetId) -> list[Command[object]]:
        return [SetDestination(id_, folder, name)]

    id_ = library.perform(ReceiveInto(Receive(clean_name(name), MODE, triaged=True), lie), "sidecar")
    try:
        await trio.to_thread.run_sync(_stage, library, id_, data)
    except DamfsError:  # nothing of it is seen; it is written when something is said again
        library.perform(Abandon(id_), "sidecar")
        raise
    closed: list[Command[object]] = [SetTimes(id_, library.clock()), SetClosed(id_, closed=True, size=len(data))]
    library.execute(closed, "sidecar", durable=True)
    await reception.seal_again(id_)
    if (problem := library.held_back.get(id_)) is not None:
        raise Unavailable(problem)
    there = stores.copy_at(library.db.writer, folder, name)
    known = library.asset(id_) or (None if there is None else library.asset(there.asset))  # the latter: a lost one
    is_own = known is not None and known.blob is not None and _digest(library, known.blob) == blake3(data).digest()
    return known.id if known is not None and is_own else None


def _digest(library: Library, blob: BlobId) -> Digest:
    return stores.digest_of(library.db.writer, blob)


def _stage(library: Library, id_: AssetId, data: bytes) -> None:
    """Blocks."""
    _write_all(library, id_, library.staging.create(id_), data)


def _write_all(library: Library, id_: AssetId, descriptor: int, data: bytes) -> None:
    """Blocks. Closes the descriptor; what cannot be written whole is not staged at all. Raises damfs errors."""
    try:
        with disk_errors(library.staging.path(id_)), os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except DamfsError:
        library.staging.discard(id_)
        raise


def _own_path(library: Library, asset: Asset) -> Path | None:
    copy = _own_copy(library, asset.id)
    if copy is None:
        return None
    return library.blob_store(copy.store).path(stores.key_of(library.db.writer, copy.folder, copy.name))


def _own_copy(library: Library, id_: AssetId) -> Copy | None:
    """Its file in a writable store."""
    writable = {store.id for store in library.stores() if store.kind is StoreKind.WRITABLE and store.online}
    return next((copy for copy in current_copies(library.db.writer, id_) if copy.store in writable), None)

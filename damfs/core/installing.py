"""Puts the next version of an asset in the place of the one before, whose bytes keep a name of their own beside it.

Concurrency: disk work in threads, rows on the loop; the caller holds the asset, the digest and the gate of publishing.
Crash rule: the old bytes get their second name, then the new ones take the key, then one transaction; what a crash
leaves between is recognised by the row of `rewrite`: staged bytes are installed again, and where they are gone already
the file at the key is what was installed (`adopt`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from damfs.catalog import rewrites, stores, versions
from damfs.catalog.rewrites import Rewrite
from damfs.catalog.versions import Version
from damfs.core.commands import Command, SetTimes
from damfs.core.good_copies import GoodCopy
from damfs.core.ingest import Heal, PlanAgain
from damfs.core.keys import forget_second_name, is_taken, keys_for, link_or_take, version_keys
from damfs.core.library import Library
from damfs.core.media_types import guess_media
from damfs.core.rewriting import AddVersion, EndRewrite
from damfs.errors import Conflict, DamfsError, NotFound, ReadOnly, Unavailable
from damfs.model import Asset, AssetId, AssetState, Copy, CopyState, Key
from damfs.storage.blob_store import BlobStore, FileFact, Hashed
from damfs.storage.disk_errors import disk_errors
from damfs.storage.staging import PUBLISHED_MODE

ACTOR = "reception"
Commands = Sequence[Command[object]]


@dataclass(frozen=True, slots=True)
class _Target:
    """Where the current bytes of an asset lie in the writable store."""

    copy: Copy
    key: Key


def check_writable(library: Library, id_: AssetId) -> Asset:
    """The asset, if its bytes can be replaced. Raises NotFound, Unavailable, ReadOnly."""
    asset = library.asset(id_)
    if asset is None:
        raise NotFound(f"no asset {id_}")
    if asset.state is not AssetState.PRESENT or asset.blob is None or not library.sources(asset.blob, id_):
        raise Unavailable(f"{asset.name}: no good copy of it can be reached; it cannot be written")
    if _target(library, asset) is None:
        raise ReadOnly(f"{asset.name}: its file belongs to a read-only store, which damfs never changes")
    return asset


def _target(library: Library, asset: Asset) -> _Target | None:
    connection, store = library.db.writer, library.library_store().id
    own = [
        copy for copy in stores.copies_of_asset(connection, asset.id) if copy.store == store and copy.blob == asset.blob
    ]
    best = min(own, key=lambda copy: (copy.state is not CopyState.PRESENT, copy.id), default=None)
    return None if best is None else _Target(best, stores.key_of(connection, best.folder, best.name))


async def install(library: Library, row: Rewrite, hashed: Hashed, good: GoodCopy | None, also: Commands = ()) -> None:
    """Staged bytes become the next version, unless they are those of the current one. ``good``: a copy of the same
    bytes that was just read; in the writable store they are kept once. ``also``: in the same transaction, before."""
    asset, now = _known(library, row.asset)
    if hashed.digest == now.digest:
        await _end_unchanged(library, asset, row, hashed, good, also)
        return
    store = library.library_store().id
    files, target = library.blob_store(store), _target(library, asset)
    kept, is_free = None, False
    try:
        kept = None if target is None else await _keep_old(library, files, asset, target, now.number)
    except NotFound:
        is_free = True  # whoever puts the old bytes back there meanwhile keeps the key
    linked = good.fact if good is not None and good.copy.store == store else None
    try:
        placed = await _place(library, files, asset, row, target, linked, is_free=is_free)
    except DamfsError:
        if kept is not None and target is not None:
            await trio.to_thread.run_sync(forget_second_name, files, target.key, kept)
        raise
    await _commit(library, asset, hashed, target, kept, placed, also)
    await trio.to_thread.run_sync(library.staging.discard, asset.id)


async def _end_unchanged(
    library: Library, asset: Asset, row: Rewrite, hashed: Hashed, good: GoodCopy | None, also: Commands
) -> None:
    """The bytes that the asset has already. Where no copy of them was found good, these heal it."""
    known_good = good is not None or await trio.to_thread.run_sync(library.staging.is_shared, asset.id)
    heal: list[Command[object]] = []
    if not known_good and asset.blob is not None:
        store = library.library_store().id
        placed = await _place(library, library.blob_store(store), asset, row, None, None)  # beside what was found bad
        heal = [Heal(asset.id, hashed.digest, hashed.size, store, placed), PlanAgain(asset.blob)]
    row = rewrites.of(library.db.writer, asset.id) or row
    dated = [SetTimes(asset.id, row.mtime_ns)] if row.dated else []
    library.execute([*also, *heal, EndRewrite(asset.id), *dated], ACTOR, durable=True)
    await trio.to_thread.run_sync(library.staging.discard, asset.id)


async def adopt(library: Library, row: Rewrite, also: Commands = ()) -> None:
    """Nothing is staged any more: a crash came after the new bytes took the key, or before any were staged."""
    asset, now = _known(library, row.asset)
    files, target = library.blob_store(library.library_store().id), _target(library, asset)
    hashed = None
    with suppress(DamfsError):
        hashed = None if target is None else await trio.to_thread.run_sync(files.hash, target.key)
    installed = hashed is not None and hashed.digest != now.digest and hashed.size == row.size
    if target is None or hashed is None or hashed.fact is None or not row.closed or not installed:
        library.execute([EndRewrite(asset.id)], ACTOR, durable=True)
        return
    kept = await _kept_by_crash(library, files, asset, target, now)
    await _commit(library, asset, hashed, target, kept, hashed.fact, also)


async def _commit(
    library: Library, asset: Asset, hashed: Hashed, target: _Target | None, kept: FileFact | None, placed: FileFact,
    also: Commands,
) -> None:  # fmt: skip
    row = rewrites.of(library.db.writer, asset.id)  # its time may have been set meanwhile
    mtime_ns = asset.mtime_ns if row is None else row.mtime_ns
    store = library.library_store().id
    files = library.blob_store(store)
    superfluous = await _further_names(library, files, asset, hashed, placed)
    add = AddVersion(
        asset.id, hashed.digest, hashed.size, mtime_ns, guess_media(asset.name, hashed.head), library.day(mtime_ns),
        store, None if target is None else target.copy.id, kept, placed, tuple(copy.id for copy, _ in superfluous),
    )  # fmt: skip
    library.execute([*also, add], ACTOR, durable=True)
    for _, name in superfluous:
        await trio.to_thread.run_sync(forget_second_name, files, placed.key, name)


def _known(library: Library, id_: AssetId) -> tuple[Asset, Version]:
    asset, now = library.asset(id_), versions.current(library.db.writer, id_)
    if asset is None or now is None:
        raise NotFound(f"no asset {id_}")
    return asset, now


async def _keep_old(library: Library, files: BlobStore, asset: Asset, target: _Target, number: int) -> FileFact | None:
    """A second name for the bytes that are to be replaced. None where they have another already. NotFound: they are
    gone."""
    connection = library.db.writer
    others = [
        stores.key_of(connection, copy.folder, copy.name)
        for copy in stores.copies_of_asset(connection, asset.id)
        if copy.store == target.copy.store and copy.blob == target.copy.blob and copy.id != target.copy.id
    ]
    if await trio.to_thread.run_sync(_has_another_name, files, target.key, others):
        return None
    for key in version_keys(target.key, number):
        if is_taken(connection, target.copy.store, key, asset.id):
            continue
        with suppress(Conflict):
            return await trio.to_thread.run_sync(link_or_take, files, target.key, key)
    raise AssertionError("version_keys raises when it ends")


def _has_another_name(files: BlobStore, key: Key, others: list[Key]) -> bool:
    """Blocks."""
    for other in others:
        with suppress(NotFound):
            if files.stat(other).inode == files.stat(key).inode:
                return True
    return False


async def _kept_by_crash(
    library: Library, files: BlobStore, asset: Asset, target: _Target, now: Version
) -> FileFact | None:
    """The name that the bytes before had been given when the crash came."""
    for key in version_keys(target.key, now.number):
        if is_taken(library.db.writer, target.copy.store, key, asset.id):
            continue
        try:
            found = await trio.to_thread.run_sync(files.hash, key)
        except DamfsError:
            return None
        if found.digest == now.digest:
            return found.fact
    return None


async def _place(
    library: Library, files: BlobStore, asset: Asset, row: Rewrite, target: _Target | None, linked: FileFact | None,
    *, is_free: bool = False,
) -> FileFact:  # fmt: skip
    """The staged bytes at the asset's key; at the first free one of its day where it has none. ``is_free``: nothing lay
    at the key, and nothing is replaced there. Conflict: something does now."""
    staged = library.staging.path(asset.id)
    link = library.staging.stage_link
    if linked is None or not await trio.to_thread.run_sync(link, asset.id, files.path(linked.key), linked):
        await trio.to_thread.run_sync(_dress, staged, row.mtime_ns)
    if target is not None:
        if not is_free:
            with suppress(NotFound):
                return await trio.to_thread.run_sync(files.replace, staged, target.key)
        return await trio.to_thread.run_sync(files.publish, staged, target.key)
    for key in keys_for(asset.name, library.day(row.mtime_ns)):
        if not is_taken(library.db.writer, library.library_store().id, key, asset.id):
            with suppress(Conflict):
                return await trio.to_thread.run_sync(files.publish, staged, key)
    raise AssertionError("keys_for raises when it ends")


def _dress(staged: Path, mtime_ns: int) -> None:
    """Blocks. Only a file that has no other name: another would be changed with it."""
    with disk_errors(staged):
        if staged.stat().st_nlink == 1:
            staged.chmod(PUBLISHED_MODE)
            os.utime(staged, ns=(mtime_ns, mtime_ns))


async def _further_names(
    library: Library, files: BlobStore, asset: Asset, hashed: Hashed, placed: FileFact
) -> list[tuple[Copy, FileFact]]:
    """Names that earlier versions with the same bytes had: the file at the key speaks for them now."""
    connection = library.db.writer
    blob = stores.blob_of(connection, hashed.digest)
    found = list[tuple[Copy, FileFact]]()
    for copy in [] if blob is None else stores.copies_of_asset(connection, asset.id):
        key = stores.key_of(connection, copy.folder, copy.name)
        if copy.blob == blob and copy.store == library.library_store().id and key != placed.key:
            with suppress(DamfsError):
                name = await trio.to_thread.run_sync(files.stat, key)
                found += [(copy, name)] if name.inode == placed.inode else []
    return found

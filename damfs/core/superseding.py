"""New versions that are not written: an earlier one again (`revert`), and a file that is renamed over an original.

Concurrency: on the loop, disk work in threads. Crash rule: as `installing`; until the one transaction the source of the
bytes is as it was, after it the bytes are a version of the target. That the source vanishes with it is a row of
`file_move` from before the first file is touched, so that start-up does all of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

import trio

from damfs.catalog import folders, rewrites, stores, versions
from damfs.catalog.folders import VANISHES, vanishing
from damfs.catalog.versions import Version
from damfs.core.commands import Command
from damfs.core.file_moves import BeginFileMove, EndFileMove
from damfs.core.further_names import KeepNames, follow, names_of, remove_superfluous
from damfs.core.good_copies import TRIES
from damfs.core.installing import check_writable
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.rewriting import Absorb, AbsorbDraft, BeginRewrite, CloseRewrite, EndRewrite
from damfs.errors import Conflict, DamfsError, NotFound, Unavailable
from damfs.model import Asset, AssetId, AssetState, BlobId, Copy, CopyId, Digest, Key
from damfs.storage.blob_store import BlobStore, FileFact

ACTOR = "versions"


async def revert(library: Library, reception: Reception, id_: AssetId, number: int) -> Version:
    """A new version with the bytes of an earlier one; the current version. Nothing happens where they are current."""
    async with reception.rewritten(id_):
        asset, kept = check_not_written(library, id_), KeepNames(id_)
        wanted = versions.numbered(library.db.writer, id_, number)
        if wanted is None:
            raise NotFound(f"{asset.name} has no version {number}; `damfs versions` lists them")
        if wanted.blob != asset.blob:
            await _stage(library, reception, id_, wanted.blob)
            library.perform(CloseRewrite(id_, wanted.size, wanted.mtime_ns), ACTOR, durable=True)
            await reception.seal_version(id_, [kept])
    await follow(library, kept.names)
    now = versions.current(library.db.writer, id_)
    assert now is not None
    return now


async def supersede(
    library: Library, reception: Reception, target: AssetId, source: AssetId, also: Sequence[Command[object]] = ()
) -> None:
    """`mv temporary original`, both having arrived: the source vanishes, its bytes are the target's next version.

    ``also`` happens first, in the same transaction. Raises Conflict while somebody writes either, ReadOnly when the
    target's file cannot be replaced.
    """
    first, second = sorted((target, source))
    async with reception.rewritten(first), reception.rewritten(second):
        check_not_written(library, target)
        new = check_not_written(library, source)
        assert new.blob is not None
        gone = names_of(library, new)[:1]
        await _stage(library, reception, target, new.blob)
        begun = [BeginFileMove(copy.id, vanishing(target, new.blob)) for copy in gone]
        library.execute([*begun, CloseRewrite(target, new.size, new.mtime_ns)], ACTOR, durable=True)
        try:
            names = await _replace(library, reception, target, source, also)
        except DamfsError:
            library.execute([EndFileMove(copy.id) for copy in gone], ACTOR)
            raise
    await follow(library, names)


async def _replace(
    library: Library, reception: Reception, target: AssetId, source: AssetId, also: Sequence[Command[object]] = ()
) -> Sequence[Copy]:
    """What is staged for the target are the bytes of the source, which vanishes. What is to `follow`."""
    kept = KeepNames(target)
    await reception.seal_version(target, [*also, kept, Absorb(source, target)])
    await remove_superfluous(library, target)
    return kept.names


async def settle_superseding(library: Library, reception: Reception) -> None:
    """`mv edit original` that a crash cut short, before anything else is done with what is staged for the original."""
    for id_, key in folders.file_moves(library.db.writer):
        if key.endswith(VANISHES):
            with suppress(DamfsError):  # what is staged is stored all the same, later, and the source stays
                await _settle(library, reception, id_, key)
            if (id_, key) in folders.file_moves(library.db.writer):
                library.perform(EndFileMove(id_), ACTOR)


async def _settle(library: Library, reception: Reception, id_: CopyId, key: Key) -> None:
    target, blob = map(int, key.removesuffix(VANISHES).split(b"/"))
    to, copy = library.asset(AssetId(target)), stores.copy(library.db.writer, id_)
    source = None if copy is None else library.asset(copy.asset)
    row = rewrites.of(library.db.writer, AssetId(target))
    if to is None or source is None or source.blob != blob or row is None or not row.closed:
        return
    whole = await trio.to_thread.run_sync(_is_whole, library, to.id, stores.digest_of(library.db.writer, source.blob))
    if whole and (to.state, source.state) == (AssetState.PRESENT, AssetState.PRESENT):
        async with reception.rewritten(min(to.id, source.id)), reception.rewritten(max(to.id, source.id)):
            names = await _replace(library, reception, to.id, source.id)
        await follow(library, names)


def _is_whole(library: Library, id_: AssetId, digest: Digest) -> bool:
    """After a power loss a copy may not be; what is staged no more was published. Blocks."""
    with suppress(NotFound):
        return library.staging.seal(id_).digest == digest
    return True


async def supersede_by_draft(
    library: Library, reception: Reception, target: AssetId, source: AssetId, size: int, mtime_ns: int,
    also: Sequence[Command[object]] = (), *, closed: bool,
) -> None:  # fmt: skip
    """The same with a source that is still being received, under a temporary name or by a writer who goes on: what is
    staged of it is staged for the target from now on. To be sealed by the caller when it is ``closed``."""
    async with reception.rewritten(target):
        check_not_written(library, target)
        begin = CloseRewrite(target, size, mtime_ns) if closed else BeginRewrite(target, size)
        library.execute([*also, begin], ACTOR, durable=True)
        try:
            await trio.to_thread.run_sync(library.staging.hand_over, source, target)
            await _absorb_or_hand_back(library, source, target)
        except DamfsError:
            with suppress(DamfsError):  # the start ends what has nothing staged
                library.perform(EndRewrite(target), ACTOR)
            raise


async def _absorb_or_hand_back(library: Library, source: AssetId, target: AssetId) -> None:
    """Who goes on to write a source that stays would close a file of which nothing is staged."""
    try:
        library.perform(AbsorbDraft(source, target), ACTOR, durable=True)
    except DamfsError:
        await trio.to_thread.run_sync(library.staging.hand_over, target, source)
        raise


def check_not_written(library: Library, id_: AssetId) -> Asset:
    """The asset, if its bytes can be replaced now. Raises as `check_writable`; Conflict while somebody writes it."""
    asset = check_writable(library, id_)
    if rewrites.of(library.db.writer, id_) is not None:
        raise Conflict(f"{asset.name} is being written just now; try again when it is closed")
    return asset


async def _stage(library: Library, reception: Reception, id_: AssetId, blob: BlobId) -> None:
    """Known bytes, read and found good just now."""
    digest = stores.digest_of(library.db.writer, blob)
    for _ in range(TRIES):
        good = await reception.verified(library.sources(blob, id_), digest)
        if good is None:
            break
        files = library.blob_store(good.copy.store)
        if good.copy.store == library.library_store().id:
            path = files.path(good.fact.key)
            staged = await trio.to_thread.run_sync(library.staging.stage_link, id_, path, good.fact)
        else:
            staged = await trio.to_thread.run_sync(_stage_copy, library, files, id_, good.fact)
        if staged:
            return
    raise Unavailable("no good copy of these bytes can be reached; is their store mounted?")


def _stage_copy(library: Library, files: BlobStore, id_: AssetId, read: FileFact) -> bool:
    """Whether it was made of the very file that was read. Blocks."""
    source = files.open(read.key)
    try:
        os.close(library.staging.stage_copy(id_, source))
    finally:
        os.close(source)
    if files.stat(read.key).is_untouched_since(read):
        return True
    library.staging.discard(id_)
    return False

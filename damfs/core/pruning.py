"""Lets go of old versions as the settings say: all are kept, unless `versions.keep` names a number.

The first version (what the camera wrote) and the current one always stay. Concurrency: disk work in threads; nobody can
come to rely on the bytes meanwhile, because their digest is held. Crash rule: the files go first, then the row; a
version whose files are gone already is pruned by the next run.
"""

from __future__ import annotations

import logging

import trio

from damfs.catalog import folders, rewrites, stores, versions
from damfs.catalog.versions import Version
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.rewriting import PruneVersion
from damfs.errors import DamfsError, NotFound
from damfs.model import AssetId, Copy, Key
from damfs.storage.blob_store import BlobStore

log = logging.getLogger(__name__)

ACTOR = "upkeep"


async def prune_versions(library: Library, reception: Reception) -> int:
    """How many versions were let go of."""
    keep, pruned = library.settings.versions.keep, 0
    if not keep:
        return 0
    for id_ in await library.db.read(lambda connection: versions.list_many(connection, keep)):
        for version in superfluous(versions.of_asset(library.db.writer, id_), keep):
            try:
                pruned += await prune_version(library, reception, version)
            except DamfsError as error:
                log.info("version %d of asset %d stays: %s", version.number, id_, error)
    return pruned


def superfluous(found: list[Version], keep: int) -> list[Version]:
    """All but the first, the newest ``keep`` and the current one, which is among them. Pure."""
    return [version for version in found[1:-keep] if not version.current]


async def prune_version(library: Library, reception: Reception, version: Version) -> bool:
    """Let go of one version, if it is not the current one and nobody writes the asset; whether that was done."""
    async with reception.rewritten(version.asset), reception.same_bytes(version.digest), library.publishing.together():
        connection = library.db.writer
        now = versions.version(connection, version.id)
        if now is None or now.current or rewrites.of(connection, version.asset) is not None:
            return False
        own = _own_copies(library, version.asset, version)
        waiting = {copy for copy, _ in folders.file_moves(connection)}
        if any(copy.id in waiting for copy, _ in own):
            return False  # a name that is to lead to the next version goes on to do so
        if versions.is_used(connection, version.blob, version.id):
            own = []
        files = library.blob_store(library.library_store().id)
        for _, key in own:
            await trio.to_thread.run_sync(_remove, files, key)
        command = PruneVersion(version.asset, version.number, tuple(copy.id for copy, _ in own))
        library.perform(command, ACTOR, durable=True)
    log.info("version %d of asset %d was let go of, as versions.keep says", version.number, version.asset)
    return True


def _own_copies(library: Library, asset: AssetId, version: Version) -> list[tuple[Copy, Key]]:
    """Files of these bytes in the writable store that stand for the asset."""
    connection, store = library.db.writer, library.library_store().id
    return [
        (copy, stores.key_of(connection, copy.folder, copy.name))
        for copy in stores.copies_of_asset(connection, asset)
        if copy.store == store and copy.blob == version.blob
    ]


def _remove(files: BlobStore, key: Key) -> None:
    """Blocks."""
    try:
        files.remove(key)
    except NotFound:
        return

"""What a request does: the same for the daemon's control socket and for a command that opened the library itself.

Runs on the loop of whoever owns the library; long work reports progress. Errors are damfs errors.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import msgspec
import trio

from damfs.catalog import stores, term_names, versions, vocabulary
from damfs.catalog.versions import Version
from damfs.core import scanner
from damfs.core.arriving import QUIET_S
from damfs.core.asset_info import info_of
from damfs.core.asset_names import clean_name
from damfs.core.bulk_tagging import untag_all
from damfs.core.commands import AddStore, RemoveTag
from damfs.core.library import Library
from damfs.core.on_demand import Maker
from damfs.core.reception import Reception
from damfs.core.said_tags import said_tags
from damfs.core.scan_report import ScanProgress
from damfs.core.spans import Span
from damfs.core.superseding import revert
from damfs.core.term_commands import GiveTerms, unknown
from damfs.errors import Conflict, DamfsError, NotFound, Refused, Unavailable
from damfs.integration import mounts
from damfs.integration.care import Care
from damfs.integration.cutting import cut, withdraw
from damfs.integration.finding import Finder
from damfs.integration.making import MakingProxies
from damfs.integration.models import Models
from damfs.integration.pairing import Pairing
from damfs.integration.taking_back import Returns
from damfs.integration.terms import Terms
from damfs.integration.wire import (
    Add,
    Asking,
    Caring,
    Cut,
    Cutting,
    GetInfo,
    GetStatus,
    GetStores,
    GetTags,
    GetTagsOf,
    GetVersions,
    History,
    Indexing,
    Making,
    Progress,
    Request,
    Scan,
    Stop,
    Tag,
    Tagging,
    TakingBack,
    Target,
    VersionRow,
)
from damfs.integration.wire_models import Modelling
from damfs.integration.wire_pairs import Dedupe, SyncSidecars
from damfs.integration.wire_search import FindSimilar, Searching
from damfs.integration.wire_terms import OnTerms
from damfs.model import LIBRARY_STORE, AssetId, Store, StoreKind, Term

ACTOR = "cli"
Report = Callable[[Progress], None]
Answerer = Callable[[Any, Report], Awaitable[object]]
"""Of requests of some classes; what it answers, msgspec can make JSON of."""


class Service:
    """``stop``: what a Stop request does; without one nothing is mounted here. ``reception``: who seals files here,
    ``maker``: who makes pieces of clips; without one for the time of a request. ``models``: who asks the model worker
    of the daemon."""

    def __init__(
        self,
        library: Library,
        stop: Callable[[], None] | None = None,
        reception: Reception | None = None,
        maker: Maker | None = None,
        models: Models | None = None,
    ) -> None:
        self._library = library
        self._reception = Reception(library) if reception is None else reception
        self._stop = stop
        self._maker = maker
        self._models = Models(library) if models is None else models
        self._pairing = Pairing(library, self._reception)
        self.catch_up: Callable[[], None] = lambda: None
        """Before a request is answered: with what the mount did without asking. It does not raise."""
        self.scanning: dict[str, trio.Lock] = {}
        self._answerers = {
            kind: answer for kinds, answer in self._doors(library) for kind in get_args(kinds) or (kinds,)
        }

    def _doors(self, library: Library) -> Iterable[tuple[object, Answerer]]:
        """Who answers which requests."""
        mounted = self._stop is not None
        yield Indexing, self._index
        yield Asking, self._look
        yield Tagging, self._change_tags
        yield History, self._history
        yield Cutting, self._cut
        yield Caring, Care(library, mounted=mounted).answer
        yield TakingBack, Returns(library, self._asset_at_bytes).answer
        yield Searching, Finder(library, mounted=mounted, target=self._target).answer
        yield (
            Making,
            MakingProxies(library, mounted=mounted, asset_at=self._asset_at_bytes, asset_of=self._target).answer,
        )
        yield Modelling, self._models.answer
        yield OnTerms, Terms(library).answer
        yield SyncSidecars, self._sync_sidecars
        yield Dedupe, self._pairing.answer
        yield Stop, self._ask_to_stop

    async def answer(self, request: Request, report: Report) -> object:
        """The answer to a request as JSON values. Raises damfs errors."""
        return msgspec.to_builtins(await self._answerers[type(request)](request, report))

    async def _index(self, request: Add | Scan, report: Report) -> object:
        if isinstance(request, Add):
            return await self._add(request, report)
        return [await self.scan(store, report) for store in self._stores_named(request.store)]

    async def _look(self, request: GetStatus | GetStores | GetTags, _report: Report) -> object:
        library = self._library
        match request:
            case GetStatus():
                return await library.db.read(library.status)
            case GetStores():
                return library.stores()
            case GetTags():
                counts = await library.db.read(vocabulary.list_counts)
                names = {term.id: term.name for term, _ in counts}
                return [
                    {"term": term.name, "broader": names.get(term.broader) if term.broader else None, "assets": count}
                    for term, count in counts
                ]

    async def _add(self, request: Add, report: Report) -> object:
        folder = await trio.to_thread.run_sync(os.path.realpath, request.folder)
        await trio.to_thread.run_sync(_check_folder, Path(folder), self._library.path)
        known = next((store for store in self._library.stores() if store.root == folder), None)
        if known is None:
            name = clean_name(request.name or os.path.basename(folder))
            if name == LIBRARY_STORE:
                raise Conflict(f'"{LIBRARY_STORE}" is the library\'s own store; choose another name with --name')
            id_ = self._library.perform(AddStore(name, StoreKind.READ_ONLY, folder), ACTOR, durable=True)
            known = next(store for store in self._library.stores() if store.id == id_)
        elif request.name and request.name != known.name:
            raise Conflict(f'{folder} is indexed already, as the store "{known.name}"')
        return await self.scan(known, report)

    async def watch(self, store: Store, report: Report) -> object:
        """A scan that nobody asked for: files have to be quiet for a while."""
        return await self.scan(store, report, quiet_s=QUIET_S)

    async def scan(self, store: Store, report: Report, *, quiet_s: float = 0.0) -> object:
        """One scan of a store at a time."""

        def forward(progress: ScanProgress) -> None:
            if progress.files:
                report(Progress(store.name, progress.files_read, progress.files, progress.size_read, progress.size))
            else:
                report(Progress(store.name, progress.walked, 0))

        lock = self.scanning.setdefault(store.name, trio.Lock())
        async with lock:
            summary = await scanner.scan(self._library, store, forward, quiet_s=quiet_s)
        return msgspec.to_builtins(summary)

    def names_being_scanned(self) -> list[str]:
        return [name for name, lock in self.scanning.items() if lock.locked()]

    async def _sync_sidecars(self, request: SyncSidecars, report: Report) -> object:
        """Their files may have been changed on the disk since anybody looked."""
        for store in self._stores_named(""):
            with suppress(Unavailable):  # what lies in a store that is offline is read when it is back
                await self.scan(store, report)
        return await self._pairing.answer(request, report)

    def _stores_named(self, name: str) -> list[Store]:
        found = [store for store in self._library.stores() if not name or store.name == name]
        if not found:
            raise NotFound(f'no store "{name}"; `damfs stores LIBRARY` lists them')
        return found

    async def _change_tags(self, request: Tag, _report: Report) -> object:
        return await self._untag_everywhere(request) if request.everywhere else self._tag(request)

    def _tag(self, request: Tag) -> object:
        ids = [AssetId(id_) for id_ in request.assets]
        ids += [self._asset_at(Path(os.fsdecode(path))) for path in request.paths]
        for id_ in ids:
            self._library.known(id_)
        if not request.remove:
            given = self._library.perform(GiveTerms(tuple(ids), tuple(map(clean_name, request.terms))), ACTOR)
            return {"assets": len(ids), "terms": given}
        terms = [self._term(name) for name in dict.fromkeys(request.terms)]
        self._library.execute([RemoveTag(id_, term.id) for id_ in ids for term in terms], ACTOR)
        return {"assets": len(ids), "terms": [term.name for term in terms]}

    async def _untag_everywhere(self, request: Tag) -> object:
        terms = [self._term(name) for name in dict.fromkeys(request.terms)]
        group = self._library.new_group()
        numbers = [await untag_all(self._library, term.id, ACTOR, group) for term in terms]
        return {"assets": sum(numbers), "terms": [term.name for term in terms]}

    def _term(self, raw: str) -> Term:
        connection, name = self._library.db.writer, clean_name(raw)
        found = term_names.resolve(connection, name)
        if found is None:
            raise NotFound(unknown(connection, name) + "; `damfs tags LIBRARY` lists the terms")
        return found

    async def _history(self, request: History, _report: Report) -> object:
        id_ = self._target(request.target)
        if isinstance(request, GetInfo):
            return msgspec.to_builtins(info_of(self._library.db.writer, self._library.known(id_)))
        if isinstance(request, GetTagsOf):
            return said_tags(self._library.db.writer, id_)
        if isinstance(request, GetVersions):
            return [version_row(each) for each in versions.of_asset(self._library.db.writer, id_)]
        return version_row(await revert(self._library, self._reception, id_, request.number))

    async def _cut(self, request: Cut, report: Report) -> object:
        span = None if request.at_ms >= 0 else Span(request.start_ms, request.end_ms, request.exact)
        id_ = self._target(request.target)
        if request.withdraw:
            return withdraw(self._library, self._maker, id_, span, request.at_ms)
        return await cut(self._library, self._maker, id_, span, request.at_ms, report)

    def _target(self, target: Target | FindSimilar) -> AssetId:
        id_ = AssetId(target.asset) if target.asset else self._asset_at(Path(os.fsdecode(target.path)))
        return self._library.known(id_).id

    async def _ask_to_stop(self, _request: Stop, _report: Report) -> object:
        if self._stop is None:
            raise Refused("the library is not mounted")
        return {}

    def answered(self, request: Request) -> None:
        """The answer is on its way to the client: now the daemon may stop."""
        if isinstance(request, Stop) and self._stop is not None:
            self._stop()

    def _asset_at_bytes(self, path: bytes) -> AssetId:
        return self._asset_at(Path(os.fsdecode(path)))

    def _asset_at(self, path: Path) -> AssetId:
        """The asset of a file in a store, by its path outside the mount. Raises NotFound."""
        for store in self._library.stores():
            root = Path(store.root) if store.root else self._library.originals
            if path.is_relative_to(root):
                found = self._asset_of_key(store, path.relative_to(root))
                if found is not None:
                    return found
        raise NotFound(
            f"{path} is no file of this library; scan its store if it is new: damfs scan {self._library.path}"
        )

    def _asset_of_key(self, store: Store, below: Path) -> AssetId | None:
        connection = self._library.db.writer
        *folders, name = (os.fsencode(part) for part in below.parts)
        folder = stores.folder_at(connection, store.id, folders)
        shown = None if folder is None else stores.shown(connection, folder, name)
        return None if shown is None else shown.asset


def version_row(version: Version) -> object:
    row = VersionRow(
        version.number, version.size, version.mtime_ns, version.created_ns, version.digest.hex(), bool(version.current)
    )
    return msgspec.to_builtins(row)


def _check_folder(folder: Path, library: Path) -> None:
    """Blocks. Raises Refused with what to do."""
    if not folder.exists():
        raise NotFound(f"{folder}: no such folder")
    if not folder.is_dir():
        raise Refused(f"{folder} is not a folder; to take in one file, copy it into inbox/ of the mount")
    if folder == library or folder.is_relative_to(library):
        raise Refused(f"{folder} is part of the library itself; add a folder outside of {library}")
    inside = mounts.mount_of(folder)
    if inside is not None:
        raise Refused(f"{folder} is a damfs mount, or part of one (of {inside.source}); add folders of real disks")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise DamfsError(f"{folder} cannot be read; check its permissions")

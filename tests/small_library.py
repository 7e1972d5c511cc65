"""Libraries for tests: made, opened with processors of one's choice, and filled the way the daemon fills them.

Real files and a real catalog, in a directory of the test's. Not for use with a daemon on the same library.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path

from damfs.catalog import assets, stores, vocabulary
from damfs.catalog.database import Connection
from damfs.catalog.migrations import open_catalog
from damfs.core.commands import AddStore, AddTag, DefineTerm, Receive, SetClosed, SetTimes
from damfs.core.library import Library, make_library
from damfs.core.processor_registry import GROUP, ProcessorRegistry
from damfs.core.reception import Reception
from damfs.core.rewriting import BeginRewrite, CloseRewrite
from damfs.core.scan_report import ScanReport
from damfs.core.scanner import scan
from damfs.model import Asset, AssetId, Store, StoreKind, TermId
from damfs.settings import read_settings

JULY_NS = 1_721_044_800_000_000_000
"""2024-07-15 12:00 UTC."""
ZONE = '[library]\ntimezone = "Europe/Berlin"\n'
TABLES = (
    "text_due", "saved_search",
    "store", "folder", "blob", "asset", "version", "copy", "fact", "rendition", "embedding", "term", "tagging",
    "proposal", "judgement", "term_label", "term_note", "term_detail", "term_relation",
    "change", "facet", "job", "property", "remark", "attribute",
    "dropped_vector", "space",
    "trashed", "aside", "doomed", "trash_name", "trash_note",
    "destination", "placed", "folder_attribute", "asset_owner", "folder_move", "file_move", "rewrite",
    "sidecar", "parted_sidecar", "sidecar_due", "near", "compared", "clip_mark",
    "field_text", "field_number",
)  # fmt: skip


def entry_points_of(*classes: type) -> list[EntryPoint]:
    return [EntryPoint(each.__name__, f"{each.__module__}:{each.__qualname__}", GROUP) for each in classes]


@contextmanager
def opened(path: Path, processors: Sequence[EntryPoint] = ()) -> Iterator[Library]:
    """The library at ``path`` (made if it is not there) with these processors only."""
    if not path.exists():
        make_library(path)
        (path / "damfs.toml").write_text(ZONE)
    with closing(open_catalog(path / "state" / "catalog.sqlite3")) as database:
        library = Library(path, read_settings(path), database, ProcessorRegistry.load(processors))
        try:
            yield library
        finally:
            library.vectors.indexes.close()


def term(library: Library, name: str, broader: TermId | None = None) -> TermId:
    """The term of that name, defined if it is not there."""
    known = vocabulary.term_named(library.db.writer, name)
    return known.id if known is not None else library.perform(DefineTerm(name, broader), "test")


def drafted(library: Library, name: str, data: bytes, *tags: str, triaged: bool = False) -> AssetId:
    """A file that was received and closed, and is not sealed yet."""
    id_ = library.perform(Receive(name, 0o644, triaged), "test")
    library.execute([AddTag(id_, term(library, tag)) for tag in tags], "test")
    descriptor = library.staging.create(id_)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
    library.execute([SetTimes(id_, JULY_NS), SetClosed(id_, closed=True, size=len(data))], "test")
    return id_


async def received(library: Library, name: str, data: bytes, *tags: str, triaged: bool = False) -> Asset:
    """The asset that a received file became."""
    id_ = await Reception(library).seal(drafted(library, name, data, *tags, triaged=triaged))
    assert id_ is not None
    return asset(library, id_)


async def overwritten(library: Library, id_: AssetId, data: bytes) -> Asset:
    """The asset after other bytes were written over it and closed."""
    os.close(library.staging.stage_copy(id_, None))
    library.staging.path(id_).write_bytes(data)
    library.execute([BeginRewrite(id_, 0), CloseRewrite(id_, len(data), JULY_NS)], "test")
    await Reception(library).seal(id_)
    return asset(library, id_)


def asset(library: Library, id_: AssetId) -> Asset:
    found = library.asset(id_)
    assert found is not None
    return found


def assets_named(library: Library, name: str) -> list[Asset]:
    """Whatever their state."""
    ids = [id_ for (id_,) in library.db.writer.rows("SELECT id FROM asset WHERE name = ? ORDER BY id", name)]
    return [asset(library, id_) for id_ in ids]


def the_asset(library: Library, name: str) -> Asset:
    (found,) = assets_named(library, name)
    return found


def added(library: Library, folder: Path, name: str = "footage") -> Store:
    """A read-only store of a folder."""
    folder.mkdir(exist_ok=True)
    library.perform(AddStore(name, StoreKind.READ_ONLY, str(folder)), "test")
    return store_named(library, name)


def store_named(library: Library, name: str) -> Store:
    return next(store for store in library.stores() if store.name == name)


async def scanned(library: Library, name: str = "footage") -> ScanReport:
    return await scan(library, store_named(library, name))


def tags(library: Library, id_: AssetId) -> list[str]:
    return [each.name for each in vocabulary.tagged_terms(library.db.writer, id_)]


def keys(library: Library, name: str = "library") -> dict[bytes, tuple[AssetId, str]]:
    """What the catalog says lies in a store: key to asset and state."""
    copies = stores.list_copies(library.db.writer, store_named(library, name).id)
    return {bytes(key): (copy.asset, str(copy.state)) for key, copy in copies}


def files_below(folder: Path) -> dict[bytes, bytes]:
    """Content of every regular file below a folder, by path."""
    root = os.fsencode(folder)
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, root)] = file.read()
    return found


def dump(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    return {table: connection.rows(f"SELECT * FROM {table}") for table in TABLES}


def names_of(found: Sequence[assets.Listed]) -> list[str]:
    return [each.name for each in found]

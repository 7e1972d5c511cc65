"""A library with many assets in one tag, written straight into the catalog, and its twin: the same files on disk.

The files are real (tiny, each with bytes of its own) and lie in a read-only store; digests, jobs that are done and
renditions are there as after a real scan, so that a daemon that starts on it finds nothing to do. Blocks.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from damfs.catalog import assets, derived, stores, vocabulary
from damfs.catalog.database import Connection
from damfs.core.commands import AddStore, DefineTerm
from damfs.core.library import Library, open_library
from damfs.core.processors.processor import Processor
from damfs.model import BlobId, Digest, FolderId, Media, RenditionKind, StoreId, StoreKind, TagSource, TermId

MANY, FEW = "everything", "handful"
ACTOR = "bench"
BATCH = 2_000
MODE = 0o644
PREVIEWS = (
    (RenditionKind.POSTER, "full"),
    *((RenditionKind.THUMBNAIL, side) for side in ("128", "256", "512", "1024")),
)
LINKS = 10_000
"""Names of one file: file systems allow 65,000 or fewer."""


@dataclass(frozen=True, slots=True)
class Populated:
    """``twin``: the folder of the assets' files, which is the store as well; ``names``: all, in order of their ids."""

    library: Path
    twin: Path
    few_twin: Path
    names: list[str]


@dataclass(frozen=True, slots=True)
class _Target:
    library: Library
    store: StoreId
    folder: FolderId
    many: TermId
    few: TermId
    processors: tuple[Processor, ...]
    pictured: bool


def populate(library: Path, twin: Path, many: int, few: int, *, pictured: bool = True) -> Populated:
    """``many`` assets carry the term MANY, the first ``few`` of them FEW as well. ``pictured``: with facts and
    renditions, which are most of the work."""
    (folder := twin / "many").mkdir()
    (few_folder := twin / "few").mkdir()
    names = [f"IMG_{number:06d}.jpg" for number in range(many)]
    for name in names:
        write_small(folder / name)
    for name in names[:few]:
        write_small(few_folder / name)
    with open_library(library) as opened:
        target = _target(opened, folder, pictured=pictured)
        for start in range(0, many, BATCH):
            with opened.db.transaction() as tx:
                for number in range(start, min(many, start + BATCH)):
                    _insert(tx, target, folder / names[number], number, in_few=number < few)
    return Populated(library, folder, few_folder, names)


def write_small(path: Path) -> None:
    """A file whose bytes are its name."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    os.write(fd, path.name.encode())
    os.close(fd)


def _target(library: Library, folder: Path, *, pictured: bool) -> _Target:
    store = library.perform(AddStore("twin", StoreKind.READ_ONLY, str(folder)), ACTOR)
    many, few = (library.perform(DefineTerm(name), ACTOR) for name in (MANY, FEW))
    root = stores.root_folder(library.db.writer, store)
    return _Target(library, store, root, many, few, library.registry.processors, pictured)


def _insert(tx: Connection, target: _Target, path: Path, number: int, *, in_few: bool) -> None:
    status, digest = path.stat(), Digest(blake3(path.name.encode()).digest())
    blob = stores.ensure_blob(tx, digest, status.st_size)
    at_ns = status.st_mtime_ns
    day = target.library.day(at_ns)
    asset = assets.insert_present(tx, path.name, Media.IMAGE, blob, status.st_size, at_ns, MODE, day, at_ns)
    stores.add_copy(
        tx, blob, asset, target.store, target.folder, os.fsencode(path.name),
        status.st_size, at_ns, status.st_ino, at_ns,
    )  # fmt: skip
    for term in (target.many, target.few) if in_few else (target.many,):
        vocabulary.attach(tx, asset, term, TagSource.PERSON, 1.0, at_ns)
    tx.run_many(
        "INSERT INTO job (blob, processor, processor_version, priority, state, due_ns, updated_ns)"
        " VALUES (?, ?, ?, 0, 'done', 0, 0)",
        ((blob, each.name, each.version) for each in target.processors),
    )
    if target.pictured:
        _insert_derived(tx, target, blob, digest, number)


def _insert_derived(tx: Connection, target: _Target, blob: BlobId, digest: Digest, number: int) -> None:
    """What the processors would have left beside jobs that are done: facts, pictures."""
    derived.set_facts(tx, blob, "probe", {"media": "image", "width": 6000, "height": 4000, "number": number})
    source = target.library.renditions / f"source-{number // LINKS}"
    if number % LINKS == 0:
        write_small(source)
    size = len(source.name)
    for kind, profile in PREVIEWS:
        name = f"{digest.hex()}-{kind}-{profile}.jpg"
        path = target.library.renditions / name[:2] / name
        path.parent.mkdir(exist_ok=True)
        os.link(source, path)
        derived.set_rendition(tx, blob, kind, profile, f"{name[:2]}/{name}", size, {}, 0)

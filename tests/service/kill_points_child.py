"""Does one piece of work on copies of a library; each time it dies just before another durable step, as by SIGKILL.

    python -m tests.service.kill_points_child START SCENARIO DIRECTORY

START holds `library` and `footage`. The copy in DIRECTORY/K is of a run that died before its K-th step; the last copy
is of the run that was through, and the steps it took are printed. Durable steps are what moves a library from one state
to another on disk: fsync, link, rename, unlink, mkdir and COMMIT, counted from where the scenario begins. Each run is a
fork, made before any thread is.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from damfs.catalog import stores
from damfs.catalog.database import Connection
from damfs.catalog.folders import Move
from damfs.core import batch_sealing, folders
from damfs.core.arranging import SetDestination, SetFolder
from damfs.core.commands import AddTag, Receive, ReceiveInto, SetClosed, SetSize, SetTimes, Triage
from damfs.core.filing import file_by_capture
from damfs.core.library import Library
from damfs.core.processors.processor import MadeRendition
from damfs.core.reception import Reception
from damfs.core.rendition_files import publish_renditions
from damfs.core.results import FinishJob
from damfs.core.rewriting import BeginRewrite, CloseRewrite, SizeRewrite
from damfs.core.superseding import revert, supersede, supersede_by_draft
from damfs.core.trashing import DAY_NS, expire, restore_assets, trash_assets
from damfs.model import AssetId, FolderId, Job, RenditionKind
from damfs.storage import placing
from tests.service.kill_points_processors import PROCESSORS, Poster
from tests.small_library import JULY_NS, opened, received, scanned, term, the_asset

OS_STEPS = ("fsync", "fdatasync", "link", "rename", "replace", "unlink", "remove", "mkdir", "rmdir")
DIED = 9


class Steps:
    """Counts the durable steps of this process; dies before one."""

    def __init__(self, fatal: int) -> None:
        self.fatal, self.counting = fatal, False
        self.taken: list[str] = []

    def count(self, name: str) -> None:
        if not self.counting:
            return
        self.taken.append(name)
        if len(self.taken) == self.fatal:
            os._exit(DIED)

    def watch(self, owner: object, name: str) -> None:
        step = getattr(owner, name)

        def counted(*args: Any, **more: Any) -> Any:  # whatever the step itself takes
            self.count(name)
            return step(*args, **more)

        setattr(owner, name, counted)

    def watch_commits(self) -> None:
        script = Connection.script

        def counted(connection: Connection, sql: str) -> None:
            if sql == "COMMIT":
                self.count(sql)
            script(connection, sql)

        setattr(Connection, "script", counted)  # noqa: B010 - mypy would rightly refuse the assignment


async def receive(library: Library) -> None:
    """What `cp clip.mov by-tag/beach/` does, with an fsync in the middle."""
    beach = term(library, "beach")
    reception = Reception(library)
    receive = ReceiveInto(Receive("clip.mov", 0o644, triaged=True), lambda asset: [AddTag(asset, beach)])
    asset = library.perform(receive, "fuse")
    descriptor = library.staging.create(asset)
    os.write(descriptor, b"the first half, ")
    library.staging.sync(descriptor)
    library.execute([SetSize(asset, 16)], "fuse", durable=True)
    os.write(descriptor, b"the second")
    library.execute([SetTimes(asset, JULY_NS)], "fuse")
    os.close(descriptor)
    library.execute([SetClosed(asset, closed=True, size=26)], "fuse")
    (library.path / "closed").write_bytes(b"")
    await reception.seal(asset)


async def receive_twin(library: Library) -> None:
    """A second copy of known bytes: under the same name it becomes the known asset."""
    await copy_in(library, "known.mov")


async def receive_copy(library: Library) -> None:
    """Under another name it is an asset that shares the bytes."""
    await copy_in(library, "copy.mov")


async def copy_in(library: Library, name: str) -> None:
    sea = term(library, "sea")
    asset = library.perform(ReceiveInto(Receive(name, 0o644, triaged=True), lambda id_: [AddTag(id_, sea)]), "fuse")
    descriptor = library.staging.create(asset)
    os.write(descriptor, b"known bytes")
    os.close(descriptor)
    library.execute([SetTimes(asset, JULY_NS), SetClosed(asset, closed=True, size=11)], "fuse")
    (library.path / "closed").write_bytes(b"")
    await Reception(library).seal(asset)


CARD = [
    ("a.jpg", b"picture a"), ("again.jpg", b"known bytes"), ("same.raw", b"raw 1"), ("same.raw", b"raw 2"),
    ("same.raw", b"longer raw 3"),
]  # fmt: skip


async def receive_card(library: Library) -> None:
    """Small files that were closed one after the other, one of them with known bytes: sealed together."""
    batch_sealing.THREADS = 1  # steps are counted one by one
    hash_all = batch_sealing.BatchSealing._hash_all
    in_any_order = lambda *told: dict(reversed(hash_all(*told).items()))  # noqa: E731  # as several threads would
    setattr(batch_sealing.BatchSealing, "_hash_all", in_any_order)  # noqa: B010 - mypy would rightly refuse it
    ids = [staged(library, name, content) for name, content in CARD]
    (library.path / "closed").write_bytes(b"")
    async with trio.open_nursery() as nursery:
        batches = batch_sealing.BatchSealing(library, Reception(library), nursery)
        for id_ in ids:
            nursery.start_soon(batches.seal, id_)


def staged(library: Library, name: str, content: bytes) -> AssetId:
    asset = library.perform(Receive(name, 0o644, triaged=False), "fuse")
    descriptor = library.staging.create(asset)
    os.write(descriptor, content)
    os.close(descriptor)
    library.execute([SetTimes(asset, JULY_NS), SetClosed(asset, closed=True, size=len(content))], "fuse")
    return asset


async def scan_moved(library: Library) -> None:
    """A folder in which one file was moved, one is new and one is gone."""
    await scanned(library)


async def finish_job(library: Library) -> None:
    """What the job runner does with a processor's output."""
    asset = the_asset(library, "known.mov")
    assert asset.blob is not None
    connection = library.db.writer
    id_ = connection.integer("SELECT id FROM job WHERE blob = ? AND processor = ?", asset.blob, Poster.name)
    connection.run("UPDATE job SET state = 'leased', attempts = attempts + 1 WHERE id = ?", id_)
    out = library.state / "work" / str(id_)
    out.mkdir(parents=True, exist_ok=True)
    poster = out / "poster.jpeg"
    poster.write_bytes(b"a poster")
    made = (MadeRendition(RenditionKind.POSTER, "jpeg", poster),)
    published = publish_renditions(library.renditions, stores.digest_of(connection, asset.blob), made)
    job = Job(id_, asset.blob, Poster.name, Poster.version, 1)  # type: ignore[arg-type]  # the row's id
    library.perform(FinishJob(job, {"width": 3}, published, (), ()), "processor:poster")


async def file_by_day(library: Library) -> None:
    """The probe found out when the clip was captured: its file moves to that day's folder."""
    blob = the_asset(library, "known.mov").blob
    assert blob is not None
    connection = library.db.writer
    id_ = connection.integer("SELECT id FROM job WHERE blob = ? AND processor = ?", blob, Poster.name)
    job = Job(id_, blob, Poster.name, Poster.version, 1)  # type: ignore[arg-type]  # the row's id
    library.perform(FinishJob(job, {"captured_local": "2019-05-06T07:08:09"}, (), (), ()), "processor:poster")
    await file_by_capture(library, blob)


async def receive_into_folder(library: Library) -> None:
    """What `cp clip.mov originals/library/projects/` does. The bytes are known, under another name."""
    projects = await folders.make_folder(library, root(library), b"projects", 0o755)
    receive = Receive("clip.mov", 0o644, triaged=True)
    asset = library.perform(ReceiveInto(receive, lambda id_: [SetDestination(id_, projects, b"clip.mov")]), "fuse")
    write(library, asset)
    await Reception(library).seal(asset)


async def move_folder(library: Library) -> None:
    """`mv originals/library/2024 originals/library/kept` while a file in it is still being received."""
    above = folder(library, [b"2024"])
    july = folder(library, [b"2024", b"07", b"15"])
    library.execute([SetFolder(above, 0o750, None)], "fuse", durable=True)
    receive = Receive("clip.mov", 0o644, triaged=True)
    asset = library.perform(ReceiveInto(receive, lambda id_: [SetDestination(id_, july, b"clip.mov")]), "fuse")
    write(library, asset)
    await folders.move_folder(library, Move(above, root(library), b"kept"))
    (library.path / "moved").write_bytes(b"")
    await Reception(library).seal(asset)


async def move_file(library: Library) -> None:
    """`mv originals/library/2024/07/15/known.mov originals/library/a/`, and a folder goes away."""
    to = await folders.make_folder(library, root(library), b"a", 0o755)
    (copy,) = stores.copies_of_asset(library.db.writer, the_asset(library, "known.mov").id)
    await folders.move_file(library, copy.id, to, b"known.mov", [Triage(copy.asset)])
    await folders.remove_folder(library, await folders.make_folder(library, to, b"b", 0o755))
    (library.path / "moved").write_bytes(b"")


async def replace_file(library: Library) -> None:
    """One file goes into the trash and another gets its name."""
    third, other = (
        stores.copies_of_asset(library.db.writer, the_asset(library, name).id)[0] for name in ("third.mov", "other.mov")
    )
    await trash_assets(library, [other.asset], "fuse")
    await folders.move_file(library, third.id, other.folder, other.name)
    (library.path / "moved").write_bytes(b"")


def root(library: Library) -> FolderId:
    return stores.root_folder(library.db.writer, library.library_store().id)


def folder(library: Library, path: list[bytes]) -> FolderId:
    found = stores.folder_at(library.db.writer, library.library_store().id, path)
    assert found is not None
    return found


def write(library: Library, asset: AssetId) -> None:
    """The bytes of the known asset, closed."""
    descriptor = library.staging.create(asset)
    os.write(descriptor, b"known bytes")
    os.close(descriptor)
    library.execute([SetTimes(asset, JULY_NS), SetClosed(asset, closed=True, size=11)], "fuse")
    (library.path / "closed").write_bytes(b"")


async def trash(library: Library) -> None:
    """What `rm inbox/known.mov` does: its file moves out of the way."""
    await trash_assets(library, [the_asset(library, "known.mov").id], "fuse")


async def restore(library: Library) -> None:
    """What `mv trash/known.mov inbox/` does: its file goes back where it lay."""
    await restore_assets(library, [the_asset(library, "known.mov").id], "fuse")


async def expire_old(library: Library) -> None:
    """The retention of an asset ends."""
    later = library.clock() + 31 * DAY_NS
    library.clock = lambda: later
    assert await expire(library) == 1


async def with_old_in_trash(library: Library) -> None:
    old = await received(library, "old.mov", b"the old bytes")
    await trash_assets(library, [old.id], "fuse")


async def with_others(library: Library) -> None:
    for name in ("other", "third"):
        await received(library, f"{name}.mov", f"{name} bytes".encode())


async def with_two_names(library: Library) -> None:
    """`ln` of known.mov, and of another file that has arrived."""
    for name in ("known.mov", "edit.mov"):
        if name == "edit.mov":
            await received(library, name, b"other bytes, more of them")
        (copy,) = stores.copies_of_asset(library.db.writer, the_asset(library, name).id)
        await folders.link_file(library, copy.id, copy.folder, b"second " + name.encode())


async def overwrite_two_names(library: Library) -> None:
    await overwrite(library)


async def supersede_by_arrived(library: Library) -> None:
    """`mv edit.mov known.mov`, both having arrived, each with two names."""
    known, edit = the_asset(library, "known.mov"), the_asset(library, "edit.mov")
    await supersede(library, Reception(library), known.id, edit.id)
    (library.path / "closed").write_bytes(b"")


async def overwrite(library: Library) -> None:
    """What `cp other.mov by-tag/beach/known.mov` does, with an fsync in the middle."""
    asset = the_asset(library, "known.mov")
    reception = Reception(library)
    descriptor = library.staging.stage_copy(asset.id, None)
    library.execute([BeginRewrite(asset.id, 0)], "fuse")
    os.write(descriptor, b"other bytes, ")
    library.staging.sync(descriptor)
    library.execute([SizeRewrite(asset.id, 13)], "fuse", durable=True)
    (library.path / "synced").write_bytes(b"")
    os.write(descriptor, b"more of them")
    os.close(descriptor)
    library.execute([CloseRewrite(asset.id, 25, JULY_NS + 1)], "fuse")
    (library.path / "closed").write_bytes(b"")
    await reception.seal(asset.id)


async def go_back(library: Library) -> None:
    """`damfs revert known.mov 1`, of an asset that has two versions."""
    await revert(library, Reception(library), the_asset(library, "known.mov").id, 1)


async def save_over(library: Library) -> None:
    """What an editor does: a temporary file, renamed over the original."""
    known = the_asset(library, "known.mov")
    asset = library.perform(Receive("known.mov.tmp", 0o644, triaged=True), "fuse")
    descriptor = library.staging.create(asset)
    os.write(descriptor, b"other bytes, more of them")
    os.close(descriptor)
    library.execute([SetClosed(asset, closed=True, size=25)], "fuse")
    reception = Reception(library)
    await supersede_by_draft(library, reception, known.id, asset, 25, JULY_NS, closed=True)
    (library.path / "closed").write_bytes(b"")
    await reception.seal(known.id)


BEFORE: dict[str, Callable[[Library], Awaitable[None]]] = {
    "restore": trash,
    "expire_old": with_old_in_trash,
    "replace_file": with_others,
    "overwrite_two_names": with_two_names,
    "supersede_by_arrived": with_two_names,
}
"""What is done before the steps of a scenario are counted."""
SCENARIOS: dict[str, Callable[[Library], Awaitable[None]]] = {
    each.__name__: each
    for each in (
        receive,
        receive_twin,
        receive_copy,
        receive_card,
        scan_moved,
        finish_job,
        file_by_day,
        trash,
        restore,
        expire_old,
        receive_into_folder,
        move_folder,
        move_file,
        replace_file,
        overwrite,
        overwrite_two_names,
        supersede_by_arrived,
        go_back,
        save_over,
    )
}


def run(path: Path, scenario: str, fatal: int) -> None:
    """Returns when there was no such step."""
    steps = Steps(fatal)
    for name in OS_STEPS:
        steps.watch(os, name)
    steps.watch(placing, "rename_without_replacing")
    steps.watch_commits()
    with opened(path / "library", PROCESSORS) as library:
        library.db.writer.run("UPDATE store SET root = ? WHERE name = 'footage'", str(path / "footage"))
        if scenario in BEFORE:
            trio.run(BEFORE[scenario], library)
        steps.counting = True
        trio.run(SCENARIOS[scenario], library)
        steps.counting = False
    print(*steps.taken, flush=True)


def main(start: Path, scenario: str, directory: Path) -> None:
    for fatal in itertools.count(1):
        shutil.copytree(start, directory / str(fatal))
        child = os.fork()
        if child == 0:
            run(directory / str(fatal), scenario, fatal)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != DIED:
            sys.exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))

"""Received files sealed in one transaction: what is left and told is what sealing each by itself leaves and tells, for
a share of the statements; each folder is made durable once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from blake3 import blake3

from damfs.catalog import stores
from damfs.core import batch_sealing
from damfs.core.arranging import SetDestination
from damfs.core.batch_sealing import BatchSealing
from damfs.core.commands import Command, Receive, SetTimes
from damfs.core.ingest import Seal
from damfs.core.library import Library
from damfs.core.news import seen, seen_new
from damfs.core.reception import Reception
from damfs.core.sealing_together import SealTogether
from damfs.errors import Refused
from damfs.model import AssetId, AssetState, Digest, Key, Media
from damfs.storage.blob_store import FileFact
from tests.service import job_processors
from tests.small_library import (
    JULY_NS,
    TABLES,
    asset,
    drafted,
    dump,
    entry_points_of,
    files_below,
    keys,
    opened,
    received,
)

NOW_NS = JULY_NS + 86_400_000_000_000
PROCESSORS = entry_points_of(job_processors.First, job_processors.Second)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


def still(library: Library) -> Library:
    """With a clock that stands, so that two of them can be compared."""
    library.clock = lambda: NOW_NS
    return library


def arriving(library: Library) -> list[Seal]:
    """A picture; one that its bytes and its day say something else of; one that somebody put into a folder."""
    plain = library.perform(Receive("good.jpg", 0o644, triaged=False), "test")
    other = drafted(library, "good.dat", b"bytes", "beach", triaged=True)
    placed = library.perform(Receive("good.mov", 0o600, triaged=True), "test")
    library.execute([SetTimes(plain, NOW_NS), SetTimes(placed, NOW_NS)], "test")
    store = library.library_store().id
    with library.db.transaction() as tx:
        folder, _ = stores.ensure_folder(tx, store, [b"projects"])
    library.perform(SetDestination(placed, folder, b"good.mov"), "test")
    days = {id_: library.day(asset(library, id_).mtime_ns) for id_ in (plain, other, placed)}
    return [
        sealing(library, plain, Media.IMAGE, f"{days[plain].replace('-', '/')}/good.jpg"),
        sealing(library, other, Media.VIDEO, f"{days[other].replace('-', '/')}/good.dat"),
        sealing(library, placed, Media.VIDEO, "projects/good.mov"),
    ]


def sealing(library: Library, id_: AssetId, media: Media, key: str) -> Seal:
    mtime_ns = asset(library, id_).mtime_ns
    placed = FileFact(Key(key.encode()), 5, mtime_ns, 100 + id_)
    digest = Digest(blake3(key.encode()).digest())
    day = library.day(mtime_ns)
    return Seal(id_, digest, 5, mtime_ns, media, day, library.library_store().id, placed)


async def test_the_rows_and_the_news_are_those_of_sealing_each(tmp_path: Path) -> None:
    left = []
    for together in (False, True):
        with opened(tmp_path / f"library-{together}", PROCESSORS) as library:
            seals = arriving(still(library))
            commands: list[Command[object]] = [SealTogether(tuple(seals))] if together else list(seals)
            library.execute(commands, "reception")
            rows = dump(library.db.writer)
            assert len(rows["job"]) >= len(seals)
            left.append({table: rows[table] for table in TABLES if table not in {"property", "store", "text_due"}})
    assert left[0] == left[1]


async def test_bytes_that_became_known_meanwhile_are_sealed_as_ever(library: Library) -> None:
    seals = arriving(still(library))
    (known,) = [await received(library, "known.jpg", b"known")]
    assert known.blob is not None
    digest = stores.digest_of(library.db.writer, known.blob)
    same = Seal(seals[0].asset, digest, 5, NOW_NS, Media.IMAGE, "2024-07-16", seals[0].store, seals[0].placed)
    library.perform(SealTogether((same, *seals[1:])), "reception")
    assert asset(library, seals[0].asset).blob == known.blob
    assert {asset(library, seal.asset).state for seal in seals} == {AssetState.PRESENT}


async def test_nothing_is_sealed_when_one_is_gone(library: Library) -> None:
    seals = arriving(still(library))
    library.perform(seals[0], "reception")
    with pytest.raises(Refused):
        library.perform(SealTogether(tuple(seals)), "reception")
    assert asset(library, seals[1].asset).state is AssetState.RECEIVING


def test_what_is_seen_of_a_new_asset_needs_no_statement(library: Library) -> None:
    for name, triaged in (("a.jpg", False), ("b.bin", True)):
        id_ = library.perform(Receive(name, 0o644, triaged), "test")
        new = asset(library, id_)
        assert seen(library.db.writer, id_) == seen_new(name, new.media, library.day(library.clock()), triaged=triaged)


async def sealed(library: Library, ids: list[AssetId]) -> None:
    async with trio.open_nursery() as nursery:
        batches = BatchSealing(library, Reception(library), nursery)
        for id_ in ids:
            nursery.start_soon(batches.seal, id_)


async def test_a_batch_costs_few_statements_commits_and_syncs(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 2 * batch_sealing.COMMIT
    ids = [drafted(library, f"{each}.dat", b"bytes %d" % each) for each in range(number)]
    synced = Counter[str]()
    fsync = os.fsync

    def counted(descriptor: int) -> None:
        synced["folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"] += 1
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", counted)
    statements, commits = library.db.writer.statements, library.db.commits
    await sealed(library, ids)
    assert {asset(library, id_).state for id_ in ids} == {AssetState.PRESENT}
    assert set(files_below(library.originals)) == set(keys(library))
    assert library.db.commits - commits == 2
    assert (library.db.writer.statements - statements) / number <= 7, "of each: key, blob, version, change, and a share"
    assert synced["file"] == number
    assert synced["folder"] <= 4, "of the day, and of the three above it that are made"


async def test_a_file_whose_row_is_gone_leaves_nothing_staged(library: Library) -> None:
    ids = [drafted(library, f"{each}.dat", b"bytes %d" % each) for each in range(3)]
    with library.db.transaction() as tx:
        tx.run("DELETE FROM asset WHERE id = ?", ids[1])
    await sealed(library, ids)
    assert library.staging.entries() == {}
    assert len(files_below(library.originals)) == 2


async def test_many_files_of_one_name_cost_no_more_questions(library: Library) -> None:
    """The numbers that earlier batches took are asked about together, not one by one for each file."""
    number, asked = 100, []
    for batch in range(3):
        ids = [drafted(library, "image.jpg", b"%d %d" % (batch, each)) for each in range(number)]
        statements = library.db.writer.statements
        await sealed(library, ids)
        asked.append(library.db.writer.statements - statements)
    assert asked[2] < 2 * asked[0] < 40 * number, asked
    assert len(set(keys(library))) == 3 * number

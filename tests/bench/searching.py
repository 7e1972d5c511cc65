"""Searching: listing a directory of search/ whose words and vectors rank, and full text over many assets: seconds."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from damfs.catalog import derived, full_text
from damfs.catalog.database import Connection
from damfs.catalog.full_text import match_of
from damfs.core.library import Library, open_library
from damfs.core.processors.processor import LOOK_MODEL
from damfs.core.searching import Asked
from damfs.model import AssetId, BlobId
from tests.bench.figure import Figure, figure, percentile
from tests.bench.ground import BenchFailed, Ground
from tests.bench.listing import ls
from tests.bench.synthetic import Populated

DIMENSION = 384
BATCH = 2_000
SETTLED_S = 1_800.0
LIMIT = "the limit of 150 ms"
BARE = "FTS5 by itself, ranked by bm25"
TIMES_MORE = 10
"""Full text is asked of so many times more assets than the others."""
SHOWN = 200
VOCABULARY = 20_000
WORDS_OF_EACH = 10


def measure(ground: Ground) -> Iterator[Figure]:
    """Each listing asks of another file, so that none is answered from memory; all of them hold a word of the query."""
    made = ground.populated()
    ground.say(f"vectors of {len(made.names):,} assets …")
    with open_library(made.library) as library:
        _embed(library)
    with ground.mounted(made.library) as daemon:
        daemon.wait_until_quiet()
        ground.say("search-listing …")
        place = daemon.mountpoint / "search"
        os.listdir(place / f"img like:{made.names[0]}")
        before = daemon.cpu_s()
        seconds = [ls("-U", place / f"img like:{name}") for name in _some(made, 5 * ground.size.runs)]
        cpu_s = (daemon.cpu_s() - before) / len(seconds)
        entries = len(os.listdir(place / f"img like:{made.names[0]}"))
    detail = {"command": "ls -U", "assets": len(made.names), "entries": entries, "daemon_cpu_s": cpu_s}
    yield figure("search-listing", "s", seconds, {LIMIT: [0.150]}, detail)


def _some(made: Populated, number: int) -> list[str]:
    return random.Random(1).sample(made.names[1:], min(number, len(made.names) - 1))


def _embed(library: Library) -> None:
    """A vector for each asset, around two hundred centres; and their index."""
    chance = np.random.default_rng(2)
    centres = chance.normal(size=(200, DIMENSION))
    blobs = [blob for (blob,) in library.db.writer.rows("SELECT DISTINCT blob FROM asset ORDER BY blob")]
    for start in range(0, len(blobs), BATCH):
        some = blobs[start : start + BATCH]
        vectors = centres[chance.integers(len(centres), size=len(some))] + chance.normal(size=(len(some), DIMENSION))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        with library.db.transaction() as tx:
            for blob, vector in zip(some, vectors.astype("<f4"), strict=True):
                derived.set_embedding(tx, BlobId(blob), LOOK_MODEL, None, vector.tobytes())
    while library.texts.step():
        pass
    library.similar.nearest(library.db.writer, AssetId(1))
    if not library.vectors.indexes.settle(SETTLED_S):
        raise BenchFailed("the vector index was not made in time")
    library.save_vectors()


def measure_text(ground: Ground) -> Iterator[Figure]:
    """The first 200 of what words find, as `damfs search` asks, beside the same words asked of a bare index."""
    number = ground.size.many * TIMES_MORE
    path = ground.library()
    ground.say(f"texts of {number:,} assets …")
    with open_library(path) as library:
        began = time.perf_counter()
        _write(library, number)
        filled_s = time.perf_counter() - began
        ground.say("full-text …")
        connection = library.db.writer
        queries = _queries()
        asked = [_timed(partial(library.searches.answer, connection, query, Asked())) for query in queries]
        bare = [_timed(partial(_bare, library, connection, query)) for query in queries]
    detail = {
        "assets": number,
        "queries": len(queries),
        "slowest_s": max(asked),
        "p90_s": percentile(asked, 0.9),
        "filled_s": filled_s,
    }
    yield figure("full-text", "s", asked, {BARE: bare}, detail)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _bare(library: Library, connection: Connection, query: str) -> object:
    words = library.searches.parsed(connection, query).words
    return connection.rows(
        "SELECT rowid FROM asset_text WHERE asset_text MATCH ? ORDER BY rank LIMIT ?", match_of(words), SHOWN
    )


def _write(library: Library, number: int) -> None:
    """Assets with a name and a comment of words that are as unevenly spread as those of a language."""
    chance = random.Random(4)
    words = [f"word{number}" for number in range(VOCABULARY)]
    weights = [1 / (rank + 3) for rank in range(VOCABULARY)]
    for start in range(0, number, BATCH):
        drawn = iter(chance.choices(words, weights, k=BATCH * WORDS_OF_EACH))
        with library.db.transaction() as tx:
            for id_ in range(start + 1, min(number, start + BATCH) + 1):
                mine = [next(drawn) for _ in range(WORDS_OF_EACH)]
                tx.run(
                    "INSERT INTO asset (id, name, media, state, triaged, size, mtime_ns, day, created_ns)"
                    " VALUES (?, ?, 'image', 'receiving', 1, 0, 0, '2024-07-15', 0)",
                    id_, f"{mine[0]}_{mine[1]} {id_}.jpg",
                )  # fmt: skip
                tx.run("INSERT INTO remark VALUES (?, 0, ?)", id_, " ".join(mine[2:]))
        with library.db.transaction() as tx:
            due = full_text.list_due(tx, 3 * BATCH)
            full_text.refresh(tx, {each.asset for each in due})
            full_text.forget_due(tx, due[-1].id)


def _queries() -> list[str]:
    """Rare words and common ones, alone, together, as beginnings, as phrases, with conditions."""
    chance = random.Random(5)
    ranks = [int(VOCABULARY ** chance.random()) - 1 for _ in range(12)]
    single = [f"word{rank}" for rank in ranks]
    pairs = [f"{one} {other}" for one, other in zip(single, reversed(single), strict=True)]
    return [*single, *pairs, "word19*", f'"{single[0]} {single[1]}"', f"{single[2]} type:image", f"{single[3]} -word2"]

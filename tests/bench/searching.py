"""Searching: listing a directory of search/ whose words and vectors rank, and full text over many assets: seconds."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import accumulate

import numpy as np

from damfs.catalog import derived, full_text
from damfs.catalog.database import Connection
from damfs.catalog.full_text import match_of
from damfs.catalog.word_breaks import name_words
from damfs.core.library import Library, open_library
from damfs.core.processors.processor import LOOK_MODEL
from damfs.core.searching import Asked
from damfs.model import AssetId, BlobId
from tests.bench.figure import Figure, figure, percentile
from tests.bench.ground import BenchFailed, Ground
from tests.bench.listing import ls
from tests.bench.synthetic import Populated, populate

DIMENSION = 384
BATCH = 2_000
TEXTS_AT_ONCE = 50_000
SETTLED_S = 1_800.0
LIMIT = "the limit of 150 ms"
BARE = "FTS5 by itself, ranked by bm25"
LIMIT_OF_TEXTS = "asked for"
MILLION = 1_000_000
TIMES_MORE = 10
"""Full text is asked of so many times more assets than the others."""
SHOWN = 200
VOCABULARY = 20_000
WORDS_OF_EACH = 10


def measure(ground: Ground) -> Iterator[Figure]:
    """Each listing asks of another file, so that none is answered from memory; all of them hold a word of the query."""
    number = ground.size.many
    ground.say(f"search: making a library of {number:,} assets …")
    made = populate(ground.library(), ground.new("twin"), number, 0, pictured=False)
    ground.say(f"search: vectors and texts of {number:,} assets …")
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
    _write_texts(library)
    library.similar.nearest(library.db.writer, AssetId(1))
    if not library.vectors.indexes.settle(SETTLED_S):
        raise BenchFailed("the vector index was not made in time")
    library.save_vectors()


def _write_texts(library: Library) -> None:
    """All that are due in one transaction."""
    due = full_text.list_due(library.db.writer, -1)
    with library.db.transaction() as tx:
        full_text.refresh(tx, (each.asset for each in due))
        full_text.forget_due(tx, due[-1].id)


def measure_text(ground: Ground) -> Iterator[Figure]:
    yield _text_figure(ground, "full-text", ground.size.many * TIMES_MORE)


def measure_text_million(ground: Ground) -> Iterator[Figure]:
    yield _text_figure(ground, "full-text-million", MILLION)


def _text_figure(ground: Ground, name: str, number: int) -> Figure:
    """The first 200 of what words find, as `damfs search` asks, beside the same words asked of a bare index."""
    path = ground.library()
    ground.say(f"texts of {number:,} assets …")
    with open_library(path) as library:
        began = time.perf_counter()
        _write(library, number)
        filled_s = time.perf_counter() - began
        ground.say(f"{name} …")
        connection = library.db.writer
        queries = _queries()
        began_cpu = time.process_time()
        asked = [_timed(partial(library.searches.answer, connection, query, Asked())) for query in queries]
        cpu_s = (time.process_time() - began_cpu) / len(queries)
        bare = [_timed(partial(_bare, library, connection, query)) for query in queries]
    detail = {
        "assets": number,
        "queries": len(queries),
        "slowest_s": max(asked),
        "p90_s": percentile(asked, 0.9),
        "cpu_s": cpu_s,
        "filled_s": filled_s,
        LIMIT_OF_TEXTS: 0.050,
    }
    return figure(name, "s", asked, {BARE: bare}, detail)


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
    """Assets with a name and a comment of words that are as unevenly spread as those of a language. Straight into the
    index, as `full_text.refresh` would write them: a million through the triggers takes an hour."""
    chance = random.Random(4)
    words = [f"word{number}" for number in range(VOCABULARY)]
    weights = list(accumulate(1 / (rank + 3) for rank in range(VOCABULARY)))
    with _untold(library):
        for start in range(1, number + 1, TEXTS_AT_ONCE):
            ids = range(start, min(number + 1, start + TEXTS_AT_ONCE))
            drawn = [chance.choices(words, cum_weights=weights, k=WORDS_OF_EACH) for _ in ids]
            named = [f"{mine[0]}_{mine[1]} {id_}.jpg" for id_, mine in zip(ids, drawn, strict=True)]
            said = [" ".join(mine[2:]) for mine in drawn]
            with library.db.transaction() as tx:
                tx.run_many(
                    "INSERT INTO asset (id, name, media, state, triaged, size, mtime_ns, day, created_ns)"
                    " VALUES (?, ?, 'image', 'receiving', 1, 1, 0, '2024-07-15', 0)",
                    zip(ids, named, strict=True),
                )
                tx.run_many("INSERT INTO remark VALUES (?, 0, ?)", zip(ids, said, strict=True))
                tx.run_many(
                    "INSERT INTO asset_text (rowid, name, folders, comment, fields, transcript)"
                    " VALUES (?, ?, '', ?, '', '')",
                    zip(ids, map(name_words, named), said, strict=True),
                )


@contextmanager
def _untold(library: Library) -> Iterator[None]:
    """Without the triggers that note whose texts are due."""
    triggers = library.db.writer.rows(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name IN ('asset', 'remark')"
    )
    with library.db.transaction() as tx:
        for name, _ in triggers:
            tx.run(f"DROP TRIGGER {name}")
    yield
    with library.db.transaction() as tx:
        for _, sql in triggers:
            tx.run(sql)


def _queries() -> list[str]:
    """Rare words and common ones, alone, together, as beginnings, as phrases, with conditions."""
    chance = random.Random(5)
    ranks = [int(VOCABULARY ** chance.random()) - 1 for _ in range(12)]
    single = [f"word{rank}" for rank in ranks]
    pairs = [f"{one} {other}" for one, other in zip(single, reversed(single), strict=True)]
    return [*single, *pairs, "word19*", f'"{single[0]} {single[1]}"', f"{single[2]} type:image", f"{single[3]} -word2"]

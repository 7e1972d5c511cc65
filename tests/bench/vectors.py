"""The vector index beside bare usearch and beside exact search: how much is found, and how fast.

Vectors are clustered as embeddings are: unit length, 384 numbers. Fixed seeds; in this process, on one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from damfs.catalog import assets, derived, stores
from damfs.catalog.migrations import open_catalog
from damfs.core.nearest import Nearest
from damfs.core.vector_indexes import VectorIndexes
from damfs.model import AssetId, Digest, Media
from tests.bench.figure import Figure, figure, percentile
from tests.bench.filling import KeptGraph, filled
from tests.bench.ground import Ground

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from damfs.catalog.vector_index import VectorIndex

    Vectors = NDArray[np.float32]

DIMENSION = 384
COUNT = 10
QUERIES = 300
MODEL = "bench-1"
MILLION = 1_000_000
ROWS_AT_ONCE = 5_000


def measure(ground: Ground) -> Iterator[Figure]:
    """Of as many vectors as the library of this size has assets, 100,000 in full."""
    number = max(3_000, ground.size.many)
    rows, queries = clustered(number), clustered(min(QUERIES, ground.size.many), 1)
    ours, rate = filled(ground, "index", rows)
    yield from _index_figures(ground, ours, rows, queries, "index", rate)
    yield from _nearest_figures(ground, rows, queries)


def measure_million(ground: Ground) -> Iterator[Figure]:
    """An hour on one core, 4 GB of memory; with --directory it goes on where it was interrupted."""
    ground.say("index-million: making the vectors …")
    rows = clustered(MILLION)
    ours, rate = filled(ground, "index-million", rows, KeptGraph(ground.parent, "index-million"))
    yield from _index_figures(ground, ours, rows, clustered(QUERIES, 1), "index-million", rate)


def clustered(number: int, seed: int = 0) -> Vectors:
    """Around 1,000 centres, the same for every seed. Block by block: a million at once takes 6 GB."""
    import numpy as np

    centres = np.random.default_rng(42).normal(size=(1_000, DIMENSION)).astype(np.float32)
    random = np.random.default_rng(seed)
    made = centres[random.integers(0, len(centres), number)]
    for start in range(0, number, ROWS_AT_ONCE):
        part = made[start : start + ROWS_AT_ONCE]
        part += random.normal(size=part.shape).astype(np.float32) * 0.7
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return made


def _index_figures(
    ground: Ground, ours: VectorIndex, rows: Vectors, queries: Vectors, name: str, rate: float
) -> Iterator[Figure]:
    from damfs.catalog.vector_index import VectorIndex

    path = ground.new(name) / "saved.usearch"
    digest = ours.save(path)
    loaded = VectorIndex.load(path, DIMENSION, digest)
    assert loaded is not None
    ours = loaded  # as a daemon has it, and laid out in memory as that of the other side
    bare = _bare(path, ours.expansion_search)
    ground.say(f"{name}: comparing every one of {len(rows):,} with {len(queries)} queries …")
    truth = _exact(rows, queries)
    found = [{key for key, _ in ours.search(query, COUNT)} for query in queries]
    recall = sum(len(each & best) for each, best in zip(found, truth, strict=True)) / (COUNT * len(queries))
    detail = {"vectors": len(rows), "expansion": ours.expansion_search, "added_per_second": rate}
    yield figure(f"{name}-recall", "share", [recall], {}, detail)
    yield _query_figure(f"{name}-query", ours.search, bare, queries, max(3, ground.size.runs))
    yield _load_figure(f"{name}-load", digest, path, max(3, ground.size.runs))


Ask = Callable[["Vectors", int], object]


def _query_figure(name: str, ours: Ask, bare: Ask, queries: Vectors, runs: int) -> Figure:
    """The median over the queries, each as fast as it was in its fastest run: what else the machine does lengthens some
    runs of either side several times."""
    measured = [_in_turns(ours, bare, queries) for _ in range(runs)]
    ours_ms, bare_ms = ([percentile(side, 0.5) * 1e3 for side in sides] for sides in zip(*measured, strict=True))
    best = [
        percentile([min(times) for times in zip(*side, strict=True)], 0.5) * 1e3 for side in zip(*measured, strict=True)
    ]
    detail = {"p50_of_runs_ms": ours_ms, "bare_p50_of_runs_ms": bare_ms, "queries": len(queries)}
    return Figure(name, best[0], "ms", runs, (best[0], max(ours_ms)), {"bare usearch": best[1]}, detail)


def _bare(path: Path, expansion: int) -> Callable[[Vectors, int], object]:
    """usearch as its own documentation uses it, on the same graph."""
    from usearch.index import Index

    index = Index.restore(path)
    assert index is not None
    index.expansion_search = expansion
    return lambda query, count: index.search(query, count, threads=1)


def _in_turns(
    ours: Callable[[Vectors, int], object], bare: Callable[[Vectors, int], object], queries: Vectors
) -> tuple[list[float], list[float]]:
    """Seconds of each query; one side after the other for every query, each first in turn, so both meet the same."""
    sides: tuple[list[float], list[float]] = ([], [])
    for number, query in enumerate(queries):
        for side, ask in ((sides[0], ours), (sides[1], bare))[:: -1 if number % 2 else 1]:
            began = time.perf_counter()
            ask(query, COUNT)
            side.append(time.perf_counter() - began)
    return sides


def _exact(rows: Vectors, queries: Vectors) -> list[set[int]]:
    import numpy as np

    found = []
    for start in range(0, len(queries), 50):
        scores = queries[start : start + 50] @ rows.T
        found += [set(map(int, row)) for row in np.argpartition(-scores, COUNT, axis=1)[:, :COUNT]]
    return found


def _load_figure(name: str, digest: bytes, path: Path, runs: int) -> Figure:
    """Reading the file, its digest included, beside usearch's own load without one."""
    from usearch.index import Index

    from damfs.catalog.vector_index import VectorIndex

    ours, bare = [], []
    for _ in range(runs):
        ours.append(_timed(lambda: VectorIndex.load(path, DIMENSION, digest)))
        bare.append(_timed(lambda: Index.restore(path)))
    return figure(name, "s", ours, {"without a digest": bare}, {"bytes": path.stat().st_size})


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _nearest_figures(ground: Ground, rows: Vectors, queries: Vectors) -> Iterator[Figure]:
    """The whole way: catalog, index, visible assets; of all, of half, and of a hundredth of them."""
    ground.say(f"nearest: a catalog of {len(rows):,} assets …")
    directory = ground.new("nearest")
    with closing(open_catalog(directory / "catalog.sqlite3", create=True)) as database:
        ids = _filled(database, rows)
        indexes = VectorIndexes(directory / "vectors", database.open_reader)
        search = Nearest(indexes)
        search.nearest(database.writer, MODEL, queries[0], COUNT)
        indexes.settle(3_600)
        shares = {"nearest": None, "nearest-half": frozenset(ids[::2]), "nearest-few": frozenset(ids[::100])}
        for name, allowed in shares.items():
            times, right = [], 0
            for query in queries[: QUERIES // 3]:
                began = time.perf_counter()
                hits = search.nearest(database.writer, MODEL, query, COUNT, allowed)
                times.append(time.perf_counter() - began)
                right += len({hit.asset for hit in hits} & _best(rows, ids, query, allowed))
            recall = right / (COUNT * len(times))
            among = len(ids) if allowed is None else len(allowed)
            detail = {"recall": recall, "p99_ms": percentile(times, 0.99) * 1e3, "among": among}
            yield figure(name, "ms", [percentile(times, 0.5) * 1e3], {}, detail)
        indexes.close()


def _filled(database: object, rows: Vectors) -> list[AssetId]:
    from damfs.catalog.database import Database

    assert isinstance(database, Database)
    ids = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        with database.transaction() as tx:
            for number, row in enumerate(rows[start : start + ROWS_AT_ONCE], start):
                blob = stores.ensure_blob(tx, Digest(number.to_bytes(32, "big")), 1)
                ids.append(assets.insert_present(tx, f"{number}.jpg", Media.IMAGE, blob, 1, 1, 0o644, "2024-07-15", 1))
                derived.set_embedding(tx, blob, MODEL, None, row.tobytes())
    return ids


def _best(rows: Vectors, ids: list[AssetId], query: Vectors, allowed: frozenset[AssetId] | None) -> set[AssetId]:
    import numpy as np

    scores = rows @ query
    order = np.argsort(-scores)
    found = (ids[number] for number in order)
    best: set[AssetId] = set()
    for id_ in found:
        if allowed is None or id_ in allowed:
            best.add(id_)
            if len(best) == COUNT:
                break
    return best

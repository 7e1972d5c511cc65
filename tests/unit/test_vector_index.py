"""The vector index against exact search, damage, kills and threads: real usearch files in a temporary directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from numpy.typing import NDArray
from usearch.index import Index

from damfs.catalog import vector_index as index_module
from damfs.catalog.vector_index import VectorIndex

DIMENSION = 48

EXACT = 2_000


@pytest.fixture(autouse=True)
def graphs_from_few_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the graph is searched without many vectors."""
    monkeypatch.setattr(index_module, "EXACT_BELOW", EXACT)


def vectors(count: int, seed: int = 0, dimension: int = DIMENSION) -> NDArray[np.float32]:
    made = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), dtype=np.float32)


def filled(count: int, seed: int = 0) -> VectorIndex:
    index = VectorIndex(DIMENSION)
    index.add(range(1, count + 1), vectors(count, seed))
    return index


def exact(rows: NDArray[np.float32], query: NDArray[np.float32], count: int) -> list[int]:
    """Among the vectors as the index keeps them, in half the precision."""
    kept = rows.astype(np.float16).astype(np.float64)
    likeness = kept @ query.astype(np.float16) / np.linalg.norm(kept, axis=1)
    return [int(row) + 1 for row in np.argsort(-likeness, kind="stable")[:count]]


def test_small_index_is_exact() -> None:
    rows = vectors(500)
    index = filled(500)
    for query in vectors(20, seed=1):
        assert [key for key, _ in index.search(query, 10)] == exact(rows, query, 10)


def test_large_index_recalls_nearly_all() -> None:
    count = 3 * EXACT
    rows = vectors(count)
    index = filled(count)
    queries = rows[:100] + 0.3 * vectors(100, seed=1)
    hits = sum(len({key for key, _ in index.search(q, 10)} & set(exact(rows, q, 10))) for q in queries)
    assert hits / 1000 >= 0.95


def test_similarity_is_the_cosine() -> None:
    rows = vectors(10)
    index = filled(10)
    for key, similarity in index.search(rows[3], 10):
        assert similarity == pytest.approx(float(rows[key - 1] @ rows[3]), abs=2e-3)


def test_equal_vectors_come_in_the_order_of_their_keys() -> None:
    index = VectorIndex(DIMENSION)
    one = vectors(1)
    index.add([9, 4, 7, 2], np.repeat(one, 4, axis=0))
    assert [key for key, _ in index.search(one[0], 4)] == [2, 4, 7, 9]


def test_search_of_nothing() -> None:
    index = VectorIndex(DIMENSION)
    assert index.search(vectors(1)[0], 5) == []
    assert filled(3).search(vectors(1)[0], 0) == []
    assert len(filled(3).search(vectors(1)[0], 100)) == 3


def test_removed_vectors_never_come_back() -> None:
    index = filled(3 * EXACT)
    gone = set(range(1, EXACT))
    assert index.remove([*gone, 999_999]) == len(gone)
    assert index.remove(gone) == 0
    for query in vectors(EXACT)[:50]:
        assert not gone & {key for key, _ in index.search(query, 20)}


def test_adding_a_key_again_replaces_its_vector() -> None:
    index = filled(5)
    fresh = vectors(1, seed=9)
    index.add([3], fresh)
    assert len(index) == 5
    ((key, similarity),) = index.search(fresh[0], 1)
    assert key == 3
    assert similarity == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    "bad", [vectors(2, dimension=7), vectors(3), np.full((2, DIMENSION), np.nan, dtype=np.float32)]
)
def test_vectors_that_do_not_fit_are_refused_and_nothing_changes(bad: NDArray[np.float32]) -> None:
    index = filled(5)
    with pytest.raises(ValueError, match="vector"):
        index.add([10, 11], bad)
    assert len(index) == 5


@pytest.mark.expect_warnings("1 embedding rows hold what is no number")
def test_a_row_that_holds_no_number_does_not_keep_the_others_out() -> None:
    rows = vectors(3)
    rows[1, 7] = np.inf
    index = VectorIndex(DIMENSION)
    assert index.add_rows([(key, row.astype("<f4").tobytes()) for key, row in enumerate(rows, 1)]) == 2
    assert next(key for key, _ in index.search(rows[0], 3)) == 1
    assert 2 not in index


@pytest.mark.expect_warnings("1 embedding rows have not 48 dimensions")
def test_rows_of_the_catalog_are_added_and_a_bad_one_left_out() -> None:
    rows = vectors(3)
    index = VectorIndex(DIMENSION)
    assert index.add_rows([(1, rows[0].astype("<f4").tobytes()), (2, b"short"), (3, rows[2].tobytes())]) == 2
    assert 2 not in index
    assert [key for key, _ in index.search(rows[2], 1)] == [3]


def test_reconcile_forgets_what_went_and_names_what_is_missing() -> None:
    index = filled(10)
    assert index.reconcile(iter([5, 12, 6, 11])) == [11, 12]
    assert sorted(key for key, _ in index.search(vectors(1)[0], 100)) == [5, 6]
    assert index.reconcile([]) == []
    assert len(index) == 0


def test_save_and_load(tmp_path: Path) -> None:
    path = tmp_path / "minilm.usearch"
    index = filled(3 * EXACT)
    index.remove(range(1, 101))
    digest = index.save(path)
    assert digest == blake3(path.read_bytes()).digest()
    assert os.listdir(tmp_path) == [path.name]
    loaded = VectorIndex.load(path, DIMENSION, digest)
    assert loaded is not None
    assert len(loaded) == len(index)
    for query in vectors(20, seed=1):
        assert loaded.search(query, 10) == index.search(query, 10)
    loaded.add([50], vectors(1))
    assert 50 in loaded


def test_empty_index_can_be_saved(tmp_path: Path) -> None:
    digest = VectorIndex(DIMENSION).save(tmp_path / "empty")
    loaded = VectorIndex.load(tmp_path / "empty", DIMENSION, digest)
    assert loaded is not None
    loaded.add([1], vectors(1))
    assert len(loaded) == 1


@pytest.mark.expect_warnings("damaged or out of date")
def test_every_flipped_byte_is_noticed_before_usearch_sees_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index"
    digest = filled(400).save(path)
    whole = path.read_bytes()

    def never(path: Path, dimension: int) -> None:
        pytest.fail("a damaged file was handed to usearch")

    monkeypatch.setattr(VectorIndex, "_load_checked", never)
    for position in [0, 100, len(whole) // 3, len(whole) // 2, len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        assert VectorIndex.load(path, DIMENSION, digest) is None
    for size in [0, 10, len(whole) - 1]:
        path.write_bytes(whole[:size])
        assert VectorIndex.load(path, DIMENSION, digest) is None


@pytest.mark.expect_warnings("belongs to another model", "format not known here")
def test_missing_foreign_and_unreadable_files_mean_rebuild(tmp_path: Path) -> None:
    path = tmp_path / "index"
    assert VectorIndex.load(path, DIMENSION, b"") is None
    digest = filled(10).save(path)
    assert VectorIndex.load(path, DIMENSION + 1, digest) is None
    path.write_bytes(b"not an index at all" * 50)
    assert VectorIndex.load(path, DIMENSION, blake3(path.read_bytes()).digest()) is None
    assert VectorIndex.load(tmp_path, DIMENSION, digest) is None


def test_rebuild_gives_back_the_slots_and_keeps_the_answers() -> None:
    rows = vectors(1000)
    index = filled(1000)
    assert not index.wasteful()
    index.remove(range(1, 601))
    assert index.wasteful()
    index.rebuild()
    assert not index.wasteful()
    assert len(index) == 400
    found = index.search(rows[700], 400)
    assert found[0][0] == 701
    assert {key for key, _ in found} == set(range(601, 1001))


def test_searches_go_on_while_others_add_remove_and_save(tmp_path: Path) -> None:
    index = filled(1000)
    rows = vectors(3000, seed=3)
    stop = threading.Event()
    problems: list[BaseException] = []
    answers = [0, 0]

    def search(number: int) -> None:
        try:
            while not stop.is_set():
                assert len(index.search(rows[answers[number] % 3000], 10)) == 10
                answers[number] += 1
        except BaseException as problem:  # noqa: BLE001 - it is raised again in the test's own thread
            problems.append(problem)

    searchers = [threading.Thread(target=search, args=(number,)) for number in range(2)]
    for thread in searchers:
        thread.start()
    index.add(range(2001, 5001), rows)
    index.remove(range(2001, 4001))
    digest = index.save(tmp_path / "index")
    index.rebuild()
    stop.set()
    for thread in searchers:
        thread.join()
    assert not problems
    assert min(answers) > 20
    assert len(index) == 2000
    loaded = VectorIndex.load(tmp_path / "index", DIMENSION, digest)
    assert loaded is not None
    assert len(loaded) == 2000


SAVER = """
    import signal, sys, numpy as np
    from pathlib import Path
    import damfs.catalog.vector_index as module

    def stop(*_):
        print("stopped", flush=True)
        signal.pause()

    path, step = Path(sys.argv[1]), sys.argv[2]
    index = module.VectorIndex(128)
    index.add(range(4000), np.random.default_rng(0).normal(size=(4000, 128)).astype(np.float32))
    print("saved", index.save(path).hex(), flush=True)
    index.remove([0])
    if step == "replace":
        Path.replace = stop
    elif step != "any":
        setattr(module, step, stop)
    print("saving", flush=True)
    index.save(path)
    print("stopped", flush=True)
    signal.pause()
"""


def kill_in_second_save(path: Path, step: str) -> bytes:
    """The digest of the first save, with 4000 vectors; the second, with one less, was killed at ``step``."""
    command = [sys.executable, "-c", textwrap.dedent(SAVER), str(path), step]
    digest = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as saver:
        assert saver.stdout is not None
        for line in saver.stdout:
            word, *rest = line.split()
            if word == "saved":
                digest = bytes.fromhex(rest[0])
            elif word == "stopped" or step == "any":
                saver.send_signal(signal.SIGKILL)
                break
        assert saver.wait() == -signal.SIGKILL
    return digest


@pytest.mark.parametrize("step", ["_sync", "_digest_of", "replace"])
def test_killed_before_the_rename_the_index_saved_before_is_there(tmp_path: Path, step: str) -> None:
    path = tmp_path / "index"
    digest = kill_in_second_save(path, step)
    assert sorted(os.listdir(tmp_path)) == [".index.part", "index"]
    loaded = VectorIndex.load(path, 128, digest)
    assert loaded is not None
    assert len(loaded) == 4000
    loaded.save(path)
    assert os.listdir(tmp_path) == ["index"]


@pytest.mark.expect_warnings("damaged or out of date")
def test_killed_after_the_rename_the_new_index_is_whole_but_not_taken_for_the_old(tmp_path: Path) -> None:
    path = tmp_path / "index"
    digest = kill_in_second_save(path, "_sync_directory")
    assert VectorIndex.load(path, 128, digest) is None
    loaded = VectorIndex.load(path, 128, blake3(path.read_bytes()).digest())
    assert loaded is not None
    assert len(loaded) == 3999


@pytest.mark.parametrize("_round", range(3))
def test_killed_at_any_moment_the_file_is_one_of_the_two(tmp_path: Path, _round: int) -> None:
    path = tmp_path / "index"
    first = kill_in_second_save(path, "any")
    found = blake3(path.read_bytes()).digest()
    loaded = VectorIndex.load(path, 128, found)
    assert loaded is not None
    assert len(loaded) == (4000 if found == first else 3999)


LIMITED = """
    import resource, sys, numpy as np
    from pathlib import Path
    from damfs.catalog.vector_index import VectorIndex
    path, index = Path(sys.argv[1]), VectorIndex(128)
    index.add(range(100), np.random.default_rng(0).normal(size=(100, 128)).astype(np.float32))
    digest = index.save(path)
    index.add(range(100, 3000), np.random.default_rng(1).normal(size=(2900, 128)).astype(np.float32))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        index.save(path)
    except OSError as error:
        print("refused", len(VectorIndex.load(path, 128, digest)), error)
"""


def test_a_save_that_does_not_fit_keeps_the_file_before(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(LIMITED), str(tmp_path / "index")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.startswith("refused 100 the vector index")
    assert os.listdir(tmp_path) == ["index"]


@pytest.mark.expect_warnings("belongs to another model")
def test_an_index_of_whole_numbers_is_never_taken_for_one_of_halves(tmp_path: Path) -> None:
    """Its distances are others: a search would mix both."""
    whole = Index(ndim=DIMENSION, metric="cos", dtype="i8")
    whole.add(np.arange(10), vectors(10))
    path = tmp_path / "index"
    whole.save(path)
    assert VectorIndex.load(path, DIMENSION, blake3(path.read_bytes()).digest()) is None

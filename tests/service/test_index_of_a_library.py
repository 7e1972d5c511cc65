"""The vector index of a library that is closed and opened again: saved at the end, loaded at the start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from damfs.catalog import derived
from damfs.catalog.vector_index import VectorIndex
from damfs.core.library import Library, make_library, open_library
from damfs.core.vector_indexes import SMALL, VectorIndexes
from damfs.errors import NoSpace
from tests.small_library import received

MODEL = "look-1"
NUMBERS = 8
WAIT_S = 60.0


def asked(library: Library) -> dict[str, int]:
    """Sizes of the indexes, once they are there."""
    library.vectors.nearest(library.db.writer, MODEL, np.eye(NUMBERS, dtype=np.float32)[0], 3)
    assert library.vectors.indexes.settle(WAIT_S)
    return library.vectors.indexes.sizes()


async def test_a_start_loads_what_the_end_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, many = tmp_path / "library", SMALL + 100
    make_library(path)
    rows = np.random.default_rng(1).normal(size=(many, NUMBERS)).astype("<f4")
    with open_library(path) as library:
        made = await received(library, "a.jpg", b"a")
        assert made.blob is not None
        with library.db.transaction() as tx:
            for at_ns, row in enumerate(rows):
                derived.set_embedding(tx, made.blob, MODEL, at_ns, row.tobytes())
        assert asked(library) == {MODEL: many}
        library.save_vectors()
    (file,) = (path / "state").rglob("*.usearch")
    added: list[int] = []
    add = VectorIndex.add

    def counted(index: VectorIndex, keys: Sequence[int], vectors: NDArray[np.float32]) -> None:
        added.append(len(keys))
        add(index, keys, vectors)

    monkeypatch.setattr(VectorIndex, "add", counted)
    with open_library(path) as library:
        assert asked(library) == {MODEL: many}
        assert added == [], "nothing is laid out again"
        with library.db.transaction() as tx:
            derived.set_embedding(tx, made.blob, MODEL, many, rows[0].tobytes())
            derived.set_embedding(tx, made.blob, MODEL, 0, rows[1].tobytes())
        assert asked(library)[MODEL] == many + 1
        library.save_vectors()
    assert sum(added) == 2
    (later,) = (path / "state").rglob("*.usearch")
    assert later.name != file.name


@pytest.mark.expect_warnings("the vector index could not be saved")
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), NoSpace("the catalog is full")], ids=repr)
async def test_an_index_that_cannot_be_saved_is_no_bad_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The daemon has unmounted by then, and the rows are there: what is lost is the time to make it again."""

    def full(indexes: VectorIndexes) -> dict[str, bytes]:
        raise error

    monkeypatch.setattr(VectorIndexes, "save", full)
    make_library(tmp_path / "library")
    with open_library(tmp_path / "library") as library:
        library.save_vectors()

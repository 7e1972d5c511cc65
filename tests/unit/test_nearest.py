"""Nearest neighbours against exact search on a real catalog: folded to assets, filtered, while the index follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from damfs.catalog import assets, derived, stores, vectors
from damfs.catalog.database import Database
from damfs.catalog.migrations import open_catalog
from damfs.catalog.vector_index import VectorIndex
from damfs.core import nearest as nearest_module
from damfs.core.followed_index import file_name, index_property
from damfs.core.nearest import Hit, Nearest
from damfs.core.vector_indexes import VectorIndexes
from damfs.model import AssetId, AssetState, BlobId, Digest, Media

MODEL = "somebody/model@1-16#picture"
SIZE = 16
WAIT_S = 60.0

Vectors = NDArray[np.float32]


def units(count: int, seed: int = 0) -> Vectors:
    made = np.random.default_rng(seed).normal(size=(count, SIZE)).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), dtype=np.float32)


class World:
    """A catalog of assets with a vector each, and a search over it."""

    def __init__(self, folder: Path, small: int) -> None:
        self.database: Database = open_catalog(folder / "catalog.sqlite3", create=True)
        self.directory = folder / "vectors"
        self.indexes = VectorIndexes(self.directory, self.database.open_reader, small)
        self.search = Nearest(self.indexes)
        self.rows: dict[AssetId, Vectors] = {}

    def add(self, made: Vectors) -> list[AssetId]:
        with self.database.transaction():
            return [self._add(vector) for vector in made]

    def _add(self, vector: Vectors) -> AssetId:
        tx, number = self.database.writer, len(self.rows) + 1
        blob = stores.ensure_blob(tx, Digest(number.to_bytes(32, "big")), 1)
        id_ = assets.insert_present(tx, f"{number}.jpg", Media.IMAGE, blob, 1, 1, 0o644, "2024-07-15", 1)
        derived.set_embedding(tx, blob, MODEL, None, vector.astype("<f4").tobytes())
        self.rows[id_] = vector
        return id_

    def moment(self, id_: AssetId, at_ns: int, vector: Vectors) -> None:
        with self.database.transaction() as tx:
            derived.set_embedding(tx, self.blob(id_), MODEL, at_ns, vector.astype("<f4").tobytes())

    def blob(self, id_: AssetId) -> BlobId:
        asset = assets.asset(self.database.writer, id_)
        assert asset is not None
        assert asset.blob is not None
        return asset.blob

    def nearest(self, vector: Vectors, count: int, allowed: frozenset[AssetId] | None = None) -> list[Hit]:
        return self.search.nearest(self.database.writer, MODEL, vector, count, allowed)

    def exact(self, vector: Vectors, count: int, allowed: frozenset[AssetId] | None = None) -> list[AssetId]:
        among = [id_ for id_ in self.rows if allowed is None or id_ in allowed]
        return sorted(among, key=lambda id_: -float(self.rows[id_] @ vector))[:count]

    def indexed(self) -> None:
        """Until the index has everything."""
        self.nearest(units(1)[0], 1)
        assert self.indexes.settle(WAIT_S)

    def save(self) -> dict[str, bytes]:
        digests = self.indexes.save()
        with self.database.transaction() as tx:
            for model, digest in digests.items():
                derived.set_property(tx, index_property(model), digest.hex())
        self.indexes.saved(digests)
        return digests

    def reopened(self) -> None:
        self.indexes.close()
        self.indexes = VectorIndexes(self.directory, self.database.open_reader, 10)
        self.search = Nearest(self.indexes)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, small=10)
    with closing(made.database):
        yield made
        made.indexes.close()


def ids(hits: Sequence[Hit]) -> list[AssetId]:
    return [hit.asset for hit in hits]


def test_a_few_vectors_need_no_index(world: World) -> None:
    made = world.add(units(10))
    query = units(1, 7)[0]
    assert ids(world.nearest(query, 4)) == world.exact(query, 4)
    assert world.nearest(query, 0) == []
    assert len(world.nearest(query, 50)) == len(made)
    assert (world.indexes.loads, world.search.searches) == (0, 0)


def test_a_space_without_vectors_has_no_neighbours(world: World) -> None:
    assert world.nearest(units(1)[0], 3) == []


def test_answers_are_whole_before_the_index_is_made_and_after(world: World) -> None:
    world.add(units(300))
    query = units(1, 7)[0]
    assert ids(world.nearest(query, 20)) == world.exact(query, 20)
    world.indexed()
    before = world.search.searches
    assert ids(world.nearest(query, 20)) == world.exact(query, 20)
    assert world.search.searches == before + 1
    assert world.indexes.loads == 1


def test_what_the_index_has_not_taken_in_yet_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add(units(100))
    world.indexed()
    monkeypatch.setattr(world.indexes, "_follow", lambda model: None)  # the thread that follows is far behind
    (new,) = world.add(units(1, 9))
    assert ids(world.nearest(world.rows[new], 3)) == world.exact(world.rows[new], 3)
    assert world.indexes.sizes() == {MODEL: 100}


@pytest.mark.parametrize("always", [0, 10_000], ids=["by widening", "by comparing"])
def test_filtered_answers_have_the_right_number(world: World, monkeypatch: pytest.MonkeyPatch, always: int) -> None:
    monkeypatch.setattr(nearest_module, "ALWAYS", always)
    made = world.add(units(400))
    world.indexed()
    query = units(1, 7)[0]
    for allowed in (frozenset(made[::2]), frozenset(made[::40]), frozenset(made[:1]), frozenset({AssetId(9_999)})):
        assert ids(world.nearest(query, 15, allowed)) == world.exact(query, 15, allowed)
    assert world.nearest(query, 15, frozenset()) == []


def test_a_search_that_would_get_too_wide_compares_the_rows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_module, "ALWAYS", 0)
    monkeypatch.setattr(nearest_module, "FEW", 0)
    monkeypatch.setattr(nearest_module, "WIDEST", 50)
    made = world.add(units(400))
    world.indexed()
    query = units(1, 7)[0]
    allowed = frozenset(made[::40])
    scans, compared = world.search.scans, world.search.compared
    assert ids(world.nearest(query, 15, allowed)) == world.exact(query, 15, allowed)
    assert world.search.scans == scans + 1
    assert world.search.compared == compared + len(allowed), "not all the rows there are"


def test_the_index_is_asked_about_half_of_the_assets_and_rows_about_few(world: World) -> None:
    made = world.add(units(3_000))
    world.indexed()
    query = units(1, 7)[0]
    half, few = frozenset(made[::2]), frozenset(made[::100])
    before = world.search.searches, world.search.compared, world.database.writer.statements
    assert ids(world.nearest(query, 10, half)) == world.exact(query, 10, half)
    assert (world.search.searches, world.search.compared) == (before[0] + 1, before[1])
    assert ids(world.nearest(query, 10, few)) == world.exact(query, 10, few)
    assert (world.search.searches, world.search.compared) == (before[0] + 1, before[1] + len(few))
    assert world.database.writer.statements - before[2] <= 8, "owners are looked up for as many as are shown"


def test_a_picture_with_two_names_is_found_under_both(world: World) -> None:
    made = world.add(units(5))
    with world.database.transaction() as tx:
        twin = assets.insert_present(
            tx, "twin.jpg", Media.IMAGE, world.blob(made[2]), 1, 1, 0o644, "2024-07-15", 1
        )  # fmt: skip
    allowed = frozenset({*made, twin})
    for among in (None, allowed):
        assert ids(world.nearest(world.rows[made[2]], 2, among)) == [made[2], twin]
    assert ids(world.nearest(world.rows[made[2]], 1, allowed - {made[2]})) == [twin]


def test_a_video_is_one_answer_with_its_best_moment(world: World) -> None:
    made = world.add(units(40))
    scenes = units(30, 5)
    for number, scene in enumerate(scenes):
        world.moment(made[0], number * 10**9, scene)
    world.indexed()
    hits = world.nearest(scenes[12], 40)
    assert hits[0].asset == made[0]
    assert hits[0].at_ns == 12 * 10**9
    assert hits[0].score == pytest.approx(1.0, abs=2e-3)
    assert sorted(ids(hits)) == sorted(made), "each once, however many moments one has"


def test_what_is_not_shown_is_no_answer(world: World) -> None:
    made = world.add(units(60))
    world.indexed()
    with world.database.transaction() as tx:
        assets.set_state(tx, made[5], AssetState.TRASHED)
    hits = world.nearest(world.rows[made[5]], 59)
    assert made[5] not in ids(hits)
    assert len(hits) == 59


def test_vectors_that_were_removed_leave_the_index(world: World) -> None:
    made = world.add(units(100))
    world.indexed()
    with world.database.transaction() as tx:
        for id_ in made[:30]:
            vectors.drop_of_blob(tx, world.blob(id_), MODEL)
        derived.set_embedding(tx, world.blob(made[40]), MODEL, None, units(1, 3)[0].tobytes())
    world.indexes.follow()
    assert world.indexes.settle(WAIT_S)
    assert world.indexes.sizes() == {MODEL: 70}
    assert world.nearest(units(1, 3)[0], 1)[0].asset == made[40]
    assert not set(made[:30]) & set(ids(world.nearest(world.rows[made[0]], 100)))
    heard_of = world.indexes.heard_of()
    assert heard_of == vectors.last_dropped(world.database.writer)
    with world.database.transaction() as tx:
        vectors.forget_dropped(tx, heard_of)
    assert vectors.dropped_since(world.database.writer, MODEL, 0) == []


def test_an_index_that_is_mostly_gaps_is_laid_out_anew(world: World) -> None:
    made = world.add(units(100))
    world.indexed()
    with world.database.transaction() as tx:
        for id_ in made[:50]:
            vectors.drop_of_blob(tx, world.blob(id_), MODEL)
    world.indexes.follow()
    assert world.indexes.settle(WAIT_S)
    followed = world.indexes.of(world.database.writer, MODEL)
    assert followed is not None
    assert not followed.index.wasteful()
    assert len(followed.index) == 50


def test_a_saved_index_is_loaded_and_only_what_is_new_is_added(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add(units(100))
    world.indexed()
    (digest,) = world.save().values()
    assert [file.name for file in world.directory.iterdir()] == [file_name(MODEL, digest)]
    world.add(units(5, 2))
    world.reopened()
    added: list[int] = []
    add_rows = VectorIndex.add_rows

    def counted(index: VectorIndex, rows: Iterable[tuple[int, bytes]]) -> int:
        added.append(add_rows(index, rows))
        return added[-1]

    monkeypatch.setattr(VectorIndex, "add_rows", counted)
    world.indexed()
    assert added == [5]
    query = units(1, 7)[0]
    assert ids(world.nearest(query, 20)) == world.exact(query, 20)


@pytest.mark.expect_warnings("is damaged or out of date")
@pytest.mark.parametrize("damage", ["flipped", "short"])
def test_a_damaged_file_is_made_again_from_the_rows(world: World, damage: str) -> None:
    world.add(units(100))
    world.indexed()
    (digest,) = world.save().values()
    path = world.directory / file_name(MODEL, digest)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0x10
    path.write_bytes(whole if damage == "flipped" else whole[:200])
    world.reopened()
    query = units(1, 7)[0]
    assert ids(world.nearest(query, 20)) == world.exact(query, 20), "while it is made"
    assert world.indexes.settle(WAIT_S)
    assert world.indexes.sizes() == {MODEL: 100}
    assert ids(world.nearest(query, 20)) == world.exact(query, 20)
    digest = world.save()[MODEL]
    assert [file.name for file in world.directory.iterdir()] == [file_name(MODEL, digest)]


def test_a_file_that_is_gone_is_made_again(world: World) -> None:
    world.add(units(100))
    world.indexed()
    (digest,) = world.save().values()
    (world.directory / file_name(MODEL, digest)).unlink()
    world.reopened()
    world.indexed()
    assert world.indexes.sizes() == {MODEL: 100}


def test_killed_between_the_file_and_the_catalog_the_file_before_is_there(world: World) -> None:
    world.add(units(100))
    world.indexed()
    world.save()
    world.add(units(20, 2))
    world.indexed()
    world.indexes.save()  # and the catalog never hears of it
    assert len(list(world.directory.iterdir())) == 2
    world.reopened()
    world.indexed()
    assert world.indexes.sizes() == {MODEL: 120}
    world.add(units(1, 3))
    world.indexed()
    world.save()
    assert len(list(world.directory.iterdir())) == 1


def test_the_follower_ends_with_the_library(world: World) -> None:
    world.add(units(3_000))
    world.nearest(units(1)[0], 1)
    world.indexes.close()
    size = world.indexes.sizes().get(MODEL, 0)
    world.indexes.follow()
    world.nearest(units(1)[0], 1)
    assert world.indexes.sizes().get(MODEL, 0) == size, "nothing is begun after the end"

"""Which assets look or sound most like one: asks the vector index of the best model that knows it.

Every method blocks and may be called from any reader thread. The indexes are caches of the embedding rows: loaded (or
rebuilt) when first asked for, brought up to date before each search, saved by `save`. Crash rule: an index file whose
digest is not the one in the catalog is rebuilt.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from damfs.catalog import assets, derived
from damfs.catalog.database import Connection
from damfs.catalog.embedder import CONSE, EFFICIENTNET
from damfs.core.processors.processor import LOOK_MODEL
from damfs.model import AssetId

if TYPE_CHECKING:
    from damfs.catalog.vector_index import VectorIndex

OWN_PICTURES = "#picture"
"""Ending of the ids of picture vectors that a person's own model makes (see `damfs.catalog.embedder`)."""
KEPT_RESULTS = 64
PAGE = 10_000
OVERFETCH = 4
"""Rows that no visible asset has any more are passed over: ask for so many times more."""


class Neighbour(NamedTuple):
    asset: AssetId
    name: str
    size: int
    mtime_ns: int
    mode: int
    score: float


class Similar:
    def __init__(self, directory: Path, count: int) -> None:
        self._directory = directory
        self._count = count
        self._lock = threading.Lock()
        self._indexes: dict[str, _Followed] = {}
        self._results: OrderedDict[AssetId, list[Neighbour]] = OrderedDict()
        self.searches = 0

    def nearest(self, connection: Connection, asset: AssetId) -> list[Neighbour]:
        """Best first, the asset itself left out; remembered for `remembered`."""
        with self._lock:
            found = self._search(connection, asset)
            self._results[asset] = found
            self._results.move_to_end(asset)
            while len(self._results) > KEPT_RESULTS:
                self._results.popitem(last=False)
        return found

    def remembered(self, connection: Connection, asset: AssetId) -> list[Neighbour]:
        """What was listed last, so that the names of a listing resolve; else a search."""
        with self._lock:
            found = self._results.get(asset)
        return self.nearest(connection, asset) if found is None else found

    def _search(self, connection: Connection, id_: AssetId) -> list[Neighbour]:
        import numpy as np

        asset = assets.asset(connection, id_)
        if asset is None or asset.blob is None:
            return []
        model = best_model(derived.models_of(connection, asset.blob))
        vector = None if model is None else derived.vector_of(connection, asset.blob, model)
        if model is None or vector is None:
            return []
        index = self._followed(connection, model, len(vector) // 4)
        self.searches += 1
        hits = index.index.search(np.frombuffer(vector, dtype="<f4"), self._count * OVERFETCH + 1)
        return self._shown(connection, id_, hits)

    def _shown(self, connection: Connection, own: AssetId, hits: list[tuple[int, float]]) -> list[Neighbour]:
        found: dict[AssetId, Neighbour] = {}
        for key, score in hits:
            for asset in derived.assets_of_vector(connection, key):
                if asset.id != own and asset.id not in found and len(found) < self._count:
                    found[asset.id] = Neighbour(*asset, score)
        return list(found.values())

    def _followed(self, connection: Connection, model: str, dimension: int) -> _Followed:
        if model not in self._indexes:
            self._indexes[model] = _Followed.opened(connection, self._directory, model, dimension)
        followed = self._indexes[model]
        followed.catch_up(connection)
        return followed

    def save(self) -> dict[str, bytes]:
        """Save every index that has grown; the digests that belong into the catalog, by model. OSError: disk full."""
        with self._lock:
            return {model: followed.save() for model, followed in self._indexes.items() if followed.unsaved}

    def models(self) -> dict[str, int]:
        """Loaded indexes and how many vectors each holds."""
        return {model: len(followed.index) for model, followed in list(self._indexes.items())}


class _Followed:
    """One index and how far it has followed the rows."""

    def __init__(self, path: Path, model: str, index: VectorIndex, last: int) -> None:
        self.path, self.model, self.index, self.last = path, model, index, last
        self.unsaved = 0

    @classmethod
    def opened(cls, connection: Connection, directory: Path, model: str, dimension: int) -> _Followed:
        from damfs.catalog.vector_index import VectorIndex

        path = directory / f"{model.replace('/', '_')}.usearch"
        digest = derived.property_value(connection, index_property(model))
        index = None if digest is None else VectorIndex.load(path, dimension, bytes.fromhex(digest))
        if index is None:
            return cls(path, model, VectorIndex(dimension), 0)
        missing = index.reconcile(derived.list_vector_ids(connection, model))
        return cls(path, model, index, missing[0] - 1 if missing else derived.last_vector_id(connection, model))

    def catch_up(self, connection: Connection) -> None:
        if derived.last_vector_id(connection, self.model) > self.last:
            self.unsaved += self.index.add_rows(self._rows(connection))

    def _rows(self, connection: Connection) -> Iterator[tuple[int, bytes]]:
        while page := derived.list_vectors(connection, self.model, self.last, PAGE):
            for key, vector in page:
                yield key, vector
                self.last = key

    def save(self) -> bytes:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        digest = self.index.save(self.path)
        self.unsaved = 0
        return digest


def index_property(model: str) -> str:
    """Name of the catalog's property that holds the digest of a model's index file, in hexadecimal."""
    return f"vectors:{model}"


def best_model(models: list[str]) -> str | None:
    """The one to rank by, of those that know the asset: a person's own model for pictures, EfficientNet, the built-in
    descriptor, and words only where there is no picture. The meeting space of words and pictures never is it."""
    ranked = [model for model in models if model != CONSE]
    return min(ranked, key=_preference, default=None)


def _preference(model: str) -> tuple[int, str]:
    known = (EFFICIENTNET, LOOK_MODEL)
    if model.endswith(OWN_PICTURES):
        return 0, model
    return (1 + known.index(model) if model in known else len(known) + 1), model

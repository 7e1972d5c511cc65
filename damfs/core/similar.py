"""Which assets look or sound most like one: asks the space of the best model that knows it.

Every method blocks and may be called from any reader thread. Holds only what was listed last, so that the names of a
listing resolve; a crash loses nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from typing import NamedTuple

from damfs.catalog import assets, derived, spaces
from damfs.catalog.database import Connection
from damfs.catalog.spaces import Space
from damfs.core.nearest import Hit, Nearest
from damfs.core.processors.processor import LOOK_MODEL
from damfs.model import AssetId

OWN_PICTURES = "#picture"
"""Ending of the ids of picture vectors that a person's own model makes (see `damfs.catalog.embedder`)."""
KEPT_RESULTS = 64


class Neighbour(NamedTuple):
    asset: AssetId
    name: str
    size: int
    mtime_ns: int
    mode: int
    score: float
    space: str
    """Whose vectors were compared (embedding.model)."""
    at_ns: int | None = None
    """The moment of a video that is most like it; None: the whole."""


class Similar:
    def __init__(self, nearest: Nearest, count: int) -> None:
        self._nearest = nearest
        self._count = count
        self._lock = threading.Lock()
        self._results: OrderedDict[AssetId, list[Neighbour]] = OrderedDict()
        self.searches = 0

    def nearest(self, connection: Connection, asset: AssetId) -> list[Neighbour]:
        """Best first, the asset itself left out; remembered for `remembered`."""
        found = self._search(connection, asset)
        with self._lock:
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
        model = best_model(derived.models_of(connection, asset.blob), spaces.answering(connection))
        vector = None if model is None else derived.vector_of(connection, asset.blob, model)
        if model is None or vector is None:
            return []
        self.searches += 1
        hits = self._nearest.nearest(connection, model, np.frombuffer(vector, dtype="<f4"), self._count + 1)
        others = [hit for hit in hits if hit.asset != id_][: self._count]
        return [found for hit in others if (found := shown(connection, hit, model)) is not None]


def shown(connection: Connection, hit: Hit, space: str) -> Neighbour | None:
    asset = assets.asset(connection, hit.asset)
    if asset is None:
        return None
    return Neighbour(asset.id, asset.name, asset.size, asset.mtime_ns, asset.mode, hit.score, space, hit.at_ns)


def best_model(models: Collection[str], space: Space | None) -> str | None:
    """The one to rank by, of those that know the asset: the pictures of the space that answers, the built-in
    descriptor, and words only where there is no picture. Never a space that is just being made: few are in it."""
    ranked = [LOOK_MODEL] if space is None else [space.visual, LOOK_MODEL, space.words]
    return next((model for model in ranked if model is not None and model in models), None)

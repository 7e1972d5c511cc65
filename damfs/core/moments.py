"""What is most like one moment of a video: asks by the vector of the moment that lies nearest in time.

Every method blocks and may be called from any reader thread. Holds only what was listed last, so that the names of a
listing resolve; a crash loses nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from damfs.catalog import assets, derived, spaces, vectors
from damfs.catalog.database import Connection
from damfs.core.nearest import Nearest
from damfs.core.similar import Neighbour, best_model, shown
from damfs.model import AssetId

KEPT = 64


class Moment(NamedTuple):
    asset: AssetId
    at_ns: int


class Moments:
    def __init__(self, nearest: Nearest, count: int) -> None:
        self._nearest = nearest
        self._count = count
        self._lock = threading.Lock()
        self._results: OrderedDict[Moment, list[Neighbour]] = OrderedDict()

    def is_known(self, connection: Connection, moment: Moment) -> bool:
        """Whether there are vectors of moments of the asset, and it is not over by then."""
        known = assets.asset(connection, moment.asset)
        if known is None or known.blob is None or self._model(connection, moment.asset) is None:
            return False
        length = derived.facts_by(connection, known.blob, "probe").get("duration_ns")
        return not isinstance(length, int) or moment.at_ns <= length

    def nearest(self, connection: Connection, moment: Moment) -> list[Neighbour]:
        """Best first, the asset itself left out; remembered for `remembered`."""
        found = self._search(connection, moment)
        with self._lock:
            self._results[moment] = found
            self._results.move_to_end(moment)
            while len(self._results) > KEPT:
                self._results.popitem(last=False)
        return found

    def remembered(self, connection: Connection, moment: Moment) -> list[Neighbour]:
        with self._lock:
            found = self._results.get(moment)
        return self.nearest(connection, moment) if found is None else found

    def _models(self, connection: Connection, asset: AssetId) -> list[str]:
        known = assets.asset(connection, asset)
        return [] if known is None or known.blob is None else derived.models_of_moments(connection, known.blob)

    def _model(self, connection: Connection, asset: AssetId) -> str | None:
        return best_model(self._models(connection, asset), spaces.answering(connection))

    def _search(self, connection: Connection, moment: Moment) -> list[Neighbour]:
        import numpy as np

        known, model = assets.asset(connection, moment.asset), self._model(connection, moment.asset)
        if known is None or known.blob is None or model is None:
            return []
        told = vectors.moments_of(connection, known.blob, model)
        _, vector = min(told, key=lambda each: abs(each[0] - moment.at_ns))
        hits = self._nearest.nearest(connection, model, np.frombuffer(vector, dtype="<f4"), self._count + 1)
        others = [hit for hit in hits if hit.asset != moment.asset][: self._count]
        return [found for hit in others if (found := shown(connection, hit, model)) is not None]

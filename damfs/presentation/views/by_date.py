"""by-date/YYYY/MM/DD: the wall-clock day of capture, else of the file's mtime."""

from __future__ import annotations

from damfs.catalog import assets
from damfs.catalog.database import Connection
from damfs.catalog.predicates import CapturedIn, Predicate
from damfs.model import Facet
from damfs.presentation.views.facet import FacetView

LENGTHS = (4, 7, 10)
"""Of '2026', '2026-11', '2026-11-22': the period a directory of each level stands for."""


class ByDate(FacetView):
    name = "by-date"

    def dirs(self, connection: Connection, path: tuple[str, ...]) -> list[str]:
        if len(path) == len(LENGTHS):
            return []
        periods = assets.list_periods(connection, "-".join(path), LENGTHS[len(path)])
        return [period.rpartition("-")[2] for period in periods]

    def has_dir(self, connection: Connection, path: tuple[str, ...], name: str) -> bool:
        period = "-".join((*path, name))
        well_formed = len(path) < len(LENGTHS) and len(period) == LENGTHS[len(path)] and name.isdecimal()
        return well_formed and assets.has_period(connection, period)

    def where(self, connection: Connection, path: tuple[str, ...]) -> Predicate | None:
        return CapturedIn("-".join(path)) if len(path) == len(LENGTHS) else None

    def dir_facets(self, connection: Connection, path: tuple[str, ...]) -> frozenset[Facet]:
        return CapturedIn("-".join(path)).facets()

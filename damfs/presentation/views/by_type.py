"""by-type/: video, image, audio, other."""

from __future__ import annotations

from damfs.catalog.database import Connection
from damfs.catalog.predicates import OfMedia, Predicate
from damfs.model import Facet, Media
from damfs.presentation.views.facet import FacetView


class ByType(FacetView):
    name = "by-type"

    def dirs(self, connection: Connection, path: tuple[str, ...]) -> list[str]:
        return [] if path else list(Media)

    def has_dir(self, connection: Connection, path: tuple[str, ...], name: str) -> bool:
        return not path and name in set(Media)

    def where(self, connection: Connection, path: tuple[str, ...]) -> Predicate | None:
        return OfMedia(Media(path[0])) if path else None

    def dir_facets(self, connection: Connection, path: tuple[str, ...]) -> frozenset[Facet]:
        return frozenset()

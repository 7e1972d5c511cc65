"""by-tag/<term>/<term>…: assets that carry every term of the path.

Listed directories are only narrower terms, so a crawler cannot explode; any other term is reachable by name.
"""

from __future__ import annotations

from collections.abc import Set

from damfs.catalog import predicates, vocabulary
from damfs.catalog.database import Connection
from damfs.catalog.predicates import HasTag, Predicate, all_of
from damfs.core.commands import AddTag, DefineTerm, RemoveTag, RemoveTerm, RenameTerm
from damfs.errors import NotFound, Refused
from damfs.model import AssetId, Facet, Term, TermId
from damfs.presentation.views.facet import FacetView
from damfs.presentation.views.view import WRITE_DIRECTORY, Commands, Place


class ByTag(FacetView):
    name = "by-tag"
    tells_absence = True

    def dirs(self, connection: Connection, path: tuple[str, ...]) -> list[str]:
        broader = terms(connection, path)[-1].id if path else None
        return [term.name for term in vocabulary.list_narrower(connection, broader) if term.name not in path]

    def has_dir(self, connection: Connection, path: tuple[str, ...], name: str) -> bool:
        return name not in path and vocabulary.term_named(connection, name) is not None

    def reserved(self, connection: Connection, path: tuple[str, ...], dirs: list[str]) -> Set[str]:
        return set(vocabulary.names(connection)).difference(path)

    def where(self, connection: Connection, path: tuple[str, ...]) -> Predicate | None:
        found = terms(connection, path)
        if not found:
            return None
        return all_of([HasTag(term.id, term.name, vocabulary.with_narrower(connection, term.id)) for term in found])

    def dir_facets(self, connection: Connection, path: tuple[str, ...]) -> frozenset[Facet]:
        broader = terms(connection, path)[-1].id if path else None
        return frozenset({predicates.narrower_facet(broader)})

    def mode(self, place: Place) -> int:
        return WRITE_DIRECTORY

    def receive(self, place: Place) -> bool:
        if not place.path:
            raise Refused("by-tag/ holds terms only; copy into one of them, e.g. by-tag/beach/")
        return True

    def enter(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        self.receive(place)
        return [AddTag(asset, term.id) for term in terms(connection, place.path)]

    def leave(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        self.receive(place)
        return [RemoveTag(asset, terms(connection, place.path)[-1].id)]

    def leave_by_move(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        return self.leave(connection, place, asset)

    def make_dir(self, connection: Connection, place: Place, name: str) -> Commands:
        return [DefineTerm(name, self._broader(connection, place))]

    def remove_dir(self, connection: Connection, place: Place, name: str) -> Commands:
        return [RemoveTerm(self._listed(connection, place, name).id)]

    def move_dir(self, connection: Connection, place: Place, name: str, to: Place, new_name: str) -> Commands:
        """Renaming a directory renames the term; moving it below another changes its broader term."""
        if to.view != self.name:
            raise Refused("a term can be moved inside by-tag/ only")
        term = self._listed(connection, place, name)
        broader = term.broader if to == place else self._broader(connection, to)
        return [RenameTerm(term.id, new_name, broader)]

    def _listed(self, connection: Connection, place: Place, name: str) -> Term:
        """A term that the place lists. One that is only reachable there by name has its home elsewhere."""
        term = known(connection, name)
        if term.broader != self._broader(connection, place):
            raise Refused(f'"{name}" is not listed here: rename or remove it where it is')
        return term

    def _broader(self, connection: Connection, place: Place) -> TermId | None:
        return terms(connection, place.path)[-1].id if place.path else None


def known(connection: Connection, name: str) -> Term:
    found = vocabulary.term_named(connection, name)
    if found is None:
        raise NotFound(f'no term "{name}"')
    return found


def terms(connection: Connection, path: tuple[str, ...]) -> list[Term]:
    return [known(connection, name) for name in path]

"""suggested/<term>/: assets that a model proposes the term for, until a person has judged that.

Moving, copying or linking one into by-tag/<term>/ accepts; removing it here refuses, and it is never proposed again.
"""

from __future__ import annotations

from damfs.catalog import predicates, proposals, term_names
from damfs.catalog.database import Connection
from damfs.catalog.predicates import Predicate, ProposedFor
from damfs.core.library import Library
from damfs.core.suggesting import RefuseProposal
from damfs.errors import NotEmpty
from damfs.model import AssetId, Facet
from damfs.presentation.views.facet import FacetView
from damfs.presentation.views.term_places import KnownTerms, named
from damfs.presentation.views.view import Commands, Place


class Suggested(FacetView):
    name = "suggested"
    tells_absence = True

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._known = KnownTerms(library)

    def dirs(self, connection: Connection, path: tuple[str, ...]) -> list[str]:
        if path:
            return []
        version = self._known.version()
        found = proposals.list_terms(connection)
        self._known.saw(version, found)
        return [name for _, name in found]

    def has_dir(self, connection: Connection, path: tuple[str, ...], name: str) -> bool:
        return self.dir_named(connection, path, name) is not None

    def dir_named(self, connection: Connection, path: tuple[str, ...], name: str) -> str | None:
        """Also of terms that nothing is suggested for, and by their synonyms."""
        found = None if path else term_names.resolve(connection, name)
        return None if found is None else found.name

    def where(self, connection: Connection, path: tuple[str, ...]) -> Predicate | None:
        if not path:
            return None
        (id_,) = self._known.ids(connection, path)
        return ProposedFor(id_, path[0])

    def dir_facets(self, connection: Connection, path: tuple[str, ...]) -> frozenset[Facet]:
        return frozenset() if path else frozenset({predicates.PROPOSED_FACET})

    def leave(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        if not place.path:
            raise self.refusal(place)
        return [RefuseProposal(asset, named(connection, place.path[0]).id)]

    def remove_dir(self, connection: Connection, place: Place, name: str) -> Commands:
        """`rm -r suggested/beach` refuses all; the directory then goes by itself."""
        if place.path:
            raise self.refusal(place)
        if proposals.any_of_term(connection, named(connection, name).id):
            raise NotEmpty(f'there are suggestions of "{name}" left')
        return []

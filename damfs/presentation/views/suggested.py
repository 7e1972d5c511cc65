"""suggested/<term>/: assets that a model proposes the term for, until a person has judged that.

Moving, copying or linking one into by-tag/<term>/ accepts; removing it here refuses, and it is never proposed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from damfs.catalog import predicates, proposals, term_names
from damfs.catalog.database import Connection
from damfs.catalog.predicates import Predicate, ProposedFor
from damfs.catalog.query import Query
from damfs.core.library import Library
from damfs.core.search_answer import Answer, Told
from damfs.core.suggesting import RefuseProposal
from damfs.errors import NotEmpty
from damfs.model import AssetId, Facet, TermId
from damfs.presentation.views.facet import FacetView
from damfs.presentation.views.term_places import KnownTerms, named
from damfs.presentation.views.view import Commands, Content, Entry, Place, Thing

NO_TERM = TermId(0)


@dataclass(frozen=True, slots=True)
class Suggestion(Answer):
    """What user.damfs.score and user.damfs.why say of files that a term is proposed for."""

    term: TermId = NO_TERM

    def told(self, connection: Connection, asset: AssetId) -> Told | None:
        found = proposals.proposal(connection, asset, self.term)
        if found is None:
            return None
        by = ", ".join(filter(None, (found.processor, found.model)))
        return Told(found.confidence, f"{self.query.where.text()}: {by}")


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

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        entry = super().lookup(connection, place, name)
        if entry is not None and isinstance(entry.node, Thing):
            self._note(connection, place, [AssetId(entry.node.id)])
        return entry

    def content(self, connection: Connection, place: Place) -> Content:
        found = super().content(connection, place)
        self._note(connection, place, [row[0] for row in found.files])
        return found

    def _note(self, connection: Connection, place: Place, shown: Sequence[AssetId]) -> None:
        """From where user.damfs.score and user.damfs.why of these files speak."""
        if place.path:
            (id_,) = self._known.ids(connection, place.path)
            self.library.shown.note(Suggestion(Query(ProposedFor(id_, place.path[0])), [], term=id_), shown)

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

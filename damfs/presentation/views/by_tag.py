"""by-tag/<term>/<term>…: assets that carry every term of the path.

Listed directories are only narrower terms, so a crawler cannot explode; any other term is reachable by name,
and by its synonyms.
"""

from __future__ import annotations

from collections.abc import Set

from damfs.catalog import predicates, term_names, vocabulary
from damfs.catalog.database import Connection
from damfs.catalog.predicates import HasTag, Predicate, all_of
from damfs.core.commands import AddTag, RemoveTag, RemoveTerm, RenameTerm
from damfs.core.library import Library
from damfs.core.merging_terms import MergeTerms
from damfs.core.term_commands import CoinTerm
from damfs.errors import Conflict, NotEmpty, Refused
from damfs.model import AssetId, Facet, Term, TermId
from damfs.presentation.views.facet import FacetView
from damfs.presentation.views.term_places import KnownTerms, named, terms
from damfs.presentation.views.view import Commands, Place
from damfs.storage.droppings import is_working_folder

AT_ONCE = 10_000
"""Of files in a folder that rsync makes for a moment; where there are more the term stays."""


class ByTag(FacetView):
    name = "by-tag"
    tells_absence = True

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._known = KnownTerms(library)

    def dirs(self, connection: Connection, path: tuple[str, ...]) -> list[str]:
        version = self._known.version()
        above = terms(connection, path)
        found = vocabulary.list_narrower(connection, above[-1].id if above else None)
        self._known.saw(version, [(term.id, term.name) for term in [*above, *found]])
        return [term.name for term in found if term.name not in path]

    def has_dir(self, connection: Connection, path: tuple[str, ...], name: str) -> bool:
        return self.dir_named(connection, path, name) is not None

    def dir_named(self, connection: Connection, path: tuple[str, ...], name: str) -> str | None:
        """A synonym leads to the directory of its term."""
        found = term_names.resolve(connection, name)
        return None if found is None or found.name in path else found.name

    def reserved(self, connection: Connection, path: tuple[str, ...], dirs: list[str]) -> Set[str]:
        return set(term_names.list_all(connection)).difference(path)

    def where(self, connection: Connection, path: tuple[str, ...]) -> Predicate | None:
        found = terms(connection, path)
        if not found:
            return None
        return all_of([HasTag(term.id, term.name, vocabulary.with_narrower(connection, term.id)) for term in found])

    def dir_facets(self, connection: Connection, path: tuple[str, ...]) -> frozenset[Facet]:
        ids = self._known.ids(connection, path)
        return frozenset({predicates.narrower_facet(ids[-1] if ids else None)})

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        """What the predicate says, without making one: a listing asks for thousands of places."""
        ids = self._known.ids(connection, place.path)
        return frozenset(map(predicates.tag_facet, ids)) | self.dir_facets(connection, place.path)

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
        return [CoinTerm(name, self._broader(connection, place))]

    def remove_dir(self, connection: Connection, place: Place, name: str) -> Commands:
        """What rsync has moved out of its own folder carries that term still: a rename from a narrower term into the
        broader one never gets here, since both are names of one inode."""
        term = self._listed(connection, place, name)
        held = vocabulary.some_carriers(connection, (term.id,), AT_ONCE) if is_working_folder(name) else []
        return [*(RemoveTag(asset, term.id, alone=True) for asset in held), RemoveTerm(term.id)]

    def move_dir(self, connection: Connection, place: Place, name: str, to: Place, new_name: str) -> Commands:
        """Renaming a directory renames the term; moving it below another changes its broader term. Onto the directory
        of an unused term, as with any directory: it takes that one's place, and what it is called beside its name."""
        if to.view != self.name:
            raise Refused("a term can be moved inside by-tag/ only")
        term = self._listed(connection, place, name)
        above = {step.id for step in terms(connection, to.path)}
        if term.id in above:
            raise Refused(f'"{name}" cannot be moved into a directory that its own name leads to')
        broader = term.broader if to == place else self._broader(connection, to)
        there = term_names.resolve(connection, new_name)
        rename = RenameTerm(term.id, new_name, broader)
        if there is None or there.id == term.id or there.name != new_name:
            return [rename]
        if there.id in above:
            raise Conflict(f'"{new_name}" is part of that place already')
        if vocabulary.in_use(connection, there.id):
            raise NotEmpty(f'the term "{new_name}" is in use; to merge: damfs term merge LIBRARY "{name}" "{new_name}"')
        return [MergeTerms(there.id, term.id, keep_name=False), rename]

    def _listed(self, connection: Connection, place: Place, name: str) -> Term:
        """A term that the place lists. One that is only reachable there by name has its home elsewhere."""
        term = named(connection, name)
        if term.name != name:
            raise Refused(f'"{name}" is a synonym of "{term.name}": damfs term synonym takes it away')
        if term.broader != self._broader(connection, place):
            raise Refused(f'"{name}" is not listed here: rename or remove it where it is')
        return term

    def _broader(self, connection: Connection, place: Place) -> TermId | None:
        return terms(connection, place.path)[-1].id if place.path else None

"""What a change of the vocabulary means for those who list: told in the transaction that makes it. Point reads."""

from __future__ import annotations

from damfs.catalog import assets, predicates, term_names, vocabulary
from damfs.catalog.change_feed import Recorder
from damfs.catalog.database import Connection
from damfs.errors import Conflict
from damfs.model import Facet, TermId

TOLD_SINGLY = 65
"""A change of the vocabulary tells of so many assets one by one. Whoever caches listings drops a place as a whole when
more than 64 of its names are touched at once, so telling of all of a hundred thousand would add nothing."""


def refuse_taken(tx: Connection, name: str, but: TermId | None = None) -> None:
    """Raises Conflict when a name leads to a term, other than one."""
    other = term_names.resolve(tx, name)
    if other is not None and other.id != but:
        what = f'there is a term "{name}" already' if other.name == name else f'"{name}" is a synonym of "{other.name}"'
        raise Conflict(what)


def name_of(tx: Connection, term: TermId | None) -> str | None:
    found = None if term is None else vocabulary.term(tx, term)
    return None if found is None else found.name


def tell_namesakes(tx: Connection, changes: Recorder, name: str) -> None:
    """A term came or went: in by-tag/ its name leads to a directory, and assets of that name go by another."""
    for asset in assets.named(tx, name, TOLD_SINGLY):
        terms = vocabulary.terms_of(tx, asset.id)
        if terms:
            facets = {predicates.tag_facet(term) for term in terms}
            changes.record("namesake-changed", facets, asset=asset.id, names=(name,))


def tell_carriers(tx: Connection, changes: Recorder, term: TermId, facets: frozenset[Facet]) -> None:
    """A term became narrower or broader: whatever carries it came into those places, or left them."""
    ids = vocabulary.with_narrower(tx, term) if facets else ()
    for id_, name in vocabulary.carriers(tx, ids, TOLD_SINGLY) if ids else ():
        changes.record("retagged", facets, asset=id_, names=(name,))


def tag_facets(tx: Connection, term: TermId) -> frozenset[Facet]:
    """Of a term and of all it implies."""
    return frozenset(predicates.tag_facet(id_) for id_ in vocabulary.with_broader(tx, term))

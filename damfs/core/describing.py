"""Commands by which people and their programs describe an asset: its tags as a whole, a rating, a comment, and
extended attributes that mean nothing to damfs.

Applied like every command: one transaction, no await, no file. Each records what it changed, with what was before.
"""

from __future__ import annotations

from dataclasses import dataclass

from damfs.catalog import remarks, term_names, vocabulary
from damfs.catalog.database import Connection
from damfs.core.asset_names import clean_name
from damfs.core.commands import AddTag, DefineTerm, Execution, RemoveTag, known
from damfs.core.term_commands import CoinTerm
from damfs.errors import NoSpace, NotFound, Refused
from damfs.model import Asset, AssetId, AssetState, Facet, TermId
from damfs.storage.droppings import is_dropping

HIGHEST_RATING = 10
ATTRIBUTES_LIMIT = 1 << 20
"""Bytes of names and values of one asset's extended attributes: sixteen of the largest."""
ATTRIBUTE = "attribute-changed"
LABEL = b"user.xmp.label"
"""Extended attribute that stands for xmp:Label."""
LABEL_LIMIT = 4096
RATING_FACET = Facet("rating")
COMMENT_FACET = Facet("comment")
SEPARATOR = ","
"""Between tags in one text. A term whose name holds it cannot be said there: it is neither shown nor taken away."""

TagPath = tuple[str, ...]
"""A term with the broader ones above it, broadest first."""


def parsed_tags(text: str) -> tuple[TagPath, ...]:
    """``a,b/c`` as the paths ('a',), ('b', 'c'). Pure."""
    parts = ([clean_name(step.strip()) for step in tag.split("/") if step.strip()] for tag in text.split(SEPARATOR))
    return tuple(dict.fromkeys(tuple(path) for path in parts if path))


def tags_text(connection: Connection, asset: AssetId) -> str:
    """The tags of an asset, each with what is above it: what `parsed_tags` understands."""
    paths = ("/".join(term_path(connection, term)) for term in sayable(connection, asset))
    return SEPARATOR.join(sorted(paths))


def sayable(connection: Connection, asset: AssetId) -> list[TermId]:
    """The terms an asset was given that can be said in a text of tags."""
    terms = (term.id for term in vocabulary.tagged_terms(connection, asset))
    return [id_ for id_ in terms if not any(SEPARATOR in name for name in term_path(connection, id_))]


def term_path(connection: Connection, id_: TermId) -> TagPath:
    found: list[str] = []
    for above in vocabulary.with_broader(connection, id_):
        term = vocabulary.term(connection, above)
        found += [] if term is None else [term.name]
    return tuple(reversed(found))


@dataclass(frozen=True, slots=True)
class SetTags:
    """The tags become exactly these. Terms that are not known are defined below those named before them; known ones
    stay where the vocabulary has them. A tag that was there keeps its source; a new one is a person's."""

    asset: AssetId
    paths: tuple[TagPath, ...]
    stated: tuple[TagPath, ...] = ()
    """Those among them that a person says himself, also where a rule or a model has said it before."""
    defines: bool = False
    """Also where the vocabulary is closed: what a file beside an original says is not lost."""

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        wanted = {term for path in self.paths for term in _terms_of_path(x, path, defines=self.defines)}
        stated = {term for path in self.stated for term in _terms_of_path(x, path, defines=self.defines)}
        before = {term.id for term in vocabulary.tagged_terms(x.tx, self.asset)}
        ended = before if self.defines else set(sayable(x.tx, self.asset))
        if asset.state is AssetState.RECEIVING:  # a copy brings what its source said; the place it is made in holds too
            ended = set()
        for term in sorted((wanted - before) | stated):
            AddTag(self.asset, term).apply(x)
        for term in sorted(ended - wanted):
            RemoveTag(self.asset, term, alone=True).apply(x)


def _terms_of_path(x: Execution, path: TagPath, *, defines: bool) -> set[TermId]:
    """The last term, and those named before it that it does not imply."""
    terms: list[TermId] = []
    for name in path:
        if is_dropping(name):
            raise Refused(f"{name} belongs to a desktop and is no tag")
        there = term_names.resolve(x.tx, name)
        make = DefineTerm if defines else CoinTerm
        terms.append(make(name, terms[-1] if terms else None).apply(x) if there is None else there.id)
    implied = set(vocabulary.with_broader(x.tx, terms[-1]))
    return {terms[-1], *(term for term in terms if term not in implied)}


@dataclass(frozen=True, slots=True)
class SetRating:
    """0..10, two for each star; 0 takes it away."""

    asset: AssetId
    rating: int

    def apply(self, x: Execution) -> None:
        asset, before = known(x, self.asset), remarks.remark(x.tx, self.asset).rating
        if not 0 <= self.rating <= HIGHEST_RATING:
            raise Refused(f"a rating is a number from 0 to {HIGHEST_RATING}")
        if self.rating == before:
            return
        remarks.set_rating(x.tx, self.asset, self.rating)
        detail = {"rating": self.rating, "before": before}
        x.changes.record("rated", {RATING_FACET}, asset=self.asset, names=(asset.name,), detail=detail)


@dataclass(frozen=True, slots=True)
class SetComment:
    """'' takes it away."""

    asset: AssetId
    comment: str

    def apply(self, x: Execution) -> None:
        asset, before = known(x, self.asset), remarks.remark(x.tx, self.asset).comment
        if self.comment == before:
            return
        remarks.set_comment(x.tx, self.asset, self.comment)
        detail = {"comment": self.comment, "before": before}
        x.changes.record("commented", {COMMENT_FACET}, asset=self.asset, names=(asset.name,), detail=detail)


@dataclass(frozen=True, slots=True)
class SetAttribute:
    """Keep an extended attribute for the program that set it. Raises NoSpace when the asset has too many."""

    asset: AssetId
    name: bytes
    value: bytes

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        size = remarks.attributes_size(x.tx, self.asset, self.name) + len(self.name) + len(self.value)
        if size > ATTRIBUTES_LIMIT:
            raise NoSpace(f"{asset.name}: more than {ATTRIBUTES_LIMIT >> 10} KiB of extended attributes")
        before = remarks.attribute(x.tx, self.asset, self.name)
        remarks.set_attribute(x.tx, self.asset, self.name, self.value)
        _attribute_changed(x, asset, self.name, before, self.value)


@dataclass(frozen=True, slots=True)
class RemoveAttribute:
    """Raises NotFound when it is not there."""

    asset: AssetId
    name: bytes

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        before = remarks.attribute(x.tx, self.asset, self.name)
        if not remarks.remove_attribute(x.tx, self.asset, self.name):
            raise NotFound(f"{asset.name} has no attribute {self.name!r}")
        _attribute_changed(x, asset, self.name, before, b"")


def _attribute_changed(x: Execution, asset: Asset, name: bytes, before: bytes | None, now: bytes) -> None:
    """What a person sees of an asset can be taken back; what programs keep for themselves is theirs."""
    detail = {"attribute": name.decode("utf-8", "backslashreplace")}
    if name == LABEL and len(before or b"") + len(now) <= LABEL_LIMIT:
        detail |= {"before": (before or b"").decode("utf-8", "replace"), "now": now.decode("utf-8", "replace")}
    x.changes.record(ATTRIBUTE, frozenset(), asset=asset.id, names=(asset.name,), detail=detail)

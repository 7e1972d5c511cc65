"""What names in a query mean in this catalog: terms, assets. See `query_language.Meanings`.

Point reads and searches of small tables, in whatever thread the connection belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from damfs.catalog import assets, full_text, term_names, vocabulary
from damfs.catalog.database import Connection
from damfs.catalog.predicates import HasTag, Predicate, all_of
from damfs.catalog.query_language import NoMeaning
from damfs.catalog.query_text import cut
from damfs.core.asset_names import clean_name
from damfs.model import AssetId, Term, TermId

TERMS_LIMIT = 50
"""Terms that one word may mean; the oldest where it is part of more."""


@dataclass(frozen=True, slots=True)
class CatalogMeanings:
    connection: Connection

    def tag(self, name: str) -> Predicate:
        """``beach``, or ``place/beach``: what carries each of them."""
        terms = [self._term(step) for step in name.split("/") if step]
        if not terms:
            raise NoMeaning(f'expected the name of a term, not "{cut(name)}"')
        return all_of(
            [HasTag(term.id, term.name, vocabulary.with_narrower(self.connection, term.id)) for term in terms]
        )

    def _term(self, name: str) -> Term:
        found = term_names.resolve(self.connection, clean_name(name)) or self._spelled_otherwise(name)
        if found is None:
            close = get_close_matches(name, term_names.list_all(self.connection), 1)
            hint = f'did you mean "{close[0]}"?' if close else "damfs tags LIBRARY lists the terms"
            raise NoMeaning(f'there is no term "{cut(name)}"; {hint}')
        return found

    def _spelled_otherwise(self, name: str) -> Term | None:
        """In other letter case, if that is just one."""
        if not any(map(str.isalnum, name)):
            return None
        close = [
            term
            for id_ in full_text.terms_saying(self.connection, name, prefix=False, limit=TERMS_LIMIT)
            if (term := vocabulary.term(self.connection, id_))
            and name.casefold() in (called.casefold() for called in term_names.names_of(self.connection, [id_]))
        ]
        return close[0] if len(close) == 1 else None

    def like(self, name: str) -> AssetId:
        """An asset by its name, or by its number (user.damfs.id)."""
        named = assets.named(self.connection, name, 1)
        if named:
            return named[0].id
        numbered = assets.asset(self.connection, AssetId(int(name))) if name.isdecimal() and len(name) < 18 else None
        if numbered is None:
            raise NoMeaning(f'there is no asset "{cut(name)}"; name a file as it is called in the mount, or its number')
        return numbered.id

    def terms_saying(self, words: str, *, prefix: bool) -> tuple[TermId, ...]:
        found = full_text.terms_saying(self.connection, words, prefix=prefix, limit=TERMS_LIMIT)
        return tuple(
            dict.fromkeys(narrower for id_ in found for narrower in vocabulary.with_narrower(self.connection, id_))
        )

"""What places that are named by terms have in common: names that lead to terms, and listings without a query a term.

A listing remembers which term each of its names is, until a name leads to another term: the kernel is told of
thousands of directories at once, and each is to be asked what it depends on. Concurrency: filled in a reader thread, as
one value; read on the loop. Crash rule: none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from damfs.catalog import term_names
from damfs.catalog.database import Connection
from damfs.core.library import Library
from damfs.errors import NotFound
from damfs.model import Term, TermId


class _Seen(NamedTuple):
    version: int
    ids: Mapping[str, TermId]


class KnownTerms:
    """Names of terms to their ids, as the last listings had them."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._seen = _Seen(-1, {})

    def version(self) -> int:
        """To be asked before the terms are read that are given to `saw`."""
        return self._library.terms_version

    def saw(self, version: int, terms: Sequence[tuple[TermId, str]]) -> None:
        before = self._seen
        kept = before.ids if before.version == version else {}
        self._seen = _Seen(version, {**kept, **{name: id_ for id_, name in terms}})

    def ids(self, connection: Connection, path: tuple[str, ...]) -> list[TermId]:
        """Of the terms of a path. Raises NotFound."""
        seen = self._seen
        known = seen.ids if seen.version == self._library.terms_version else {}
        return [known[name] if name in known else named(connection, name).id for name in path]


def named(connection: Connection, name: str) -> Term:
    """The term that a name or a synonym leads to. Raises NotFound."""
    found = term_names.resolve(connection, name)
    if found is None:
        raise NotFound(f'no term "{name}"')
    return found


def terms(connection: Connection, path: tuple[str, ...]) -> list[Term]:
    return [named(connection, name) for name in path]

"""Commands that keep a search, and forget it.

Applied like every command: one transaction, no await, no file. Keeping a search that means nothing now is no error:
its terms may come back.
"""

from __future__ import annotations

from dataclasses import dataclass

from damfs.catalog import predicates, saved_searches
from damfs.core.commands import Execution
from damfs.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class SaveSearch:
    """``query``: as it is to be listed."""

    query: str

    def apply(self, x: Execution) -> None:
        if not saved_searches.save(x.tx, self.query, x.at_ns):
            raise Conflict(f'the search "{self.query}" is kept already')
        x.changes.record("search-saved", {predicates.SEARCHES_FACET}, names=(self.query,))


@dataclass(frozen=True, slots=True)
class ForgetSearch:
    query: str

    def apply(self, x: Execution) -> None:
        if not saved_searches.forget(x.tx, self.query):
            raise NotFound(f'no search "{self.query}" is kept')
        x.changes.record("search-forgotten", {predicates.SEARCHES_FACET}, names=(self.query,))

"""Which assets a query means where nothing is ranked: a batch works on all that it holds of, or on none.

Point reads for the words; listing what the predicate means scans.
"""

from __future__ import annotations

from damfs.catalog.alternatives import LIKE
from damfs.catalog.database import Connection
from damfs.catalog.predicates import Predicate
from damfs.catalog.query_language import meant
from damfs.core.meanings import CatalogMeanings
from damfs.errors import Refused


def predicate_of(connection: Connection, text: str) -> Predicate:
    """Words have to be said of an asset, not only to be close to it. Raises BadQuery, Refused."""
    query = meant(text, CatalogMeanings(connection))
    if query.is_like:
        raise Refused(f"{LIKE}: only ranks, and a batch is of all that is found; use tag:, type:, date: or folders")
    return query.exact

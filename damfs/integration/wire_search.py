"""What travels over the control socket for searches. See `wire`. Pure."""

from __future__ import annotations

from msgspec import Struct


class Search(Struct, frozen=True, tag="search"):
    """``limit``: rows answered at most; 0: all."""

    query: str
    limit: int = 0


class FindSimilar(Struct, frozen=True, tag="similar"):
    """What is like a file, or (``at_ns``) a moment of it: by its asset, or its path in a store, absolute."""

    asset: int = 0
    path: bytes = b""
    at_ns: int | None = None
    limit: int = 0


class GetSearches(Struct, frozen=True, tag="get-searches"):
    pass


class KeepSearch(Struct, frozen=True, tag="keep-search"):
    query: str
    forget: bool = False


class FoundRow(Struct, frozen=True):
    """``path``: below the mountpoint. ``score``: None where there is no order."""

    asset: int
    name: str
    path: str
    score: float | None
    why: str


class Found(Struct, frozen=True):
    """``query``: as it was understood. ``spaces``: of the vectors compared; ``trouble``: why there were none."""

    query: str
    total: int
    ranked: bool
    spaces: list[str]
    trouble: str
    rows: list[FoundRow]


Searching = Search | FindSimilar | GetSearches | KeepSearch

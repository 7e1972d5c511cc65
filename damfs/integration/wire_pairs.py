"""The requests about things that belong together: duplicates, sidecars and originals. Part of `wire`. Pure."""

from __future__ import annotations

from msgspec import Struct


class Dedupe(Struct, frozen=True, tag="dedupe"):
    """Show groups of duplicates; ``apply``: keep the best of each."""

    exact: bool = True
    near: bool = True
    apply: bool = False


class SyncSidecars(Struct, frozen=True, tag="sync-sidecars"):
    """Bring the sidecars beside originals and the catalog into step."""

    write: bool = True
    """Also write, in writable stores; else only read."""

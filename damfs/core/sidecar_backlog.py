"""What people said while nobody wrote sidecars, and up to which change all that was said is written.

Concurrency: on the loop, the feed page by page in reader threads. Crash rule: the property is moved on after the files
were written; what was cut short is looked at again, and changes nothing twice.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from damfs.catalog import change_feed, derived, sidecars
from damfs.catalog.database import Connection
from damfs.core.library import Library
from damfs.core.sidecar_news import SAID, TOLD_TOGETHER, spoken_of
from damfs.model import AssetId, Change, Seq

FOLLOWED = "sidecars-followed"
"""Property: the last change after which sidecars were written. None: they never were by themselves."""
PAGE = 500


async def said_meanwhile(library: Library, own: str) -> tuple[set[AssetId], Seq]:
    """Assets of which a sidecar may not say yet what people said, and up to which change. ``own``: the actor whose
    changes come from sidecars."""
    told = derived.property_value(library.db.writer, FOLLOWED)
    if told is None:
        last = change_feed.last_seq(library.db.writer)
        return await library.db.read(_all_spoken_of), last
    said, since = set[AssetId](), Seq(int(told))
    while changes := await library.db.read(functools.partial(change_feed.list_since, seq=since, limit=PAGE)):
        since = changes[-1].seq
        news = [change for change in changes if change.actor != own and change.kind in SAID | TOLD_TOGETHER]
        if news:
            said |= await library.db.read(functools.partial(_spoken_of_in, news))
    return said, since


def remember(library: Library, seq: Seq) -> None:
    """All that was said up to a change is written."""
    with library.db.transaction() as tx:
        derived.set_property(tx, FOLLOWED, str(seq))


def _spoken_of_in(changes: Sequence[Change], connection: Connection) -> set[AssetId]:
    singly = {change.asset for change in changes if change.asset is not None and change.kind in SAID}
    return singly | spoken_of([change for change in changes if change.asset is None], connection)


def _all_spoken_of(connection: Connection) -> set[AssetId]:
    known = (sidecars.of(connection, id_) for id_ in sidecars.list_all(connection))
    return {*sidecars.list_spoken_of(connection), *(each.original for each in known if each is not None)}

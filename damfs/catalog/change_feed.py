"""The change feed: what changed, written in the transaction that changed it, and read by whoever follows.

Concurrency: `Recorder` lives inside one transaction on the writer's thread. Crash rule: a change is there exactly
when what it tells of is.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from damfs.catalog.database import Connection
from damfs.errors import DamfsError
from damfs.model import AssetId, Change, Facet, Facts, Seq

GROUP = "group"
"""Key in the detail of a change: see `new_group`."""


def new_group(connection: Connection) -> str:
    """A name for changes that are to come, which tells from where on in the feed they can be."""
    return f"{last_seq(connection) + 1}-{secrets.token_hex(6)}"


def first_of_group(group: str) -> Seq:
    """None of its changes is earlier."""
    return Seq(int(group.partition("-")[0]))


class Recorder:
    """Collects the changes of one transaction and writes them, with the time their facets were touched. ``group``: what
    is taken back together, over several transactions; it stands in the detail of each change."""

    def __init__(self, tx: Connection, actor: str, at_ns: int, group: str = "") -> None:
        self._tx = tx
        self._group: Facts = {GROUP: group} if group else {}
        self._actor = actor
        self.at_ns = at_ns
        self.changes: list[Change] = []
        self._touched: set[Facet] = set()

    def record(
        self,
        kind: str,
        facets: Iterable[Facet],
        *,
        asset: AssetId | None = None,
        names: tuple[str, ...] = (),
        detail: Facts | None = None,
    ) -> None:
        touched, told = frozenset(facets), {**(detail or {}), **self._group}
        seq = self._tx.insert(
            "INSERT INTO change (at_ns, actor, kind, asset, names, facets, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
            self.at_ns,
            self._actor,
            kind,
            asset,
            _text(names),
            _text(sorted(touched)),
            _text(told),
        )
        self._touched |= touched
        self.changes.append(
            Change(Seq(seq), self.at_ns, self._actor, kind, asset, names, touched, told),
        )

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part of the transaction of which nothing stays, in the catalog or the feed, after a damfs error."""
        number, touched = len(self.changes), set(self._touched)
        self._tx.script("SAVEPOINT attempt")
        try:
            yield
        except DamfsError:
            self._tx.script("ROLLBACK TO attempt")
            self._tx.script("RELEASE attempt")
            del self.changes[number:]
            self._touched = touched
            raise
        self._tx.script("RELEASE attempt")

    def finish(self) -> None:
        """Move the mtime of everything touched; call once, last in the transaction."""
        if not self._touched:
            return
        self._tx.run_many(
            "INSERT INTO facet (name, at_ns) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at_ns = excluded.at_ns",
            ((facet, self.at_ns) for facet in sorted(self._touched)),
        )


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


class Told(NamedTuple):
    """A change as it was told: what is needed to take it back."""

    seq: Seq
    at_ns: int
    actor: str
    kind: str
    asset: AssetId | None
    names: list[str]
    detail: dict[str, object]


def list_told(
    connection: Connection, before: Seq, actors: Sequence[str], kinds: Sequence[str], limit: int
) -> list[Told]:
    """Changes of some kinds by some actors, latest first, from before one."""
    rows = connection.rows(
        "SELECT seq, at_ns, actor, kind, asset, names, detail FROM change WHERE seq < ?"
        " AND actor IN (SELECT value FROM json_each(?)) AND kind IN (SELECT value FROM json_each(?))"
        " ORDER BY seq DESC LIMIT ?",
        before,
        _text(list(actors)),
        _text(list(kinds)),
        limit,
    )
    return [
        Told(seq, at_ns, actor, kind, asset, _list.decode(names), _object.decode(detail))
        for seq, at_ns, actor, kind, asset, names, detail in rows
    ]


def list_tagged(connection: Connection, after: Seq, but: Sequence[str]) -> list[tuple[Seq, AssetId, str]]:
    """Which assets were given a term, or had it taken away, by others than these actors, and its name then; in order.
    Reads the feed from there on."""
    return connection.rows(
        "SELECT seq, asset, json_extract(detail, '$.term') FROM change WHERE seq > ?"
        " AND kind IN ('tagged', 'untagged') AND actor NOT IN (SELECT value FROM json_each(?)) ORDER BY seq",
        after,
        _text(list(but)),
    )


def list_later_names(connection: Connection, name: str) -> list[str]:
    """What a term of that name was called after it, one after the other. Scans the feed."""
    found = [name]
    while later := connection.value(
        str,
        "SELECT json_extract(names, '$[1]') FROM change WHERE kind = 'term-renamed'"
        " AND json_extract(names, '$[0]') = ? ORDER BY seq DESC LIMIT 1",
        found[-1],
    ):
        if later in found:
            break
        found.append(later)
    return found[1:]


_list = msgspec.json.Decoder(list[str])
_object = msgspec.json.Decoder(dict[str, object])


def last_seq(connection: Connection) -> Seq:
    return Seq(connection.integer("SELECT max(seq) FROM change"))


def list_since(connection: Connection, seq: Seq, limit: int) -> list[Change]:
    """The first changes after one, as they were recorded."""
    rows = connection.rows(
        "SELECT seq, at_ns, actor, kind, asset, names, facets, detail FROM change WHERE seq > ? ORDER BY seq LIMIT ?",
        seq,
        limit,
    )
    return [_change(*row) for row in rows]


def _change(
    seq: int, at_ns: int, actor: str, kind: str, asset: int | None, names: str, facets: str, detail: str
) -> Change:
    return Change(
        Seq(seq), at_ns, actor, kind, None if asset is None else AssetId(asset),
        msgspec.json.decode(names, type=tuple[str, ...]), frozenset(map(Facet, msgspec.json.decode(facets))),
        msgspec.json.decode(detail),
    )  # fmt: skip


def touched_ns(connection: Connection, facets: Iterable[Facet]) -> int:
    """When any of the facets was last touched; 0: never."""
    return max((connection.integer("SELECT at_ns FROM facet WHERE name = ?", facet) for facet in facets), default=0)


def list_touched(connection: Connection, facets: Iterable[Facet]) -> dict[Facet, int]:
    """When each of many facets was last touched; those that never were are left out."""
    wanted = _text(sorted(facets))
    rows = connection.rows("SELECT name, at_ns FROM facet WHERE name IN (SELECT value FROM json_each(?))", wanted)
    return dict(rows)

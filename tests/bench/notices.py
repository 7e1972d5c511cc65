"""How long after a commit another process still sees what was: milliseconds, beside a change on the disk.

A process polls without pause (`observer`). Untagging is the hard case: the kernel holds the name for an hour and has to
be told. A lag counts from the change's own time, taken right before its transaction begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from damfs.catalog.database import Connection
from damfs.integration.client import call
from damfs.integration.mounts import asset_of
from damfs.integration.wire import Tag
from tests.bench.figure import Figure, figure, in_turns, percentile
from tests.bench.ground import Daemon, Ground
from tests.bench.observer import Observer, observing
from tests.bench.synthetic import FEW

ON_DISK = "unlink or create on the disk"
NEW_TERM = "noticed"


def measure(ground: Ground) -> Iterator[Figure]:
    made = ground.populated()
    name = made.names[0]
    with ground.mounted(made.library) as daemon, observing() as observer:
        daemon.wait_until_quiet()
        ground.say("notices …")
        change = Changes(daemon, asset_of(daemon.mountpoint / "by-tag" / FEW / name))
        change.tag()
        place, beside = daemon.mountpoint / "by-tag" / NEW_TERM, ground.new("beside") / name
        beside.touch()
        gone: dict[str, Callable[[], float]] = {
            "gone": partial(lag_ms, observer, "gone", place / name, change.untag),
            "gone on disk": partial(lag_ms, observer, "gone", beside, partial(remove, beside)),
            "there": partial(lag_ms, observer, "there", place / name, change.tag),
            "there on disk": partial(lag_ms, observer, "there", beside, partial(create, beside)),
            "unlisted": partial(lag_ms, observer, "unlisted", place / name, change.untag),
            "listed": partial(lag_ms, observer, "listed", place / name, change.tag),
        }
        lags = in_turns(ground.size.notices, gone)
        change.close()
    for figure_name, side in (("notice-gone", "gone"), ("notice-there", "there")):
        yield _figure(figure_name, lags[side], lags[f"{side} on disk"])
    yield _figure("notice-unlisted", lags["unlisted"], [])
    yield _figure("notice-listed", lags["listed"], [])


def _figure(name: str, lags: list[float], beside: list[float]) -> Figure:
    detail = {"p99_ms": percentile(lags, 0.99)} | ({"beside_p99_ms": percentile(beside, 0.99)} if beside else {})
    return figure(name, "ms", lags, {ON_DISK: beside}, detail)


class Changes:
    """Tags one asset, and takes the tag away, through the daemon; each call answers when the change was made."""

    def __init__(self, daemon: Daemon, asset: int) -> None:
        self._library, self._asset = daemon.library, asset
        self._catalog = Connection(daemon.library / "state" / "catalog.sqlite3", read_only=True)

    def tag(self) -> int:
        call(self._library, Tag((self._asset,), (NEW_TERM,)))
        return self._last_ns()

    def untag(self) -> int:
        call(self._library, Tag((self._asset,), (NEW_TERM,), remove=True))
        return self._last_ns()

    def _last_ns(self) -> int:
        return self._catalog.integer("SELECT at_ns FROM change ORDER BY seq DESC LIMIT 1")

    def close(self) -> None:
        self._catalog.close()


def remove(path: Path) -> int:
    at_ns = time.time_ns()
    path.unlink()
    return at_ns


def create(path: Path) -> int:
    at_ns = time.time_ns()
    path.touch()
    return at_ns


def lag_ms(observer: Observer, what: str, path: Path, change: Callable[[], int]) -> float:
    observer.watch(what, path)
    changed_ns = change()
    return (observer.seen_ns() - changed_ns) / 1e6

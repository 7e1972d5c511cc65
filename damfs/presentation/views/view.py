"""What a view is: places, their entries, and what it means to put something there or take it away.

Knows nothing of FUSE: the adapter, and later the API and the TUI, show the same views. Concurrency: `lookup` and the
hooks run on the loop (point reads of the writer's connection); `list` runs in a reader thread with the connection it is
given. A hook that a view leaves out refuses, so a view is never half-writable by accident.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, NamedTuple

from damfs.catalog.assets import ListedRow
from damfs.catalog.database import Connection
from damfs.core.commands import Command
from damfs.core.library import Library
from damfs.core.on_demand import Wanted
from damfs.errors import Refused
from damfs.model import AssetId, Facet, RenditionId

Commands = Sequence[Command[object]]


class ThingKind(IntEnum):
    """What a file is the bytes of; its id is the row's, or the text's."""

    ASSET = 1
    RENDITION = 2
    VERSION = 3
    TEXT = 4
    THUMBNAIL = 5
    NOTE = 6
    """A small text that a file manager keeps in its trash."""
    CUES = 7
    """Of the sprite of a file; the id is that of the copy."""


class Thing(NamedTuple):
    kind: ThingKind
    id: int


@dataclass(frozen=True, slots=True)
class Place:
    """A directory of a view. ``id``: of the row it stands for, where it stands for one (a folder, an asset)."""

    view: str
    path: tuple[str, ...]
    id: int | None = None


ROOT_PLACE = Place("", ())
"""The root of the mount, which belongs to no view."""


class Entry(NamedTuple):
    """A name in a place. ``name`` may carry surrogates (bytes that are no UTF-8); ``mode`` holds permission bits."""

    name: str
    node: Thing | Place
    size: int
    mtime_ns: int
    mode: int


class Arrival(NamedTuple):
    """An asset that is moved into a place: under which name, and the path in the mount that it comes from."""

    asset: AssetId
    name: str
    origin: str


Entries = list[Entry]
"""For classes whose method `list` hides the type."""


class Content(NamedTuple):
    """What a place lists: assets as rows by the names they have there, ids ascending; everything else as entries."""

    files: Sequence[ListedRow]
    others: Entries


READ_FILE = 0o444
READ_DIRECTORY = 0o555
WRITE_DIRECTORY = 0o755


class View(ABC):
    """*MUST* set ``name``, implement ``lookup`` and ``list``, ``facets``; *MAY* implement hooks."""

    name: ClassVar[str]
    listed: ClassVar[bool] = True
    """Whether the root of the mount lists it."""
    slow_lookup: ClassVar[bool] = False
    """Whether ``lookup`` may scan: it then runs in a reader thread, with that thread's connection."""
    place_kind: ClassVar[int | None] = None
    """Inode kind of places that carry an id; each view that has such places has its own."""
    raw_names: ClassVar[bool] = False
    """Whether names in places that carry an id are the bytes of a file system; all others damfs has cleaned."""
    thumbnails: ClassVar[bool] = True
    """Whether its places have thumbnails of their files, reached by name."""
    drifts: ClassVar[bool] = False
    """Whether places that carry an id change by news of other things, so that nobody may remember them for long."""

    takes_whole: ClassVar[bool] = False
    """Whether what is moved here is out of every other place by that: the place it comes from is not asked."""
    own_names: ClassVar[bool] = False
    """Whether names here are not those of the assets: moving in, out or about renames no asset."""
    live: ClassVar[bool] = True
    """Whether those who watch a place are told what comes and goes there."""
    keys_only: ClassVar[bool] = False
    """Whether places that carry an id list nothing but the names of a store's file system."""
    indexed: ClassVar[bool] = False
    """Whether places that carry an id are found by their facets while somebody holds them; else `kernel_cache` has to
    know how to compute the place that a facet is of."""
    tells_absence: ClassVar[bool] = False
    """Whether every name that comes into one of its places is told by a change, so that "not there" may be kept."""

    only_receives: ClassVar[bool] = False
    """Whether a file that is made here is a new asset, shown here, and nothing else is to be decided about it."""
    any_directory: ClassVar[bool] = False
    """Whether its root has a directory of any name. Those that somebody made are listed, see ``is_made``."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def root(self) -> Place:
        return Place(self.name, ())

    def looks_long(self, place: Place) -> bool:
        """Whether `lookup` may scan in this place."""
        return self.slow_lookup

    def is_drifting(self, place: Place) -> bool:
        """Whether the place changes by news of other things."""
        return self.drifts and place.id is not None

    def is_raw(self, place: Place) -> bool:
        """Whether names in the place are taken byte by byte, as programs ask for them."""
        return self.raw_names and place.id is not None

    def is_made(self, connection: Connection, place: Place, name: str) -> bool:
        """Whether somebody has made a directory that is there by any name anyway (see ``any_directory``)."""
        return True

    @asynccontextmanager
    async def turn(self, place: Place, *, listing: bool) -> AsyncIterator[None]:
        """Held around a `content` (``listing``) or a long `lookup`, on the loop: where these must wait for something,
        or only a few may run at a time."""
        yield

    def at_root(self, name: str) -> Place | None:
        """A place that the root of the mount answers with by name, beside the views themselves; it is not listed."""
        return None

    def owner(self, place: Place) -> int | None:
        """The user that a directory belongs to; None: who runs damfs."""
        return None

    def keeps_notes(self, place: Place) -> bool:
        """Whether files made here are small texts of a program, and no assets."""
        return False

    def place_of(self, id_: int) -> Place:
        """The place that stands for a row. Only for views with a ``place_kind``."""
        return Place(self.name, (), id_)

    @abstractmethod
    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        """One entry by name; also names that are not listed."""

    @abstractmethod
    def list(self, connection: Connection, place: Place) -> list[Entry]:
        """Every listed entry. May scan."""

    def wanted(self, connection: Connection, place: Place, name: str) -> Wanted | None:
        """What is to be made because somebody asks for a name that `lookup` does not find. Point reads; listings never
        ask."""
        return None

    def discards(self, entry: Entry) -> RenditionId | None:
        """What removing such a name removes, where that is made again when somebody asks for it."""
        return None

    def content(self, connection: Connection, place: Place) -> Content:
        """What `list` says, for whoever can take rows: a hundred thousand entries are half the time of a listing."""
        return Content((), self.list(connection, place))

    def lists(self, connection: Connection, place: Place, name: str) -> Entry | None:
        """The entry that a listing shows under a name; `lookup` finds others as well."""
        return self.lookup(connection, place, name)

    def holds_files(self, connection: Connection, place: Place) -> bool:
        """Whether there may be anything but directories in the place."""
        return True

    def path(self, connection: Connection, place: Place) -> tuple[str, ...] | None:
        """The names that lead from the view's root to the place; None where nobody needs to know."""
        return place.path if place.id is None else None

    def from_top(self, connection: Connection, place: Place) -> tuple[str, ...] | None:
        """The names that lead from the root of the mount to the place."""
        path = self.path(connection, place)
        return None if path is None else (self.name, *path)

    @abstractmethod
    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        """What the content of the place depends on."""

    def mode(self, place: Place) -> int:
        """Permission bits of the directory itself."""
        return READ_DIRECTORY

    def mtime_ns(self, connection: Connection, place: Place) -> int | None:
        """A time that a program set of the directory; None: when its content last changed."""
        return None

    def receive(self, place: Place) -> bool:
        """Whether a file written here counts as triaged."""
        raise self.refusal(place)

    def enter(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        """Make the place's predicate true for the asset."""
        raise self.refusal(place)

    def arrive(self, connection: Connection, place: Place, arrival: Arrival) -> Commands:
        """What moving into the place means; where it is not more than that, entering."""
        return self.enter(connection, place, arrival.asset)

    def rename(self, place: Place, asset: AssetId, name: str) -> Commands:
        """Another name here, where names are not those of the assets."""
        raise self.refusal(place)

    def leave(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        """Make it false: the name is removed here."""
        raise self.refusal(place)

    def leave_by_move(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        """What moving out of here means besides entering elsewhere; nothing in views that only show."""
        return ()

    def make_dir(self, connection: Connection, place: Place, name: str) -> Commands:
        raise self.refusal(place)

    def remove_dir(self, connection: Connection, place: Place, name: str) -> Commands:
        raise self.refusal(place)

    def move_dir(self, connection: Connection, place: Place, name: str, to: Place, new_name: str) -> Commands:
        raise self.refusal(place)

    def refusal(self, place: Place) -> Refused:
        return Refused(f"{'/'.join((self.name, *place.path))}: this has no meaning here")

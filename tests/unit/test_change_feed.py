"""Whatever a command changes in a listing, its change says so: facets of the place, and the names to forget.

This is what the kernel's cache lives on: it keeps every entry until a change names it. Random commands over a small
library; after each, every place is compared with what it listed before.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from damfs.catalog import derived, stores, vocabulary
from damfs.core.commands import (
    Abandon,
    AddTag,
    Command,
    DefineTerm,
    Receive,
    ReceiveInto,
    RemoveTag,
    RemoveTerm,
    Rename,
    RenameTerm,
    SetMode,
    SetTimes,
    Trash,
    Triage,
)
from damfs.core.feed import Feed
from damfs.core.indexing import HideFolders, IndexFile, MarkMissing
from damfs.core.ingest import Heal, MarkDamaged, Merge, MoveCopy, Seal
from damfs.core.keys import aside_keys, is_trash
from damfs.core.library import Library
from damfs.core.results import DropRendition, FinishJob, PublishedRendition
from damfs.core.trash_commands import (
    BringBack,
    DropNote,
    Expire,
    HideInTrash,
    MakeNote,
    NameInTrash,
    PutAside,
    RenameNote,
    Restore,
    Untriage,
)  # fmt: skip
from damfs.core.undo import Undo
from damfs.core.undo_groups import list_groups
from damfs.errors import DamfsError, NotFound
from damfs.model import (
    Asset,
    AssetId,
    AssetState,
    Change,
    Copy,
    Digest,
    Facts,
    Job,
    JobId,
    Key,
    Media,
    RenditionKind,
    StoreId,
    Term,
    TermId,
)
from damfs.presentation.views.by_date import ByDate
from damfs.presentation.views.by_tag import ByTag
from damfs.presentation.views.by_type import ByType
from damfs.presentation.views.desktop_trash import DesktopTrash
from damfs.presentation.views.inbox import Inbox
from damfs.presentation.views.names import qualified
from damfs.presentation.views.originals import Originals
from damfs.presentation.views.proxies import Proxies
from damfs.presentation.views.trash import TrashView
from damfs.presentation.views.untagged import Untagged
from damfs.presentation.views.view import Entry, Place, Thing, View
from damfs.storage.blob_store import FileFact
from tests.small_library import added, opened, store_named

NAMES = ["clip.mov", "clip.mp4", "x.mov", "x~1.mov", "x~2.mov", "beach", "sea", "2024", "\u00e9.mov"]
FILES = [b"clip.mov", b"clip.mp4", b"x.mov", b"x~2.mov", b"caf\xe9.mov", b"caf\xe9.mp4", b"sub"]
FOLDERS = [b"", b"day/", b"day/night/", b"clip.mov/"]
TERMS = ["beach", "sea", "sunset", "x.mov"]
DAYS = ["2024-07-15", "2024-07-16", "2023-01-01"]
NODE = Thing | Place
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A hundred libraries are made: on a disk that would take minutes."""
Listing = dict[str, NODE]
index = st.integers(0, 50)


class Collected(Feed):
    """Keeps what was published."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[Change] = []

    def publish(self, changes: Sequence[Change]) -> None:
        self.changes += changes


@dataclass
class Snapshot:
    """What every place lists, and what depends on what."""

    listings: dict[Place, Listing] = field(default_factory=dict)
    facets: dict[Place, frozenset[str]] = field(default_factory=dict)


def all_places(library: Library, views: Sequence[View]) -> Iterator[tuple[View, Place]]:
    connection = library.db.writer
    names = vocabulary.names(connection)
    for view in views:
        waiting = [view.root()]
        if isinstance(view, ByTag):
            waiting += [Place(view.name, (one, other)) for one in names for other in names if one != other]
        if isinstance(view, DesktopTrash):
            waiting += [Place(view.name, ("1000",))]
        done = set()
        while waiting:
            place = waiting.pop()
            if place in done:
                continue
            done.add(place)
            yield view, place
            waiting += [entry.node for entry in view.list(connection, place) if isinstance(entry.node, Place)]


def taken(library: Library, views: Sequence[View]) -> Snapshot:
    snapshot = Snapshot()
    connection = library.db.writer
    for view, place in all_places(library, views):
        entries = view.list(connection, place)
        listing = {entry.name: entry.node for entry in entries}
        assert len(listing) == len(entries), f"names are unique in {place}"
        snapshot.listings[place] = listing
        snapshot.facets[place] = frozenset(view.facets(connection, place))
    return snapshot


def resolved(views: Mapping[str, View], library: Library, place: Place, name: str) -> NODE | None:
    try:
        entry: Entry | None = views[place.view].lookup(library.db.writer, place, name)
    except NotFound:
        return None
    return None if entry is None else entry.node


class EveryListing(RuleBasedStateMachine):
    """Commands change rows only, so files need not be there."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        directory = Path(self.stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY)))
        self.library = self.stack.enter_context(opened(directory / "library"))
        self.library.feed = self.feed = Collected()
        added(self.library, directory / "footage")
        kinds: tuple[type[View], ...] = (
            ByTag, ByDate, ByType, Inbox, Untagged, Originals, Proxies, TrashView, DesktopTrash,
        )  # fmt: skip
        self.views = {kind.name: kind(self.library) for kind in kinds}
        self.inode = 0

    def teardown(self) -> None:
        self.stack.close()

    @initialize()
    def begin(self) -> None:
        self.before = taken(self.library, list(self.views.values()))

    # --- the property -----------------------------------------------------------------------------------------

    def run(self, *commands: Command[object]) -> None:
        candidates = self.candidates()
        before = {
            (place, name): resolved(self.views, self.library, place, name)
            for place in self.before.listings
            for name in candidates
        }
        self.feed.changes.clear()
        try:
            self.library.execute(commands, "test")
        except DamfsError:
            assert self.feed.changes == []
        after = taken(self.library, list(self.views.values()))
        for place, listing in self.before.listings.items():
            if place in after.listings:  # else the entry that led to it is gone, and that is told
                self.compare(place, listing, after.listings[place], before)
        self.before = after

    def candidates(self) -> set[str]:
        """Names that may lead somewhere though they are not listed."""
        rows = self.library.db.writer.rows("SELECT id, name FROM asset")
        return set(NAMES) | {qualified(name, AssetId(id_)) for id_, name in rows}

    def compare(
        self, place: Place, old: Listing, new: Listing, before: Mapping[tuple[Place, str], NODE | None]
    ) -> None:
        concerned = [change for change in self.feed.changes if change.facets & self.before.facets[place]]
        told = set().union(*map(told_by, concerned))
        if old != new:
            assert concerned, f"{place}: {old} became {new}, and no change says so"
        resolutions = {name: node for (at, name), node in before.items() if at == place} | old
        for name in resolutions.keys() | new.keys():
            was = resolutions.get(name)
            if isinstance(was, Place) and name not in old:
                continue  # a term that is not listed there
            now = resolved(self.views, self.library, place, name)
            if isinstance(now, Place) and name not in new:
                continue
            assert was == now or name in told, f"{place}/{name}: {was} became {now}; told: {told}"

    # --- choices ----------------------------------------------------------------------------------------------

    def assets(self, *states: AssetState) -> list[Asset]:
        rows = self.library.db.writer.rows("SELECT id FROM asset ORDER BY id")
        found = [self.library.asset(id_) for (id_,) in rows]
        return [each for each in found if each is not None and (not states or each.state in states)]

    def chosen(self, number: int, *states: AssetState) -> AssetId:
        known = self.assets(*states)
        return known[number % len(known)].id if known else AssetId(999)

    def term(self, number: int) -> Term:
        names = vocabulary.names(self.library.db.writer)
        found = vocabulary.term_named(self.library.db.writer, names[number % len(names)]) if names else None
        return found or Term(TermId(999), "none", None)

    def copies(self, store: StoreId) -> list[tuple[Key, Copy]]:
        return sorted(stores.list_copies(self.library.db.writer, store), key=lambda pair: pair[1].id)

    def copy(self, number: int) -> tuple[Key, Copy] | None:
        known = [pair for store in self.library.stores() for pair in self.copies(store.id)]
        return known[number % len(known)] if known else None

    def fact(self, key: bytes, content: int) -> FileFact:
        self.inode += 1
        return FileFact(Key(key), content + 1, 1, self.inode)

    def free_key(self, day: str, name: bytes) -> bytes:
        known = {key for key, _ in self.copies(self.library.library_store().id)}
        keys = (day.replace("-", "/").encode() + b"/" + prefix + name for prefix in (b"", b"2", b"3", b"4", b"5"))
        return next((key for key in keys if key not in known), day.encode() + b"/%d" % self.inode)

    # --- commands ---------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES), triaged=st.booleans(), number=index, tagged=st.booleans())
    def receive(self, name: str, triaged: bool, number: int, tagged: bool) -> None:
        id_ = self.term(number).id
        self.run(ReceiveInto(Receive(name, 0o644, triaged), (lambda asset: [AddTag(asset, id_)]) if tagged else None))

    @rule(number=index, content=st.integers(0, 2), day=st.sampled_from(DAYS), name=st.sampled_from(FILES))
    def seal(self, number: int, content: int, day: str, name: bytes) -> None:
        store = self.library.library_store().id
        placed = self.fact(self.free_key(day, name), content)
        id_ = self.chosen(number, AssetState.RECEIVING)
        self.run(Seal(id_, digest(content), content + 1, 1, Media.VIDEO, day, store, placed))

    @rule(one=index, other=index)
    def merge(self, one: int, other: int) -> None:
        self.run(Merge(self.chosen(one, AssetState.RECEIVING), self.chosen(other, AssetState.PRESENT)))

    @rule(number=index, day=st.sampled_from(DAYS), name=st.sampled_from(FILES))
    def heal(self, number: int, day: str, name: bytes) -> None:
        asset = self.library.asset(self.chosen(number, AssetState.PRESENT, AssetState.MISSING))
        if asset is not None and asset.blob is not None:
            whole = stores.digest_of(self.library.db.writer, asset.blob)
            placed = self.fact(self.free_key(day, name), asset.size - 1)
            self.run(Heal(asset.id, whole, asset.size, self.library.library_store().id, placed))

    @rule(
        folder=st.sampled_from(FOLDERS),
        name=st.sampled_from(FILES),
        content=st.integers(0, 2),
        gone=st.one_of(st.none(), index),
        day=st.sampled_from(DAYS),
        media=st.sampled_from(Media),
    )
    def index_file(self, folder: bytes, name: bytes, content: int, gone: int | None, day: str, media: Media) -> None:
        store = store_named(self.library, "footage").id
        known = [pair for pair in self.copies(store) if pair[0] != folder + name]
        lost = [known[gone % len(known)]] if known and gone is not None else []
        fact = self.fact(folder + name, content)
        self.run(IndexFile(store, fact, digest(content), media, day, {copy.id: key for key, copy in lost}))

    @rule(number=index)
    def mark_missing(self, number: int) -> None:
        if copy := self.copy(number):
            self.run(MarkMissing(copy[1].id))

    @rule(number=index)
    def mark_damaged(self, number: int) -> None:
        if copy := self.copy(number):
            self.run(MarkDamaged(copy[1].id))

    @rule(number=index, day=st.sampled_from(DAYS), name=st.sampled_from(FILES))
    def move_copy(self, number: int, day: str, name: bytes) -> None:
        own = self.copies(self.library.library_store().id)
        if own:
            _, copy = own[number % len(own)]
            self.run(MoveCopy(copy.id, self.fact(self.free_key(day, name), copy.size - 1)))

    @rule()
    def hide_folders(self) -> None:
        store = store_named(self.library, "footage").id
        self.run(HideFolders(tuple(stores.list_empty_folders(self.library.db.writer, store))))

    @rule(number=index, facts=st.sampled_from([{}, *({"captured_local": f"{day}T12:00:00"} for day in DAYS)]),
          media=st.one_of(st.none(), st.sampled_from(Media)), proxy=st.booleans())  # fmt: skip
    def finish_job(self, number: int, facts: Facts, media: Media | None, proxy: bool) -> None:
        asset = self.library.asset(self.chosen(number, AssetState.PRESENT))
        if asset is None or asset.blob is None:
            return
        made = PublishedRendition(RenditionKind.PROXY, "dnxhr-lb", f"ab/{asset.blob}-proxy.mov", 1, {})
        known = facts if media is None else {**facts, "media": str(media)}
        self.run(FinishJob(Job(JobId(1), asset.blob, "probe", 1, 1), known, (made,) if proxy else (), (), ()))

    @rule(number=index)
    def drop_rendition(self, number: int) -> None:
        known = derived.list_renditions(self.library.db.writer)
        if known:
            self.run(DropRendition(known[number % len(known)], "proxy"))

    @rule(asset=index, term=index)
    def add_tag(self, asset: int, term: int) -> None:
        self.run(AddTag(self.chosen(asset), self.term(term).id))

    @rule(asset=index, term=index)
    def remove_tag(self, asset: int, term: int) -> None:
        self.run(RemoveTag(self.chosen(asset), self.term(term).id))

    @rule(name=st.sampled_from(TERMS), broader=st.one_of(st.none(), index))
    def define_term(self, name: str, broader: int | None) -> None:
        self.run(DefineTerm(name, None if broader is None else self.term(broader).id))

    @rule(term=index, name=st.one_of(st.none(), st.sampled_from(TERMS)), broader=st.one_of(st.none(), index))
    def rename_term(self, term: int, name: str | None, broader: int | None) -> None:
        known = self.term(term)
        above = None if broader is None else self.term(broader).id
        self.run(RenameTerm(known.id, name or known.name, above))

    @rule(term=index)
    def remove_term(self, term: int) -> None:
        self.run(RemoveTerm(self.term(term).id))

    @rule(asset=index, name=st.sampled_from(NAMES))
    def rename(self, asset: int, name: str) -> None:
        self.run(Rename(self.chosen(asset), name))

    @rule(asset=index)
    def triage(self, asset: int) -> None:
        self.run(Triage(self.chosen(asset)))

    @rule(asset=index)
    def trash(self, asset: int) -> None:
        self.run(Trash(self.chosen(asset, AssetState.PRESENT)))

    @rule(asset=index)
    def restore(self, asset: int) -> None:
        self.run(Restore(self.chosen(asset, AssetState.TRASHED)))

    @rule(asset=index)
    def untriage(self, asset: int) -> None:
        self.run(Untriage(self.chosen(asset)))

    @rule(asset=index, name=st.sampled_from(NAMES))
    def delete_in_a_file_manager(self, asset: int, name: str) -> None:
        id_ = self.chosen(asset, AssetState.PRESENT)
        self.run(MakeNote(1000, name + ".trashinfo"), Trash(id_), NameInTrash(1000, name, id_))

    @rule(asset=index)
    def empty_in_a_file_manager(self, asset: int) -> None:
        self.run(HideInTrash(self.chosen(asset, AssetState.TRASHED)))

    @rule(number=index, name=st.sampled_from(NAMES))
    def change_a_note(self, number: int, name: str) -> None:
        self.run(RenameNote(number, name) if number % 2 else DropNote(number))

    @rule(number=index)
    def put_aside(self, number: int) -> None:
        own = self.copies(self.library.library_store().id)
        if own:
            key, copy = own[number % len(own)]
            aside = next(aside_keys(copy))
            self.run(PutAside(copy.id, key, self.fact(aside, copy.size - 1)))

    @rule(number=index, day=st.sampled_from(DAYS), name=st.sampled_from(FILES))
    def bring_back(self, number: int, day: str, name: bytes) -> None:
        own = [pair for pair in self.copies(self.library.library_store().id) if is_trash(pair[0])]
        if own:
            key, copy = own[number % len(own)]
            self.run(BringBack(copy.id, key, self.fact(self.free_key(day, name), copy.size - 1)))

    @rule(asset=index)
    def expire(self, asset: int) -> None:
        self.run(Expire(self.chosen(asset, AssetState.TRASHED), 1 << 62))

    @rule()
    def undo(self) -> None:
        found = list_groups(self.library.db.writer, 1, actors=("test",))
        if found:
            self.run(Undo(found[0]))

    @rule(asset=index)
    def abandon(self, asset: int) -> None:
        self.run(Abandon(self.chosen(asset, AssetState.RECEIVING)))

    @rule(asset=index)
    def attributes(self, asset: int) -> None:
        id_ = self.chosen(asset)
        self.run(SetTimes(id_, 2), SetMode(id_, 0o600))


def told_by(change: Change) -> set[str]:
    """The names that the change says listings may show, before or after."""
    names = set(change.names)
    if change.asset is not None:
        names |= {qualified(name, change.asset) for name in change.names}
    keys = change.detail.get("keys", [])
    assert isinstance(keys, list)
    return names | {os.fsdecode(bytes.fromhex(key)) for key in keys}


def digest(content: int) -> Digest:
    return Digest(bytes([content]) * 32)


TestEveryListing = EveryListing.TestCase
TestEveryListing.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)

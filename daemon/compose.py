"""Builds the daemon's parts in order and hands each what it needs; nothing is wired up afterwards.

Runs once, on the loop, before anything serves.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib.metadata import entry_points

import trio

from damfs.core.asking_model import model_of, vectors_of
from damfs.core.duplicate_finding import DuplicateFinder
from damfs.core.job_runner import JobRunner
from damfs.core.library import Library
from damfs.core.note_keeping import NoteKeeper
from damfs.core.on_demand import Maker
from damfs.core.query_vectors import QueryVectors
from damfs.core.reception import Reception
from damfs.core.sidecar_keeping import SidecarKeeper
from damfs.core.worker_pool import WorkerPool
from damfs.integration.models import Models
from damfs.presentation.fuse import native
from damfs.presentation.fuse.appearance import Appearance
from damfs.presentation.fuse.attribute_changes import AttributeChanges
from damfs.presentation.fuse.attributes import Owner
from damfs.presentation.fuse.backings import Backings
from damfs.presentation.fuse.directories import Directories
from damfs.presentation.fuse.drafts import Drafts
from damfs.presentation.fuse.events import Events
from damfs.presentation.fuse.extended_attributes import ExtendedAttributes
from damfs.presentation.fuse.inodes import Inodes
from damfs.presentation.fuse.kernel_cache import KernelCache
from damfs.presentation.fuse.listings import Listings
from damfs.presentation.fuse.live_folders import LiveFolders
from damfs.presentation.fuse.live_operations import LiveOperations
from damfs.presentation.fuse.making import Making
from damfs.presentation.fuse.marks import Marks
from damfs.presentation.fuse.open_files import OpenFiles
from damfs.presentation.fuse.operations import Operations
from damfs.presentation.views.control import Control
from damfs.presentation.views.edits import Edits
from damfs.presentation.views.originals import Originals
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import View

VIEWS = "damfs.views"


@dataclass(frozen=True, slots=True)
class Parts:
    reception: Reception
    operations: Operations
    drafts: Drafts
    kernel_cache: KernelCache
    live: LiveFolders
    making: Making
    events: Events
    job_runner: JobRunner
    maker: Maker
    models: Models
    sidecars: SidecarKeeper
    notes: NoteKeeper
    duplicates: DuplicateFinder


def compose(library: Library, pool: WorkerPool, nursery: trio.Nursery) -> Parts:
    views = load_views(library)
    control = views[Control.name]
    assert isinstance(control, Control)
    maker = Maker(library, pool, nursery)
    tree = Tree(library, views, control, maker.make)
    inodes = Inodes(views, tree.facets)
    reception = Reception(library)
    drafts = Drafts(library, reception, nursery)
    listings, hook = Listings(), native.load()
    kernel_cache = KernelCache(inodes, listings)
    files = OpenFiles(library, drafts, Backings(hook), inodes, hook)
    kernel_cache.version_added = files.version_added
    drafts.on_close = listings.dated
    library.db.on_commit = hook.changed
    owner, originals = Owner.of_this_process(), views[Originals.name]
    assert isinstance(originals, Originals)
    appearance = Appearance(tree, inodes, drafts, owner, Marks(library, inodes, originals, owner))
    edits = Edits(library, tree, drafts.at_rest, files.supersede)
    events = Events(library)
    live = LiveFolders(library, tree, inodes, kernel_cache, hook.spare)
    making = Making(library, tree, edits, files, nursery, kernel_cache.made_by_kernel, listings.changed, live.made)
    files.not_entered, files.check_entered = making.not_entered, making.check_entered
    library.feed.first = making.heard
    operations = LiveOperations(
        library=library,
        tree=tree,
        edits=edits,
        inodes=inodes,
        files=files,
        counters=library.counters,
        appearance=appearance,
        changes=AttributeChanges(library, edits, inodes, files, appearance, making.check_taken),
        directories=Directories(tree, inodes, files, appearance, hook, listings, kernel_cache.forget_listing),
        events=events,
        extended=ExtendedAttributes(library, inodes),
        forget_name=kernel_cache.forget_name,
        live=live,
        making=making,
        made_by_kernel=kernel_cache.made_by_kernel,
    )
    ask = functools.partial(vectors_of, library, pool)
    library.search_turns.vectors = QueryVectors(
        ask, nursery, library.settings.search.wait_s, space=functools.partial(model_of, library)
    )
    return Parts(
        reception,
        operations,
        drafts,
        kernel_cache,
        live,
        making,
        events,
        JobRunner(library, pool),
        maker,
        Models(library, pool),
        SidecarKeeper(library, reception),
        NoteKeeper(library),
        DuplicateFinder(library),
    )


def load_views(library: Library) -> dict[str, View]:
    """The views that are installed, by name, found by entry point."""
    found: dict[str, View] = {}
    for point in entry_points(group=VIEWS):
        view: View = point.load()(library)
        found[view.name] = view
    return dict(sorted(found.items()))

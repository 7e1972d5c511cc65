"""What every view must keep, found by entry point: a new view is held to it by being installed.

The library has what makes listings hard: equal names, names that look qualified, names that are terms and dates, bytes
that are no text, copies, proxies, neighbours, missing and trashed assets, files still being received.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import trio

from damfs.catalog import derived, job_table, stores
from damfs.catalog.database import Connection
from damfs.catalog.proposals import Origin
from damfs.catalog.term_names import Label
from damfs.core.commands import AddTag, Command, DefineTerm, Trash
from damfs.core.library import Library
from damfs.core.preview_names import ENDINGS
from damfs.core.processors.processor import LOOK_MODEL
from damfs.core.suggesting import Suggest
from damfs.core.term_commands import AddLabel
from damfs.errors import DamfsError, Refused
from damfs.model import AssetId, BlobId, Facts, RenditionKind
from damfs.presentation.views.control import Control
from damfs.presentation.views.desktop_trash import PRIVATE_DIRECTORY
from damfs.presentation.views.names import qualified
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import (
    READ_DIRECTORY,
    ROOT_PLACE,
    WRITE_DIRECTORY,
    Entry,
    Place,
    Thing,
    ThingKind,
    View,
)
from tests.small_library import (
    added,
    drafted,
    dump,
    opened,
    received,
    scanned,
    term,
)

KINDS: dict[str, type[View]] = {point.name: point.load() for point in entry_points(group="damfs.views")}
ODD_NAMES = (
    "", " ", ".", "..", "x", "absent.mov", "beach", "sea", "2024", "07", "2024-07-15", "video", "~", "x~", "~1",
    "x~1.mov", "clip~zzzzzzzzzzzz.mov", "clip.mov~1", "01 clip.mov", "99 clip.mov", "\u00e9.mov", "e\u0301.mov",
    "two\nlines", "x" * 255, "\u0664\u0662", os.fsdecode(b"caf\xe9.mov"), os.fsdecode(b"x~1.\xff"),
    os.fsdecode(b"\xff~1"), "library", "footage", "plage", "status", "README.md", "%", "_", "' OR 1=1 --",
)  # fmt: skip
FILES = (
    "a/clip.mov", "a/clip.mp4", "a/b/clip.mov", "b/clip.mov/x.mov", "b/clip.mp4", "gone.mov", "clip~1.mov",
)  # fmt: skip
HOOKS: dict[str, Callable[[View, Connection, Place], object]] = {
    "receive": lambda view, _, place: view.receive(place),
    "enter": lambda view, connection, place: view.enter(connection, place, AssetId(1)),
    "leave": lambda view, connection, place: view.leave(connection, place, AssetId(1)),
    "make_dir": lambda view, connection, place: view.make_dir(connection, place, "new"),
    "remove_dir": lambda view, connection, place: view.remove_dir(connection, place, "beach"),
    "move_dir": lambda view, connection, place: view.move_dir(connection, place, "beach", place, "shore"),
}


async def fill(library: Library, footage: Path) -> None:
    beach = term(library, "beach")
    term(library, "sunset", beach)
    for name in ("sea", "x~1.mov", "2024"):
        term(library, name)
    for number in range(3):
        await received(library, "clip.mov", b"clip %d" % number, "beach")
    for name in ("clip~1.mov", "sea", "2024", "x~1.mov", "x" * 251 + ".mov", "x" * 251 + ".mov", "\u00e9.mov", "beach"):
        await received(library, name, os.urandom(8), "sunset", triaged=True)
    await received(library, "copy.mov", b"clip 0")
    await received(library, "untagged.jpg", b"untagged")
    drafted(library, "arriving.mov", b"half", "beach")
    drafted(library, ".temporary.mov.Ab12Cd", b"half")
    trashed = await received(library, "trashed.mov", b"trashed", "beach")
    library.perform(Trash(trashed.id), "test")
    make_footage(footage)
    added(library, footage)
    await scanned(library)
    (footage / "gone.mov").unlink()
    await scanned(library)
    derive(library)
    library.perform(AddLabel(beach, Label("fr", "plage")), "test")
    for id_ in (1, 2, 4):
        library.perform(Suggest(AssetId(id_), Origin("auto_tag/2", "m"), [(term(library, "sea"), 0.8)]), "test")


def make_footage(footage: Path) -> None:
    for name in (
        "a/clip.mov",
        "a/clip.mp4",
        "a/b/clip.mov",
        "b/clip.mov/x.mov",
        "b/clip.mp4",
        "gone.mov",
        "clip~1.mov",
    ):
        path = footage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    for raw in (b"caf\xe9.mov", b"caf\xe9.mp4", b"two\nlines.mov", b"y" * 251 + b".mp4", b"y" * 252 + b".ts"):
        (footage / os.fsdecode(raw)).write_bytes(raw)


def derive(library: Library) -> None:
    """A proxy, previews and a vector for everything; two proxies for some."""
    connection = library.db.writer
    with library.db.transaction() as tx:
        for (blob,) in connection.rows("SELECT id FROM blob"):
            for profile in ("dnxhr-lb", "h264-intra")[: 1 + blob % 2]:
                derived.set_rendition(tx, blob, RenditionKind.PROXY, profile, f"ab/{blob}-{profile}.mov", 9, {}, 1)
            derived.set_embedding(tx, blob, LOOK_MODEL, None, vector(blob))
            if blob % 4:
                for processor in ("probe", "place"):
                    derived.set_facts(tx, blob, processor, facts(blob))
            job_table.enqueue(tx, blob, "broken", 1, 50, 1)
            if blob % 3:
                job = job_table.lease(tx, ("broken",), 5, 9)
                assert job is not None
                job_table.fail(tx, job.id, "not playable", 6)
            for kind, profile in ENDINGS:
                detail = {"cells": 3}
                derived.set_rendition(tx, blob, kind, profile, f"ab/{blob}-{kind}.{profile}", 9, detail, 1)


def facts(blob: BlobId) -> Facts:
    """Values that are hard to show: slashes, dots, cases, one that is called like a file, places in places."""
    return {
        "camera_model": ("FX3", "fx3", "..", "clip.mov", "x" * 300, "A/B", "caf\u00e9", "cafe\u0301")[blob % 8],
        "lens": ("EF24-105mm f/4L", "/", "EF24-105mm f", "\n")[blob % 4],
        "place": {
            "country": ("Germany", "germany", ".")[blob % 3],
            "region": ("Berlin", None, "clip.mov")[blob // 3 % 3],
        },
        "media": "video",
        "width": 1920,
        "height": 1080 + blob % 2,
        "video": {"codec": "h264"},
    }


def vector(blob: BlobId) -> bytes:
    made = np.random.default_rng(blob).normal(size=16).astype("<f4")
    return bytes((made / np.linalg.norm(made)).astype("<f4").tobytes())


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    directory = tmp_path_factory.mktemp("views")
    with opened(directory / "library") as made:
        trio.run(fill, made, directory / "footage")
        yield made


@pytest.fixture(params=sorted(KINDS))
def view(request: pytest.FixtureRequest, library: Library) -> View:
    return KINDS[request.param](library)


def places(view: View, connection: Connection) -> Iterator[Place]:
    """Every place that is reached by listing, and some that are reached by name only."""
    waiting = [view.root()]
    done: set[Place] = set()
    while waiting:
        place = waiting.pop()
        if place in done:
            continue
        done.add(place)
        yield place
        waiting += [entry.node for entry in view.list(connection, place) if isinstance(entry.node, Place)]
        for name in ("sea", "sunset"):
            entry = view.lookup(connection, place, name) if len(place.path) < 3 else None
            if entry is not None and isinstance(entry.node, Place):
                waiting.append(entry.node)


def bare(entry: Entry) -> tuple[object, ...]:
    """Without the time of a directory, which the tree knows."""
    return (entry.name, entry.node, entry.size, entry.mtime_ns, entry.mode)


def test_there_are_views() -> None:
    assert len(KINDS) >= 9
    assert all(inspect.isclass(kind) and issubclass(kind, View) for kind in KINDS.values())
    names = [kind.name for kind in KINDS.values()]
    assert len(set(names)) == len(names)
    kinds = [kind.place_kind for kind in KINDS.values() if kind.place_kind is not None]
    assert len(set(kinds)) == len(kinds), "inodes of places of two views must not meet"
    assert not set(kinds) & set(ThingKind)
    assert all(8 < kind < 128 for kind in kinds)


def test_every_listed_entry_resolves_to_itself(view: View, library: Library) -> None:
    connection = library.db.writer
    for place in places(view, connection):
        for entry in view.list(connection, place):
            found = view.lookup(connection, place, entry.name)
            assert found is not None, (place, entry.name)
            assert bare(found) == bare(entry), place


def test_names_are_unique_short_and_safe(view: View, library: Library) -> None:
    connection = library.db.writer
    for place in places(view, connection):
        names = [entry.name for entry in view.list(connection, place)]
        assert len(set(names)) == len(names), place
        for name in names:
            assert 0 < len(os.fsencode(name)) <= 255
            assert "/" not in name
            assert "\0" not in name
            assert name not in {".", ".."}


def test_any_name_is_answered(view: View, library: Library) -> None:
    connection = library.db.writer
    for place in places(view, connection):
        for name in ODD_NAMES:
            found = view.lookup(connection, place, name)
            assert found is None or found.name == name


def test_the_qualified_name_resolves_wherever_the_asset_is(library: Library) -> None:
    connection = library.db.writer
    for kind in (KINDS["by-tag"], KINDS["by-date"], KINDS["by-type"], KINDS["inbox"], KINDS["untagged"]):
        view = kind(library)
        for place in places(view, connection):
            for entry in view.list(connection, place):
                if isinstance(entry.node, Thing):
                    asset = library.asset(AssetId(entry.node.id))
                    assert asset is not None
                    found = view.lookup(connection, place, qualified(asset.name, asset.id))
                    assert found is not None
                    assert found.node == entry.node


def test_listing_twice_gives_the_same(view: View, library: Library) -> None:
    connection = library.db.writer
    for place in places(view, connection):
        assert view.list(connection, place) == view.list(connection, place)


def test_looking_changes_nothing(view: View, library: Library) -> None:
    before = dump(library.db.writer)
    with closing(Connection(library.db.path, read_only=True)) as reader:
        for place in places(view, reader):
            view.facets(reader, place)
            view.mode(place)
            for name in ODD_NAMES:
                view.lookup(reader, place, name)
    assert dump(library.db.writer) == before


def test_facets_are_names(view: View, library: Library) -> None:
    for place in places(view, library.db.writer):
        facets = view.facets(library.db.writer, place)
        assert isinstance(facets, frozenset)
        assert all(facet and isinstance(facet, str) for facet in facets)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_is_left_out_refuses(view: View, library: Library, hook: str) -> None:
    if getattr(type(view), hook) is getattr(View, hook):
        for place in places(view, library.db.writer):
            with pytest.raises(Refused, match="has no meaning here"):
                HOOKS[hook](view, library.db.writer, place)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_raises_damfs_errors_only_and_does_nothing_itself(view: View, library: Library, hook: str) -> None:
    before = dump(library.db.writer)
    for place in places(view, library.db.writer):
        with suppress(DamfsError):
            HOOKS[hook](view, library.db.writer, place)
    assert dump(library.db.writer) == before


def test_a_place_that_looks_writable_takes_files_or_directories(view: View, library: Library) -> None:
    for place in places(view, library.db.writer):
        assert view.mode(place) in {READ_DIRECTORY, WRITE_DIRECTORY, PRIVATE_DIRECTORY}
        if view.mode(place) == READ_DIRECTORY:
            with pytest.raises(DamfsError):
                view.receive(place)


def test_moving_out_never_raises_for_an_asset_that_is_there(view: View, library: Library) -> None:
    connection = library.db.writer
    for place in places(view, connection):
        for entry in view.list(connection, place):
            if isinstance(entry.node, Thing) and entry.node.kind is ThingKind.ASSET:
                view.leave_by_move(connection, place, AssetId(entry.node.id))


# --- what it costs --------------------------------------------------------------------------------------------

LOOKUP_STATEMENTS = 12


def statements(connection: Connection, work: Callable[[], object]) -> int:
    before = connection.statements
    work()
    return connection.statements - before


def costs(view: View, connection: Connection) -> dict[Place, tuple[int, int]]:
    """Statements of a listing, and the most of any lookup, by place."""
    found = {}
    for place in places(view, connection):
        entries = view.list(connection, place)
        listing = statements(connection, lambda place=place: view.list(connection, place))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        names = [entry.name for entry in entries] + list(ODD_NAMES)
        lookups = [
            statements(connection, lambda place=place, name=name: view.lookup(connection, place, name))  # type: ignore[misc]  # as above
            for name in names
        ]
        found[place] = (listing, max(lookups))
    return found


def test_a_lookup_costs_few_statements(view: View, library: Library) -> None:
    for place, (_, lookup) in costs(view, library.db.writer).items():
        assert lookup <= LOOKUP_STATEMENTS + 2 * len(place.path), place


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"similar-to"}))
def test_a_listing_costs_as_much_for_a_thousand_assets(tmp_path: Path, name: str) -> None:
    """similar-to/<asset>/ asks for each neighbour; there are never more than the settings say."""
    small, large = (listing_costs(tmp_path / str(number), name, number) for number in (2, 1000))
    assert small
    for place, cost in small.items():
        assert large[place] == cost, place


def listing_costs(path: Path, name: str, number: int) -> dict[tuple[str, ...], int]:
    with opened(path) as library:
        populate(library, number)
        view, connection = KINDS[name](library), library.db.writer
        return {
            (view.name, *place.path, str(place.id)): statements(
                connection,
                lambda place=place: view.list(connection, place),  # type: ignore[misc]  # as above
            )
            for place in places(view, connection)
        }


def populate(library: Library, number: int) -> None:
    """So many assets of one tag, day, type and folder."""
    beach = library.perform(DefineTerm("beach"), "test")
    with library.db.transaction() as tx:
        store = library.library_store().id
        folder, _ = stores.ensure_folder(tx, store, [b"2024", b"07", b"15"])
        for each in range(1, number + 1):
            tx.run("INSERT INTO blob VALUES (?, ?, 1)", each, each.to_bytes(32, "little"))
            tx.run(
                "INSERT INTO asset (id, name, media, state, triaged, size, mtime_ns, day, blob, created_ns)"
                " VALUES (?, 'clip.mov', 'video', 'present', ?, 1, 1, '2024-07-15', ?, 1)",
                each, each % 2, each,
            )  # fmt: skip
            stores.add_copy(tx, BlobId(each), AssetId(each), store, folder, b"%d.mov" % each, 1, 1, each, 1)
            derived.set_rendition(tx, BlobId(each), RenditionKind.PROXY, "dnxhr-lb", f"ab/{each}.mov", 1, {}, 1)
            derived.set_rendition(tx, BlobId(each), RenditionKind.POSTER, "jpeg", f"ab/{each}.jpg", 1, {}, 1)
    tagged: list[Command[object]] = [AddTag(AssetId(each), beach) for each in range(1, number, 2)]
    library.execute(tagged, "test")


# --- the whole tree -------------------------------------------------------------------------------------------


@pytest.fixture
def tree(library: Library) -> Tree:
    views = [kind(library) for kind in KINDS.values()]
    control = next(view for view in views if isinstance(view, Control))
    return Tree(library, {view.name: view for view in views}, control)


async def test_the_tree_gives_the_same_entry_by_listing_and_by_name(tree: Tree) -> None:
    waiting, done = [ROOT_PLACE], set()
    while waiting:
        place = waiting.pop()
        done.add(place)
        for entry in await tree.list(place):
            assert await tree.lookup(place, entry.name) == entry
            assert tree.entry(entry.node)._replace(name=entry.name) == entry
            assert entry.mtime_ns > 0
            if isinstance(entry.node, Place) and entry.node not in done:
                waiting.append(entry.node)
    assert len(done) > 30


async def test_the_root_lists_views_and_a_readme_but_not_what_is_hidden(tree: Tree) -> None:
    names = [entry.name for entry in await tree.list(ROOT_PLACE)]
    assert {"inbox", "originals", "by-tag", "by-date", "by-type", "untagged", "similar-to", "proxies"} < set(names)
    assert "README.md" in names
    assert ".damfs" not in names
    assert await tree.lookup(ROOT_PLACE, ".damfs") is not None
    assert await tree.lookup(ROOT_PLACE, "nothing") is None


async def test_texts_say_something(tree: Tree) -> None:
    readme = await tree.lookup(ROOT_PLACE, "README.md")
    assert readme is not None
    assert isinstance(readme.node, Thing)
    assert len(await tree.text(readme.node)) == readme.size > 100
    status = await tree.lookup(Place(".damfs", ()), "status")
    assert status is not None
    assert isinstance(status.node, Thing)
    assert b"store     library (writable)" in await tree.text(status.node)

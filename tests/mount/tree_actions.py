"""Operations on a real mount and on its model (`tree_model`) at once, each of which has to answer as the other does.

Blocks. Numbers choose among what is there: places, names, assets. Where the model raises `Errno`, so must the mount.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import note

from damfs.core.asset_names import clean_name
from damfs.errors import Refused
from damfs.integration.client import call
from damfs.integration.wire import Tag, UndoLast
from damfs.storage.droppings import is_dropping
from tests.mount.conftest import serving
from tests.mount.daemon_process import until
from tests.mount.overwriting import overwritten
from tests.mount.tree_model import Model
from tests.mount.tree_things import (
    INBOX,
    LIBRARY,
    OTHER,
    TAGS,
    TRASH,
    UNTAGGED,
    VERSIONS,
    Asset,
    Errno,
    Place,
    in_library,
)  # fmt: skip

ID_MASK = (1 << 56) - 1
SEEN_LIMIT_S = 90.0
MOST_TERMS = 8
MOST_FOLDERS = 5
STEPS_OF_A_MOUNT = 40
TRIED = Counter[str]()
"""How often which operation was tried in this process."""
BY_DAY = re.compile("[0-9]{4}")
"""Folders that damfs makes below originals/library; the model does not look at them."""


class TreeActions:
    def __init__(self) -> None:
        self._stack = ExitStack()
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.dam = self._stack.enter_context(serving(directory))().start()
        self.model = Model()
        self._written = 0
        self._steps = 0

    def end(self) -> None:
        with self._stack:
            assert self.dam.stats().get("damfs_fuse_unexpected_errors_total", 0) == 0, self.dam.log()

    # --- choices ---

    def places(self) -> list[Place]:
        """Those that are compared: all, and of two terms the neighbours in the list."""
        names = [term.name for term in self.model.terms.values()]
        pairs = [(TAGS, one, other) for one, other in pairwise(names)]
        flat = [(INBOX,), (TAGS,), (UNTAGGED,), (OTHER, "other"), (TRASH,)]
        return [*flat, *((TAGS, name) for name in names), *pairs, *sorted(self.model.folders)]

    def place(self, number: int) -> Place:
        """Mostly one with files."""
        places = self.places()
        held = [place for place in places if any(self.model.listed(place).values())] if number % 4 else []
        return (held or places)[number % len(held or places)]

    def name(self, place: Place, number: int, name: str) -> str:
        """Mostly one that is there, now and then in its qualified form or any other."""
        listed = [*self.model.listed(place), None]
        return listed[number % len(listed)] or name

    def path(self, place: Place, name: str) -> Path:
        return self.dam.mountpoint.joinpath(*place) / name

    # --- comparing ---

    def both(self, model: Callable[[], object], real: Callable[[], object], what: str) -> bool:
        """Do it to both; whether it was done. The mount has to answer as the model does."""
        wanted: tuple[int, ...] = ()
        try:
            model()
        except Errno as error:
            wanted = error.numbers
        try:
            real()
        except OSError as error:
            note(f"{what}: {error.strerror}")
            TRIED[what.split()[0] + " refused"] += 1
            if error.errno not in wanted:
                raise AssertionError(f"{what}: {error}, not {Errno(*wanted) if wanted else 'done'}") from error
            return False
        note(f"{what}: done")
        TRIED[what.split()[0]] += 1
        assert not wanted, f"{what}: done, not {Errno(*wanted)}"
        return True

    def every_place_lists_what_it_should(self) -> None:
        self._steps += 1
        for place in self.places():
            wanted = self.model.listed(place)
            try:
                until(lambda: self.listing(place) == wanted, "the listing", SEEN_LIMIT_S)  # noqa: B023  # called now
            except AssertionError:
                raise AssertionError(f"{place} lists {self.listing(place)}, not {wanted}") from None

    def what_was_overwritten_has_versions(self) -> None:
        folder, wanted = self.dam / VERSIONS, self.model.overwritten()
        until(lambda: set(os.listdir(folder)) == wanted, f"versions/ lists {wanted}", SEEN_LIMIT_S)

    def listing(self, place: Place) -> dict[str, int | None]:
        folder = self.dam.mountpoint.joinpath(*place)
        try:
            return {
                entry.name: None if entry.is_dir() else entry.stat().st_ino & ID_MASK
                for entry in os.scandir(folder)
                if place != LIBRARY or not BY_DAY.fullmatch(entry.name)
            }
        except FileNotFoundError:
            return {}
        except NotADirectoryError:
            return {"not a directory": None}

    # --- rules ---

    def create(self, place: int, name: str) -> None:
        self._create(self.place(place), name, self.new_content())

    def _create(self, where: Place, name: str, content: bytes) -> None:
        path, ids = self.path(where, name), list[int]()
        if self.both(
            lambda: self.model.may_create(where, name), lambda: self._write(path, content, ids), f"create {path}"
        ):
            self.dam.settled()
            self.model.create(where, name, ids[0], content)

    def new_content(self) -> bytes:
        self._written += 1
        return f"content {self._written}\n".encode() * self._written

    def _write(self, path: Path, content: bytes, ids: list[int]) -> None:
        with path.open("xb") as file:
            file.write(content)
            ids.append(os.fstat(file.fileno()).st_ino & ID_MASK)

    def overwrite(self, place: int, number: int, how: str) -> None:
        """A file that is there: its next version, wherever it is shown."""
        where = self.place(place)
        names = [name for name, id_ in self.model.listed(where).items() if id_ is not None]
        if not names or where == (TRASH,):
            return
        asset, path = self.model.file(where, names[number % len(names)]), self.path(where, names[number % len(names)])
        note(f"{how} {path}")
        TRIED["overwrite"] += 1
        content = self.new_content()
        asset.write(overwritten(path, how, asset.content, content))
        self.dam.settled()

    def copy_of_a_known_one(self, asset: int, place: int) -> None:
        """`cp inbox/x by-tag/beach/`: the same bytes under the same name are the same asset; but not in a folder."""
        known, where = self.some(asset), self.place(place)
        alike = [
            each for each in self.model.assets.values() if (each.name, each.content) == (known.name, known.content)
        ]
        if in_library(where):
            self._create(where, known.name, known.content)
        elif not known.trashed and len(alike) == 1:
            path, ids = self.path(where, known.name), list[int]()
            if self.both(
                lambda: self.model.received_again(where, known),
                lambda: self._write(path, known.content, ids),
                f"copy to {path}",
            ):
                self.dam.settled()

    def some(self, number: int) -> Asset:
        return list(self.model.assets.values())[number % len(self.model.assets)]

    def rename(self, place: int, number: int, name: str, to: int, new: str | None) -> None:
        """To another place, to another name, or both; ``new``: None keeps the name."""
        old_place, new_place = self.place(place), self.place(to)
        old = self.name(old_place, number, name)
        self._rename(old_place, old, new_place, old if new is None else new)

    def rename_over(self, place: int, number: int, to: int, over: int) -> None:
        """As editors save."""
        old_place, new_place = self.place(place), self.place(to)
        self._rename(old_place, self.name(old_place, number, "a.txt"), new_place, self.name(new_place, over, "b.txt"))

    def has_names(self, place: Place, name: str) -> bool:
        """Whether a file lies in several folders."""
        try:
            return len(self.model.file(place, name).names) > 1
        except Errno:
            return False

    def _rename(self, old_place: Place, old: str, new_place: Place, target: str) -> None:
        there = self.path(new_place, target)
        if (old if in_library(old_place) else clean_name(old)) in self.model.directories(old_place):
            if self.path(old_place, old) == there:
                return
            model = self.model.rename_directory
        else:
            if in_library(new_place) and not in_library(old_place) and self.has_names(old_place, old):
                return  # which of its files is meant nobody says
            model = self.model.rename
        if self.both(
            lambda: model(old_place, old, new_place, target),
            lambda: self.path(old_place, old).rename(there),
            f"rename {self.path(old_place, old)} to {there}",
        ):
            self.dam.settled()

    def link(self, place: int, number: int, to: int, new: str | None) -> None:
        where, target = self.place(place), self.place(to)
        found = {name: id_ for name, id_ in self.model.listed(where).items() if id_ is not None}
        if not found:
            return
        name = list(found)[number % len(found)]
        asset, there = self.model.assets[found[name] or 0], self.path(target, new or name)
        self.both(
            lambda: self.model.link(asset, target, new or name),
            lambda: os.link(self.path(where, name), there),
            f"link {name} to {there}",
        )

    def unlink(self, place: int, number: int, name: str) -> None:
        where = self.place(place)
        self._unlink(where, self.name(where, number, name))

    def _unlink(self, where: Place, name: str) -> None:
        path = self.path(where, name)
        self.both(lambda: self.model.unlink(where, name), path.unlink, f"unlink {path}")

    def make_directory(self, place: int, name: str) -> None:
        where = self.place(place)
        if in_library(where) and len(self.model.folders) > MOST_FOLDERS:
            return
        self._make_directory(where, name)

    def _make_directory(self, where: Place, name: str) -> None:
        path = self.path(where, name)
        self.both(lambda: self.model.make_directory(where, name), path.mkdir, f"mkdir {path}")

    def remove_directory(self, place: int, number: int, name: str) -> None:
        where = self.place(place)
        name = self.name(where, number, name)
        if where[0] != TAGS and not in_library(where):
            return  # the rest refuses to remove anything, in its own words
        self._remove_directory(where, name)

    def _remove_directory(self, where: Place, name: str) -> None:
        path = self.path(where, name)
        self.both(lambda: self.model.remove_directory(where, name), path.rmdir, f"rmdir {path}")

    def tag_by_command(self, asset: int, number: int, name: str, *, remove: bool) -> None:
        self._tag(self.some(asset), name, number, remove=remove)

    def _tag(self, known: Asset, name: str, number: int, *, remove: bool = False) -> None:
        names = [term.name for term in self.model.terms.values()]
        if names and (number % 4 or len(names) >= MOST_TERMS):
            name = names[number % len(names)]
        id_ = self.model.term(clean_name(name))
        if remove and id_ is None:
            return
        note(f"{'untag' if remove else 'tag'} {known.id} {name!r}")
        if id_ is None and is_dropping(clean_name(name)):
            with pytest.raises(Refused):
                call(self.dam.library, Tag((known.id,), (name,)))
            return
        call(self.dam.library, Tag((known.id,), (clean_name(name),), remove=remove))
        if remove and id_ is not None:
            self.model.untag(known, id_)
        else:
            self.model.tag(known, name)

    def say_tags(self, asset: int, names: list[str]) -> None:
        known = self.some(asset)
        if known.trashed or len(self.model.terms) > MOST_TERMS:
            return
        note(f"say of {known.id}: {names}")
        os.setxattr(self.anywhere(known), "user.xdg.tags", ",".join(names).encode())
        self.model.set_tags(known, [clean_name(name) for name in names])

    def anywhere(self, asset: Asset) -> Path:
        place = (OTHER, "other")
        return self.path(place, next(name for name, id_ in self.model.listed(place).items() if id_ == asset.id))

    def rate(self, asset: Asset) -> None:
        asset.rating = asset.rating % 10 + 1
        os.setxattr(self.anywhere(asset), "user.baloo.rating", str(asset.rating).encode())

    def do_and_undo(self, asset: int, sort: str, number: int, name: str) -> None:
        """`damfs undo` takes back what was done last, and no more: something of another sort was done before that."""
        seen = [asset for asset in self.model.assets.values() if not asset.trashed]
        known = seen[asset % len(seen)]
        if sort == "rate":
            self._separate_by_term()
        else:
            self.rate(known)
        before = deepcopy(self.model)
        self._do(sort, known, number, name)
        if vars(before) == vars(self.model):
            return
        TRIED[f"undo {sort}"] += 1
        note(f"undo {sort}: {call(self.dam.library, UndoLast())}")
        self.model = before

    def _separate_by_term(self) -> None:
        term = self.dam / TAGS / "separate-this"
        term.mkdir()
        term.rmdir()

    def _do(self, sort: str, asset: Asset, number: int, name: str) -> None:
        places = [place for place in self.places() if place == (INBOX,) or (place[0] == TAGS and len(place) > 1)]
        where = places[number % len(places)]
        terms = [term.name for term in self.model.terms.values()]
        match sort:
            case "tag":
                self._tag(asset, name, number)
            case "say":
                os.setxattr(self.anywhere(asset), "user.xdg.tags", b"beach,other words")
                self.model.set_tags(asset, ["beach", "other words"])
            case "unlink" | "rename":
                names = [each for each, id_ in self.model.listed(where).items() if id_ is not None]
                if names and sort == "unlink":
                    self._unlink(where, names[number % len(names)])
                elif names and self._is_free(where, name):
                    self._rename(where, names[number % len(names)], where, name)
            case "make":
                self._make_directory(where, name)
            case "remove":
                self._remove_directory((TAGS,), terms[number % len(terms)] if terms else name)
            case _:
                self.rate(asset)

    def _is_free(self, where: Place, name: str) -> bool:
        """Renaming over a file makes a version, which is no matter of undo; a name may be spelled in several ways."""
        try:
            return self.model.resolved(where, name) is None
        except Errno:
            return True

    def read_versions(self, number: int) -> None:
        found = [asset for asset in self.model.assets_in((OTHER, "other")) if asset.before]
        if found:
            asset = found[number % len(found)]
            folder = self.dam / VERSIONS / self.anywhere(asset).name
            contents = [(folder / name).read_bytes() for name in sorted(os.listdir(folder))]
            wanted = [*asset.before, asset.content]
            assert sorted(contents) == sorted(wanted), f"versions of {asset.name}: {contents}, not {wanted}"
            assert int(os.getxattr(self.anywhere(asset), "user.baloo.rating") if asset.rating else 0) == asset.rating

    def read(self, place: int, number: int, name: str) -> None:
        """Of a listed name, of a qualified one, and of any."""
        where = self.place(place)
        name = self.name(where, number, name)
        path = self.path(where, name)
        found: list[bytes] = []
        if self.both(lambda: self.model.file(where, name), lambda: found.append(path.read_bytes()), f"read {path}"):
            assert found == [self.model.file(where, name).content]
            assert path.stat().st_size == len(found[0])
            assert path.stat().st_ino & ID_MASK == self.model.file(where, name).id

    def start_again(self) -> None:
        """A fresh mount shows the same."""
        if self._steps < STEPS_OF_A_MOUNT:
            return
        note("end and start")
        self._steps = 0
        self.dam.end()
        self.dam.start()

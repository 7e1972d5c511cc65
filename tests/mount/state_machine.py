"""Random operations on a real mount, each compared with a model of the tree (`tree_model`).

`python -m tests.mount.state_machine --steps 500` runs many; the test runs a few. What more the mount can do becomes
more rules: a method of `Model` that does it or raises `Errno`, and a rule here that calls `self.both`. Nothing else has
to change, for after each rule every place is compared. Places of rules come from `self.places`, names from `NAMES`; a
rule that changes bytes sets `asset.content`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from damfs.core.asset_names import clean_name
from damfs.core.media_types import media_of_name
from damfs.errors import Refused
from damfs.integration.client import call
from damfs.integration.wire import Tag
from damfs.model import Media
from damfs.storage.droppings import is_dropping, is_temporary
from tests.mount.conftest import serving
from tests.mount.daemon_process import until
from tests.mount.tree_model import INBOX, OTHER, TAGS, UNTAGGED, Asset, Errno, Model, Place

ID_MASK = (1 << 56) - 1
SEEN_LIMIT_S = 15.0
MOST_TERMS = 8
MOST_ASSETS = 25
STEPS_OF_A_MOUNT = 40


def is_ordinary(name: str) -> bool:
    """Whether a name is one, is no temporary one (those are not sealed), and is of no kind of media by its ending."""
    clean = clean_name(name)
    return (
        name not in {"", ".", ".."}
        and not {"/", "\0"} & set(name)
        and not is_temporary(name)
        and not is_temporary(clean)
        and media_of_name(clean) is Media.OTHER
    )


PLAIN = st.sampled_from(["a.txt", "b.txt", "c", "d.txt", "a~1.txt", "b~2.txt", "c~3", "beach", "~1", "a.txt~1"])
ODD = st.one_of(
    st.text(min_size=1, max_size=30),
    st.sampled_from(["new\nline", "ü" * 127 + "x", "x" * 255, "x" * 256, "n" * 251 + ".txt", "é.txt", "e\u0301.txt",
                     ".DS_Store", "._a", " ", "-rf", "\\", "caf\udce9", "\udcff\udcfe~1", "a~zzzzzzzzzzzz.txt"]),
    st.binary(min_size=1, max_size=40).map(os.fsdecode),
)  # fmt: skip
NAMES = st.one_of(PLAIN, PLAIN, ODD).filter(is_ordinary)
TERMS = st.one_of(st.sampled_from(["beach", "sea", "red", "c"]), NAMES)
NUMBERS = st.integers(min_value=0, max_value=1000)


class TreeMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.dam = self._stack.enter_context(serving(directory))().start()
        self.model = Model()
        self._written = 0
        self._steps = 0

    def teardown(self) -> None:
        with self._stack:
            assert self.dam.stats().get("damfs_fuse_unexpected_errors_total", 0) == 0, self.dam.log()

    # --- choices ---

    def places(self) -> list[Place]:
        """Those that are compared: all, and of two terms the neighbours in the list."""
        names = [term.name for term in self.model.terms.values()]
        pairs = [(TAGS, one, other) for one, other in pairwise(names)]
        return [(INBOX,), (TAGS,), (UNTAGGED,), (OTHER, "other"), *((TAGS, name) for name in names), *pairs]

    def place(self, number: int) -> Place:
        places = self.places()
        return places[number % len(places)]

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
            if error.errno not in wanted:
                raise AssertionError(f"{what}: {error}, not {Errno(*wanted) if wanted else 'done'}") from error
            return False
        note(f"{what}: done")
        assert not wanted, f"{what}: done, not {Errno(*wanted)}"
        return True

    @invariant()
    def every_place_lists_what_it_should(self) -> None:
        self._steps += 1
        for place in self.places():
            wanted = self.model.listed(place)
            try:
                until(lambda: self.listing(place) == wanted, "the listing", SEEN_LIMIT_S)  # noqa: B023  # called now
            except AssertionError:
                raise AssertionError(f"{place} lists {self.listing(place)}, not {wanted}") from None

    def listing(self, place: Place) -> dict[str, int | None]:
        folder = self.dam.mountpoint.joinpath(*place)
        try:
            return {
                entry.name: None if entry.is_dir() else entry.stat().st_ino & ID_MASK for entry in os.scandir(folder)
            }
        except FileNotFoundError:
            return {}

    # --- rules ---

    @precondition(lambda self: len(self.model.assets) < MOST_ASSETS)
    @rule(place=NUMBERS, name=NAMES)
    def create(self, place: int, name: str) -> None:
        self._written += 1
        where, content = self.place(place), f"content {self._written}\n".encode() * self._written
        path = self.path(where, name)
        ids: list[int] = []

        def write() -> None:
            with path.open("xb") as file:
                file.write(content)
                ids.append(os.fstat(file.fileno()).st_ino & ID_MASK)

        if self.both(lambda: self.model.may_create(where, name), write, f"create {path}"):
            self.dam.settled()
            self.model.create(where, name, ids[0], content)

    @precondition(lambda self: self.model.assets)
    @rule(asset=NUMBERS, place=NUMBERS)
    def copy_of_a_known_one(self, asset: int, place: int) -> None:
        """`cp inbox/x by-tag/beach/`: the same bytes under the same name are the same asset."""
        known, where = self.some(asset), self.place(place)
        if known.trashed:
            return
        path = self.path(where, known.name)

        def write() -> None:
            with path.open("xb") as file:
                file.write(known.content)

        if self.both(lambda: self.model.received_again(where, known), write, f"copy to {path}"):
            self.dam.settled()

    def some(self, number: int) -> Asset:
        return list(self.model.assets.values())[number % len(self.model.assets)]

    @rule(place=NUMBERS, number=NUMBERS, name=NAMES, to=NUMBERS, new=st.one_of(NAMES, st.none()))
    def rename(self, place: int, number: int, name: str, to: int, new: str | None) -> None:
        """To another place, to another name, or both; ``new``: None keeps the name."""
        old_place, new_place = self.place(place), self.place(to)
        old = self.name(old_place, number, name)
        target = old if new is None else new
        there = self.path(new_place, target)
        if clean_name(old) in self.model.directories(old_place):
            if self.path(old_place, old) == there:
                return
            model = self.model.rename_directory
        else:
            model = self.model.rename
        self.both(
            lambda: model(old_place, old, new_place, target),
            lambda: self.path(old_place, old).rename(there),
            f"rename {self.path(old_place, old)} to {there}",
        )

    @precondition(lambda self: self.model.assets)
    @rule(place=NUMBERS, number=NUMBERS, to=NUMBERS, new=st.one_of(NAMES, st.none()))
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

    @rule(place=NUMBERS, number=NUMBERS, name=NAMES)
    def unlink(self, place: int, number: int, name: str) -> None:
        where = self.place(place)
        name = self.name(where, number, name)
        path = self.path(where, name)
        self.both(lambda: self.model.unlink(where, name), path.unlink, f"unlink {path}")

    @precondition(lambda self: len(self.model.terms) < MOST_TERMS)
    @rule(place=NUMBERS, name=TERMS)
    def make_term(self, place: int, name: str) -> None:
        where = self.place(place)
        path = self.path(where, name)
        self.both(lambda: self.model.make_directory(where, name), path.mkdir, f"mkdir {path}")

    @rule(place=NUMBERS, number=NUMBERS, name=TERMS)
    def remove_term(self, place: int, number: int, name: str) -> None:
        where = self.place(place)
        name = self.name(where, number, name)
        if where[0] != TAGS:
            return  # the rest refuses to remove anything, in its own words
        path = self.path(where, name)
        self.both(lambda: self.model.remove_directory(where, name), path.rmdir, f"rmdir {path}")

    @precondition(lambda self: self.model.assets)
    @rule(asset=NUMBERS, number=NUMBERS, name=TERMS, remove=st.booleans())
    def tag_by_command(self, asset: int, number: int, name: str, *, remove: bool) -> None:
        known = self.some(asset)
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

    @rule(place=NUMBERS, number=NUMBERS, name=NAMES)
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

    @precondition(lambda self: self._steps >= STEPS_OF_A_MOUNT)
    @rule()
    def start_again(self) -> None:
        """A fresh mount shows the same."""
        note("end and start")
        self._steps = 0
        self.dam.end()
        self.dam.start()


def run_machine(steps: int, examples: int) -> None:
    run_state_machine_as_test(
        TreeMachine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None, print_blob=True,
            phases=(Phase.generate, Phase.shrink) if os.environ.get("DAMFS_TEST_SHRINK") else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Random operations on a real mount, compared with a model.")
    parser.add_argument("--steps", type=int, default=500, help="operations of each example")
    parser.add_argument("--examples", type=int, default=3, help="the first of them is the simplest there is")
    arguments = parser.parse_args()
    run_machine(arguments.steps, arguments.examples)
    print(f"{arguments.examples} runs of {arguments.steps} steps: mount and model agree")

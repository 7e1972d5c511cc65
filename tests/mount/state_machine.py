"""Random operations on a real mount, each compared with a model of the tree (`tree_model`).

`python -m tests.mount.state_machine --steps 500` runs many; the test runs a few. What more the mount can do becomes
a method of `Model` that does it or raises `Errno`, one of `TreeActions` that calls `self.both`, and a row of
`OPERATIONS` here: after each operation every place is compared. One rule draws all operations, for hypothesis leaves
rules out at random, and without `create` nothing happens.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from damfs.core.asset_names import clean_name, is_text
from damfs.core.media_types import media_of_name
from damfs.model import Media
from damfs.storage.droppings import is_dropping, is_temporary
from tests.mount.tree_actions import BY_DAY, MOST_TERMS, TRIED, TreeActions

MOST_ASSETS = 25


def is_ordinary(name: str) -> bool:
    """Whether a name is one, is no temporary one (those are not sealed), and is of no kind of media by its ending."""
    clean = clean_name(name)
    return (
        name not in {"", ".", ".."}
        and not {"/", "\0"} & set(name)
        and not is_temporary(name)
        and not is_temporary(clean)
        and not BY_DAY.fullmatch(name)
        and not name.startswith(".damfs")
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
SAID = TERMS.filter(lambda name: is_text(name) and name == name.strip() and "," not in name and not is_dropping(name))
NUMBERS = st.integers(min_value=0, max_value=1000)
NEW = st.one_of(st.none(), NAMES)
HOW = st.sampled_from(["truncate", "append", "middle", "shorten", "nothing"])
SORTS = st.sampled_from(["tag", "say", "unlink", "rename", "make", "remove", "rate"])
OPERATIONS: Mapping[str, tuple[int, Mapping[str, st.SearchStrategy[object]]]] = {
    "create": (6, {"place": NUMBERS, "name": NAMES}),
    "overwrite": (3, {"place": NUMBERS, "number": NUMBERS, "how": HOW}),
    "copy_of_a_known_one": (2, {"asset": NUMBERS, "place": NUMBERS}),
    "rename": (6, {"place": NUMBERS, "number": NUMBERS, "name": NAMES, "to": NUMBERS, "new": NEW}),
    "rename_over": (3, {"place": NUMBERS, "number": NUMBERS, "to": NUMBERS, "over": NUMBERS}),
    "link": (3, {"place": NUMBERS, "number": NUMBERS, "to": NUMBERS, "new": NEW}),
    "unlink": (3, {"place": NUMBERS, "number": NUMBERS, "name": NAMES}),
    "make_directory": (3, {"place": NUMBERS, "name": TERMS}),
    "remove_directory": (2, {"place": NUMBERS, "number": NUMBERS, "name": TERMS}),
    "tag_by_command": (3, {"asset": NUMBERS, "number": NUMBERS, "name": TERMS, "remove": st.booleans()}),
    "say_tags": (1, {"asset": NUMBERS, "names": st.lists(SAID, max_size=3)}),
    "do_and_undo": (3, {"asset": NUMBERS, "sort": SORTS, "number": NUMBERS, "name": TERMS}),
    "read": (1, {"place": NUMBERS, "number": NUMBERS, "name": NAMES}),
    "read_versions": (1, {"number": NUMBERS}),
    "start_again": (1, {}),
}
"""How often each is drawn, and of what."""
DRAWN = st.sampled_from([name for name, (often, _) in OPERATIONS.items() for _ in range(often)])


class TreeMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.tree = TreeActions()

    def teardown(self) -> None:
        self.tree.end()

    @invariant()
    def mount_and_model_agree(self) -> None:
        self.tree.every_place_lists_what_it_should()
        self.tree.what_was_overwritten_has_versions()

    @rule(data=st.data())
    def operate(self, data: st.DataObject) -> None:
        model = self.tree.model
        present = any(not asset.trashed for asset in model.assets.values())
        name = data.draw(DRAWN) if present else "create"
        full = {"create": len(model.assets) >= MOST_ASSETS, "make_directory": len(model.terms) >= MOST_TERMS}
        if full.get(name):
            name = "unlink"
        getattr(self.tree, name)(**{key: data.draw(strategy) for key, strategy in OPERATIONS[name][1].items()})


def run_machine(steps: int, examples: int, number: int | None = None) -> None:
    """``number``: of the random generator. The same one draws the same operations; an interrupt in the middle of an
    example may be called FlakyStrategyDefinition by hypothesis, and is none."""
    run_state_machine_as_test(
        TreeMachine if number is None else seed(number)(TreeMachine),
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
    parser.add_argument("--seed", type=int, help="draw what this number drew before; else anything")
    arguments = parser.parse_args()
    run_machine(arguments.steps, arguments.examples, arguments.seed)
    print(", ".join(f"{what} {number}" for what, number in sorted(TRIED.items())))
    print(f"{arguments.examples} runs of {arguments.steps} steps: mount and model agree")

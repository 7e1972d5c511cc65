"""A few random operations on a real mount, compared with a model; `python -m tests.mount.state_machine` runs more."""

from __future__ import annotations

import errno

import pytest

from tests.mount.state_machine import run_machine
from tests.mount.tree_model import Model
from tests.mount.tree_things import Errno


@pytest.mark.timeout(300)
def test_sixty_steps() -> None:
    run_machine(steps=60, examples=2)


def test_the_model_knows_names_and_terms() -> None:
    """The model is no tautology: a few answers by hand."""
    model = Model()
    model.make_directory(("by-tag",), "beach")
    model.make_directory(("by-tag", "beach"), "dunes")
    model.create(("by-tag", "beach", "dunes"), "a.txt", 1, b"1")
    model.create(("inbox",), "a.txt", 2, b"2")
    model.link(model.assets[2], ("by-tag", "beach"), "a~2.txt")
    assert model.listed(("by-tag", "beach")) == {"a.txt": 1, "a~2.txt": 2, "dunes": None}
    model.unlink(("by-tag", "beach"), "a.txt")
    assert model.listed(("by-tag", "beach")) == {"a.txt": 2, "dunes": None}
    assert model.listed(("untagged",)) == {"a.txt": 1}
    model.unlink(("inbox",), "a.txt")
    assert not model.assets[2].trashed
    with pytest.raises(Errno) as caught:
        model.remove_directory(("by-tag",), "beach")
    assert caught.value.numbers == (errno.ENOTEMPTY,)


def test_the_model_knows_what_the_kernel_looks_at_first() -> None:
    """A folder into itself, over a file that lies there: not "not a directory"."""
    model = Model()
    model.make_directory(("originals", "library"), "c")
    model.create(("originals", "library", "c"), "a.txt", 1, b"1")
    with pytest.raises(Errno) as caught:
        model.rename_directory(("originals", "library"), "c", ("originals", "library", "c"), "a.txt")
    assert caught.value.numbers == (errno.EINVAL,)

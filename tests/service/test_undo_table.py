"""Every command there is: it can be taken back, or the reason why not stands in decisions.md.

A command that is new fails here until somebody has decided which of the two.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest

from damfs import core
from damfs.catalog.term_names import Detail, Label
from damfs.core.bulk_tagging import RemoveTags
from damfs.core.commands import (
    AddTag,
    Command,
    DefineTerm,
    RemoveTag,
    RemoveTerm,
    Rename,
    RenameTerm,
    Trash,
    Triage,
)
from damfs.core.concepts import Concept, ConceptLabel
from damfs.core.describing import LABEL, RemoveAttribute, SetAttribute, SetComment, SetRating, SetTags
from damfs.core.importing_terms import import_terms
from damfs.core.library import Library
from damfs.core.merging_terms import merge
from damfs.core.search_commands import ForgetSearch, SaveSearch
from damfs.core.suggesting import AcceptProposal, RefuseAsWell, RefuseProposal, Suggest
from damfs.core.term_commands import AddLabel, CoinTerm, GiveTerms, RelateTerms, RemoveLabel, SetTermDetail, SetTermNote
from damfs.core.trash_commands import Restore, Untriage
from damfs.core.undo import take_back
from damfs.core.undo_groups import list_groups
from damfs.model import AssetId, TermId
from tests.small_library import opened, received, term
from tests.unit.test_term_commands import MODEL, said

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Ground:
    """What the commands of the table are about."""

    library: Library
    clip: AssetId
    other: AssetId
    beach: TermId
    sea: TermId
    unused: TermId


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    with opened(tmp_path / "library") as library:
        now = 1_800_000_000 * SECOND_NS

        def later() -> int:
            nonlocal now
            now += 60 * SECOND_NS
            return now

        library.clock = later
        clip = (await received(library, "clip.mov", b"clip", "beach")).id
        other = (await received(library, "other.mov", b"other", triaged=True)).id
        beach, sea = term(library, "beach"), term(library, "sea")
        unused = term(library, "unused", term(library, "place"))
        library.execute(
            [
                AddLabel(beach, Label("fr", "plage")), AddLabel(unused, Label("de", "leer", preferred=True)),
                SetTermNote(unused, "en", "nobody"), SetTermDetail(unused, Detail(prompt="a photo of nothing")),
                RelateTerms(unused, sea), Suggest(clip, MODEL, [(sea, 0.7)]), SetAttribute(clip, LABEL, b"Red"),
                SaveSearch("type:video"), Suggest(other, MODEL, [(sea, 0.7)]), RefuseProposal(other, sea),
            ],
            "test",
        )  # fmt: skip
        yield Ground(library, clip, other, beach, sea, unused)


Doing = Callable[[Ground], Sequence[Command[object]]]
TAKEN_BACK: dict[str, Doing] = {
    "AddTag": lambda on: [AddTag(on.clip, on.sea)],
    "RemoveTag": lambda on: [RemoveTag(on.clip, on.beach)],
    "RemoveTags": lambda on: [RemoveTags((on.clip,), on.beach)],
    "SetTags": lambda on: [SetTags(on.clip, (("sea",), ("place", "dune")))],
    "DefineTerm": lambda on: [DefineTerm("dune", on.beach)],
    "CoinTerm": lambda on: [CoinTerm("dune", on.beach)],
    "GiveTerms": lambda on: [GiveTerms((on.clip, on.other), ("sea", "dune"))],
    "RenameTerm": lambda on: [RenameTerm(on.beach, "plage", on.sea)],
    "RemoveTerm": lambda on: [RemoveTerm(on.unused)],
    "AddLabel": lambda on: [AddLabel(on.beach, Label("fr", "plage", preferred=True))],
    "RemoveLabel": lambda on: [RemoveLabel(on.unused, "leer")],
    "SetTermNote": lambda on: [SetTermNote(on.unused, "en", "somebody"), SetTermNote(on.unused, "fr", "personne")],
    "SetTermDetail": lambda on: [SetTermDetail(on.unused, Detail(language="en", grouping=True))],
    "RelateTerms": lambda on: [RelateTerms(on.unused, on.sea, related=False), RelateTerms(on.unused, on.beach)],
    "Rename": lambda on: [Rename(on.clip, "better.mov")],
    "SetRating": lambda on: [SetRating(on.clip, 8)],
    "SetComment": lambda on: [SetComment(on.clip, "the good one")],
    "SetAttribute": lambda on: [SetAttribute(on.clip, LABEL, b"Green"), SetAttribute(on.other, LABEL, b"Blue")],
    "RemoveAttribute": lambda on: [RemoveAttribute(on.clip, LABEL)],
    "Triage": lambda on: [Triage(on.clip)],
    "Untriage": lambda on: [Untriage(on.other)],
    "Trash": lambda on: [Trash(on.clip)],
    "AcceptProposal": lambda on: [AcceptProposal(on.clip, on.sea)],
    "RefuseProposal": lambda on: [RefuseProposal(on.clip, on.sea)],
    "RefuseAsWell": lambda on: [RefuseAsWell(on.clip, on.other)],
    "SaveSearch": lambda on: [SaveSearch("tag:beach")],
    "ForgetSearch": lambda on: [ForgetSearch("type:video")],
}
IN_TESTS_OF_THEIR_OWN = {"Restore", "MoveTags", "MergeTerms", "ImportPart"}
UNDOING = {"Undo", "MoveTagsBack", "Unmerge"}
"""They take back, and are not taken back themselves."""


def everything(on: Ground) -> dict[str, object]:
    """All that people can say and an undo is to bring back."""
    db = on.library.db.writer
    asked = {
        "asset": "SELECT id, name, state, triaged FROM asset",
        "remark": "SELECT asset, rating, comment FROM remark WHERE rating <> 0 OR comment <> ''",
        "attribute": "SELECT asset, name, value FROM attribute",
        "search": "SELECT query FROM saved_search",
        "relation": "SELECT min(a.name, b.name), max(a.name, b.name) FROM term_relation"
        " JOIN term AS a ON a.id = term JOIN term AS b ON b.id = other",
    }
    found = {name: sorted(tuple(map(str, row)) for row in db.rows(sql)) for name, sql in asked.items()}
    return {**said(on.library), **found}


@pytest.mark.parametrize("name", TAKEN_BACK)
async def test_it_is_taken_back(ground: Ground, name: str) -> None:
    before, groups = everything(ground), len(list_groups(ground.library.db.writer, 100))
    ground.library.execute(TAKEN_BACK[name](ground), "cli")
    assert everything(ground) != before, "it did something"
    (group, *others) = list_groups(ground.library.db.writer, 100)
    assert len(others) == groups
    assert group.words(), "it is told in words"
    undone = await take_back(ground.library, group)
    assert undone.left_out == []
    assert everything(ground) == before


async def test_what_is_more_than_a_command_is_taken_back(ground: Ground) -> None:
    library, before = ground.library, everything(ground)
    concepts = [Concept("a", "beach", labels=(ConceptLabel("Strand", "de"),)), Concept("b", "dune", "a")]
    await import_terms(library, concepts, "cli")
    await merge(library, ground.unused, ground.beach, "cli")
    library.perform(Trash(ground.clip), "test")
    library.perform(Restore(ground.clip), "cli")
    for _ in range(3):
        undone = await take_back(library, list_groups(library.db.writer, 1)[0])
        assert undone.left_out == []
    library.perform(Restore(ground.clip), "test")
    after = everything(ground)
    assert {name: after[name] for name in before} == before


def commands() -> set[str]:
    modules = [importlib.import_module(each.name) for each in pkgutil.iter_modules(core.__path__, "damfs.core.")]
    return {
        name
        for module in modules
        for name, found in vars(module).items()
        if inspect.isclass(found)
        and found.__module__ == module.__name__
        and "apply" in vars(found)
        and name != "Command"
        and list(inspect.signature(vars(found)["apply"]).parameters) == ["self", "x"]
    }


def test_every_other_command_has_its_reason() -> None:
    text = (files("damfs") / "docs/decisions.md").read_text()
    section = text.partition("## What an undo leaves alone")[2].partition("\n## ")[0]
    reasons = {name.strip("`") for name in section.split() for name in name.strip(",.;:()").split(",")}
    found = commands() - set(TAKEN_BACK) - IN_TESTS_OF_THEIR_OWN - UNDOING
    assert len(found) > 20
    assert sorted(found - reasons) == [], "neither is it taken back, nor does decisions.md say why not"
    known = commands()
    assert sorted((set(TAKEN_BACK) | IN_TESTS_OF_THEIR_OWN | UNDOING) - known) == [], "no such command"

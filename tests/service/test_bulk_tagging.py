"""A term taken away from everything that carries it, and given back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from damfs.catalog import assets, stores, vocabulary
from damfs.catalog.vocabulary import Tagging
from damfs.core import bulk_tagging
from damfs.core.bulk_tagging import UNTAGGED_MANY, untag_all
from damfs.core.library import Library
from damfs.core.term_news import TOLD_SINGLY
from damfs.core.undo import Undo
from damfs.core.undo_groups import ACTOR, list_groups
from damfs.model import AssetId, Digest, Media, TagSource
from tests.small_library import opened, tags, term

NUMBER = 250


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


def tagged(library: Library, number: int) -> list[AssetId]:
    """Assets that carry sea; every second one sunset, which is narrower than beach; every third beach by a model."""
    beach, sea = term(library, "beach"), term(library, "sea")
    sunset = term(library, "sunset", beach)
    with library.db.transaction() as tx:
        blob = stores.ensure_blob(tx, Digest(bytes(32)), 1)
        ids = [
            assets.insert_present(tx, f"{each}.mov", Media.VIDEO, blob, 1, 2, 0o644, "2024-07-15", 3)
            for each in range(number)
        ]
        for position, id_ in enumerate(ids):
            vocabulary.attach(tx, id_, sea, TagSource.PERSON, 1.0, 1)
            if position % 2 == 0:
                vocabulary.attach(tx, id_, sunset, TagSource.PERSON, 1.0, 1)
            if position % 3 == 0:
                vocabulary.attach(tx, id_, beach, TagSource.MODEL, 0.75, 1)
    return ids


async def test_everything_is_untagged_also_of_narrower_terms(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_tagging, "AT_ONCE", 100)
    ids = tagged(library, NUMBER)
    before = {id_: tags(library, id_) for id_ in ids}
    carried = sum(1 for found in before.values() if "beach" in found or "sunset" in found)
    assert await untag_all(library, term(library, "beach"), "cli") == carried
    assert {tuple(tags(library, id_)) for id_ in ids} == {("sea",)}
    (group, *_) = list_groups(library.db.writer, 10)
    assert "tags taken away (beach)" in group.words()
    library.perform(Undo(group), ACTOR)
    assert {id_: tags(library, id_) for id_ in ids} == before
    beach = term(library, "beach")
    assert vocabulary.tagging(library.db.writer, ids[0], beach) == Tagging(TagSource.MODEL, 0.75)


async def test_many_are_told_of_as_one_change_with_names_enough_to_drop_the_place(library: Library) -> None:
    tagged(library, NUMBER)
    statements = library.db.writer.statements
    await untag_all(library, term(library, "sea"), "cli")
    assert library.db.writer.statements - statements < 30, "not one by one"
    told = library.db.writer.rows("SELECT json_array_length(names), facets FROM change WHERE kind = ?", UNTAGGED_MANY)
    (names, facets) = told[0]
    assert len(told) == 1
    assert names >= TOLD_SINGLY
    assert f'"tag:{term(library, "sea")}"' in facets
    assert '"untagged"' in facets


async def test_few_are_told_of_one_by_one(library: Library) -> None:
    ids = tagged(library, 6)
    await untag_all(library, term(library, "sea"), "cli")
    kinds = [kind for (kind,) in library.db.writer.rows("SELECT kind FROM change WHERE kind LIKE 'untagged%'")]
    assert kinds == ["untagged"] * 6
    assert [tags(library, id_) for id_ in ids[:2]] == [["beach", "sunset"], []]

"""Describing an asset: texts of tags, and what the commands change, tell and refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.catalog import remarks, vocabulary
from damfs.core.commands import AddTag, Command, DefineTerm
from damfs.core.describing import (
    RemoveAttribute,
    SetAttribute,
    SetComment,
    SetRating,
    SetTags,
    parsed_tags,
    tags_text,
)
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.errors import NoSpace, NotFound, Refused
from damfs.model import AssetId, TagSource
from tests.small_library import drafted, opened, received, tags, term


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as library:
        yield library


@pytest.fixture
async def clip(library: Library) -> AssetId:
    return (await received(library, "clip.mov", b"1")).id


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("", ()),
        ("a", (("a",),)),
        ("a,b/c", (("a",), ("b", "c"))),
        (" a , , a,/b//c/ ", (("a",), ("b", "c"))),
        ("Cafe\u0301", (("Caf\u00e9",),)),
        ("a\nb\0c", (("a_b_c",),)),
        ("..", (("_..",),)),
    ],
)
def test_texts_of_tags(text: str, paths: tuple[tuple[str, ...], ...]) -> None:
    assert parsed_tags(text) == paths


@given(st.text(max_size=60))
def test_any_text_is_understood_the_same_way_twice(text: str) -> None:
    paths = parsed_tags(text)
    assert parsed_tags(",".join("/".join(path) for path in paths)) == paths


async def test_what_is_read_can_be_written_back(library: Library, clip: AssetId) -> None:
    library.perform(SetTags(clip, parsed_tags("sea/pier/light,night")), "test")
    text = tags_text(library.db.writer, clip)
    assert text == "night,sea/pier/light"
    seq = library.db.writer.integer("SELECT max(seq) FROM change")
    library.perform(SetTags(clip, parsed_tags(text)), "test")
    assert library.db.writer.integer("SELECT max(seq) FROM change") == seq


async def test_a_tag_that_stays_keeps_its_source(library: Library, clip: AssetId) -> None:
    sea, best = term(library, "sea"), term(library, "best")
    library.perform(AddTag(clip, sea, TagSource.MODEL, 0.5), "test")
    library.perform(SetTags(clip, (("sea",), ("best",))), "test")
    assert vocabulary.tagging(library.db.writer, clip, sea)[:2] == (TagSource.MODEL, 0.5)
    assert vocabulary.tagging(library.db.writer, clip, best)[:2] == (TagSource.PERSON, 1.0)


async def test_narrower_tags_are_tags_of_their_own(library: Library, clip: AssetId) -> None:
    """Taking the broader tag away leaves the narrower one, and the other way round."""
    library.perform(SetTags(clip, (("sea",), ("sea", "pier"))), "test")
    assert tags(library, clip) == ["pier", "sea"]
    library.perform(SetTags(clip, (("sea", "pier"),)), "test")
    assert tags(library, clip) == ["pier"]
    library.perform(SetTags(clip, (("sea",),)), "test")
    assert tags(library, clip) == ["sea"]


def last_change(library: Library, id_: AssetId) -> tuple[str, set[str]]:
    """Its kind and facets."""
    row = library.db.writer.row("SELECT kind, facets FROM change WHERE asset = ? ORDER BY seq DESC LIMIT 1", id_)
    assert row is not None
    return row[0], set(json.loads(row[1]))


async def test_facets_of_what_changed_are_told(library: Library, clip: AssetId) -> None:
    library.perform(SetTags(clip, (("sea", "pier"),)), "test")
    pier, sea = term(library, "pier"), term(library, "sea")
    assert last_change(library, clip) == ("tagged", {f"tag:{pier}", f"tag:{sea}", "untagged"})
    library.perform(SetTags(clip, (("sea",),)), "test")
    assert last_change(library, clip) == ("untagged", {f"tag:{pier}"}), "what stays in sea/ is not told of"


async def test_all_or_nothing(library: Library, clip: AssetId) -> None:
    library.perform(SetTags(clip, (("sea",),)), "test")
    with pytest.raises(Refused):
        library.perform(SetTags(clip, (("new",), ("Thumbs.db",))), "test")
    assert tags(library, clip) == ["sea"]
    assert vocabulary.term_named(library.db.writer, "new") is None


async def test_terms_with_a_comma_are_left_alone(library: Library, clip: AssetId) -> None:
    odd = library.perform(DefineTerm("red, green"), "test")
    library.execute([AddTag(clip, odd), AddTag(clip, library.perform(DefineTerm("below", odd), "test"))], "test")
    assert tags_text(library.db.writer, clip) == ""
    library.perform(SetTags(clip, (("sea",),)), "test")
    assert tags(library, clip) == ["below", "red, green", "sea"]


async def test_ratings(library: Library, clip: AssetId) -> None:
    for rating in (3, 10, 0):
        library.perform(SetRating(clip, rating), "test")
        assert remarks.remark(library.db.writer, clip) == (rating, "")
    for rating in (-1, 11):
        with pytest.raises(Refused):
            library.perform(SetRating(clip, rating), "test")
    with pytest.raises(NotFound):
        library.perform(SetRating(AssetId(4711), 3), "test")


async def test_attributes_are_limited_together(library: Library, clip: AssetId) -> None:
    value = bytes(65536)
    for number in range(15):
        library.perform(SetAttribute(clip, b"user.%d" % number, value), "test")
    with pytest.raises(NoSpace):
        library.perform(SetAttribute(clip, b"user.15", value), "test")
    library.perform(SetAttribute(clip, b"user.0", value), "test")
    library.perform(RemoveAttribute(clip, b"user.0"), "test")
    with pytest.raises(NotFound):
        library.perform(RemoveAttribute(clip, b"user.0"), "test")
    library.perform(SetAttribute(clip, b"user.15", value), "test")


async def test_a_file_that_becomes_a_known_asset_adds_what_that_did_not_say(library: Library, clip: AssetId) -> None:
    library.execute([SetRating(clip, 4), SetAttribute(clip, b"user.a", b"old")], "test")
    draft = drafted(library, "clip.mov", b"1")
    said: list[Command[object]] = [
        SetRating(draft, 8),
        SetComment(draft, "again"),
        SetAttribute(draft, b"user.a", b"new"),
        SetAttribute(draft, b"user.b", b"b"),
        SetTags(draft, (("sea",),)),
    ]
    library.execute(said, "test")
    assert await Reception(library).seal(draft) == clip
    connection = library.db.writer
    assert remarks.remark(connection, clip) == (4, "again")
    assert {each: remarks.attribute(connection, clip, each) for each in remarks.attribute_names(connection, clip)} == {
        b"user.a": b"old", b"user.b": b"b",
    }  # fmt: skip
    assert tags(library, clip) == ["sea"]
    assert connection.integer("SELECT count(*) FROM attribute WHERE asset = ?", draft) == 0

"""A query text means the same after every way round, and what is no query is told in one line that names the place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damfs.catalog.alternatives import LIMIT
from damfs.catalog.asked_predicates import Named, Rated, Says, Span
from damfs.catalog.predicates import (
    And,
    CapturedIn,
    Everything,
    HasTag,
    InInbox,
    Not,
    OfMedia,
    Or,
    Predicate,
    quoted,
)
from damfs.catalog.query import Query
from damfs.catalog.query_language import FIELDS, OWN_FIELDS, NoMeaning, meant, sentences
from damfs.catalog.query_text import (
    DEPTH_LIMIT,
    LENGTH_LIMIT,
    Condition,
    Either,
    Every,
    Everywhere,
    Node,
    Phrase,
    Without,
    Word,
    parsed,
    text_of,
)
from damfs.errors import BadQuery
from damfs.model import AssetId, Media, TermId

TERMS = {"beach": TermId(1), "New York": TermId(2), "a(b)": TermId(3)}


class Known:
    """Three terms, and assets by number."""

    def tag(self, name: str) -> Predicate:
        if name not in TERMS:
            raise NoMeaning(f'there is no term "{name}"')
        return HasTag(TERMS[name], name, (TERMS[name],))

    def like(self, name: str) -> AssetId:
        if not name.isdecimal():
            raise NoMeaning(f"there is no asset {name}")
        return AssetId(int(name))

    def terms_saying(self, words: str, *, prefix: bool) -> tuple[TermId, ...]:
        return tuple(id_ for name, id_ in TERMS.items() if words.lower() in name.lower().split())


def query(text: str) -> Query:
    return meant(text, Known())


def refusal(text: str) -> str:
    """What is told of a text that is no query; '' when it is one."""
    try:
        query(text)
    except BadQuery as error:
        return str(error)
    return ""


CHARS = st.characters(exclude_categories=("Cc", "Cs"))
WORDS = st.from_regex(r"[A-Za-zäöß0-9_.'*:&/\\]{1,8}", fullmatch=True).filter(
    lambda text: (
        any(map(str.isalnum, text)) and ":" not in text and not text.endswith("*") and text not in {"OR", "AND", "NOT"}
    )
)
SPOKEN = st.text(CHARS, min_size=1, max_size=12).filter(lambda text: any(map(str.isalnum, text)))
LEAVES = st.one_of(
    st.builds(Word, WORDS, st.booleans()),
    st.builds(Phrase, SPOKEN),
    st.just(Everywhere()),
    st.builds(Condition, st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True), SPOKEN),
)


def several(kind: type[Every | Either], parts: list[Node]) -> Node:
    flat = [each for part in parts for each in (part.parts if isinstance(part, kind) else (part,))]
    return kind(tuple(flat)) if len(flat) > 1 else flat[0]


def trees(leaves: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            inner.map(lambda part: part.part if isinstance(part, Without) else Without(part)),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: several(Every, parts)),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: several(Either, parts)),
        ),
        max_leaves=12,
    )


NODES = trees(LEAVES)
CONDITIONS = ("tag:beach", "type:photo", "rating:>=3", "date:2024", "name:*.mov", "is:inbox", "width:>100")
WITH_MEANING = trees(
    st.one_of(
        st.builds(Word, WORDS, st.booleans()),
        st.just(Phrase("red car")),
        st.just(Everywhere()),
        st.sampled_from(CONDITIONS).map(parsed),
    )
)


def normal(node: Node) -> bool:
    """Whether no text in it changes by being brought into the normal form that file names have."""
    import unicodedata

    return unicodedata.is_normalized("NFC", text_of(node))


@given(NODES.filter(normal))
@settings(max_examples=150, deadline=None)
def test_a_tree_comes_back_from_its_text(node: Node) -> None:
    assert parsed(text_of(node)) == node


@given(st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_is_a_query_or_one_line_that_says_why_not(text: str) -> None:
    told = refusal(text)
    assert "\n" not in told
    if not told:
        assert parsed(text_of(parsed(text))) == parsed(text)


@pytest.mark.parametrize(
    "text",
    [
        "tag:beach", 'tag:"New York"', 'tag:"a(b)"', "type:video", "date:2024", "date:2024-07-15",
        "date:2024-07..2024-09", "date:..2024-09", "date:2024-07..", "date:>2024", "date:<=2024-02-29",
        "rating:3", "rating:>=3.5", "rating:1..2",
        "size:>10MB", "size:1kB..2kB", "name:*.mov", 'name:"a b*"', "is:untagged", "is:inbox", "-tag:beach",
        "tag:beach type:video", "tag:beach OR type:video", "(tag:beach OR type:video) date:2024", '-(tag:beach "x y")',
        'camera:"sony fx3"', "width:>=3840", "duration:>10s", "width:1000..2000", "place:germany", "lens:*mm",
        "-fps:24",
        '"red car"', "*", "sunset (tag:beach OR type:video)", "sunset -(a OR b) (tag:beach type:video OR date:2024)",
    ],
)  # fmt: skip
def test_a_predicate_comes_back_from_its_text(text: str) -> None:
    asked = query(text)
    again = query(asked.where.text())
    assert again.where == asked.where
    assert query(asked.text()) == asked


def test_words_rank_and_everything_else_filters() -> None:
    asked = query('red sun* "at night" tag:beach -type:audio like:7')
    assert [each.text() for each in asked.words] == ["red", "sun*", '"at night"']
    assert asked.like == (7,)
    assert asked.sentence == "red sun at night"
    phrase = Says("at night", is_phrase=True)
    where = And((HasTag(TermId(1), "beach", (TermId(1),)), Not(OfMedia(Media.AUDIO))))
    assert asked.where == where
    assert asked.must == And((phrase, *where.parts))
    assert query("tag:beach").is_ranked is False
    assert query("*").where == Everything()


def test_words_beside_or_rank_each_for_themselves() -> None:
    asked = query("red (sunset OR dawn) OR type:video OR is:inbox")
    assert asked.is_ranked
    assert [side.text() for side in asked.sides] == ["red sunset", "red dawn", "type:video OR is:inbox"]
    assert asked.exact == Or(
        (And((Says("red"), Says("sunset"))), And((Says("red"), Says("dawn"))), Or((OfMedia(Media.VIDEO), InInbox())))
    )
    assert query("type:video OR is:inbox").sides == ()
    assert query("-(sunset OR dawn)").where == Not(Or((Says("sunset"), Says("dawn"))))
    assert [side.like for side in query("like:7 OR sunset").sides] == [(7,), ()]
    assert sentences("red (sunset OR dawn) OR type:video") == ["red sunset", "red dawn"]


def test_what_would_be_too_many_searches_is_a_condition() -> None:
    many = " ".join(f"(a{number} OR b{number})" for number in range(30))
    asked = query(many)
    assert len(asked.sides) == LIMIT
    assert len(sentences(many)) == LIMIT
    assert not query(" OR ".join(f"a{number}" for number in range(LIMIT + 1))).is_ranked


@given(WITH_MEANING.filter(normal).map(text_of))
@settings(max_examples=150, deadline=None)
def test_what_a_text_means_comes_back_from_the_text_of_the_meaning(text: str) -> None:
    asked = query(text)
    assert query(asked.text()) == asked
    assert set(sentences(text)) == {side.sentence for side in asked.sides or (asked,)} - {""}


def test_a_word_means_the_terms_that_hold_it_as_well() -> None:
    assert query("york").words == (Says("york", terms=(TermId(2),)),)


def test_and_binds_more_than_or() -> None:
    assert query("tag:beach type:video OR date:2024").where == Or(
        (And((HasTag(TermId(1), "beach", (TermId(1),)), OfMedia(Media.VIDEO))), CapturedIn("2024"))
    )


@pytest.mark.parametrize(
    ("text", "span"),
    [(">=3", Span(6, None)), (">3", Span(7, None)), ("<3", Span(None, 5)), ("<=3", Span(None, 6)), ("3", Span(6, 6)),
     ("=3", Span(6, 6)), ("2..4", Span(4, 8)), ("..4", Span(None, 8)), ("2.5..", Span(5, None)), ("0", Span(0, 0))],
)  # fmt: skip
def test_spans(text: str, span: Span) -> None:
    assert query(f"rating:{text}").where == Rated(span, text)


def test_other_words_for_kinds_of_media_and_names_of_fields_in_any_case() -> None:
    assert query("type:photo").where == query("Type:IMAGE").where == OfMedia(Media.IMAGE)
    assert query("name:*.MOV").where == Named("*.MOV")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "character 1: expected something to search for"),
        ("tag:", 'character 5: expected a value after "tag:"'),
        ("beach tag:", 'character 11: expected a value after "tag:"'),
        ('beach "red', "character 7: this quotation mark is never closed"),
        ("(beach", 'character 7: expected ")" for the "(" at character 1'),
        ("beach)", "character 6: expected another term"),
        ("beach OR", 'character 9: expected a term after "OR"'),
        ("OR beach", "character 1: expected something to search for"),
        ("a - b", 'character 3: expected what is not wanted right after "-"'),
        ("NOT", 'character 4: expected a term after "NOT"'),
        ("x !!", 'character 3: "!!" holds no letter or digit'),
        ("camra:x", 'character 1: there is no field "camra"'),
        ("tga:beach", 'did you mean "tag:"?'),
        ("x tag:nowhere", 'character 7: there is no term "nowhere"'),
        ("type:vidoe", 'character 6: expected video, image, audio or other, not "vidoe"'),
        ("date:2024-13", "character 6: expected a date like 2024"),
        ("date:2023-02-29", "character 6: expected a date like 2024"),
        ("date:..", "character 6: expected a date on at least one side"),
        ("rating:6", "character 8: a rating is from 0 to 5 stars"),
        ("rating:many", "character 8: expected a number of stars"),
        ("rating:nan", "character 8:"),
        ("size:10furlongs", "character 6: expected a size"),
        ("size:1e400", "character 6: expected a size"),
        ("width:wide", 'character 7: width is a number (px), and "wide" is none'),
        ("camera:>x", "character 8: camera is text"),
        ("durration:>10s", 'did you mean "duration:"?'),
        ("beach -like:7", "character 8: like: ranks what is found"),
        ("a\x07b", "character 2: a control character (U+0007)"),
        ("a\0b", "character 2: a control character (U+0000)"),
        ("a\udcffb", "character 2: these bytes are no text"),
        ("(" * (DEPTH_LIMIT + 1), f"character {DEPTH_LIMIT + 1}: parentheses are nested more than {DEPTH_LIMIT} deep"),
        ("(" * DEPTH_LIMIT + "a" + ")" * DEPTH_LIMIT + " tag:", 'expected a value after "tag:"'),
        ("a " * 65, "at most 64 terms, this one has 65"),
        ("x" * (LENGTH_LIMIT + 1), "at most 4,000 characters, this one has 4,001"),
    ],
)  # fmt: skip
def test_an_error_names_the_character_and_what_was_expected(text: str, told: str) -> None:
    with pytest.raises(BadQuery) as error:
        query(text)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["x" * 1_000_000, "(" * 1_000_000, "NOT " * 999 + "x", "- " * 1_000, "-" * 3_999, '"' * 3_999, "a:" * 1_999,
     "\\" * 3_999, "(a OR " * 600],
)  # fmt: skip
def test_a_monstrous_query_is_answered_at_once(text: str) -> None:
    assert len(refusal(text)) < 500


def test_the_examples_of_the_fields_are_queries() -> None:
    for name, field in FIELDS.items():
        if name not in OWN_FIELDS:
            continue
        asked = query(field.example)
        assert asked.where.text().startswith((f"{name}:", '"')), name
        assert asked.must == asked.where
        assert not asked.is_ranked


@pytest.mark.parametrize(
    ("value", "text"),
    [("beach", "beach"), ("New York", '"New York"'), ('a"b', '"a\\"b"'), ("a\\b", '"a\\\\b"'), ("", '""')],
)
def test_quoting(value: str, text: str) -> None:
    assert quoted(value) == text

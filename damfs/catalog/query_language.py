"""What a query means: its tree (see `query_text`) as predicates, and which of its words rank what is found.

Pure: what only the catalog knows (which terms there are, which asset is meant) is asked of `Meanings`. Fields are
declared in a table; one more is one more line. A value that a field cannot have is a BadQuery that names the character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Protocol, TypeVar

from damfs.catalog import fields
from damfs.catalog.alternatives import LIKE, LIMIT, Side, sentences_of, sides_of
from damfs.catalog.asked_predicates import CapturedBetween, Named, OfSize, Rated, Says, Span
from damfs.catalog.field_predicates import NumberIn, asked, is_field
from damfs.catalog.predicates import (
    CapturedIn,
    Everything,
    Failed,
    InInbox,
    Not,
    OfMedia,
    Or,
    Predicate,
    Untagged,
    all_of,
)
from damfs.catalog.query import Query
from damfs.catalog.query_text import (
    Condition,
    Either,
    Every,
    Everywhere,
    Node,
    Phrase,
    Without,
    Word,
    bad,
    cut,
    parsed,
    text_of,
)
from damfs.errors import Refused
from damfs.model import AssetId, Media, TermId

T = TypeVar("T")

MEDIA_WORDS = {"photo": Media.IMAGE, "picture": Media.IMAGE, "still": Media.IMAGE, "sound": Media.AUDIO}
SIZES = {"": 1, "b": 1} | {f"{unit}b": 1000**power for power, unit in enumerate("kmgt", 1)} | {
    f"{unit}ib": 1024**power for power, unit in enumerate("kmgt", 1)
}  # fmt: skip
HALF_STARS = 10
SHOWN_FIELDS = ("camera", "duration", "width")
COMPARED = re.compile(r"(>=|<=|>|<|=|)\s*(.+)", re.DOTALL)
PERIOD = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2})?)?")


class NoMeaning(ValueError):
    """A value means nothing here; the text says why, and what could be meant."""


class Meanings(Protocol):
    """What the catalog knows of names. *Raises* NoMeaning for those it does not know."""

    def tag(self, name: str) -> Predicate: ...

    def like(self, name: str) -> AssetId: ...

    def terms_saying(self, words: str, *, prefix: bool) -> tuple[TermId, ...]:
        """Terms whose name, or a synonym, holds the words in their order; and all that are narrower."""


Mean = Callable[[str, Meanings], Predicate]


@dataclass(frozen=True, slots=True)
class Field:
    """A name that may stand before a colon. ``example``: of a whole test, for people."""

    mean: Mean
    example: str


def meant(text: str, meanings: Meanings) -> Query:
    """What a query asks for. Raises BadQuery."""
    return _Reading(meanings).query(parsed(text))


def sentences(text: str) -> list[str]:
    """The words that rank, a text for a model for each alternative; without asking what anything means. Raises
    BadQuery."""
    return sentences_of(parsed(text))


@dataclass(frozen=True, slots=True)
class _Reading:
    meanings: Meanings

    def query(self, tree: Node) -> Query:
        sides = [self._side(side) for side in sides_of(tree)]
        return sides[0] if len(sides) == 1 else Query(Everything(), sides=tuple(sides), said=text_of(tree))

    def _side(self, parts: Side) -> Query:
        where: list[Predicate] = []
        words: list[Says] = []
        like: list[AssetId] = []
        for part in parts:
            match part:
                case Word() | Phrase():
                    words.append(self._says(part))
                case Condition(name=name) if name == LIKE:
                    like.append(self._asked(part, lambda test: self.meanings.like(test.value)))
                case Everywhere():
                    pass
                case _:
                    where.append(self._predicate(part))
        return Query(all_of(where) if where else Everything(), tuple(words), tuple(like))

    def _predicate(self, node: Node) -> Predicate:
        match node:
            case Word() | Phrase():
                return self._says(node)
            case Everywhere():
                return Everything()
            case Without():
                return Not(self._predicate(node.part))
            case Every():
                return all_of([self._predicate(part) for part in node.parts])
            case Either():
                return Or(tuple(self._predicate(part) for part in node.parts))
            case Condition():
                return self._condition(node)

    def _says(self, node: Word | Phrase) -> Says:
        prefix = isinstance(node, Word) and node.prefix
        terms = self.meanings.terms_saying(node.text, prefix=prefix)
        return Says(node.text, prefix, terms, isinstance(node, Phrase))

    def _condition(self, test: Condition) -> Predicate:
        if test.name == LIKE:
            raise bad(
                test.at,
                f"like: ranks what is found, so it cannot stand after NOT or in one of more than {LIMIT} alternatives",
            )
        field = FIELDS.get(test.name)
        if field is None:
            raise bad(test.at, self._unknown(test))
        return self._asked(test, lambda test: field.mean(test.value, self.meanings))

    def _asked(self, test: Condition, ask: Callable[[Condition], T]) -> T:
        try:
            return ask(test)
        except NoMeaning as why:
            raise bad(test.at + len(test.name) + 1, str(why)) from None

    def _unknown(self, test: Condition) -> str:
        close = get_close_matches(test.name, [*FIELDS, LIKE], 1)
        known = ", ".join((*OWN_FIELDS, LIKE, *SHOWN_FIELDS))
        hint = f'did you mean "{close[0]}:"?' if close else f"there are {known} and more"
        return f'there is no field "{cut(test.name)}"; {hint} (To search for a colon, put the word in quotation marks.)'


def whole_span(value: str, unit: Callable[[str], tuple[int, int]]) -> Span:
    """Of ``>=3``, ``<10``, ``3..5``, ``3..``, ``=3`` or ``3``. ``unit``: lowest and highest that a number covers."""
    low, dots, high = value.partition("..")
    if dots:
        ends = Span(unit(low)[0] if low else None, unit(high)[1] if high else None)
        if ends == Span(None, None):
            raise NoMeaning('expected a number on at least one side of ".."')
        return ends
    match = COMPARED.fullmatch(value)
    assert match is not None, "a value is not empty"
    least, most = unit(match[2])
    spans = {">=": (least, None), ">": (most + 1, None), "<=": (None, most), "<": (None, least - 1)}
    return Span(*spans.get(match[1], (least, most)))


def _stars(text: str) -> tuple[int, int]:
    number = _number(text, "a number of stars from 0 to 5, like 3, >=3 or 2..4")
    if not 0 <= number * 2 <= HALF_STARS or number * 2 != int(number * 2):
        raise NoMeaning(f'a rating is from 0 to 5 stars, not "{cut(text)}"')
    return int(number * 2), int(number * 2)


def _bytes(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([\d.]+)\s*([A-Za-z]*)", text)
    if match is None or match[2].lower() not in SIZES:
        raise NoMeaning(f'expected a size, like 10MB, >=1.5GiB or 1kB..2kB, not "{cut(text)}"')
    size = int(_number(match[1], "a size") * SIZES[match[2].lower()])
    return size, size


def _number(text: str, expected: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise NoMeaning(f'expected {expected}, not "{cut(text)}"') from None
    if not abs(number) < 1e15:
        raise NoMeaning(f'"{cut(text)}" is too large')
    return number


def _captured(value: str, _: Meanings) -> Predicate:
    """Of periods: they compare as texts do."""
    low, dots, high = value.partition("..")
    if dots:
        if not (low or high):
            raise NoMeaning('expected a date on at least one side of ".."')
        return CapturedBetween(_period(low) if low else "", f"{_period(high)}~" if high else "~", value)
    match = COMPARED.fullmatch(value)
    assert match is not None, "a value is not empty"
    period = _period(match[2])
    match match[1]:
        case ">=":
            return CapturedBetween(period, "~", value)
        case ">":
            return CapturedBetween(period + "~", "~", value)
        case "<=":
            return CapturedBetween("", period + "~", value)
        case "<":
            return CapturedBetween("", period, value)
        case _:
            return CapturedIn(period)


def _period(text: str) -> str:
    if PERIOD.fullmatch(text) is None or not _is_date(text):
        raise NoMeaning(f'expected a date like 2024, 2024-07, 2024-07-15 or 2024-07..2024-09, not "{cut(text)}"')
    return text


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text + "-01-01"[len(text) - 4 :] if len(text) < 10 else text)
    except ValueError:
        return False
    return True


def _media(value: str, _: Meanings) -> Predicate:
    word = value.lower()
    if word in MEDIA_WORDS:
        return OfMedia(MEDIA_WORDS[word])
    if word not in set(Media):
        raise NoMeaning(f'expected {_listed(map(str, Media))}, not "{cut(value)}"')
    return OfMedia(Media(word))


STATES: dict[str, Predicate] = {"untagged": Untagged(), "inbox": InInbox(), "failed": Failed()}


def _state(value: str, _: Meanings) -> Predicate:
    if value.lower() not in STATES:
        raise NoMeaning(f'expected {_listed(STATES)}, not "{cut(value)}"')
    return STATES[value.lower()]


def _texts(value: str, meanings: Meanings) -> Predicate:
    if not any(map(str.isalnum, value)):
        raise NoMeaning(f'"{cut(value)}" holds no letter or digit to search for')
    return Says(value, terms=meanings.terms_saying(value, prefix=False), is_phrase=True)


def _of_media(name: str, value: str) -> Predicate:
    """A field of what the bytes themselves say, see `fields`."""
    low, dots, high = value.partition("..")
    if dots and fields.BY_NAME[name].kind is fields.Kind.NUMBER and (low or high):
        ends = [_compared(name, sign, end) for sign, end in ((">=", low), ("<=", high)) if end]
        numbers = [each for each in ends if isinstance(each, NumberIn)]
        return NumberIn(name, max(each.low for each in numbers), min(each.high for each in numbers), said=value)
    match = COMPARED.fullmatch(value)
    assert match is not None, "a value is not empty"
    return _compared(name, match[1], match[2])


def _compared(name: str, sign: str, value: str) -> Predicate:
    try:
        return asked(name, sign, value)
    except Refused as why:
        raise NoMeaning(str(why)) from None


def _field_of_media(name: str) -> Field:
    number = fields.BY_NAME[name].kind is fields.Kind.NUMBER
    return Field(lambda value, _: _of_media(name, value), f"{name}:>=10" if number else f'{name}:"Sony FX3"')


def _listed(words: Iterator[str] | Mapping[str, object]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}"


FIELDS: dict[str, Field] = {
    "tag": Field(lambda value, meanings: meanings.tag(value), "tag:beach"),
    "type": Field(_media, "type:video"),
    "date": Field(_captured, "date:2024-07..2024-09"),
    "rating": Field(lambda value, _: Rated(whole_span(value, _stars), value), "rating:>=3"),
    "size": Field(lambda value, _: OfSize(whole_span(value, _bytes), value), "size:>1GB"),
    "name": Field(lambda value, _: Named(value), "name:*.mov"),
    "text": Field(_texts, 'text:"take two"'),
    "is": Field(_state, "is:untagged"),
}
OWN_FIELDS = tuple(FIELDS)
FIELDS |= {name: _field_of_media(name) for name in fields.BY_NAME if is_field(name) and name not in FIELDS}
"""``like:`` is read apart: it ranks, and holds of everything."""

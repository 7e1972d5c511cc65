"""Predicates over the fields of media: ``camera:"Sony FX3"``, ``width:>=3840``, ``duration:>10s``.

Pure, like `predicates`. `asked` makes one of what a person wrote; it raises Refused with what to write instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches

from damfs.catalog.fields import BROWSABLE, BY_NAME, Field, Kind, key_of
from damfs.catalog.predicates import ALL_FACET, Clause, Predicate, SqlValue, Traits, quoted
from damfs.catalog.units import nearly, parsed
from damfs.errors import Refused
from damfs.model import Facet

OPERATORS = (">=", "<=", ">", "<", "=")
"""Before a number; none means the number itself. Longer ones first: a parser tries them in this order."""


def field_facet(field: str, key: str | None = None) -> Facet:
    """Touched when an asset gets or loses a value; without a key: any value of the field."""
    return Facet(f"field:{field}" if key is None else f"field:{field}={key}")


def value_facets(field: str, key: str) -> frozenset[Facet]:
    """What a value of a browsable field touches: its directory, and those above."""
    steps = key.split("/") if BY_NAME[field].levels else [key]
    places = {field_facet(field, "/".join(steps[:length])) for length in range(1, len(steps) + 1)}
    return frozenset(places | {field_facet(field)})


@dataclass(frozen=True, slots=True)
class HasText(Predicate):
    """A text field has this value, whatever its case. ``below``: or one below it (``place:germany``)."""

    field: str
    key: str
    below: bool = False

    def clause(self) -> Clause:
        clause, values = self._test()
        return (
            f"a.visible AND a.blob IN (SELECT blob FROM field_text WHERE field = ? AND {clause})",  # noqa: S608  # constant texts
            (self.field, *values),
        )

    def row_clause(self) -> Clause:
        clause, values = self._test()
        return (
            f"a.visible AND EXISTS (SELECT 1 FROM field_text WHERE blob = a.blob AND field = ? AND {clause})",  # noqa: S608  # as above
            (self.field, *values),
        )

    def _test(self) -> Clause:
        if not self.below:
            return "key = ?", (self.key,)
        return "(key = ? OR key >= ? AND key < ?)", (self.key, self.key + "/", self.key + "0")

    def match(self, asset: Traits) -> bool:
        keys = {key_of(value) for value in asset.values.get(self.field, ()) if isinstance(value, str)}
        near = self.below and any(key.startswith(self.key + "/") for key in keys)
        return asset.visible and (self.key in keys or near)

    def facets(self) -> frozenset[Facet]:
        if self.field in BROWSABLE:
            return frozenset({field_facet(self.field, self.key)})
        return frozenset({ALL_FACET, field_facet(self.field)})

    def text(self) -> str:
        return f"{self.field}:{quoted(self.key)}"


@dataclass(frozen=True, slots=True)
class TextLike(Predicate):
    """A text field has a value of this form: ``*`` is any text, also none."""

    field: str
    pattern: str
    """Without case, see `key_of`."""

    def clause(self) -> Clause:
        return (
            "a.visible AND a.blob IN (SELECT blob FROM field_text WHERE field = ? AND key GLOB ?)",
            (self.field, self._glob()),
        )

    def row_clause(self) -> Clause:
        return (
            "a.visible AND EXISTS (SELECT 1 FROM field_text WHERE blob = a.blob AND field = ? AND key GLOB ?)",
            (self.field, self._glob()),
        )

    def _glob(self) -> str:
        """``?`` and ``[`` mean themselves."""
        return self.pattern.replace("[", "[[]").replace("?", "[?]")

    def match(self, asset: Traits) -> bool:
        keys = (key_of(value) for value in asset.values.get(self.field, ()) if isinstance(value, str))
        return asset.visible and any(_like(key, self.pattern.split("*")) for key in keys)

    def facets(self) -> frozenset[Facet]:
        return frozenset({ALL_FACET, field_facet(self.field)})

    def text(self) -> str:
        return f"{self.field}:{quoted(self.pattern)}"


def _like(key: str, parts: list[str]) -> bool:
    first, *rest = parts
    if not rest:
        return key == first
    last = rest.pop()
    if not key.startswith(first) or not key.endswith(last) or len(key) < len(first) + len(last):
        return False
    at = len(first)
    for each in rest:
        found = key.find(each, at, len(key) - len(last))
        if found < 0:
            return False
        at = found + len(each)
    return True


@dataclass(frozen=True, slots=True)
class NumberIn(Predicate):
    """A number field has a value between these; the bounds belong to it unless they are open."""

    field: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    said: str = ""
    """As a person wrote it, e.g. ``>=3840``."""

    def clause(self) -> Clause:
        clause, values = self._test()
        return (
            f"a.visible AND a.blob IN (SELECT blob FROM field_number WHERE field = ? AND {clause})",  # noqa: S608  # constant texts
            (self.field, *values),
        )

    def row_clause(self) -> Clause:
        clause, values = self._test()
        return (
            f"a.visible AND EXISTS (SELECT 1 FROM field_number WHERE blob = a.blob AND field = ? AND {clause})",  # noqa: S608  # as above
            (self.field, *values),
        )

    def _test(self) -> tuple[str, tuple[SqlValue, ...]]:
        above, below = (">" if self.open_low else ">="), ("<" if self.open_high else "<=")
        return f"number {above} ? AND number {below} ?", (self.low, self.high)

    def match(self, asset: Traits) -> bool:
        numbers = (value for value in asset.values.get(self.field, ()) if not isinstance(value, str))
        return asset.visible and any(self._holds(number) for number in numbers)

    def _holds(self, number: float) -> bool:
        above = number > self.low if self.open_low else number >= self.low
        return above and (number < self.high if self.open_high else number <= self.high)

    def facets(self) -> frozenset[Facet]:
        return frozenset({ALL_FACET, field_facet(self.field)})

    def text(self) -> str:
        return f"{self.field}:{quoted(self.said or f'{self.low}..{self.high}')}"


def is_field(name: str) -> bool:
    """Whether something can be asked of it."""
    return name in BY_NAME and BY_NAME[name].kind is not Kind.SHOWN


def asked(name: str, operator: str, text: str) -> Predicate:
    """``name:<operator><text>``; the operator is one of `OPERATORS` or "". Raises Refused."""
    if not is_field(name):
        near = get_close_matches(name, [each for each in BY_NAME if is_field(each)], 1)
        raise Refused(f'there is no field "{name}"' + (f'; did you mean "{near[0]}"?' if near else ""))
    field = BY_NAME[name]
    return _of_number(field, operator, text) if field.kind is Kind.NUMBER else _of_text(field, operator, text)


def _of_text(field: Field, operator: str, text: str) -> Predicate:
    if operator not in ("", "="):
        raise Refused(f"{field.name} is text: write {field.name}:{text}, with * for any part of it")
    key = key_of(text)
    if "*" in key:
        return TextLike(field.name, key)
    return HasText(field.name, key, below=field.levels)


def _of_number(field: Field, operator: str, text: str) -> NumberIn:
    try:
        number = parsed(text, field.unit)
    except ValueError:
        unit = f" ({field.unit})" if field.unit else ""
        raise Refused(f'{field.name} is a number{unit}, and "{text}" is none; write e.g. {field.name}:>=10') from None
    said = operator + text
    if operator.startswith(">"):
        return NumberIn(field.name, low=number, open_low=operator == ">", said=said)
    if operator.startswith("<"):
        return NumberIn(field.name, high=number, open_high=operator == "<", said=said)
    near = nearly(text, number, field.unit)
    return NumberIn(field.name, number - near, number + near, said=said)

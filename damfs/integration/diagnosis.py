"""One answer of `damfs doctor`, as plain data and as a line of text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    OK = "ok"
    WARN = "warn"
    """Works, but something is missing or will be."""
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``text``: how it is, and (unless ok) what to do."""

    name: str
    health: Health
    text: str


def ok(name: str, text: str) -> Diagnosis:
    return Diagnosis(name, Health.OK, text)


def warn(name: str, text: str) -> Diagnosis:
    return Diagnosis(name, Health.WARN, text)


def bad(name: str, text: str) -> Diagnosis:
    return Diagnosis(name, Health.BAD, text)


def as_text(found: Sequence[Diagnosis]) -> str:
    width = max((len(each.name) for each in found), default=0)
    return "".join(f"{each.health:<4}  {each.name:<{width}}  {each.text}\n" for each in found)

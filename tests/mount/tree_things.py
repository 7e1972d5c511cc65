"""What the model of the mounted tree is made of: places, assets, terms, and what a program is told when it may not."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

Place = tuple[str, ...]
"""`("inbox",)`, `("by-tag", "beach", "sea")`, `("untagged",)`, `("by-type", "other")`."""
INBOX, TAGS, UNTAGGED, OTHER, TRASH, VERSIONS = "inbox", "by-tag", "untagged", "by-type", "trash", "versions"
LIBRARY: Place = ("originals", "library")
Key = tuple[Place, str]
"""A folder below LIBRARY, as a place, and the name of a file in it."""
DAY: Key = ((), "")
"""Where files are that were filed by day: no rule looks there."""


class Errno(Exception):
    def __init__(self, *numbers: int) -> None:
        super().__init__(" or ".join(errno.errorcode[number] for number in numbers))
        self.numbers = numbers


@dataclass(slots=True)
class Asset:
    id: int
    name: str
    content: bytes
    terms: set[int] = field(default_factory=set)
    triaged: bool = False
    trashed: bool = False
    names: list[Key] = field(default_factory=lambda: [DAY])
    """Where its bytes lie on the disk, or lay before it was trashed."""
    before: list[bytes] = field(default_factory=list)
    """The bytes of earlier versions."""
    rating: int = 0

    def write(self, content: bytes) -> None:
        """The same bytes are no version."""
        if content != self.content:
            self.before.append(self.content)
            self.content = content


def in_library(place: Place) -> bool:
    return place[:2] == LIBRARY


@dataclass(slots=True)
class Term:
    name: str
    broader: int | None

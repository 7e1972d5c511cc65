"""How far a scan is and what it found, as plain data. Pure: the CLI needs it without a catalog."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """``files`` and ``size``: what is to be read in all, known once the walk has ended (0 before)."""

    walked: int
    files: int
    files_read: int
    size: int
    size_read: int


@dataclass(slots=True)
class ScanReport:
    """What a scan found, by kind, and what it left out with the reason."""

    store: str
    walked: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    """Files that are still being written, with what they wait for: a later scan takes them."""
    given_up: list[str] = field(default_factory=list)
    """Files that waited, and are taken as they are because nobody goes on with them; with what they lack."""

    def count(self, kind: str, number: int = 1) -> None:
        if number:
            self.counts[kind] = self.counts.get(kind, 0) + number

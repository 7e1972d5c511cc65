"""Groups of duplicates as they are shown to people and scripts, and what was done with them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Copy:
    """``moves``: whether --apply would put it into the trash, or did so."""

    asset: int
    name: str
    size: int
    reason: str
    distance: float
    moves: bool
    places: list[str]
    into: int | None = None
    """The asset that takes over what was said of it."""
    if_equal: bool = False
    """It has other bytes: --apply compares both closely first, and leaves it where they differ."""
    left: str = ""
    """Why it stays, though it is like another: what it has and the other has not, or in what they differ."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A group: ``keep`` is the best of it."""

    sort: str
    keep: Copy
    others: list[Copy]


@dataclass(slots=True)
class DedupeReport:
    groups: list[Suggestion] = field(default_factory=list)
    applied: bool = False
    moved: int = 0
    problems: list[str] = field(default_factory=list)


def as_text(report: DedupeReport) -> str:
    lines = [line for group in report.groups for line in _shown(group)]
    moving = [copy for group in report.groups for copy in group.others if copy.moves]
    if not report.groups:
        lines.append("no duplicates were found")
    elif report.applied:
        lines.append(
            f"{report.moved:,} in the trash ({_size(moving)}), what was said of them is said of the kept ones; "
            "damfs undo takes it back"
        )
    else:
        lines.append(f"{len(report.groups):,} groups; --apply would put {_would_move(moving)}")
    return "\n".join([*lines, *(f"left as it is: {problem}" for problem in report.problems)]) + "\n"


def _would_move(moving: list[Copy]) -> str:
    sure, others = ([copy for copy in moving if copy.if_equal is closely] for closely in (False, True))
    told = f"{len(sure):,} files into the trash ({_size(sure)})"
    if others:
        told += f", and of {len(others):,} more ({_size(others)}) those in which a close comparison finds no difference"
    return told


def _size(copies: list[Copy]) -> str:
    return f"{sum(copy.size for copy in copies):,} bytes"


def _shown(group: Suggestion) -> list[str]:
    lines = [f"{group.sort}: keep {group.keep.name} ({group.keep.size:,} bytes)"]
    lines += [f"    {place}" for place in group.keep.places]
    for copy in group.others:
        why = f"; {copy.left}" if copy.left else ""
        lines.append(f"  {_fate(copy)} {copy.name} ({copy.size:,} bytes): {copy.reason}{why}")
        lines += [f"    {place}" for place in copy.places]
    return lines


def _fate(copy: Copy) -> str:
    if copy.moves:
        return "trash if equal" if copy.if_equal else "trash"
    return "keep too" if copy.left else "look at"

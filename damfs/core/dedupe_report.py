"""Groups of duplicates as they are shown to people and scripts, and what was done with them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Copy:
    """``moves``: whether --apply would put it into the trash, or did so. Pictures that are alike are looked at closely
    only then, and may be left."""

    asset: int
    name: str
    size: int
    reason: str
    distance: float
    moves: bool
    places: list[str]
    into: int | None = None
    """The asset that takes over what was said of it."""
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
    size = f"{sum(copy.size for copy in moving):,} bytes"
    if not report.groups:
        lines.append("no duplicates were found")
    elif report.applied:
        lines.append(
            f"{report.moved:,} in the trash ({size}), what was said of them is said of the kept ones; "
            "damfs undo takes it back"
        )
    else:
        lines.append(
            f"{len(report.groups):,} groups; --apply would put up to {len(moving):,} files into the trash ({size})"
        )
    return "\n".join([*lines, *(f"left as it is: {problem}" for problem in report.problems)]) + "\n"


def _shown(group: Suggestion) -> list[str]:
    lines = [f"{group.sort}: keep {group.keep.name} ({group.keep.size:,} bytes)"]
    lines += [f"    {place}" for place in group.keep.places]
    for copy in group.others:
        what = "trash" if copy.moves else "keep too" if copy.left else "look at"
        why = f"; {copy.left}" if copy.left else ""
        lines.append(f"  {what} {copy.name} ({copy.size:,} bytes): {copy.reason}{why}")
        lines += [f"    {place}" for place in copy.places]
    return lines

"""What a pass over the sidecars did, and the words for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

SHOWN = 20


@dataclass(slots=True)
class SidecarReport:
    """``sidecars``: that stand beside an original. ``read``: that changed the catalog; ``written``: that it changed."""

    sidecars: int = 0
    read: int = 0
    written: int = 0
    made: int = 0
    problems: list[str] = field(default_factory=list)
    """One line for each that was left alone."""
    remarks: list[str] = field(default_factory=list)
    """One line for each that could not be told everything."""


def as_text(report: SidecarReport) -> str:
    done = f"{report.read:,} read in, {report.written:,} written, {report.made:,} of them new"
    lines = [f"{report.sidecars:,} sidecars: {done}"]
    lines += _some([f"  left alone: {problem}" for problem in report.problems])
    lines += _some([f"  {remark}" for remark in report.remarks])
    return "\n".join(lines) + "\n"


def _some(lines: list[str]) -> list[str]:
    more = [f"  … and {len(lines) - SHOWN:,} more (--json shows all)"] if len(lines) > SHOWN else []
    return lines[:SHOWN] + more

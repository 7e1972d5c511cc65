"""How far a verification is and what it found, as plain data and as text. Pure: the CLI needs it without a catalog."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


class Verdict(StrEnum):
    """What was found out about a file."""

    GOOD = "good"
    HEALED = "good again"
    """Was known to be damaged or missing."""
    DAMAGED = "damaged"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    """There, but the disk does not give its bytes now."""
    CHANGED = "changed"
    """A file of a read-only store is another one now; a scan makes it a new version."""
    UNKNOWN = "unknown"
    """A file of the writable store without a row; a scan adopts it."""


class ExitCode(IntEnum):
    CLEAN = 0
    DAMAGE = 1
    NOT_DONE = 3
    """The time limit came before the end; the next run goes on there."""


DAMAGE = frozenset({Verdict.DAMAGED, Verdict.MISSING, Verdict.UNREADABLE})


@dataclass(frozen=True, slots=True)
class VerifyProgress:
    """``files``, ``size``: what is to be read in all."""

    store: str
    files: int
    files_read: int
    size: int
    size_read: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """A file that is not simply good. ``key``: its path in the store."""

    verdict: Verdict
    store: str
    key: str
    reason: str


@dataclass(slots=True)
class VerifyReport:
    counts: dict[Verdict, int] = field(default_factory=dict)
    """Files by what was found out about them."""
    size: int = 0
    """Bytes read."""
    seconds: float = 0.0
    troubles: list[Trouble] = field(default_factory=list)
    offline: list[str] = field(default_factory=list)
    """Stores that could not be reached, wholly or from some moment on; nothing of them was marked."""
    left: int = 0
    """Files that the time limit left for the next run."""
    resumed: bool = False
    """It went on where an earlier run had stopped."""

    def count(self, verdict: Verdict, store: str, key: str, reason: str = "") -> None:
        self.counts[verdict] = self.counts.get(verdict, 0) + 1
        if verdict is not Verdict.GOOD:
            self.troubles.append(Trouble(verdict, store, key, reason))

    @property
    def exit_code(self) -> ExitCode:
        if any(self.counts.get(verdict) for verdict in DAMAGE):
            return ExitCode.DAMAGE
        return ExitCode.NOT_DONE if self.left else ExitCode.CLEAN


def as_text(report: VerifyReport) -> str:
    """For people: a line for each file that is not simply good, then what to do, then the sum."""
    lines = [f"{each.verdict:<10} {each.store}: {each.key}{_because(each.reason)}" for each in report.troubles]
    lines += [f"offline    {name}: not verified; connect its volume and run this again" for name in report.offline]
    lines += [advice for verdict, advice in ADVICE.items() if report.counts.get(verdict)]
    if report.left:
        lines.append(f"time is up: {report.left:,} files are left; run this again to go on there")
    counts = ", ".join(f"{number:,} {verdict}" for verdict, number in report.counts.items()) or "nothing to read"
    rate = report.size / max(report.seconds, 0.001)
    lines.append(f"{counts}; {report.size / 1e9:,.2f} GB in {report.seconds:,.1f} s ({rate / 1e6:,.0f} MB/s)")
    return "\n".join(lines) + "\n"


ADVICE = {
    Verdict.DAMAGED: "damaged: bring these files back from a backup at their places, then verify or scan again;"
    " or copy the good file into the mount under its name",
    Verdict.MISSING: "missing: bring these files back; damfs scan finds them under any name",
    Verdict.UNREADABLE: "unreadable: check the disk and the permissions, then verify again",
    Verdict.CHANGED: "changed: damfs scan takes them as new versions",
    Verdict.UNKNOWN: "unknown: left as they are; damfs scan adopts them as assets",
}


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""

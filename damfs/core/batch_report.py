"""What became of a batch of proxies, as plain data and as text. Pure: the CLI needs it without a catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SHOWN = 20
"""Reasons that are told one by one."""


@dataclass(slots=True)
class BatchReport:
    """Numbers are of files with different bytes, but for ``files`` and ``same_bytes``."""

    profile: str
    files: int = 0
    """Videos that were meant."""
    same_bytes: int = 0
    """Of these, such that have the bytes of another one: worked on once."""
    made: int = 0
    there: int = 0
    """Made before."""
    failed: dict[str, str] = field(default_factory=dict)
    """Reasons by name."""
    delayed: dict[str, str] = field(default_factory=dict)
    """To be tried later: a store is offline, the disk is full."""
    withdrawn: int = 0
    """No longer waited for: somebody interrupted the batch, or the file is gone."""
    no_video: int = 0
    by_camera: int = 0
    """Files for which a small copy stands in that the camera recorded."""
    copies: int = 0
    """Files that are such copies."""


def as_text(batch: BatchReport, library: str) -> str:
    numbers = {
        "made": batch.made,
        "there before": batch.there,
        "have one by their camera": batch.by_camera,
        "with the bytes of another": batch.same_bytes,
        "failed": len(batch.failed),
        "have to wait": len(batch.delayed),
        "taken back": batch.withdrawn,
        "no videos": batch.no_video,
        "small copies by cameras": batch.copies,
    }
    said = ", ".join(f"{number:,} {what}" for what, number in numbers.items() if number) or "nothing was found"
    lines = [f"{batch.profile}: {said}", *_reasons("failed", batch.failed), *_reasons("waits", batch.delayed)]
    if batch.failed:
        lines.append(f"They are in failed/ of the mount; to try the same bytes again: damfs retry {library}")
    if batch.by_camera or batch.copies:
        lines.append("To have one made of such a file all the same: damfs proxy FILE --make")
    if batch.withdrawn:
        lines.append("Run the same command again to go on.")
    return "\n".join(lines) + "\n"


def _reasons(what: str, reasons: Mapping[str, str]) -> list[str]:
    lines = [f"  {what}: {reason or name}" for name, reason in list(reasons.items())[:SHOWN]]
    more = len(reasons) - SHOWN
    return [*lines, f"  … and {more:,} more"] if more > 0 else lines


def interrupted(taken_back: int) -> str:
    return (
        f"interrupted: what was made is kept, {taken_back:,} that waited were taken back; "
        "run the same command again to go on"
    )

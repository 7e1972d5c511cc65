"""What could not be written into sidecars: kept, told in the status, and tried again.

Concurrency: on the loop; one transaction for a round. Crash rule: a row stands until its asset was written; what was
cut short before the row is found again by the feed (`sidecar_backlog`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from damfs.catalog import sidecars
from damfs.core.library import Library
from damfs.model import AssetId

UNEXPECTED = "an error inside damfs; its log (state/daemon.log) has the details"


@dataclass(slots=True)
class Tried:
    """Originals whose sidecars were to be written, and why some were not."""

    reasons: dict[AssetId, str] = field(default_factory=dict)
    """'' for those that say everything now."""

    def note(self, original: AssetId, reason: str) -> None:
        self.reasons[original] = self.reasons.get(original) or reason

    def note_unexpected(self, original: AssetId) -> None:
        self.note(original, UNEXPECTED)


def settle(library: Library, reasons: Mapping[AssetId, str]) -> None:
    """Remember which are due, and forget those that are written. Raises NoSpace."""
    connection = library.db.writer
    changed = {id_: reason for id_, reason in reasons.items() if sidecars.due_reason(connection, id_) != reason}
    if not changed:
        return
    with library.db.transaction() as tx:
        for id_, reason in changed.items():
            sidecars.set_due(tx, id_, reason)

"""How far a run is, for those who wait: a small file in its directory that holds the share that is done.

``teller`` runs in worker processes; whoever reads finds one whole text or another, or none yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PROGRESS = "progress"
TELL_EVERY_S = 0.3


def teller(path: Path) -> Callable[[float], None]:
    """Writes the share that is done, now and then."""
    told, beside = time.monotonic(), path.with_name(path.name + ".new")

    def tell(share: float) -> None:
        nonlocal told
        if time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            beside.write_text(f"{min(1.0, share):.4f}", encoding="ascii")
            beside.rename(path)

    return tell


def share_of(path: Path) -> float | None:
    """None where nothing was told yet. Blocks."""
    with suppress(OSError, ValueError):
        return float(path.read_text(encoding="ascii"))
    return None

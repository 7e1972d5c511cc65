"""Taking a term away from every asset that carries it: seconds until the command returns and the mount shows it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from damfs.integration.client import call
from damfs.integration.wire import Tag, UndoLast
from tests.bench.figure import Figure, figure
from tests.bench.ground import BenchFailed, Ground
from tests.bench.synthetic import MANY

SEEN_LIMIT_S = 120.0


def measure(ground: Ground) -> Iterator[Figure]:
    """The kernel holds every name when it begins. The term is given back at the end, which is not part of it."""
    made = ground.populated()
    with ground.mounted(made.library) as daemon:
        daemon.wait_until_quiet()
        ground.say("untag-many …")
        place = daemon.mountpoint / "by-tag" / MANY
        for entry in os.scandir(place):
            entry.stat()
        began = time.perf_counter()
        call(made.library, Tag((), (MANY,), remove=True, everywhere=True))
        answered_s = time.perf_counter() - began
        while os.path.lexists(place / made.names[0]) or os.path.lexists(place / made.names[-1]) or os.listdir(place):
            if time.perf_counter() - began > SEEN_LIMIT_S:
                raise BenchFailed("the mount still shows what was untagged")
        seconds = time.perf_counter() - began
        call(made.library, UndoLast())
    yield figure("untag-many", "s", [seconds], None, {"assets": len(made.names), "answered_s": answered_s})

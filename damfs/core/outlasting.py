"""Rounds of work behind the mount that may fail without ending it (P8).

Concurrency: on the loop, in the caller's task; a cancellation passes through. Crash rule: none; whoever calls says what
is taken up again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from damfs.errors import DamfsError

log = logging.getLogger(__name__)

PAUSE_S = 5.0
"""What failed at once would fail again at once."""


async def outlast(work: str, turn: Callable[[], Awaitable[object]], pause_s: float = PAUSE_S) -> bool:
    """Whether the turn came to its end. If not, that is in the log as ``work``, and a pause was made."""
    try:
        await turn()
    except DamfsError as error:
        log.info("%s: %s", work, error)
    except Exception:
        log.exception("%s failed unexpectedly; the mount goes on", work)
    else:
        return True
    await trio.sleep(pause_s)
    return False

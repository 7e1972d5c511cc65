"""One decorator for every handler: counts the call and turns errors into an errno.

An exception other than FUSEError would end the mount, so nothing gets past it: what is not expected is logged with its
traceback, counted, and becomes EIO.
"""

from __future__ import annotations

import errno
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from pyfuse3 import FUSEError

from damfs import errors
from damfs.core.counters import Counters

log = logging.getLogger(__name__)


class Answering(Protocol):
    counters: Counters

    def catch_up(self) -> None:
        """With what happened without asking; it must not raise."""

    def refused(self, operation: str, error: errors.DamfsError) -> None:
        """A program is to be told no more than a number: why, is kept for people."""


P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound=Answering)

ERRNO: dict[type[errors.DamfsError], int] = {
    errors.NotFound: errno.ENOENT,
    errors.Refused: errno.EPERM,
    errors.ReadOnly: errno.EROFS,
    errors.Conflict: errno.EEXIST,
    errors.NotEmpty: errno.ENOTEMPTY,
    errors.NoSpace: errno.ENOSPC,
    errors.TooBig: errno.EFBIG,
    errors.Unavailable: errno.EIO,
    errors.BadQuery: errno.EINVAL,
}
EXPLAINED = {errno.EPERM, errno.EEXIST, errno.ENOTEMPTY, errno.EINVAL, errno.ENOSPC, errno.EIO}
"""What people want to know the reason of; that something is not there, or read-only, needs none."""


def answers(
    handler: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[Concatenate[S, P], Coroutine[object, object, T]]:
    """A handler that is counted and guarded."""
    name = f'fuse_operations{{operation="{handler.__name__}"}}'
    guard = guarded(handler)

    @functools.wraps(handler)
    async def answer(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        self.counters[name] += 1
        self.catch_up()
        return await guard(self, *args, **kwargs)

    return answer


def guarded(
    handler: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[Concatenate[S, P], Coroutine[object, object, T]]:
    """A handler that nothing but FUSEError leaves."""

    @functools.wraps(handler)
    async def answer(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await handler(self, *args, **kwargs)
        except FUSEError:
            raise
        except Exception as error:  # noqa: BLE001  # nothing but FUSEError may leave a handler
            raise FUSEError(errno_of(self, error, handler.__name__)) from None

    return answer


def errno_of(operations: Answering, error: Exception, operation: str) -> int:
    """The errno for an error; one that nobody foresaw is logged and counted."""
    for kind, number in ERRNO.items():
        if isinstance(error, kind):
            if number in EXPLAINED:
                operations.refused(operation, error)
            if number == errno.EIO:
                log.info("answered EIO: %s", error)
            return number
    operations.counters["fuse_unexpected_errors"] += 1
    log.error("unexpected error in a handler; answered EIO", exc_info=error)
    return errno.EIO


@contextmanager
def stale_if_gone() -> Iterator[None]:
    """What an inode stood for is gone (a received file became a known asset): the kernel is to look the path up anew.

    With ENOENT it would tell the program that the file is not there; after ESTALE it asks for the name once more.
    """
    try:
        yield
    except errors.NotFound:
        raise FUSEError(errno.ESTALE) from None

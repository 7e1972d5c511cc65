"""Loads the native module, if there is one, and says whether it does its work and why not.

It has to be loaded before pyfuse3 is (see `passthrough.c`): this package's `__init__` does it. Concurrency: any thread;
no call here waits for another process. Crash rule: none; without the module everything goes the ordinary way.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import importlib.machinery
import logging
import os
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

SWITCH = "DAMFS_NATIVE"
OFF = "off"
MODULE = "_passthrough"
NAME_ROOM = 256
NOT_BUILT = "it was not built: that needs a C compiler and the kernel's headers when damfs is installed"


class State(IntEnum):
    """As `passthrough.c` has them."""

    NOT_MOUNTED = 0
    OLD_LIBFUSE = 1
    NO_INIT_YET = 2
    NOT_OFFERED = 3
    REFUSED = 4
    ON = 5


class Made(NamedTuple):
    """A file that was made without asking. ``undisturbed``: nothing was committed since."""

    name: str
    mode: int
    at_ns: int
    fd: int
    undisturbed: bool


class Received(NamedTuple):
    """What was done to a new file without asking. ``mtime_ns``: of the last write; None: it was not written since."""

    handle: int
    inode: int
    size: int
    mtime_ns: int | None
    closed: bool
    made: Made | None = None
    lost_at: int | None = None
    """Where a program was told that what it wrote could not be taken."""


class Native:
    """``absence``: why there is no ``library``."""

    def __init__(self, library: ctypes.CDLL | None, absence: str = "") -> None:
        self._library = library
        self._absence = absence
        self._declined: set[int] = set()

    @property
    def passthrough(self) -> bool:
        """Whether the kernel reads files itself. False until it has answered; then it stays as it is."""
        return self._library is not None and self._library.damfs_state() == State.ON

    @property
    def cache_directories(self) -> bool:
        """Whether the kernel can be told to keep listings."""
        return self._library is not None and bool(self._library.damfs_hooked())

    @property
    def answered(self) -> int:
        """Requests that the module answered by itself since the mount."""
        return 0 if self._library is None else int(self._library.damfs_answered())

    def changed(self) -> None:
        """At each commit, before anybody is told of it: a name that was not there may be there now."""
        if self._library is not None:
            self._library.damfs_changed()

    @property
    def reason(self) -> str:
        """Why there is no passthrough; empty when there is."""
        if self._library is None:
            return self._absence
        state = State(self._library.damfs_state())
        if state is State.REFUSED:
            return refusal(self._library.damfs_refusal())
        return {
            State.NOT_MOUNTED: "nothing is mounted, or pyfuse3 was loaded first",
            State.OLD_LIBFUSE: "libfuse is older than 3.14",
            State.NO_INIT_YET: "the kernel has not asked yet",
            State.NOT_OFFERED: f"the kernel ({os.uname().release}) does not offer it; Linux does from 6.9 on",
            State.ON: "",
        }[state]

    def describe(self) -> str:
        """For people, in one line."""
        listings = "kept by the kernel" if self.cache_directories else "not kept"
        return f"passthrough {'on' if self.passthrough else f'off ({self.reason})'}, listings {listings}"

    def open_backing(self, fd: int) -> int | None:
        """The kernel's id for the file, from now until it is closed; None when it does not take it."""
        id_ = self._there().damfs_backing_open(fd)
        if id_ > 0:
            return int(id_)
        if id_ not in self._declined:
            self._declined.add(id_)
            log.info("some files are read without passthrough, for the kernel says: %s", os.strerror(-id_))
        return None

    def close_backing(self, id_: int) -> None:
        self._there().damfs_backing_close(id_)

    def pass_through(self, handle: int, backing: int, *, direct: bool) -> None:
        """What the reply that opens the handle will say. ``direct``: the kernel is to ask for what is read all the
        same. Raises MemoryError."""
        if self._there().damfs_pass_through(handle, backing, direct) != 0:
            raise MemoryError

    def keep_listing(self, handle: int) -> None:
        """Likewise, of a directory."""
        self._there().damfs_keep_listing(handle)

    def receive(self, handle: int, fd: int) -> None:
        """The reply that opens the handle of a new file has its first bytes written to the descriptor without asking
        anybody, until `let_go`, or until `received` tells that it was closed."""
        if self._library is not None:
            self._library.damfs_receive(handle, fd)

    def let_go(self, handle: int) -> None:
        """Before the descriptor is closed."""
        if self._library is not None:
            self._library.damfs_let_go(handle)

    def received(self) -> Iterator[Received]:
        """What was done to new files since this was asked last."""
        told = _Told()
        while self._library is not None and self._library.damfs_news(told):
            mtime_ns = told.mtime_ns if told.changed else None
            made = None
            if told.made:
                made = Made(os.fsdecode(told.name), told.mode, told.made_ns, told.fd, bool(told.undisturbed))
            yield Received(told.handle, told.inode, told.size, mtime_ns, bool(told.closed), made)

    @property
    def waker(self) -> int | None:
        """A descriptor that is readable when `received` is to be asked."""
        waker = -1 if self._library is None else int(self._library.damfs_waker())
        return None if waker < 0 else waker

    def may_make(self, handle: int, staging: int, notes: int, mark: int) -> None:
        """Files like the one that the next reply opens under the handle may be made without asking, as `making.c` says.
        ``mark``: what makes an inode of an asset's number."""
        if self._library is not None:
            self._library.damfs_may_make(handle, staging, notes, mark)

    def make_no_more(self) -> None:
        """Until `may_make` is called again."""
        if self._library is not None:
            self._library.damfs_make_no_more()

    def give_numbers(self, first: int, number: int) -> None:
        """Of assets that are to be: nobody else has them."""
        if self._library is not None:
            self._library.damfs_numbers(first, first + number)

    @property
    def numbers_left(self) -> int:
        return 0 if self._library is None else int(self._library.damfs_numbers_left())

    def entered(self) -> None:
        """All that was made, and told, is in the catalog."""
        if self._library is not None:
            self._library.damfs_entered()

    def begin_names(self, directory: int) -> None:
        """Every name that comes into the directory is added from now on."""
        if self._library is not None:
            self._library.damfs_names_begin(directory)

    def add_names(self, names: Iterable[str], *, whole: bool = False) -> None:
        """Names that are there, or may be; ``whole``: with those that were added before there are no others."""
        if self._library is not None:
            text = _joined(names)
            self._library.damfs_names_add(text, len(text), int(whole))

    def reserve_names(self, names: Iterable[str]) -> None:
        """Names that are never answered without asking, in upper or lower case."""
        if self._library is not None:
            text = _joined(names)
            self._library.damfs_names_reserve(text, len(text))

    def spare(self, pid: int) -> None:
        """The process is not told without asking which names are not there."""
        if self._library is not None:
            self._library.damfs_names_spare(pid)

    def knows_directory(self, inode: int) -> bool:
        """Whether the module could answer what a directory looked like before the last commit."""
        return self._library is not None and bool(self._library.damfs_knows_directory(inode))

    def made_in(self, inode: int, mtime_ns: int) -> None:
        """The last commit made a name in the directory; its time is this now."""
        if self._library is not None:
            self._library.damfs_made_in(inode, mtime_ns)

    def _there(self) -> ctypes.CDLL:
        assert self._library is not None
        return self._library


class _Told(ctypes.Structure):
    """As `received.c` has it."""

    _fields_ = (
        ("handle", ctypes.c_uint64),
        ("inode", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("mtime_ns", ctypes.c_int64),
        ("made_ns", ctypes.c_int64),
        ("fd", ctypes.c_int32),
        ("mode", ctypes.c_int32),
        ("made", ctypes.c_int32),
        ("undisturbed", ctypes.c_int32),
        ("changed", ctypes.c_int32),
        ("closed", ctypes.c_int32),
        ("name", ctypes.c_char * NAME_ROOM),
    )


def _joined(names: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def refusal(number: int) -> str:
    if number == errno.EPERM:
        return "the kernel refused it: damfs runs without the capability CAP_SYS_ADMIN"
    return f"the kernel refused it: {os.strerror(number)}"


def _declare_receiving(library: ctypes.CDLL) -> None:
    """Raises AttributeError."""
    library.damfs_receive.argtypes, library.damfs_receive.restype = (ctypes.c_uint64, ctypes.c_int), None
    library.damfs_let_go.argtypes, library.damfs_let_go.restype = (ctypes.c_uint64,), None
    library.damfs_news.argtypes = (ctypes.POINTER(_Told),)
    library.damfs_waker.argtypes = ()
    library.damfs_knows_directory.argtypes = (ctypes.c_uint64,)
    library.damfs_made_in.argtypes, library.damfs_made_in.restype = (ctypes.c_uint64, ctypes.c_int64), None


def _declare_making(library: ctypes.CDLL) -> None:
    """Raises AttributeError."""
    number, size = ctypes.c_uint64, ctypes.c_size_t
    library.damfs_may_make.argtypes = (number, ctypes.c_int, ctypes.c_int, number)
    library.damfs_numbers.argtypes = (number, number)
    library.damfs_numbers_left.argtypes, library.damfs_numbers_left.restype = (), number
    library.damfs_entered.argtypes = ()
    library.damfs_names_begin.argtypes = (number,)
    library.damfs_names_add.argtypes = (ctypes.c_char_p, size, ctypes.c_int)
    library.damfs_names_reserve.argtypes = (ctypes.c_char_p, size)
    library.damfs_names_spare.argtypes = (ctypes.c_uint32,)
    library.damfs_make_no_more.argtypes = ()
    for name in (
        "may_make",
        "make_no_more",
        "numbers",
        "entered",
        "names_begin",
        "names_add",
        "names_reserve",
        "names_spare",
    ):
        getattr(library, f"damfs_{name}").restype = None


@functools.cache
def load() -> Native:
    """The module of this process; loaded once."""
    if os.environ.get(SWITCH) == OFF:
        return Native(None, f"switched off by {SWITCH}={OFF}")
    candidates = [Path(__file__).with_name(MODULE + suffix) for suffix in importlib.machinery.EXTENSION_SUFFIXES]
    path = next(filter(Path.exists, candidates), None)
    if path is None:
        return Native(None, NOT_BUILT)
    try:
        library = ctypes.CDLL(os.fspath(path), mode=ctypes.RTLD_GLOBAL)
        library.damfs_pass_through.argtypes = (ctypes.c_uint64, ctypes.c_int, ctypes.c_int)
        library.damfs_keep_listing.argtypes = (ctypes.c_uint64,)
        for name in ("damfs_state", "damfs_refusal", "damfs_hooked", "damfs_backing_open", "damfs_backing_close"):
            getattr(library, name).argtypes = (ctypes.c_int,) if "backing" in name else ()
        library.damfs_answered.argtypes, library.damfs_answered.restype = (), ctypes.c_long
        library.damfs_changed.argtypes, library.damfs_changed.restype = (), None
        _declare_receiving(library)
        _declare_making(library)
    except (OSError, AttributeError) as error:
        return Native(None, f"it cannot be loaded: {error}")
    return Native(library)

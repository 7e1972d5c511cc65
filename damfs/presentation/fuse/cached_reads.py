"""Reads what the page cache has, at once, into the very bytes object that is handed on.

Python would have it copied: into a buffer, and from there into bytes that the allocator fetches anew from the kernel
each time, which takes six times as long as the reading. So the object is made as C code makes it, empty, and filled
before anybody else sees it (`PyBytes_FromStringAndSize` of the C API). Concurrency: any thread; `read_at` on the loop.
Crash rule: none.
"""

from __future__ import annotations

import ctypes
import os

import trio

_new_bytes = ctypes.pythonapi.PyBytes_FromStringAndSize
_new_bytes.restype = ctypes.py_object
_new_bytes.argtypes = (ctypes.c_char_p, ctypes.c_ssize_t)
_address_of = ctypes.pythonapi.PyBytes_AsString
_address_of.restype = ctypes.c_void_p
_address_of.argtypes = (ctypes.py_object,)


def read_cached(fd: int, offset: int, size: int) -> bytes:
    """Fewer bytes than asked: the rest is not cached, or the file ends. Does not block; raises OSError (EAGAIN when
    nothing is cached, EOPNOTSUPP when the file system below cannot say)."""
    if not size:
        return b""  # which is one object for all of Python
    data: bytes = _new_bytes(None, size)
    room = (ctypes.c_char * size).from_address(_address_of(data))
    count = os.preadv(fd, [room], offset, os.RWF_NOWAIT)
    return data if count == size else data[:count]


async def read_at(fd: int, offset: int, size: int) -> bytes:
    """At once from the page cache where it has the bytes, else in a thread."""
    try:
        data = read_cached(fd, offset, size)
    except OSError:  # EAGAIN: not cached; EOPNOTSUPP: the file system below cannot say
        return await trio.to_thread.run_sync(os.pread, fd, size, offset)
    if len(data) == size or not data:
        return data
    return data + await trio.to_thread.run_sync(os.pread, fd, size - len(data), offset + len(data))

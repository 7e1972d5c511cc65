"""A file of lines, each with a checksum, that is appended to and now and then written anew.

Blocks; one writer at a time. Crash rule: what `append` and `rewrite` wrote is durable when they return; a line that a
crash cut short, or a disk spoilt, is passed over by `read`, and counted.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from damfs.storage.disk_errors import disk_errors
from damfs.storage.spots import fsync_folder

_SUM = 8
"""Digits of the checksum in front of a line."""
_LAST = 4096
"""Bytes that the first and the last line have at most, where anybody asks for them."""


class NoteFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[list[bytes], int]:
        """The sound lines, in order, and how many were not; nothing where there is no file. Raises Unavailable."""
        with disk_errors(self.path):
            try:
                found = self.path.read_bytes()
            except FileNotFoundError:
                return [], 0
        *lines, rest = found.split(b"\n")
        sound = [line[_SUM + 1 :] for line in lines if line == _marked(line[_SUM + 1 :])]
        return sound, sum(map(bool, lines)) - len(sound) + bool(rest)

    def append(self, lines: Sequence[bytes]) -> None:
        """Raises NoSpace, Unavailable; the file is then as it was, if it can be cut back."""
        with disk_errors(self.path):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            size = os.fstat(descriptor).st_size
            try:
                # a newline in front: behind a line that was cut short it begins a new one
                _write(descriptor, b"\n" + b"".join(_marked(line) + b"\n" for line in lines))
                os.fdatasync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
            finally:
                os.close(descriptor)

    def size(self) -> int:
        """Bytes; 0 where there is no file."""
        with disk_errors(self.path):
            try:
                return self.path.stat().st_size
            except FileNotFoundError:
                return 0

    def inode(self) -> int:
        """0 where there is no file."""
        with disk_errors(self.path):
            try:
                return self.path.stat().st_ino
            except FileNotFoundError:
                return 0

    def first(self) -> bytes:
        """The first line; empty where that is not whole, or there is none."""
        with disk_errors(self.path):
            try:
                with self.path.open("rb") as file:
                    first = file.readline(_LAST).removesuffix(b"\n")
            except FileNotFoundError:
                return b""
        return first[_SUM + 1 :] if first == _marked(first[_SUM + 1 :]) else b""

    def last(self) -> bytes:
        """The last line; empty where that is not whole, or there is none."""
        with disk_errors(self.path):
            try:
                with self.path.open("rb") as file:
                    file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST))
                    found = file.read()
            except FileNotFoundError:
                return b""
        *lines, rest = found.split(b"\n")
        last = lines[-1] if lines and not rest else b""
        return last[_SUM + 1 :] if last == _marked(last[_SUM + 1 :]) else b""

    def rename(self, name: str) -> None:
        """In its folder, durably. Raises Unavailable."""
        with disk_errors(self.path):
            self.path.rename(self.path.with_name(name))
            _sync_folder(self.path.parent)

    def rewrite(self, pages: Iterable[Sequence[bytes]]) -> None:
        """These lines and no others. Raises NoSpace, Unavailable, and what the pages raise; then it is as it was."""
        part = self.path.with_name(self.path.name + ".new")
        with disk_errors(part):
            descriptor = os.open(part, os.O_WRONLY | os.O_TRUNC | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                for lines in pages:
                    _write(descriptor, b"".join(_marked(line) + b"\n" for line in lines))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            part.replace(self.path)
            _sync_folder(self.path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fsync_folder(folder)
    finally:
        os.close(folder)


def _marked(line: bytes) -> bytes:
    return b"%08x %s" % (zlib.crc32(line), line)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]

"""Which staged files were made before the catalog knew of them: notes of a daemon, for the next one if it is killed.

A line a file: number, time in nanoseconds, mode (decimal), name. `making.c` writes them, and empties the file whenever
all of them are in the catalog. Every call blocks. Crash rule: a line that is not whole is of a file that nobody was
told of; of several for one number the last counts.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from damfs.storage.disk_errors import disk_errors

RECEIVED_NOTES = "received-names"
_LINE = re.compile(r"([0-9]{1,18}) ([0-9]{1,19}) ([0-9]{1,4}) ([A-Za-z0-9_-][A-Za-z0-9._-]{2,254})\n")
LATEST_NS = (1 << 63) - 1
ALL_BITS = 0o7777


class ReceivedNote(NamedTuple):
    number: int
    at_ns: int
    mode: int
    name: str


class ReceivedNotes:
    def __init__(self, state: Path) -> None:
        self._path = state / RECEIVED_NOTES

    def open(self) -> int:
        """A descriptor of the file, which is empty then. The caller closes it."""
        with disk_errors(self._path):
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(self._path, flags, 0o600)

    def read(self) -> list[ReceivedNote]:
        with disk_errors(self._path):
            try:
                text = self._path.read_bytes().decode("ascii", "replace")
            except FileNotFoundError:
                return []
        lines = (_LINE.fullmatch(line) for line in text.splitlines(keepends=True))
        notes = (ReceivedNote(int(each[1]), int(each[2]), int(each[3]), each[4]) for each in lines if each is not None)
        return list({each.number: each for each in notes if is_possible(each)}.values())

    def forget(self) -> None:
        with disk_errors(self._path):
            self._path.unlink(missing_ok=True)


def is_possible(note: ReceivedNote) -> bool:
    """Whether a daemon can have written it: a disk may have spoilt it."""
    return note.at_ns <= LATEST_NS and note.mode <= ALL_BITS

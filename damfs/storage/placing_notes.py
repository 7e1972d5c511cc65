"""Where a staged file is about to go, noted beside it: for file systems on which no file can have two names.

Blocks; safe for different files at once. Crash rule: a note is durable before the file is renamed, so that a staged
file that is gone is found by its note; while the staged file is there, its note means nothing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from damfs.model import Key
from damfs.storage.spots import Spot, fsync_folder

NOTE = ".placed"


def write_note(source: Spot, key: Key) -> None:
    """Durably. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(source.name + NOTE.encode(), flags, 0o600, dir_fd=source.folder)
    with os.fdopen(descriptor, "wb") as note:
        note.write(key)
        note.flush()
        os.fsync(note.fileno())
    fsync_folder(source.folder)


def remove_note(source: Spot) -> None:
    with suppress(FileNotFoundError):
        os.unlink(source.name + NOTE.encode(), dir_fd=source.folder)


def read_notes(directory: Path) -> dict[int, Key]:
    """By the number that the staged file has for a name. Raises OSError."""
    notes = [path for path in directory.glob("*" + NOTE) if path.stem.isascii() and path.stem.isdigit()]
    return {int(path.stem): Key(path.read_bytes()) for path in notes}

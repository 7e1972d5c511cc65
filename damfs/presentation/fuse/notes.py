"""Small texts that file managers keep in their trash (info/x.trashinfo): rows of the catalog, shown as files.

Loop's thread: a row of at most 64 KiB. Crash rule: every write is committed.
"""

from __future__ import annotations

from dataclasses import dataclass

from damfs.catalog import desktop_trash
from damfs.core.library import Library
from damfs.core.trash_commands import WriteNote
from damfs.errors import NoSpace
from damfs.presentation.fuse.draft_files import ACTOR

LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class OpenNote:
    library: Library
    id: int

    def read(self, offset: int, size: int) -> bytes:
        return self._content()[offset : offset + size]

    def write(self, offset: int, data: bytes) -> int:
        """Raises NoSpace: it is no place for files."""
        if offset + len(data) > LIMIT:
            raise NoSpace(f"the trash of a file manager keeps texts of up to {LIMIT} bytes only")
        content = self._content()
        self._save(content[:offset].ljust(offset, b"\0") + data + content[offset + len(data) :])
        return len(data)

    def truncate(self, size: int) -> None:
        """Raises NoSpace."""
        if size > LIMIT:
            raise NoSpace(f"the trash of a file manager keeps texts of up to {LIMIT} bytes only")
        self._save(self._content()[:size].ljust(size, b"\0"))

    def _content(self) -> bytes:
        return desktop_trash.content_of(self.library.db.writer, self.id) or b""

    def _save(self, content: bytes) -> None:
        self.library.perform(WriteNote(self.id, content), ACTOR)

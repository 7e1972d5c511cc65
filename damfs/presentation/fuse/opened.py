"""What a handle of the mount stands for. Plain data; `OpenFiles` has the table."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple

from damfs.model import BlobId
from damfs.presentation.fuse.draft_files import Draft
from damfs.presentation.fuse.events import EventReader
from damfs.presentation.fuse.listings import KeptListing, Listing
from damfs.presentation.fuse.notes import OpenNote


@dataclass(slots=True)
class Reading:
    fd: int
    what: bytes
    """For error messages."""


class Bytes(NamedTuple):
    """What an open handle reads: one is as good as another of the same blob, or the same file."""

    blob: BlobId | None
    file: tuple[int, int] | None
    """Device and inode below."""

    def same(self, other: Bytes) -> bool:
        return (self.blob is not None and self.blob == other.blob) or (
            self.file is not None and self.file == other.file
        )


NEXT = Bytes(None, None)
"""Of a draft that does not exist yet: like no other."""


class Opened(NamedTuple):
    handle: int
    keep_cache: bool
    """Whether what the kernel remembers of the inode's bytes still holds."""


@dataclass(slots=True)
class Text:
    content: bytes


@dataclass(slots=True)
class DraftHandle:
    draft: Draft
    writes: bool
    unprivileged: bool = False
    """Opened by a user whose first write takes set-user-id bits away."""


Open = Reading | Text | Listing | KeptListing | DraftHandle | EventReader | OpenNote


def file_of(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino

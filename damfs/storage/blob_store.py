"""What damfs asks of a place with bytes. `LocalStore` is the first; S3 is to pass the same conformance suite.

Concurrency: every method blocks; call it in a worker thread. Implementations are safe to call from several
threads at once. Crash rule: after ``publish`` returned, the bytes and their name survive power loss; before,
there is either nothing or the whole file under the key, never a part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from damfs.errors import DamfsError
from damfs.model import Digest, Key, StoreKind


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file of a store as the file system describes it: what a scan compares to find what changed."""

    key: Key
    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int = field(default=0, compare=False)
    """When anything of it was changed last: goes on whatever a program sets. 0: nobody asked."""

    links: int = field(default=0, compare=False)
    """How many names the file has: one more or less changes the ctime, and no byte."""

    def is_untouched_since(self, earlier: FileFact) -> bool:
        """Whether nothing happened to the bytes of the file between the two looks."""
        return self == earlier and (self.ctime_ns == earlier.ctime_ns or self.links != earlier.links)


@dataclass(frozen=True, slots=True)
class Hashed:
    """The digest of a file, its size, and its first bytes (at most 8192) to tell the media type by."""

    digest: Digest
    size: int
    head: bytes
    fact: FileFact | None = None


@dataclass(frozen=True, slots=True)
class WalkProblem:
    """Something a walk met and left out, with the reason in one line."""

    key: Key
    reason: str


class BlobStore(Protocol):
    """Errors: NotFound (no such key), ReadOnly, Conflict (key taken), NoSpace, Unavailable (offline, I/O error)."""

    @property
    def kind(self) -> StoreKind: ...

    def online(self) -> bool:
        """Whether the store can be reached: a missing volume is offline, not empty."""

    def stat(self, key: Key) -> FileFact: ...

    def open(self, key: Key) -> int:
        """A file descriptor to read from; the caller closes it."""

    def path(self, key: Key) -> Path:
        """A local path that a worker process can read. It must not be written."""

    def hash(self, key: Key, watch: Callable[[int], object] | None = None) -> Hashed:
        """Stream the file through BLAKE3. Unavailable when it changed meanwhile.

        ``watch`` is told every now and then how many bytes are done; what it raises ends the reading.
        """

    def walk(self) -> Iterator[FileFact | WalkProblem]:
        """Every regular file of the store (names that only desktops leave behind are left out), any order."""

    def publish(self, staged: Path, key: Key) -> FileFact:
        """Make the staged file appear at key, durably and without replacing; the staged name goes away."""

    def place(self, staged: Path, key: Key) -> FileFact:
        """The same, but the staged name stays beside the new one, so that after a crash it is known whose bytes these
        are. Where no file can have two names, a note beside the staging area says where it went, before it goes."""

    def place_all(self, staged: Sequence[tuple[Path, Key]]) -> list[FileFact | DamfsError]:
        """As `place`, many files whose bytes are durable already; what became of each, in order."""

    def withdraw(self, staged: Path, key: Key) -> None:
        """Take back what `place` did just now: the bytes have their staged name only. A copy stays where it is."""

    def second_name(self, staged: Path, folder: Key) -> Key | None:
        """The key of another name of the staged file directly in a folder, which need not be there."""

    def replace(self, staged: Path, key: Key) -> FileFact:
        """Make the staged file take the place of the file at key, durably, in one step; the staged name goes away.

        NotFound when there is none to replace. Who calls this has given the old bytes another name first: they are not
        to be lost, and whoever has them open keeps reading them.
        """

    def link(self, key: Key, new_key: Key) -> FileFact:
        """A second name for the same bytes, durably and without replacing."""

    def move(self, key: Key, new_key: Key) -> FileFact:
        """Rename without replacing, durably."""

    def remove(self, key: Key) -> None:
        """Only trash expiry, the pruning of versions that the settings ask for, and the removal of a superfluous second
        name of the same file may call this."""

    def folders(self) -> Iterator[Key]:
        """Every folder of the store, also empty ones; one that holds others comes before them."""

    def has_folder(self, key: Key) -> bool: ...

    def make_folder(self, key: Key) -> None:
        """An empty folder, durably. NotFound when the folder it is to lie in is not there; Conflict when it is."""

    def remove_folder(self, key: Key) -> None:
        """Durably. NotEmpty when anything is in it."""

    def move_folder(self, key: Key, new_key: Key) -> None:
        """Rename it with all that is below it, durably. It may take the place of an empty folder, and of nothing else:
        NotEmpty, or Conflict for a file."""

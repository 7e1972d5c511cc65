"""A folder of a mounted file system as a store: files under readable paths, written once, never changed.

Every method blocks; call it in a worker thread. Safe from several threads at once, in one process (two daemons on
one library are refused). Crash rule: see `blob_store`; what may remain is a staged name beside the published one
(`publish` run again takes it away), a note of where a staged file went, or one hidden ``.damfs-copy-`` file, which
`walk` reports.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from damfs.errors import Conflict, DamfsError, NotFound, ReadOnly, Unavailable
from damfs.model import Key, StoreKind
from damfs.storage import folder_steps
from damfs.storage.blob_store import FileFact, Hashed, WalkProblem
from damfs.storage.digest import hash_open_file
from damfs.storage.disk_errors import disk_errors, shown, translated
from damfs.storage.placing import copied_to, link, rename, replaced
from damfs.storage.placing_notes import remove_note, write_note
from damfs.storage.spots import Identity, Spot, fsync_folder, identity, made_spot, parts, spot
from damfs.storage.tree_walk import passed_by, walk_tree

Way = Callable[[Spot, Spot], bool]
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # NONBLOCK: opening a pipe would wait for ever


class LocalStore:
    """Implements `BlobStore`. ``skip``: absolute folders that `walk` leaves out, e.g. the mountpoint."""

    def __init__(self, root: Path, kind: StoreKind, skip: frozenset[Path] = frozenset()) -> None:
        self._root = os.path.abspath(os.fsencode(root))
        self._kind = kind
        self._skip = frozenset(os.path.abspath(os.fsencode(folder)) for folder in skip)
        self._settled: set[Identity] = set()
        self._one_copy_at_a_time = threading.Lock()
        self.is_away = False
        """Whether nothing may be written: what is at the root is not its volume."""

    @property
    def kind(self) -> StoreKind:
        return self._kind

    def online(self) -> bool:
        """Whether the root is a folder. An empty folder is online: whether that is a volume which was not
        mounted, only somebody who knows what was in it can tell."""
        return os.path.isdir(self._root)

    def stat(self, key: Key) -> FileFact:
        with self._errors(key), spot(self._root, key) as place:
            return _fact(key, _regular(os.stat(place.name, dir_fd=place.folder, follow_symlinks=False), key))

    def open(self, key: Key) -> int:
        with self._errors(key), spot(self._root, key) as place:
            return _open_regular(place, key, quietly=self._kind is StoreKind.READ_ONLY)

    def path(self, key: Key) -> Path:
        return Path(os.fsdecode(os.path.join(self._root, *parts(key))))

    def hash(self, key: Key, watch: Callable[[int], object] | None = None) -> Hashed:
        descriptor = self.open(key)
        try:
            with self._errors(key):
                fact = _fact(key, os.fstat(descriptor))
                hashed = hash_open_file(descriptor, watch)
                changed = _fact(key, os.fstat(descriptor)) != fact
        finally:
            os.close(descriptor)
        if hashed is None or hashed.size != fact.size or changed:
            raise Unavailable(f"{shown(self._absolute(key))}: changed while it was read; it is read again later")
        return Hashed(digest=hashed.digest, size=hashed.size, head=hashed.head, fact=fact)

    def walk(self) -> Iterator[FileFact | WalkProblem]:
        """Every regular file; problems beside them. Raises Unavailable when the root cannot be listed, or was
        replaced before the walk ended (a volume that went away): what was not met is then not gone."""
        before = self._root_identity()
        try:
            yield from walk_tree(self._root, self._skip, hidden=self._kind is StoreKind.WRITABLE)
        except OSError as error:
            raise Unavailable(str(translated(error, self._root))) from error
        if self._root_identity() != before:
            raise Unavailable(f"{shown(self._root)}: its volume changed while the folder was read; scan it again")

    def publish(self, staged: Path, key: Key) -> FileFact:
        """Also ends a publish that was interrupted: a key that already is a second name of ``staged`` is taken."""
        self._must_be_writable(key)
        with _spot_of(staged) as source:
            with disk_errors(staged):
                _fsync_file(source)
            with self._errors(key), made_spot(self._root, key, self._settled) as target:
                if _is_same_file(source, target) or self._placed(source, target, (link, rename)):
                    fsync_folder(target.folder)
                    os.unlink(source.name, dir_fd=source.folder)
                fsync_folder(target.folder)
                return _fact_of(target, key)

    def place(self, staged: Path, key: Key) -> FileFact:
        self._must_be_writable(key)
        with _spot_of(staged) as source:
            with disk_errors(staged):
                _fsync_file(source)
            with self._errors(key), made_spot(self._root, key, self._settled) as target:
                self._put(source, target, key)
                fsync_folder(target.folder)
                return _fact_of(target, key)

    def place_all(self, staged: Sequence[tuple[Path, Key]]) -> list[FileFact | DamfsError]:
        """Each folder is made durable once."""
        try:
            self._must_be_writable(staged[0][1] if staged else Key(b""))
        except DamfsError as error:
            return [error for _ in staged]
        answers: dict[Key, FileFact | DamfsError] = {}
        by_folder: dict[bytes, list[tuple[Path, Key]]] = {}
        for each in staged:
            by_folder.setdefault(each[1].rpartition(b"/")[0], []).append(each)
        for group in by_folder.values():
            try:
                self._place_into(group, answers)
            except DamfsError as error:
                answers.update({key: error for _, key in group})
        return [answers[key] for _, key in staged]

    def _place_into(self, group: Sequence[tuple[Path, Key]], answers: dict[Key, FileFact | DamfsError]) -> None:
        """Files of one folder. Raises what concerns them all."""
        with ExitStack() as stack:
            stack.enter_context(self._errors(group[0][1]))
            staging = stack.enter_context(_spot_of(group[0][0])).folder
            folder = stack.enter_context(made_spot(self._root, group[0][1], self._settled)).folder
            for path, key in group:
                source, target = Spot(staging, os.fsencode(path.name)), Spot(folder, key.rpartition(b"/")[2])
                try:
                    self._put(source, target, key)
                except OSError as error:
                    answers[key] = translated(error, self._absolute(key))
            fsync_folder(folder)
            for _, key in group:
                if key not in answers:
                    answers[key] = _fact_of(Spot(folder, key.rpartition(b"/")[2]), key)

    def _put(self, source: Spot, target: Spot, key: Key) -> None:
        """Give the bytes the target's name, also where that was done before a crash. The old one remains, or a note
        says where they went."""

        def noted_rename(source: Spot, target: Spot) -> bool:
            renamed = False
            write_note(source, key)
            try:
                renamed = rename(source, target)
            finally:
                if not renamed:
                    remove_note(source)
            return renamed

        try:
            self._placed(source, target, (link, noted_rename))
        except FileExistsError:
            if not _is_same_file(source, target):
                raise

    def withdraw(self, staged: Path, key: Key) -> None:
        self._must_be_writable(key)
        with self._errors(key), _spot_of(staged) as source, spot(self._root, key) as target:
            if _is_same_file(source, target):
                os.unlink(target.name, dir_fd=target.folder)
            elif not os.path.lexists(staged):
                rename(target, source)
                fsync_folder(source.folder)
            fsync_folder(target.folder)

    def second_name(self, staged: Path, folder: Key) -> Key | None:
        with disk_errors(staged):
            wanted = os.stat(staged, follow_symlinks=False)
        with self._errors(folder), suppress(FileNotFoundError), os.scandir(self._absolute(folder)) as found:
            for entry in found:
                if entry.inode() == wanted.st_ino and os.path.samestat(entry.stat(follow_symlinks=False), wanted):
                    return Key(folder + b"/" + entry.name if folder else entry.name)
        return None

    def replace(self, staged: Path, key: Key) -> FileFact:
        self._must_be_writable(key)
        with _spot_of(staged) as source:
            with disk_errors(staged):
                _fsync_file(source)
            with self._errors(key), spot(self._root, key) as target:
                _regular(os.stat(target.name, dir_fd=target.folder, follow_symlinks=False), key)
                with self._one_copy_at_a_time:
                    replaced(source, target)
                fsync_folder(target.folder)
                return _fact_of(target, key)

    def link(self, key: Key, new_key: Key) -> FileFact:
        """Where the file system has no hard links the bytes are copied."""
        self._must_be_writable(new_key)
        with self._source(key) as source, self._errors(new_key), self._made(new_key) as target:
            self._placed(source, target, (link,))
            fsync_folder(target.folder)
            return _fact_of(target, new_key)

    def move(self, key: Key, new_key: Key) -> FileFact:
        self._must_be_writable(new_key)
        with self._source(key) as source, self._errors(new_key), self._made(new_key) as target:
            if self._placed(source, target, (rename, link)):
                fsync_folder(target.folder)
                os.unlink(source.name, dir_fd=source.folder)
            fsync_folder(target.folder)
            fsync_folder(source.folder)
            return _fact_of(target, new_key)

    def remove(self, key: Key) -> None:
        self._must_be_writable(key)
        with self._errors(key), spot(self._root, key) as place:
            _regular(os.stat(place.name, dir_fd=place.folder, follow_symlinks=False), key)
            os.unlink(place.name, dir_fd=place.folder)
            fsync_folder(place.folder)

    def folders(self) -> Iterator[Key]:
        return folder_steps.folders_below(self._root, self._passes_by)

    def _passes_by(self, name: bytes) -> bool:
        return passed_by(name, hidden=self._kind is StoreKind.WRITABLE)

    def has_folder(self, key: Key) -> bool:
        with self._errors(key):
            try:
                with spot(self._root, key) as place:
                    return stat.S_ISDIR(os.stat(place.name, dir_fd=place.folder, follow_symlinks=False).st_mode)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def make_folder(self, key: Key) -> None:
        self._must_be_writable(key)
        with self._errors(key), spot(self._root, key) as place:
            folder_steps.make(place)

    def remove_folder(self, key: Key) -> None:
        self._must_be_writable(key)
        with self._errors(key), spot(self._root, key) as place:
            folder_steps.remove(place)

    def move_folder(self, key: Key, new_key: Key) -> None:
        self._must_be_writable(new_key)
        with self._source_folder(key) as source, self._errors(new_key), spot(self._root, new_key) as target:
            try:
                folder_steps.move(source, target)
            except NotADirectoryError as error:
                raise Conflict(f"{shown(new_key)}: is a file, which a folder does not replace") from error

    @contextmanager
    def _source_folder(self, key: Key) -> Iterator[Spot]:
        """Raises NotFound when it is no folder."""
        with ExitStack() as stack:
            with self._errors(key):
                source = stack.enter_context(spot(self._root, key))
                status = os.stat(source.name, dir_fd=source.folder, follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    raise NotFound(f"{shown(key)}: not a folder")
            yield source

    def _placed(self, source: Spot, target: Spot, ways: tuple[Way, ...]) -> bool:
        """Give the bytes the target's name, by copying where nothing else works; whether the old name remains."""
        for way in ways:
            if way(source, target):
                return way is not rename
        with self._one_copy_at_a_time:
            copied_to(source, target)
        return True

    @contextmanager
    def _source(self, key: Key) -> Iterator[Spot]:
        with ExitStack() as stack:
            with self._errors(key):
                source = stack.enter_context(spot(self._root, key))
                _regular(os.stat(source.name, dir_fd=source.folder, follow_symlinks=False), key)
            yield source

    def _made(self, key: Key) -> AbstractContextManager[Spot]:
        return made_spot(self._root, key, self._settled)

    def _errors(self, key: Key) -> AbstractContextManager[None]:
        return disk_errors(self._absolute(key))

    def _absolute(self, key: Key) -> bytes:
        return self._root + b"/" + key

    def _root_identity(self) -> Identity:
        try:
            return identity(os.stat(self._root))
        except OSError as error:
            raise Unavailable(
                f"{shown(self._root)}: the folder of this store is not there; is its volume connected?"
            ) from error

    def _must_be_writable(self, key: Key) -> None:
        if self._kind is StoreKind.READ_ONLY:
            raise ReadOnly(f"{shown(self._absolute(key))}: belongs to a read-only store, which damfs never changes")
        if self.is_away:
            raise Unavailable(f"{shown(self._root)}: the volume of this store is away; connect it and try again")


@contextmanager
def _spot_of(path: Path) -> Iterator[Spot]:
    with disk_errors(path):
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Spot(folder, os.fsencode(path.name))
    finally:
        os.close(folder)


def _open_regular(place: Spot, key: Key, *, quietly: bool) -> int:
    """Looks before it opens: opening a device may do something. ``quietly``: leave the access time as it is."""
    _regular(os.stat(place.name, dir_fd=place.folder, follow_symlinks=False), key)
    try:
        descriptor = os.open(place.name, _READ | (os.O_NOATIME if quietly else 0), dir_fd=place.folder)
    except PermissionError:  # only the owner may leave the access time alone
        descriptor = os.open(place.name, _READ, dir_fd=place.folder)
    os.set_blocking(descriptor, True)
    return descriptor


def _fsync_file(place: Spot) -> None:
    descriptor = os.open(place.name, _READ, dir_fd=place.folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_same_file(source: Spot, target: Spot) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(*(os.stat(at.name, dir_fd=at.folder, follow_symlinks=False) for at in (source, target)))
    return False


def _regular(status: os.stat_result, key: Key) -> os.stat_result:
    if not stat.S_ISREG(status.st_mode):
        raise NotFound(f"{shown(key)}: a folder, link, pipe or device, not a file of the store")
    return status


def _fact_of(place: Spot, key: Key) -> FileFact:
    return _fact(key, os.stat(place.name, dir_fd=place.folder, follow_symlinks=False))


def _fact(key: Key, status: os.stat_result) -> FileFact:
    return FileFact(key, status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns, status.st_nlink)

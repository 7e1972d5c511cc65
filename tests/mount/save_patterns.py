"""How programs put a file into a directory: the calls of each, seen with strace where the program was at hand.

A pattern is a generator: it saves ``content`` under ``name`` and pauses (yields) wherever a temporary file of it is
closed and lies there, as long as a person may let it. Programs that are installed are run themselves.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tests.mount.daemon_process import run

Pattern = Callable[[Path, str, bytes], Iterator[Path]]
MTIME_NS = 1_600_000_000_123_000_000


def _write(path: Path, content: bytes, flags: int, *, sync: bool = False) -> None:
    fd = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        for start in range(0, len(content), 4096):
            os.write(fd, content[start : start + 4096])
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def cp(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """Also curl, ffmpeg, most exports: create or truncate, write."""
    _write(directory / name, content, os.O_CREAT | os.O_TRUNC)
    yield from ()


def _rsync(directory: Path, name: str, content: bytes, *options: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, name)
        source.write_bytes(content)
        os.utime(source, ns=(MTIME_NS, MTIME_NS))
        run("rsync", "--times", "--no-whole-file", *options, source, f"{directory}/")
    assert (directory / name).stat().st_mtime_ns == MTIME_NS


def rsync(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """Writes `.name.Ab12Cd`, sets its times, renames it."""
    _rsync(directory, name, content)
    yield from ()


def rsync_inplace(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    _rsync(directory, name, content, "--inplace")
    yield from ()


def rsync_partial(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    _rsync(directory, name, content, "--partial")
    yield from ()


def vim(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """Swap file; a probe called 4913; a backup x~ (a copy, where the file has two links); then in place."""
    _vim(directory, name, content, "")
    yield from ()


def vim_that_renames(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """`set backupcopy=no`, as other editors always do: x becomes x~, x is made anew, x~ is removed."""
    _vim(directory, name, content, " backupcopy=no")
    yield from ()


def _vim(directory: Path, name: str, content: bytes, more: str) -> None:
    if shutil.which("vim"):
        text = content.decode().replace("'", "''")
        lines = ",".join(f"'{line}'" for line in text.removesuffix("\n").split("\n"))
        edit = f"call setline(1, [{lines}])"
        settings = f"set nocompatible swapfile writebackup backupskip={more}"
        commands = [part for command in (settings, "%d", edit, "wq") for part in ("-c", command)]
        run("vim", "-u", "NONE", "-i", "NONE", "-N", "-es", *commands, directory / name)
        return
    path, swap, backup = directory / name, directory / f".{name}.swp", directory / f"{name}~"
    _write(swap, b"b0VIM" * 800, os.O_CREAT | os.O_EXCL, sync=True)
    _write(directory / "4913", b"", os.O_CREAT | os.O_EXCL)
    (directory / "4913").unlink()
    if path.exists() and more:
        path.rename(backup)
    elif path.exists():
        _write(backup, path.read_bytes(), os.O_CREAT | os.O_EXCL)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), "wb") as file:
        file.truncate(0)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    backup.unlink(missing_ok=True)
    swap.unlink()


def gimp_export(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """In place, in several writes, with a seek back to the header."""
    with (directory / name).open("wb") as file:
        file.write(bytes(16))
        file.write(content[16:])
        file.flush()
        file.seek(0)
        file.write(content[:16])
    yield from ()


def glib(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """GIMP's .xcf, gedit, Nautilus: g_file_replace. A new name is created at once; over another the target is opened
    for writing (to see whether it may be), `.goutputstream-` is written and renamed, then the target is closed."""
    path, temporary = directory / name, directory / ".goutputstream-5LHAZ3"
    try:
        _write(path, content, os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        probe = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            _write(temporary, content, os.O_CREAT | os.O_EXCL, sync=True)
            yield temporary
            temporary.rename(path)
        finally:
            os.close(probe)


def gio_save(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """The real one where it is installed."""
    if shutil.which("gio"):
        done = subprocess.run(["gio", "save", directory / name], input=content, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    else:
        yield from glib(directory, name, content)


def libreoffice(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """A lock file as long as the document is open; a temporary file beside it, renamed over it; the lock goes."""
    lock, temporary = directory / f".~lock.{name}#", directory / "lu128f3kq2.tmp"
    _write(lock, b",user,host,22.11.2026 12:00,file:///config;", os.O_CREAT | os.O_EXCL)
    yield lock
    _write(temporary, content, os.O_CREAT | os.O_EXCL, sync=True)
    yield temporary
    temporary.rename(directory / name)
    lock.unlink()


def word(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """Microsoft Office over Samba: an owner file, a temporary file; the old document is renamed away, then removed."""
    path, owner, old = directory / name, directory / f"~${name[2:]}", directory / "~WRL0001.tmp"
    temporary = directory / "~WRD0000.tmp"
    _write(owner, b"user", os.O_CREAT | os.O_EXCL)
    _write(temporary, content, os.O_CREAT | os.O_EXCL)
    yield temporary
    with suppress(FileNotFoundError):
        path.rename(old)
    temporary.rename(path)
    old.unlink(missing_ok=True)
    owner.unlink()


def chrome(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """Under a hidden name until the person has chosen, then `.crdownload`, then the name; and where it is from."""
    hidden, download = directory / ".com.google.Chrome.Xy12Zq", directory / f"{name}.crdownload"
    _write(hidden, content[: len(content) // 2], os.O_CREAT | os.O_EXCL)
    yield hidden
    hidden.rename(download)
    _write(download, content[len(content) // 2 :], os.O_APPEND)
    yield download
    download.rename(directory / name)
    with suppress(OSError):  # so does Chrome
        os.setxattr(directory / name, "user.xdg.origin.url", b"https://example.org/clip")


def firefox(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """An empty file holds the name; `.part` is renamed over it."""
    part = directory / f"Qb3x_9Lr.{name}.part"
    if not (directory / name).exists():
        _write(directory / name, b"", os.O_CREAT | os.O_EXCL)
    _write(part, content, os.O_CREAT | os.O_EXCL)
    yield part
    part.rename(directory / name)


def curl_like(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """yt-dlp, wget2, aria2: `.part`, and a control file beside it."""
    part, control = directory / f"{name}.part", directory / f"{name}.aria2"
    _write(control, b"state", os.O_CREAT | os.O_TRUNC)
    _write(part, content[:10], os.O_CREAT | os.O_TRUNC)
    yield part
    _write(part, content[10:], os.O_APPEND)
    part.rename(directory / name)
    control.unlink()


def dolphin(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """KIO: `.part`, the mode, the name, the times."""
    part = directory / f"{name}.part"
    _write(part, content, os.O_CREAT | os.O_TRUNC)
    part.chmod(0o600)
    yield part
    part.rename(directory / name)
    (directory / name).chmod(0o644)
    os.utime(directory / name, ns=(MTIME_NS, MTIME_NS))


def nautilus_copy(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """g_file_copy: with the real gio where it is installed."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, name)
        source.write_bytes(content)
        if shutil.which("gio"):
            run("gio", "copy", source, directory / name)
        else:
            _write(directory / name, content, os.O_CREAT | os.O_TRUNC)
    yield from ()


def finder(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """macOS over Samba: the file, then what the Finder keeps beside it, which it can do without."""
    _write(directory / name, content, os.O_CREAT | os.O_TRUNC)
    for dropping in (f"._{name}", ".DS_Store"):
        with suppress(PermissionError):
            _write(directory / dropping, b"\0\5\x16\7" * 20, os.O_CREAT)
    for stream in ("user.DosStream.com.apple.metadata:_kMDItemUserTags:$DATA", "user.DOSATTRIB"):
        os.setxattr(directory / name, stream, b"0x20")
        assert os.getxattr(directory / name, stream) == b"0x20"
    yield from ()


def exiftool(directory: Path, name: str, content: bytes) -> Iterator[Path]:
    """Writes beside it and renames over it; also sed -i, perl -i and many more."""
    temporary = directory / f"{name}_exiftool_tmp"
    _write(temporary, content, os.O_CREAT | os.O_EXCL)
    yield temporary
    temporary.rename(directory / name)


NEW: tuple[Pattern, ...] = (
    cp, rsync, rsync_inplace, rsync_partial, vim, vim_that_renames, gimp_export, glib, gio_save, libreoffice, word,
    chrome, curl_like, dolphin, nautilus_copy, finder, exiftool,
)  # fmt: skip
"""Of a name that is not there yet."""
OVER: tuple[Pattern, ...] = (
    cp, rsync, rsync_inplace, rsync_partial, vim, gimp_export, glib, gio_save, libreoffice, chrome, firefox, curl_like,
    dolphin, nautilus_copy, finder, exiftool,
)  # fmt: skip
"""Of a name that is an asset already: it stays that asset."""
AWAY: tuple[Pattern, ...] = (vim_that_renames, word)
"""Rename the old file away and remove it when the new one is there."""

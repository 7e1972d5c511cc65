"""Names that programs leave behind or write for a moment: which never are assets, and which are not yet.

Pure functions of a name (one path step, as text); nothing here looks at a disk.
"""

from __future__ import annotations

import re

_EXACT = frozenset(
    {
        # version control, which desktops, shells and editors look for in every directory
        ".git", ".hg", ".svn", ".bzr",
        # Linux desktops
        ".directory", ".hidden", ".nomedia", ".trackerignore", ".xdg-volume-info", ".sh_thumbnails", ".thumbnails",
        # macOS
        ".DS_Store", ".localized", ".Spotlight-V100", ".fseventsd", ".TemporaryItems", ".DocumentRevisions-V100",
        ".VolumeIcon.icns", ".com.apple.timemachine.donotpresent", ".apdisk", ".AppleDouble", ".AppleDB",
        ".AppleDesktop", ".metadata_never_index", ".metadata_never_index_unless_rootfs", "Icon\r", "mach_kernel",
        "Network Trash Folder", "Temporary Items",
    }
)  # fmt: skip
_WINDOWS = frozenset(
    {
        "thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "autorun.inf",
        "$recycle.bin", "recycler", "system volume information",
    }
)  # fmt: skip
"""Compared without case, as Windows does."""

_TEMPORARY = re.compile(
    r"""
      .+ (?i: \.part | \.partial | \.filepart | \.crdownload | \.opdownload | \.download | \.aria2 | \.ytdl
            | \.!ut | \.!qb | \.!sync                # downloads
            | \.tmp | \.temp | _exiftool_tmp | \.kate-swp | ~ )
    | \..+\.[A-Za-z0-9]{6}                           # rsync .clip.mov.Ab12Cd, Chrome .com.google.Chrome.AbCdEf
    | \.goutputstream-.+                             # GLib
    | \.nfs[0-9a-f]+ | \.fuse_hidden[0-9a-f]+ | \.smbdelete.+    # deleted while open
    | \..+\.sw[a-z] | 4913                           # vim; 4913 is how it tries whether it may write
    | \.\#.+ | \#.+\#                                # emacs
    | ~\$.+ | \.~.+                                  # Office; LibreOffice .~lock.x#, Nextcloud
    """,
    re.VERBOSE | re.DOTALL,
)

_WORKING_FOLDERS = frozenset({".~tmp~", ".rsync-partial", ".rsync-tmp"})

_BACKUP_ENDINGS = (".bak", ".backup", ".old", ".orig", ".sav")


def droppings() -> frozenset[str]:
    """All names of which `is_dropping` can be told without a rule, some of them in lower case."""
    return _EXACT | _WINDOWS


def is_dropping(name: str) -> bool:
    """Whether a file or folder of this name belongs to a desktop and never is an asset."""
    return name in _EXACT or name.startswith(("._", ".Trash")) or name.lower() in _WINDOWS


def is_temporary(name: str) -> bool:
    """Whether a program is still at work under this name and will rename it: no job starts before."""
    return _TEMPORARY.fullmatch(name) is not None


def is_backup(name: str) -> bool:
    """Whether a program that saves may call the old file so until the new one is whole, or for good."""
    return is_temporary(name) or name.lower().endswith(_BACKUP_ENDINGS)


def is_working_folder(name: str) -> bool:
    """Whether a program makes a folder of this name beside what it writes, and removes it when all has its name."""
    return name in _WORKING_FOLDERS

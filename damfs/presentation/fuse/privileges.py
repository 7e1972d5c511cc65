"""Set-user-id and set-group-id bits, which whoever writes a file, or gives it to another user, takes away.

The kernel leaves that to us (FUSE_HANDLE_KILLPRIV, which libfuse asks for). On the loop; one small transaction.
"""

from __future__ import annotations

import stat

from damfs.core.commands import SetMode
from damfs.core.library import Library
from damfs.model import AssetId

ACTOR = "fuse"


def without_privileges(mode: int) -> int:
    """As the kernel's setattr_should_drop_suidgid: a set-group-id bit without execution means something else."""
    dropped = stat.S_ISUID | (stat.S_ISGID if mode & stat.S_IXGRP else 0)
    return mode & ~dropped


def drop_privileges(library: Library, id_: AssetId) -> None:
    asset = library.asset(id_)
    if asset is not None and without_privileges(asset.mode) != asset.mode:
        library.execute([SetMode(id_, without_privileges(asset.mode))], ACTOR)

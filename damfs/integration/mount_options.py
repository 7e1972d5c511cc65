"""The options of a mount, sorted: what the kernel is told, what damfs does itself, what only fstab means. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from damfs.errors import BadMountpoint

NOT_OURS = frozenset({"auto", "noauto", "nofail", "_netdev", "defaults", "user", "users", "nouser", "owner", "group",
    "comment", "quiet", "silent", "loud"})  # fmt: skip
"""Of fstab: who may mount, when, and what for."""
MEANINGLESS = frozenset({"dev", "suid", "diratime", "nodiratime", "relatime", "norelatime", "strictatime",
    "nostrictatime", "lazytime", "nolazytime", "iversion", "noiversion", "mand", "nomand"})  # fmt: skip
"""A library has no devices, no programs that run as another user, and keeps no time of the last reading."""
OWNERSHIP = frozenset({"uid", "gid", "umask", "fmask", "dmask"})
SHARING = frozenset({"allow_other", "allow_root"})


@dataclass(frozen=True, slots=True)
class MountOptions:
    kernel: tuple[str, ...]
    """For FUSE, in the order they were given."""
    user: str | None
    """Who the daemon is to run as (``setuid=``, as mount.fuse3 calls it); None: whoever mounts."""


def sort_options(given: Iterable[str]) -> MountOptions:
    """Of texts as they follow ``-o``. Raises BadMountpoint for what cannot be had."""
    kernel: list[str] = []
    user = None
    for option in (part for text in given for part in text.split(",") if part):
        name, _, value = option.partition("=")
        _refuse(name)
        if name == "setuid":
            user = value
        elif not (name in NOT_OURS or name in MEANINGLESS or name.startswith(("x-", "X-"))):
            kernel.append(option)
    return MountOptions(tuple(kernel), user)


def _refuse(name: str) -> None:
    if name in OWNERSHIP:
        raise BadMountpoint(
            f"the option {name} means nothing here: every file belongs to the user that runs damfs, which is chosen"
            " with setuid=USER"
        )
    if name == "remount":
        raise BadMountpoint("a mounted library cannot be given other options; unmount it and mount it again")

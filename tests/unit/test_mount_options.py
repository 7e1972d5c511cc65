"""Options of a mount: what the kernel is told, what is damfs's own, what only fstab means."""

from __future__ import annotations

import pytest

from damfs.errors import BadMountpoint
from damfs.integration.mount_command import is_call
from damfs.integration.mount_options import sort_options


@pytest.mark.parametrize(
    ("given", "kernel", "user"),
    [
        ((), (), None),
        (("rw,allow_other", "noatime"), ("rw", "allow_other", "noatime"), None),
        (("defaults,nofail,_netdev,x-systemd.automount,X-mount.mkdir,comment=films",), (), None),
        (("rw,dev,suid",), ("rw",), None),
        (("ro,noexec,nosuid,nodev,user,user=alice,users",), ("ro", "noexec", "nosuid", "nodev"), None),
        (("max_read=131072,,strictatime",), ("max_read=131072",), None),
        (("setuid=alice,allow_other",), ("allow_other",), "alice"),
        (("nonsense",), ("nonsense",), None),
    ],
)
def test_options_are_sorted(given: tuple[str, ...], kernel: tuple[str, ...], user: str | None) -> None:
    found = sort_options(given)
    assert (found.kernel, found.user) == (kernel, user)


@pytest.mark.parametrize(
    ("option", "told"), [("uid=1000", "setuid=USER"), ("umask=022", "setuid=USER"), ("remount", "unmount it")]
)
def test_options_that_cannot_be_had(option: str, told: str) -> None:
    with pytest.raises(BadMountpoint, match=told):
        sort_options(("rw", option))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("/srv/films /mnt/films -o rw,dev,suid", True),
        ("/srv/films /mnt/films", False),
        ("mount /srv/films /mnt/films -o rw", False),
        ("tag /a -o", False),
        ("", False),
    ],
)
def test_how_mount_fuse3_calls_damfs(words: str, expected: bool) -> None:
    assert is_call(words.split()) is expected

"""Names of files in the writable store: beside one that is taken, and in the trash folder."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.core.keys import aside_keys, is_trash, keys_beside, name_in_trash
from damfs.model import AssetId, BlobId, Copy, CopyId, CopyState, FolderId, Key, StoreId

NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: b"/" not in name and b"\0" not in name)


def copy_named(name: bytes, id_: int = 17) -> Copy:
    return Copy(CopyId(id_), BlobId(1), AssetId(1), StoreId(1), FolderId(1), name, 1, 1, 1, CopyState.PRESENT)


def test_in_the_trash_folder() -> None:
    first, second = islice(aside_keys(copy_named(b"clip.mov")), 2)
    assert (first, second) == (b".damfs-trash/17-clip.mov", b".damfs-trash/17~2-clip.mov")
    assert is_trash(first)
    assert not is_trash(Key(b"a/.damfs-trash/17-clip.mov"))
    assert name_in_trash(b"17-clip.mov") == name_in_trash(b"17~2-clip.mov") == b"clip.mov"
    assert name_in_trash(b"17-2024-clip.mov") == b"2024-clip.mov"
    assert name_in_trash(b"clip.mov") == b"clip.mov"


@pytest.mark.parametrize(
    ("key", "beside"),
    [
        (b"a/clip.mov", b"a/clip~2.mov"),
        (b"clip", b"clip~2"),
        (b"a/.clip", b"a/.clip~2"),
        (b"a/caf\xe9.mov", b"a/caf\xe9~2.mov"),
    ],
)
def test_beside(key: bytes, beside: bytes) -> None:
    assert list(islice(keys_beside(Key(key)), 2)) == [key, beside]


@given(name=NAMES, id_=st.integers(1, 1 << 56))
def test_every_name_fits_and_comes_back(name: bytes, id_: int) -> None:
    for key in islice(aside_keys(copy_named(name, id_)), 3):
        made = key.removeprefix(b".damfs-trash/")
        assert len(made) <= 255
        assert b"/" not in made
        kept = name_in_trash(made)
        assert kept == name or len(made) >= 252
    keys = list(islice(keys_beside(Key(b"a/" + name)), 4))
    assert len(set(keys)) == 4
    assert all(len(key) <= 257 for key in keys)


def test_text_is_cut_between_letters() -> None:
    name = ("\u00e9" * 125 + ".mov").encode()
    for key in [*islice(aside_keys(copy_named(name)), 2), *islice(keys_beside(Key(name)), 2)]:
        assert key.decode().endswith(".mov")

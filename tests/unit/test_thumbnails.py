"""Shared thumbnails: what they are called, the time in them, and that a name leads to the file it belongs to."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from damfs.catalog import derived
from damfs.core.commands import Rename
from damfs.core.library import Library
from damfs.errors import NotFound
from damfs.model import Asset, RenditionKind
from damfs.presentation.views import thumbnails
from damfs.presentation.views.by_tag import ByTag
from damfs.presentation.views.thumbnails import PROFILES, Thumbnails, decoded, digests, encoded, seconds, text_chunk
from damfs.presentation.views.view import Place, Thing, ThingKind
from tests.small_library import opened, received, tags, term

BEACH = Place("by-tag", ("beach",))
NAMES = ["clip.mov", "two words.mov", "\u00e9t\u00e9 100%.mov", "a;b#c?.mov", "bytes-\udcff.mov", "~!$&'()*+,=:@_-.mov"]


def hexed(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_has_the_digests_of_both_drafts_and_of_xfce(name: str) -> None:
    """Compared with GLib itself, which makes the URI that Xfce takes the last part of."""
    library = ctypes.CDLL(ctypes.util.find_library("glib-2.0") or "libglib-2.0.so.0")
    library.g_filename_to_uri.restype = ctypes.c_char_p
    uri: bytes = library.g_filename_to_uri(b"/place/" + os.fsencode(name), None, None)
    last = uri.rpartition(b"/")[2]
    wanted = {hexed(form) for form in (os.fsencode(name), b"./" + os.fsencode(name), last, b"./" + last)}
    assert {digest.hex() for digest in digests(name)} == wanted


def test_an_example_of_the_draft() -> None:
    assert hexed(b"photo.jpg") in {digest.hex() for digest in digests("photo.jpg")}
    assert len(digests("photo.jpg")) == 2, "a plain name is the same in a URI"


def test_times_are_what_desktops_compare_with() -> None:
    assert seconds(1_721_044_800_000_000_000) == "1721044800"
    assert seconds(1_721_044_800_000_000_999) == "1721044800", "GIO knows no nanoseconds"
    assert float(seconds(1_721_044_800_123_456_789)) == 1_721_044_800 + 1e-6 * 123_456


def test_a_text_chunk_is_one_of_png() -> None:
    chunk = text_chunk("Thumb::MTime", "12")
    (length,) = struct.unpack(">I", chunk[:4])
    assert chunk[4:8] == b"tEXt"
    assert chunk[8 : 8 + length] == b"Thumb::MTime\x0012"
    assert struct.unpack(">I", chunk[8 + length :]) == (zlib.crc32(chunk[4 : 8 + length]),)


@pytest.mark.parametrize("size", PROFILES)
@pytest.mark.parametrize("kind", [ThingKind.ASSET, ThingKind.RENDITION, ThingKind.VERSION])
def test_the_id_of_a_thumbnail_says_what_it_is_of(kind: ThingKind, size: str) -> None:
    for id_ in (1, 4711, (1 << 48) + 3):
        made = encoded(Thing(kind, id_), size)
        assert made.kind is ThingKind.THUMBNAIL
        assert made.id < 1 << 56
        assert decoded(made) == (Thing(kind, id_), size)
    with pytest.raises(NotFound):
        decoded(Thing(ThingKind.THUMBNAIL, 7 << 2))


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as library:
        yield library


@pytest.fixture
def view(library: Library) -> Thumbnails:
    return Thumbnails(library, {ByTag.name: ByTag(library)})


def pictured(library: Library, one: Asset, profile: str = "256", ending: str = "png") -> bytes:
    """Give the asset a thumbnail; its bytes."""
    file = io.BytesIO()
    Image.new("RGB", (256, 144), (one.id % 200, 20, 30)).save(file, "PNG")
    key = f"ab/{one.id}-{profile}.{ending}"
    (library.renditions / "ab").mkdir(exist_ok=True)
    (library.renditions / key).write_bytes(file.getvalue())
    assert one.blob is not None
    with library.db.transaction() as tx:
        size = len(file.getvalue())
        derived.set_rendition(tx, one.blob, RenditionKind.THUMBNAIL, profile, key, size, {}, 5)
    return file.getvalue()


def place(view: Thumbnails, of: Place, size: str) -> Place:
    entry = view.repository(of)
    assert entry is not None
    assert isinstance(entry.node, Place)
    below = view.lookup(view.library.db.writer, entry.node, size)
    assert below is not None
    assert isinstance(below.node, Place)
    return below.node


def looked_up(view: Thumbnails, name: str, size: str = "large") -> Thing | None:
    """What the digest of a name leads to in the directory of a tag."""
    entry = view.lookup(view.library.db.writer, place(view, BEACH, size), hexed(name.encode()) + ".png")
    return None if entry is None else entry.node if isinstance(entry.node, Thing) else None


async def test_a_thumbnail_is_found_by_every_name_of_its_file(library: Library, view: Thumbnails) -> None:
    one = await received(library, "two words.mov", b"1", "beach", triaged=True)
    pictured(library, one)
    made = encoded(Thing(ThingKind.ASSET, one.id), "large")
    for form in ("two words.mov", "./two words.mov", "two%20words.mov", "./two%20words.mov"):
        assert looked_up(view, form) == made
    for other in ("two", "../two words.mov", f"file://{library.path}/two words.mov"):
        assert looked_up(view, other) is None
    assert looked_up(view, "two words.mov", "normal") is None, "there is no such rendition"
    (listed,) = view.list(library.db.writer, place(view, BEACH, "large"))
    assert (listed.name, listed.node) == (hexed(b"./two%20words.mov") + ".png", made)
    assert view.list(library.db.writer, place(view, BEACH, "fail")) == []


async def test_the_picture_is_the_preview_with_the_time_of_the_file(library: Library, view: Thumbnails) -> None:
    one = await received(library, "a.mov", b"1", "beach", triaged=True)
    original = pictured(library, one)
    thing = encoded(Thing(ThingKind.ASSET, one.id), "large")
    content = view.picture(library.db.writer, thing)
    assert len(content) == view.entry(library.db.writer, thing).size
    with Image.open(io.BytesIO(content)) as made, Image.open(io.BytesIO(original)) as preview:
        assert made.text == {"Thumb::MTime": seconds(one.mtime_ns)}  # type: ignore[attr-defined]  # of PNG images only
        assert made.tobytes() == preview.tobytes()


async def test_a_version_shows_its_own_bytes(library: Library, view: Thumbnails) -> None:
    one = await received(library, "a.mov", b"1", "beach", triaged=True)
    original = pictured(library, one)
    version = library.db.writer.integer("SELECT version FROM asset WHERE id = ?", one.id)
    content = view.picture(library.db.writer, encoded(Thing(ThingKind.VERSION, version), "large"))
    assert content.endswith(original[33:])


async def test_names_are_followed_and_nothing_else_is_believed(library: Library, view: Thumbnails) -> None:
    """After a renaming the old name leads nowhere, or to the file that has it now."""
    one = await received(library, "a.mov", b"1", "beach", triaged=True)
    two = await received(library, "b.mov", b"2", "beach", triaged=True)
    for each in (one, two):
        pictured(library, each)
    assert looked_up(view, "a.mov") == encoded(Thing(ThingKind.ASSET, one.id), "large")
    library.execute([Rename(one.id, "c.mov"), Rename(two.id, "a.mov")], "test")
    assert looked_up(view, "a.mov") == encoded(Thing(ThingKind.ASSET, two.id), "large")
    assert looked_up(view, "b.mov") is None
    assert looked_up(view, "c.mov") == encoded(Thing(ThingKind.ASSET, one.id), "large")
    three = await received(library, "c.mov", b"3", "beach", triaged=True)
    pictured(library, three)
    assert looked_up(view, f"c~{three.id}.mov") == encoded(Thing(ThingKind.ASSET, three.id), "large")
    assert tags(library, three.id) == ["beach"]


async def test_a_place_is_listed_once_and_then_each_name_costs_a_few_reads(library: Library, view: Thumbnails) -> None:
    for number in range(40):
        pictured(library, await received(library, f"{number}.mov", b"%d" % number, "beach", triaged=True))
    assert looked_up(view, "0.mov") is not None
    before = library.db.writer.statements
    for number in range(40):
        assert looked_up(view, f"{number}.mov") is not None
        assert looked_up(view, f"no-{number}.mov") is None
    assert (library.db.writer.statements - before) / 80 <= 7


async def test_what_cannot_be_shown(library: Library, view: Thumbnails) -> None:
    """No preview yet, one of an older damfs, one whose file is gone, one that is no picture of a file."""
    one = await received(library, "a.mov", b"1", "beach", triaged=True)
    assert looked_up(view, "a.mov") is None
    pictured(library, one, ending="jpg")
    assert looked_up(view, "a.mov") is None
    pictured(library, one)
    thing = looked_up(view, "a.mov")
    assert thing is not None
    for path in (library.renditions / "ab").iterdir():
        path.unlink()
    with pytest.raises(NotFound):
        view.picture(library.db.writer, thing)
    connection = library.db.writer
    sizes = place(view, BEACH, "large")
    for name in ("clip.mov", "00.png", "G" * 32 + ".png", "0" * 32 + ".PNG", "0" * 32):
        assert view.lookup(connection, sizes, name) is None
    with pytest.raises(NotFound):
        view.entry(connection, encoded(Thing(ThingKind.ASSET, 4711), "large"))


async def test_only_so_many_names_are_remembered(
    library: Library, view: Thumbnails, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await received(library, "a.mov", b"1", "beach", triaged=True)
    pictured(library, one)
    places = [Place("by-tag", ("beach",)), *(Place("by-tag", (f"t{number}",)) for number in range(12))]
    for each in places:
        term(library, each.path[0])
        digest = hexed(b"a.mov") + ".png"
        view.lookup(library.db.writer, place(view, each, "large"), digest)
    assert len(view._hints) == thumbnails.HINTED_PLACES
    monkeypatch.setattr(thumbnails, "HINTED_DIGESTS", 1)
    assert looked_up(view, "a.mov") is not None
    assert list(view._hints) == [BEACH], "the last one stays, however many names it has"


async def test_repositories_are_where_files_are(library: Library, view: Thumbnails) -> None:
    of_folder = view.repository(Place("by-tag", (), 17))
    assert of_folder is not None
    assert isinstance(of_folder.node, Place)
    assert view.parent(of_folder.node) == Place("by-tag", (), 17)
    above = Place(".sh_thumbnails", ("by-tag", "", "beach", ".sh_thumbnails"))
    assert view.parent(place(view, BEACH, "large")) == above
    assert view.repository(Place("", ())) is None, "the root has no files"
    assert view.repository(place(view, BEACH, "large")) is None, "no thumbnails of thumbnails"

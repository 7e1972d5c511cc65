""".sh_thumbnails/ in every place: the shared thumbnails of the freedesktop drafts, so that a desktop shows a folder
without reading a clip. Reached by name, listed nowhere; what is in them are the previews that damfs made anyway.

A thumbnail is called by the MD5 of the file's name. MD5 cannot be turned round, so a place is listed once and the names
behind the digests are remembered as hints, which are checked (one indexed lookup) each time. Asked in reader threads.
Crash rule: none, nothing is kept.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import threading
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from damfs.catalog import assets, change_feed, derived, versions
from damfs.catalog.database import Connection
from damfs.core.library import Library
from damfs.errors import NotFound
from damfs.model import AssetId, BlobId, Facet, Rendition, RenditionId, VersionId
from damfs.presentation.views.view import READ_DIRECTORY, READ_FILE, Entry, Place, Thing, ThingKind, View
from damfs.storage.disk_errors import disk_errors

REPOSITORY = ".sh_thumbnails"
FAIL = "fail"
"""Where a desktop keeps what it could not make; always empty here."""
PROFILES = {"normal": "128", "large": "256", "x-large": "512", "xx-large": "512"}
"""Directory to the profile of the rendition. The largest is as large as ours get: better blurred than a clip read."""
SIZES = tuple(PROFILES)
PNG = ".png"
NAME = re.compile(r"([0-9a-f]{32})\.png")
UNESCAPED = "!$&'()*+,-./:=@_~"
"""What GLib leaves as it is in the path of a URI, beside letters and digits."""
PLAIN = re.compile(rb"[A-Za-z0-9" + re.escape(UNESCAPED).encode() + rb"]*")
"""The same in a URI."""
HINTED_PLACES = 8
HINTED_DIGESTS = 400_000
"""Two or four of a name. More are forgotten, oldest place first: about 100 bytes each."""
SIGNATURE_AND_HEADER = 8 + 25
"""Bytes of a PNG before its second chunk."""
MICROSECOND = 1_000


class Shown(NamedTuple):
    """What a thumbnail is of."""

    blob: BlobId
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Hints:
    touched_ns: int
    """When what the place depends on was last touched, as its names were taken."""
    names: Mapping[bytes, str]
    """By digest."""


class Thumbnails(View):
    """Its places carry the place they are of: (view, id or '', steps…, REPOSITORY), and below that the size."""

    name = REPOSITORY
    listed = False
    slow_lookup = True

    def __init__(self, library: Library, views: Mapping[str, View]) -> None:
        super().__init__(library)
        self._views = views
        self._hints: dict[Place, Hints] = {}
        self._building = threading.Lock()

    def repository(self, place: Place) -> Entry | None:
        """The directory of thumbnails of a place of another view."""
        view = self._views.get(place.view)
        if view is None or not view.thumbnails:
            return None
        id_ = "" if place.id is None else str(place.id)
        return self._directory(Place(self.name, (place.view, id_, *place.path, REPOSITORY)))

    def directory(self, place: Place, name: str) -> Entry | None:
        """One for a size. Known without asking anybody."""
        known = place.path[-1] == REPOSITORY and name in {*SIZES, FAIL}
        return self._directory(Place(self.name, (*place.path, name))) if known else None

    def parent(self, place: Place) -> Place:
        """The directory that one of ours lies in."""
        return pictured(place) if place.path[-1] == REPOSITORY else Place(self.name, place.path[:-1])

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        match = NAME.fullmatch(name)
        if match is None or place.path[-1] not in SIZES:
            return self.directory(place, name)
        node = self._file(connection, pictured(place), bytes.fromhex(match[1]))
        return None if node is None else self._entry(connection, name, node, place.path[-1])

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if place.path[-1] == REPOSITORY:
            return [self._directory(Place(self.name, (*place.path, size))) for size in (*SIZES, FAIL)]
        if place.path[-1] not in SIZES:
            return []
        of = pictured(place)
        files = ((each.name, each.node) for each in self._views[of.view].list(connection, of))
        made = (
            self._entry(connection, uri_digest(name).hex() + PNG, node, place.path[-1])
            for name, node in files
            if isinstance(node, Thing)
        )
        return [entry for entry in made if entry is not None]

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        return frozenset()

    def entry(self, connection: Connection, thumbnail: Thing) -> Entry:
        """What a thumbnail looks like now. Raises NotFound."""
        node, size = decoded(thumbnail)
        entry = self._entry(connection, "", node, size)
        if entry is None:
            raise NotFound("the thumbnail is gone")
        return entry

    def picture(self, connection: Connection, thumbnail: Thing) -> bytes:
        """The PNG, with the time of its file in it. Blocks. Raises NotFound, Unavailable."""
        node, size = decoded(thumbnail)
        shown, rendition = self._made(connection, node, size)
        if shown is None or rendition is None:
            raise NotFound("the thumbnail is gone")
        path = self.library.renditions / rendition.key
        with disk_errors(path):
            whole = path.read_bytes()
        start = SIGNATURE_AND_HEADER
        return whole[:start] + text_chunk("Thumb::MTime", seconds(shown.mtime_ns)) + whole[start:]

    def _directory(self, place: Place) -> Entry:
        return Entry(place.path[-1], place, 0, 0, READ_DIRECTORY)

    def _entry(self, connection: Connection, name: str, node: Thing, size: str) -> Entry | None:
        shown, rendition = self._made(connection, node, size)
        if shown is None or rendition is None:
            return None
        length = rendition.size + len(text_chunk("Thumb::MTime", seconds(shown.mtime_ns)))
        return Entry(name, encoded(node, size), length, rendition.made_ns, READ_FILE)

    def _made(self, connection: Connection, node: Thing, size: str) -> tuple[Shown | None, Rendition | None]:
        shown = pictured_by(connection, node)
        if shown is None:
            return None, None
        rendition = derived.thumbnail(connection, shown.blob, PROFILES[size])
        return shown, rendition if rendition is not None and rendition.key.endswith(PNG) else None

    def _file(self, connection: Connection, place: Place, digest: bytes) -> Thing | None:
        """The file of a place whose name has the digest."""
        found = self._check(connection, place, self._hints.get(place), digest)
        if found is not None:
            return found
        touched_ns = change_feed.touched_ns(connection, self._views[place.view].facets(connection, place))
        with self._building:  # one listing for all who wait for it
            hints = self._hints.get(place)
            if hints is None or hints.touched_ns != touched_ns:
                hints = self._hint(connection, place, touched_ns)
        return self._check(connection, place, hints, digest)

    def _check(self, connection: Connection, place: Place, hints: Hints | None, digest: bytes) -> Thing | None:
        name = None if hints is None else hints.names.get(digest)
        entry = None if name is None else self._views[place.view].lookup(connection, place, name)
        return entry.node if entry is not None and isinstance(entry.node, Thing) else None

    def _hint(self, connection: Connection, place: Place, touched_ns: int) -> Hints:
        """Scans; one at a time."""
        files, others = self._views[place.view].content(connection, place)
        names = [name for _, name, *_ in files] + [each.name for each in others if isinstance(each.node, Thing)]
        hints = Hints(touched_ns, by_digest(names))
        self._hints.pop(place, None)
        self._hints[place] = hints
        while len(self._hints) > 1 and self._are_many():
            del self._hints[next(iter(self._hints))]
        return hints

    def _are_many(self) -> bool:
        known = sum(len(hints.names) for hints in self._hints.values())
        return len(self._hints) > HINTED_PLACES or known > HINTED_DIGESTS


def pictured(place: Place) -> Place:
    """The place that one of ours shows the thumbnails of."""
    view, id_, *path = place.path[: place.path.index(REPOSITORY)]
    return Place(view, tuple(path), int(id_) if id_ else None)


def pictured_by(connection: Connection, node: Thing) -> Shown | None:
    if node.kind is ThingKind.ASSET:
        asset = assets.asset(connection, AssetId(node.id))
        return None if asset is None or asset.blob is None else Shown(asset.blob, asset.mtime_ns)
    if node.kind is ThingKind.RENDITION:
        rendition = derived.rendition(connection, RenditionId(node.id))
        return None if rendition is None else Shown(rendition.blob, rendition.made_ns)
    if node.kind is ThingKind.VERSION:
        version = versions.version(connection, VersionId(node.id))
        return None if version is None else Shown(version.blob, version.mtime_ns)
    return None


def encoded(node: Thing, size: str) -> Thing:
    """The thumbnail of a file as a thing of its own: its inode is computed, never stored."""
    return Thing(ThingKind.THUMBNAIL, node.id << 6 | node.kind << 2 | SIZES.index(size))


def decoded(thumbnail: Thing) -> tuple[Thing, str]:
    kind = thumbnail.id >> 2 & 0xF
    if kind not in (ThingKind.ASSET, ThingKind.RENDITION, ThingKind.VERSION):
        raise NotFound(f"no thumbnail {thumbnail.id}")
    return Thing(ThingKind(kind), thumbnail.id >> 6), SIZES[thumbnail.id & 0x3]


def digests(name: str) -> set[bytes]:
    """What a thumbnail is called by, as the drafts and the programs have it: of the name (0.8.0), of ``./`` and the
    name (newer), each as bytes and as part of a URI (Xfce 4.18, 4.20)."""
    raw = os.fsencode(name)
    if PLAIN.fullmatch(raw):
        return {md5(raw), md5(b"./" + raw)}
    escaped = quote(raw, safe=UNESCAPED).encode()
    return {md5(form) for form in (raw, b"./" + raw, escaped, b"./" + escaped)}


def uri_digest(name: str) -> bytes:
    """The one that listings show: of the relative URI."""
    return md5(b"./" + quote(os.fsencode(name), safe=UNESCAPED).encode())


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def by_digest(names: Iterable[str]) -> dict[bytes, str]:
    return {digest: name for name in names for digest in digests(name)}


def text_chunk(key: str, text: str) -> bytes:
    """A tEXt chunk of a PNG."""
    body = b"tEXt" + key.encode("latin-1") + b"\0" + text.encode("latin-1")
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def seconds(at_ns: int) -> str:
    """As desktops compare it: whole seconds where there is no fraction (KDE reads no other), else the very number that
    GIO makes of a time, which Tumbler wants to be the same."""
    whole, rest = divmod(at_ns, 1_000_000_000)
    microseconds = rest // MICROSECOND
    return repr(whole + 1e-6 * microseconds) if microseconds else str(whole)

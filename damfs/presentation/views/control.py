""".damfs/: how the library is (status, stats) and help, as files; and the README.md at the root of the mount.

Reached by name; `ls` of the root does not list it. Texts are rendered in a reader thread when they are opened.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

from damfs.catalog.database import Connection
from damfs.core.library import Library
from damfs.core.status_report import as_text
from damfs.errors import NotFound
from damfs.model import Facet
from damfs.presentation.views.view import READ_DIRECTORY, READ_FILE, Entries, Entry, Place, Thing, ThingKind, View

README = "README.md"
HELP = "help"
MOUNT_README = "mount.md"
"""The document of the package that becomes README.md at the root of the mount."""


class Control(View):
    name = ".damfs"
    listed = False
    thumbnails = False

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._texts: list[tuple[tuple[str, ...], Callable[[Connection], bytes]]] = [
            ((README,), lambda _: document(MOUNT_README)),
            ((self.name, "status"), self._status),
            ((self.name, "stats"), self._stats),
        ]
        for name in documents():
            self._texts.append(((self.name, HELP, name), lambda _, name=name: document(name)))  # type: ignore[misc]  # mypy cannot infer a lambda with a default

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if place.path == () and name == HELP:
            return Entry(HELP, Place(self.name, (HELP,)), 0, 0, READ_DIRECTORY)
        return self._text((self.name, *place.path, name))

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        below = (self.name, *place.path)
        entries = [self._entry(number) for number, (path, _) in enumerate(self._texts) if path[:-1] == below]
        return entries + ([Entry(HELP, Place(self.name, (HELP,)), 0, 0, READ_DIRECTORY)] if not place.path else [])

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        return frozenset()

    def root_texts(self) -> Entries:
        return [self._entry(0)]

    def root_text(self, name: str) -> Entry | None:
        return self._text((name,))

    def entry(self, thing: Thing) -> Entry:
        if thing.id >= len(self._texts):
            raise NotFound(f"no text {thing.id}")
        return self._entry(thing.id)

    def render(self, connection: Connection, thing: Thing) -> bytes:
        """The content as it is now."""
        self.entry(thing)
        return self._texts[thing.id][1](connection)

    def _text(self, path: tuple[str, ...]) -> Entry | None:
        for number, (known, _) in enumerate(self._texts):
            if known == path:
                return self._entry(number)
        return None

    def _entry(self, number: int) -> Entry:
        name = self._texts[number][0][-1]
        size = len(document(MOUNT_README if name == README else name)) if name.endswith(".md") else 0
        return Entry(name, Thing(ThingKind.TEXT, number), size, self.library.made_ns, READ_FILE)

    def _status(self, connection: Connection) -> bytes:
        return as_text(self.library.status(connection)).encode()

    def _stats(self, connection: Connection) -> bytes:
        return self.library.counters.text().encode()


def documents() -> list[str]:
    """Names of the documents that come with the package."""
    return sorted(
        item.name for item in resources.files("damfs").joinpath("docs").iterdir() if item.name.endswith(".md")
    )


def document(name: str) -> bytes:
    return resources.files("damfs").joinpath("docs", name).read_bytes()

""".damfs/: how the library is (status, stats, refused, jobs, events) and help, as files; and the README.md at the root.

Reached by name; `ls` of the root does not list it. Texts are rendered in a reader thread when they are opened.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

from damfs.catalog.database import Connection
from damfs.core.complaints import is_complaint
from damfs.core.library import Library
from damfs.core.status_report import as_text
from damfs.errors import NotFound
from damfs.model import Facet
from damfs.presentation.views import failures, jobs
from damfs.presentation.views.view import READ_DIRECTORY, READ_FILE, Entries, Entry, Place, Thing, ThingKind, View

README = "README.md"
HELP = "help"
JOBS = "jobs"
JOBS_PLACE = 1
EVENTS = "events"
MOUNT_README = "mount.md"
"""The document of the package that becomes README.md at the root of the mount."""


class Control(View):
    name = ".damfs"
    listed = False
    live = False
    place_kind = 32
    drifts = True
    thumbnails = False

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._texts: list[tuple[tuple[str, ...], Callable[[Connection], bytes]]] = [
            ((README,), lambda _: document(MOUNT_README)),
            ((self.name, "status"), self._status),
            ((self.name, "stats"), self._stats),
            ((self.name, "refused"), lambda _: library.refusals.text().encode("utf-8", "backslashreplace")),
            ((self.name, EVENTS), lambda _: b""),
        ]
        self._events = len(self._texts) - 1
        for name in documents():
            self._texts.append(((self.name, HELP, name), lambda _, name=name: document(name)))  # type: ignore[misc]  # mypy cannot infer a lambda with a default

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if place.id is not None:
            return jobs.find(connection, name) if place == self._jobs() else None
        if place.path == () and name in {HELP, JOBS}:
            return self._directory(name)
        return self._text((self.name, *place.path, name))

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if place.id is not None:
            return jobs.entries(connection) if place == self._jobs() else []
        below = (self.name, *place.path)
        entries = [self._entry(number) for number, (path, _) in enumerate(self._texts) if path[:-1] == below]
        return entries + ([self._directory(HELP), self._directory(JOBS)] if not place.path else [])

    def _directory(self, name: str) -> Entry:
        place = self._jobs() if name == JOBS else Place(self.name, (name,))
        return Entry(name, place, 0, 0, READ_DIRECTORY)

    def _jobs(self) -> Place:
        """It carries an id as places do that change by news of other things: nobody remembers it for long."""
        return self.place_of(JOBS_PLACE)

    def is_stream(self, thing: Thing) -> bool:
        """Whether reading it waits for what is new."""
        return thing == Thing(ThingKind.TEXT, self._events)

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        return frozenset()

    def root_texts(self) -> Entries:
        return [self._entry(0)]

    def root_text(self, name: str) -> Entry | None:
        return self._text((name,))

    def entry(self, thing: Thing) -> Entry:
        if is_complaint(thing.id):
            size = len(self._complaint(thing))
            return Entry("", thing, size, self.library.made_ns, READ_FILE)
        if jobs.is_job(thing):
            return jobs.entry(self.library.db.writer, thing)
        if failures.is_failure(thing):
            return failures.entry(self.library, self.library.db.writer, thing)
        if thing.id >= len(self._texts):
            raise NotFound(f"no text {thing.id}")
        return self._entry(thing.id)

    def render(self, connection: Connection, thing: Thing) -> bytes:
        """The content as it is now."""
        if is_complaint(thing.id):
            return self._complaint(thing)
        if jobs.is_job(thing):
            return jobs.text(connection, thing)
        if failures.is_failure(thing):
            return failures.text(self.library, connection, thing)
        self.entry(thing)
        return self._texts[thing.id][1](connection)

    def _complaint(self, thing: Thing) -> bytes:
        text = self.library.complaints.text(thing.id)
        if text is None:
            raise NotFound("that text is forgotten")
        return text.encode("utf-8", "backslashreplace")

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

"""search/<query>/: what a query finds, best first as ``01 name`` where its words give an order; bare names resolve too.

Any name leads to a directory, at once; the query runs when that is listed, or a name is looked up in it. A text that is
no query is a directory with nothing but ERROR.txt. Searches that are kept (`mkdir`) are listed, others are not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from damfs.catalog import predicates, saved_searches
from damfs.catalog.database import Connection
from damfs.catalog.fields import SLASH
from damfs.core.asset_names import is_text
from damfs.core.search_answer import Answer
from damfs.core.search_commands import ForgetSearch, SaveSearch
from damfs.errors import BadQuery, Refused
from damfs.model import Facet
from damfs.presentation.views.facet import file_entry, find, row_entry, shown_rows
from damfs.presentation.views.names import ranked, resolvable
from damfs.presentation.views.view import (
    READ_DIRECTORY,
    READ_FILE,
    WRITE_DIRECTORY,
    Commands,
    Content,
    Entry,
    Place,
    Thing,
    ThingKind,
    View,
)
from damfs.storage.droppings import is_dropping

ERROR = "ERROR.txt"
HELP = """
A query is words, "phrases" and conditions; all of them have to hold:
  sunset beach            tag:beach -tag:work      type:video duration:>10s
  "red car" rating:>=3    date:2024-07..2024-09    (camera:"Sony FX3" OR width:>=3840)
More of it is in .damfs/help/mount.md of this mount.
"""


class SearchView(View):
    name = "search"
    slow_lookup = True
    live = False
    any_directory = True

    def looks_long(self, place: Place) -> bool:
        """Not for the directory of a query itself: that is there, whatever it is called."""
        return bool(place.path)

    def is_drifting(self, place: Place) -> bool:
        return bool(place.path)

    def is_raw(self, place: Place) -> bool:
        """A query is taken as it was typed, so that it can be told what is wrong with it."""
        return not place.path

    @asynccontextmanager
    async def turn(self, place: Place, *, listing: bool) -> AsyncIterator[None]:
        """A listing waits for its turn, unless nothing has changed since the last one; a name only for the first."""
        text, searches = query_of(place), self.library.searches
        known = searches.remembered(text) is not None and not listing
        if not place.path or known or searches.is_current(self.library.db.writer, text):
            yield
            return
        async with self.library.search_turns.turn(text):
            yield

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if len(place.path) > 1 or name in {"", ".", ".."} or is_dropping(name):
            return None
        if not place.path:
            return self._directory(name)
        try:
            return self._file(connection, place, name) if is_text(name) else None
        except BadQuery as error:
            return self._error(place, error) if name == ERROR else None

    def _file(self, connection: Connection, place: Place, name: str) -> Entry | None:
        text, searches = query_of(place), self.library.searches
        answer = searches.remembered(text) or searches.answer(connection, text, self.library.search_turns.asked(text))
        if not answer.is_ranked:
            asset = find(connection, answer.query.where, name)
            if asset is not None:
                self.library.shown.note(answer, [asset.id])
            return None if asset is None else file_entry(name, asset)
        found = resolvable([(row[0], row[1]) for row in answer.rows]).get(name)
        if found is None:
            return None
        self.library.shown.note(answer, [answer.rows[found][0]])
        return row_entry(answer.rows[found])._replace(name=name)

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        files, others = self.content(connection, place)
        return others + [row_entry(row) for row in files]

    def content(self, connection: Connection, place: Place) -> Content:
        if not place.path:
            return Content((), [self._directory(query) for query in saved_searches.list_saved(connection)])
        text = query_of(place)
        try:
            answer = self.library.searches.answer(connection, text, self.library.search_turns.asked(text))
        except BadQuery as error:
            return Content((), [self._error(place, error)])
        self.library.shown.note(answer, [row[0] for row in answer.rows])
        return (
            Content((), _ranked_entries(answer))
            if answer.is_ranked
            else Content(shown_rows(list(answer.rows), frozenset()), [])
        )

    def _directory(self, name: str) -> Entry:
        return Entry(name, Place(self.name, (name,)), 0, 0, WRITE_DIRECTORY)

    def _error(self, place: Place, error: BadQuery) -> Entry:
        text = explained(query_of(place), error)
        thing = Thing(ThingKind.TEXT, self.library.complaints.add(text))
        return Entry(ERROR, thing, len(text.encode("utf-8", "backslashreplace")), self.library.made_ns, READ_FILE)

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        if not place.path:
            return frozenset({predicates.SEARCHES_FACET})
        return frozenset({predicates.ALL_FACET, predicates.NEIGHBOURS_FACET})

    def mode(self, place: Place) -> int:
        """Files can be moved from a result into the trash, and searches be kept."""
        return WRITE_DIRECTORY if len(place.path) < 2 else READ_DIRECTORY

    def is_made(self, connection: Connection, place: Place, name: str) -> bool:
        return not place.path and is_text(name) and saved_searches.is_saved(connection, name)

    def make_dir(self, connection: Connection, place: Place, name: str) -> Commands:
        """Raises BadQuery for what is no query."""
        if place.path:
            raise Refused("a search holds what it finds; keep another one with mkdir search/QUERY")
        self.library.searches.parsed(connection, query_of(Place(self.name, (name,))))
        return [SaveSearch(name)]

    def remove_dir(self, connection: Connection, place: Place, name: str) -> Commands:
        if place.path or not self.is_made(connection, place, name):
            raise Refused(f'the search "{name}" is not kept, so it cannot be forgotten')
        return [ForgetSearch(name)]

    def move_dir(self, connection: Connection, place: Place, name: str, to: Place, new_name: str) -> Commands:
        """A search that is kept is another one from now on."""
        if place != to or place.path or not self.is_made(connection, place, name):
            raise Refused(f'"{name}" is a search: one that is kept can be renamed within search/ (mv -T), no other')
        return [*self.make_dir(connection, place, new_name), ForgetSearch(name)]


def query_of(place: Place) -> str:
    """A name cannot hold a slash; the sign for a division, which looks like one, stands for it."""
    return place.path[0].replace(SLASH, "/") if place.path else ""


def _ranked_entries(answer: Answer) -> list[Entry]:
    total = len(answer.rows)
    return [
        row_entry(row)._replace(name=ranked(position, total, row[1]))
        for position, row in enumerate(answer.rows, start=1)
    ]


def explained(query: str, error: BadQuery) -> str:
    """What is wrong, below the query with a mark at the character."""
    told = [str(error)]
    if error.at and query.isprintable():
        told = [query, " " * (error.at - 1) + "^", *told]
    return "\n".join(told) + "\n" + HELP

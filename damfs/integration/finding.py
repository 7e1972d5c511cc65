"""What the requests do that search: a query, what is like a file, and the searches that are kept.

Runs on the loop of whoever owns the library; the search itself in a reader thread. Where nothing is mounted, a model
worker is started for the one question.
"""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from damfs.catalog import saved_searches, stores
from damfs.catalog.database import Connection
from damfs.catalog.embedder import NO_MODEL
from damfs.catalog.query_language import sentences
from damfs.core.asking_model import model_of, vectors_of
from damfs.core.library import Library
from damfs.core.likeness import answer_of
from damfs.core.moments import Moment
from damfs.core.query_vectors import QueryVectors
from damfs.core.search_answer import Answer
from damfs.core.search_commands import ForgetSearch, SaveSearch
from damfs.core.worker_pool import open_worker_pool
from damfs.errors import NotFound, Refused
from damfs.integration.wire import Progress
from damfs.integration.wire_search import FindSimilar, Found, FoundRow, GetSearches, KeepSearch, Search, Searching
from damfs.model import AssetId, CopyState

ACTOR = "cli"
ALONE_S = 60.0
"""How long a command waits for a model that is loaded for it alone."""
Report = Callable[[Progress], None]


class Finder:
    def __init__(self, library: Library, *, mounted: bool, target: Callable[[FindSimilar], AssetId]) -> None:
        self._library = library
        self._mounted = mounted
        self._target = target

    async def answer(self, request: Searching, report: Report) -> object:
        """Raises BadQuery, NotFound, Refused."""
        match request:
            case Search():
                return await self._search(request, report)
            case FindSimilar():
                return await self._similar(request)
            case GetSearches():
                return saved_searches.list_saved(self._library.db.writer)
            case KeepSearch():
                return self._keep(request)

    async def _search(self, request: Search, report: Report) -> Found:
        library, text = self._library, request.query
        library.searches.parsed(library.db.writer, text)
        async with self._ready(text, report), library.search_turns.turn(text) as asked:

            def find(connection: Connection) -> Found:
                answer = library.searches.answer(connection, text, asked)
                rows = [row[0] for row in answer.rows]
                return _found(connection, answer, rows if answer.is_ranked else rows[::-1], request.limit)

            return await library.db.read(find)

    @asynccontextmanager
    async def _ready(self, text: str, report: Report) -> AsyncIterator[None]:
        """Where no daemon does it: the texts are brought up to date, and a model is asked."""
        library, turns = self._library, self._library.search_turns
        if self._mounted:
            yield
            return
        while library.texts.step():
            await trio.lowlevel.checkpoint()
        if not sentences(text) or model_of(library) == NO_MODEL:
            yield
            return
        report(Progress("loading the model", 0, 0))
        async with open_worker_pool(library.settings) as pool, trio.open_nursery() as nursery:
            turns.vectors = QueryVectors(functools.partial(vectors_of, library, pool), nursery, ALONE_S)
            yield
            turns.vectors = None
            nursery.cancel_scope.cancel()

    async def _similar(self, request: FindSimilar) -> Found:
        library, asset = self._library, self._target(request)
        moment = None if request.at_ns is None else Moment(asset, request.at_ns)

        def find(connection: Connection) -> Found:
            if moment is None:
                neighbours = library.similar.nearest(connection, asset)
            elif library.moments.is_known(connection, moment):
                neighbours = library.moments.nearest(connection, moment)
            else:
                raise NotFound("there are no vectors of moments of this file, or it ends before; leave --at out")
            answer = answer_of(asset, neighbours)
            return _found(connection, answer, [each.asset for each in neighbours], request.limit)

        return await library.db.read(find)

    def _keep(self, request: KeepSearch) -> object:
        library, query = self._library, request.query
        if request.forget:
            library.perform(ForgetSearch(query), ACTOR)
            return {"forgotten": query}
        library.searches.parsed(library.db.writer, query)
        if "/" in query or len(os.fsencode(query)) > os.pathconf("/", "PC_NAME_MAX"):
            raise Refused("a search that is kept is the name of a directory: no slash (write ∕), at most 255 bytes")
        library.perform(SaveSearch(query), ACTOR)
        return {"kept": query}


def _found(connection: Connection, answer: Answer, ids: list[AssetId], limit: int) -> Found:
    """``ids``: best first."""
    rows = []
    known = {row[0]: row[1] for row in answer.rows}
    for asset in ids[: limit or None]:
        told = answer.told(connection, asset)
        assert told is not None
        path = _path(connection, asset)
        score = told.score if answer.is_ranked else None
        rows.append(FoundRow(asset, known[asset], path, score, told.why))
    return Found(answer.query.text(), len(ids), answer.is_ranked, list(answer.spaces), answer.trouble, rows)


def _path(connection: Connection, asset: AssetId) -> str:
    """Where it lies in originals/ of a mount; '' while it has no file."""
    names = {store.id: store.name for store in stores.all_stores(connection)}
    for copy in stores.copies_of_asset(connection, asset):
        if copy.state is not CopyState.MISSING:
            key = stores.key_of(connection, copy.folder, copy.name)
            return f"originals/{names[copy.store]}/{key.decode('utf-8', 'replace')}"
    return ""

"""What requests about models do: which there are, choose another, let go of the vectors of one.

Runs on the loop of whoever owns the library. A model is loaded and tried in a worker before it is chosen: one that does
not work changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import trio

from damfs.catalog import spaces
from damfs.catalog.embedder import NO_MODEL
from damfs.catalog.spaces import Space
from damfs.core.library import Library
from damfs.core.model_choice import choose_model
from damfs.core.model_commands import ChooseModel, DropVectors, LearnSpace, used_spaces
from damfs.core.processors.asking import space_of_model
from damfs.core.processors.processor import Worker
from damfs.core.settings_edit import choose_model_in_settings
from damfs.core.worker_pool import JobTimedOut, WorkerDied, WorkerPool, open_worker_pool
from damfs.errors import ModelUnavailable, NotFound
from damfs.integration.wire import Progress
from damfs.integration.wire_models import DropModel, Modelling, UseModel

ACTOR = "cli"
TRY_S = 600.0
"""To load a model, which may have to be fetched from its hub first."""


class Models:
    """``pool``: of the daemon; without one, or while it is busy (perhaps with a model that hangs), a worker is started
    for the trial of a model, and ended after it."""

    def __init__(self, library: Library, pool: WorkerPool | None = None) -> None:
        self._library = library
        self._pool = pool

    async def answer(self, request: Modelling, _report: Callable[[Progress], None]) -> object:
        match request:
            case UseModel():
                await self._use(request.name)
            case DropModel():
                return {"vectors": await self._drop(request.name)}
        found = await self._library.db.read(self._library.model_status)
        return msgspec.to_builtins(replace(found, mounted=self._pool is not None))

    async def _use(self, name: str) -> None:
        library = self._library
        if name != NO_MODEL:
            found = await self._tried(name)
            library.perform(LearnSpace(found), ACTOR)
        settings = await trio.to_thread.run_sync(choose_model_in_settings, library.path, name)
        library.use_settings(settings)
        library.stop_model_jobs()
        if self._pool is not None:
            self._pool.interrupt(Worker.MODEL)
        library.model_health.well()
        users = tuple(each.name for each in library.registry.processors if each.worker is Worker.MODEL)
        library.perform(ChooseModel(name, users), ACTOR)
        if library.search_turns.vectors is not None:
            library.search_turns.vectors.forget()

    async def _tried(self, name: str) -> Space:
        """Raises ModelUnavailable with one line that says why it cannot be used."""
        choice = choose_model(name)
        if choice.name != name:
            raise ModelUnavailable(f'the model "{name}" cannot be used here: {choice.words}')
        try:
            async with self._worker() as pool:
                threads = self._library.settings.model.threads
                told = await pool.ask(Worker.MODEL, TRY_S, space_of_model, name, threads)
        except (JobTimedOut, WorkerDied) as error:
            raise ModelUnavailable(f'the model "{name}" gives no answer: {error}; name another one') from None
        if isinstance(told, str):
            raise ModelUnavailable(told)
        return msgspec.convert(told, Space)

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[WorkerPool]:
        if self._pool is not None and self._pool.is_free(Worker.MODEL):
            yield self._pool
            return
        async with open_worker_pool(self._library.settings) as pool:
            yield pool

    async def _drop(self, name: str) -> int:
        """How many vectors went. A name may stand for several: the model's files were changed under it."""
        library = self._library
        named = [each for each in spaces.list_spaces(library.db.writer) if name in {each.name, each.id}]
        used = used_spaces(library.db.writer, library.settings.model.name)
        kept = [each for each in named if each.id not in used] or named
        if not kept:
            raise NotFound(f'no vectors of "{name}" are kept; see which are with: damfs model list {library.path}')
        total = 0
        for each in kept:
            while gone := library.perform(DropVectors(each.id, library.settings.model.name), ACTOR):
                total += gone
                await trio.lowlevel.checkpoint()
            for model in each.models:
                library.vectors.indexes.forget(model)
        return total

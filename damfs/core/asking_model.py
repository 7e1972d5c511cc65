"""Asks the model worker for the vectors of a query's words, by the model whose vectors the library answers with.

Concurrency: on the loop; waits for the worker. Crash rule: a worker that dies is one question without an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from damfs.catalog import spaces
from damfs.catalog.embedder import NO_MODEL
from damfs.core.library import Library
from damfs.core.model_choice import choose_model
from damfs.core.model_commands import LearnSpace
from damfs.core.processor_registry import ProcessorRef
from damfs.core.processors.processor import SPACE_FACT, Subject, Worker
from damfs.core.query_vectors import Vectors
from damfs.core.worker_pool import WorkerPool
from damfs.errors import ModelUnavailable
from damfs.model import Media

ACTOR = "model"
LIMIT_S = 120.0
"""Of one question, with loading the model: then the worker is stopped."""
QUERY_VECTOR = ProcessorRef("query_vector", "damfs.core.processors.query_vector:QueryVector", Worker.MODEL, LIMIT_S)
NOWHERE = Path("/nonexistent")
"""It reads and writes no file."""


async def vectors_of(library: Library, pool: WorkerPool, words: str) -> Vectors:
    """Raises damfs errors."""
    name = model_of(library)
    if name == NO_MODEL:
        raise ModelUnavailable(f"no model compares them: {choose_model(library.settings.model.name).words}")
    settings = {"name": name, "threads": library.settings.model.threads}
    subject = Subject(words, Media.OTHER, 0, settings=settings)
    output = await pool.run(QUERY_VECTOR, NOWHERE, NOWHERE, subject)
    _learn(library, output.facts.get(SPACE_FACT))
    return {made.model: made.vector for made in output.embeddings}


def _learn(library: Library, told: object) -> None:
    """Its files may have been changed since the library was embedded: then that is done again (`upkeep`)."""
    if not isinstance(told, Mapping):
        return
    found = msgspec.convert(told, spaces.Space)
    known = spaces.named(library.db.writer, found.name)
    if known is not None and known.id != found.id:
        library.perform(LearnSpace(found), ACTOR)


def model_of(library: Library) -> str:
    """While a library is embedded anew by another model, the one that is done goes on answering."""
    answering = spaces.answering(library.db.writer)
    return choose_model(library.settings.model.name if answering is None else answering.name).name

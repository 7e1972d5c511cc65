"""Asks the model worker for the vectors of a query's words, by the model whose vectors the library answers with.

Concurrency: on the loop; waits for the worker. Crash rule: a worker that dies is one question without an answer.
"""

from __future__ import annotations

from pathlib import Path

from damfs.catalog import spaces
from damfs.catalog.embedder import NO_MODEL
from damfs.core.library import Library
from damfs.core.model_choice import choose_model
from damfs.core.processor_registry import ProcessorRef
from damfs.core.processors.processor import Subject, Worker
from damfs.core.query_vectors import Vectors
from damfs.core.worker_pool import WorkerPool
from damfs.errors import ModelUnavailable
from damfs.model import Media

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
    return {made.model: made.vector for made in output.embeddings}


def model_of(library: Library) -> str:
    """While a library is embedded anew by another model, the one that is done goes on answering."""
    answering = spaces.answering(library.db.writer)
    return choose_model(library.settings.model.name if answering is None else answering.name).name

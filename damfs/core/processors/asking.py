"""What the model worker is asked beside its jobs: which space a model has.

Runs in the model worker; the daemon imports the module to name its functions. Answers are plain data: a string is what
is wrong and what to do.
"""

from __future__ import annotations

from damfs.catalog.embedder import enough_memory, load_embedder
from damfs.core.processors.model_use import space_told
from damfs.errors import ModelUnavailable
from damfs.model import Facts


def space_of_model(name: str, threads: int) -> Facts | str:
    """A `damfs.catalog.spaces.Space`; loads the model, and tries it."""
    try:
        embedder = load_embedder(name, threads)
        with enough_memory(name):
            made = embedder.embed_texts(["a trial"])
    except Exception as error:  # noqa: BLE001 - a model's own code may raise anything
        return _told(name, error)
    if made.shape != (1, embedder.dimensions[embedder.text_model]):
        return f'the model "{name}" says {embedder.dimensions} of its vectors and makes {made.shape}; name another one'
    return space_told(embedder, name)


def _told(name: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, ModelUnavailable):
        return text
    return f'the model "{name}" does not work: {type(error).__name__}: {text}; name another one in model.name'

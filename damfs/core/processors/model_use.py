"""How processors name the model they use, and tell which space its vectors are of. Runs in the model worker and, what
is pure, in the daemon."""

from __future__ import annotations

from damfs.catalog.embedder import Embedder, load_embedder
from damfs.core.processors.processor import SPACE_FACT, Subject
from damfs.model import Facts


def embedder_of(subject: Subject) -> Embedder:
    """ModelUnavailable when the model named in the settings cannot be loaded here."""
    settings = subject.settings
    return load_embedder(str(settings["name"]), int(str(settings["threads"])))


def space_told(embedder: Embedder, name: str) -> Facts:
    """A `damfs.catalog.spaces.Space` as facts."""
    return {
        "id": embedder.id,
        "name": name,
        "visual": embedder.visual_model,
        "meeting": embedder.meeting_model,
        "words": embedder.text_model,
        "dimensions": dict(embedder.dimensions),
    }


def is_of_space(found: Facts, subject: Subject) -> bool:
    """Whether what was found is of the model that the settings name, with the weights it was last loaded with."""
    told = found.get(SPACE_FACT)
    if not isinstance(told, dict) or told.get("name") != subject.settings.get("name"):
        return False
    return subject.settings.get("space") in (None, told.get("id"))

"""Processor "embedding": what the poster of an asset shows and what its name says, as vectors.

Runs in the model worker, which keeps the model loaded; the daemon imports this module for ``accepts`` only, so model
libraries and PIL are imported where they are used. It writes nothing: a kill costs the one run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from damfs.catalog.embedder import NO_MODEL, Embedder, load_embedder
from damfs.core.processors.processor import MadeEmbedding, Output, Processor, Subject, Worker
from damfs.model import Media

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POSTER = "poster/jpeg"
CAMERA_WORDS = frozenset({"img", "dsc", "dscn", "dscf", "mvi", "mov", "vid", "gopr", "gh", "gx", "dji", "pxl", "rec"})
"""What cameras and recorders put before a number: it says nothing about what is shown."""
WORD = re.compile(r"[^\W\d_]+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Embedding(Processor):
    name = "embedding"
    version = 1
    needs = frozenset({"preview"})
    worker = Worker.MODEL
    priority = 40
    timeout_s = 300.0

    def accepts(self, subject: Subject) -> bool:
        return subject.settings.get("name") != NO_MODEL and subject.media is not Media.OTHER

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        """ModelUnavailable when the model named in the settings cannot be loaded here."""
        settings = subject.settings
        embedder = load_embedder(str(settings["name"]), int(str(settings["threads"])))
        made: list[MadeEmbedding] = []
        if poster := subject.renditions.get(POSTER):
            made += of_poster(embedder, poster)
        if words := name_words(subject.name, source.parent.name):
            made.append(_made(embedder.text_model, embedder.embed_texts([words])[0]))
        return Output(facts={"models": [one.model for one in made]}, embeddings=tuple(made))


def of_poster(embedder: Embedder, poster: Path) -> list[MadeEmbedding]:
    from PIL import Image

    with Image.open(poster) as picture:
        (vectors,) = embedder.embed_pictures([picture])
    return [_made(model, vector) for model, vector in vectors.items()]


def name_words(name: str, folder: str) -> str:
    """The words of a file name and its folder: "IMG_12 red-CarAtDusk.mov" in "2024 Rome" is "red Car At Dusk Rome"."""
    stem = name.rpartition(".")[0] or name
    words = [word for text in (stem, folder) for word in WORD.findall(CAMEL.sub(" ", text))]
    return " ".join(word for word in words if _says_something(word))


def _says_something(word: str) -> bool:
    """One Latin letter is a counter (``take_b``); one Han character is a word."""
    return word.lower() not in CAMERA_WORDS and not (len(word) == 1 and word.isascii())


def _made(model: str, vector: NDArray[np.float32]) -> MadeEmbedding:
    return MadeEmbedding(model=model, vector=vector.astype("<f4").tobytes())

"""The words of a query as vectors: one to compare with the texts of assets, one with pictures.

No processor of files: searches run it in the model worker, where the model is loaded anyway. It writes nothing.
"""

from __future__ import annotations

from pathlib import Path

from damfs.catalog.embedder import photo_of
from damfs.core.processors.model_use import embedder_of, space_told
from damfs.core.processors.processor import SPACE_FACT, MadeEmbedding, Output, Processor, Subject, Worker


class QueryVector(Processor):
    """``subject.name``: the words."""

    name = "query_vector"
    version = 1
    worker = Worker.MODEL

    def accepts(self, subject: Subject) -> bool:
        return True

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        """ModelUnavailable when the model named in the settings cannot be loaded here."""
        settings, embedder = subject.settings, embedder_of(subject)
        words, picture = embedder.embed_texts([subject.name, photo_of(subject.name)])
        made = [MadeEmbedding(embedder.text_model, words.astype("<f4").tobytes())]
        if embedder.meeting_model is not None:
            made.append(MadeEmbedding(embedder.meeting_model, picture.astype("<f4").tobytes()))
        return Output(facts={SPACE_FACT: space_told(embedder, str(settings["name"]))}, embeddings=tuple(made))

"""Processor "auto_tag": proposes the term of the vocabulary that the poster of an asset shows, when one stands out.

Runs in the model worker, which keeps the model and the vectors of the terms; the daemon imports this module for
``accepts`` only. It writes nothing and decides nothing: whether a proposal becomes a tag is the library's business.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from damfs.catalog.embedder import CONSE, NO_MODEL, Embedder, load_embedder, photo_of
from damfs.core.processors.processor import Output, Processor, Proposal, Subject, Worker
from damfs.model import Facts, Media

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POSTER = "poster/jpeg"
TERMS_KEPT = 20_000
"""Vectors of terms kept in memory: 30 MB at 384 numbers. Beyond, all are made again."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How far apart similarities lie in a space. margin = best - max(second, floor)."""

    floor: float
    """Similarity that unrelated terms reach: the rival of a vocabulary without the right term, or with one term."""
    least_margin: float
    """Nothing is proposed below."""
    steepness: float
    even_margin: float
    """confidence = 1 / (1 + exp(-steepness * (margin - even_margin)))."""

    def margin(self, similarities: Sequence[float]) -> float:
        best, second, *_ = [*sorted(similarities, reverse=True), -1.0]
        return best - max(second, self.floor)

    def confidence(self, margin: float) -> float:
        return 1.0 / (1.0 + math.exp(-self.steepness * (margin - self.even_margin)))


CONSE_SCALE = Scale(floor=0.65, least_margin=0.10, steepness=8.7, even_margin=-0.067)
"""Measured on 360 captioned pictures of Debian's tuxpaint-stamps-default (cut out on white, not photographs) with
random vocabularies of 1 to 26 terms, most without the right one: 0.80 to 0.91 of what is proposed was right. The
confidence is the logistic regression of "right" on the margin of those proposals."""
CONTRASTIVE_SCALE = Scale(floor=0.20, least_margin=0.02, steepness=100.0, even_margin=0.0)
"""CLIP (Radford et al., 2021) is trained with a softmax of 100 times the similarity: this is that softmax between the
best and the second. Its floor is a rule of thumb, not measured here: no such weights are at hand."""


class AutoTag(Processor):
    """Its settings: its own table and the model's in one (``enabled``, ``name``, ``threads``), ``terms`` [{"name"}]."""

    name = "auto_tag"
    version = 1
    needs = frozenset({"embedding"})
    worker = Worker.MODEL
    priority = 60
    timeout_s = 300.0

    def accepts(self, subject: Subject) -> bool:
        settings = subject.settings
        wanted = bool(settings.get("enabled")) and bool(settings.get("terms")) and settings.get("name") != NO_MODEL
        return wanted and subject.media in {Media.VIDEO, Media.IMAGE}

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        """ModelUnavailable when the model named in the settings cannot be loaded here."""
        poster = subject.renditions.get(POSTER)
        if poster is None:
            return Output(facts={"reason": "there is no poster to look at"})
        settings = subject.settings
        judge = _judge(str(settings["name"]), int(str(settings["threads"])))
        return judge.output(poster, _terms(settings))


class Judge:
    """Compares pictures with terms, and remembers the vectors of terms between runs."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.scale = CONSE_SCALE if embedder.meeting_model == CONSE else CONTRASTIVE_SCALE
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def output(self, poster: Path, terms: Sequence[str]) -> Output:
        if self.embedder.meeting_model is None:
            return Output(facts={"reason": "the model cannot compare pictures with words"})
        similarities = self.similarities(poster, terms)
        best = max(range(len(terms)), key=lambda number: similarities[number])
        margin = self.scale.margin(similarities)
        facts = {"model": self.embedder.meeting_model, "best": terms[best], "margin": round(margin, 4)}
        if margin < self.scale.least_margin:
            return Output(facts=facts)
        return Output(facts=facts, proposals=(Proposal(terms[best], self.scale.confidence(margin)),))

    def similarities(self, poster: Path, terms: Sequence[str]) -> list[float]:
        """Cosine of the poster and the phrase of each term."""
        import numpy as np
        from PIL import Image

        with Image.open(poster) as picture:
            (vectors,) = self.embedder.embed_pictures([picture])
        assert self.embedder.meeting_model is not None
        matrix = np.stack(self._of_terms(terms))
        return [float(value) for value in matrix @ vectors[self.embedder.meeting_model]]

    def _of_terms(self, terms: Sequence[str]) -> list[NDArray[np.float32]]:
        if len(self._vectors) > TERMS_KEPT:
            self._vectors.clear()
        new = [term for term in dict.fromkeys(terms) if term not in self._vectors]
        made = self.embedder.embed_texts([photo_of(term) for term in new])
        self._vectors.update(zip(new, made, strict=True))
        return [self._vectors[term] for term in terms]


@functools.lru_cache(maxsize=1)
def _judge(name: str, threads: int) -> Judge:
    return Judge(load_embedder(name, threads))


def _terms(settings: Facts) -> list[str]:
    terms = settings["terms"]
    assert isinstance(terms, Sequence)
    return [str(term["name"]) for term in terms]

"""Processor "auto_tag": proposes the term of the vocabulary that the poster of an asset shows, if it is sure.

Runs in the model worker, which keeps the model and the vectors of the terms; the daemon imports this module for
``accepts`` only. It writes nothing and decides nothing: whether a proposal becomes a tag is the library's business.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from damfs.catalog.embedder import CONSE, NO_MODEL, Embedder, load_embedder, photo_of
from damfs.core.processors.processor import Output, Processor, Proposal, Subject, Worker
from damfs.model import Facts, Media

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POSTER = "poster/jpeg"
TERMS_KEPT = 20_000
"""Vectors of terms kept in memory: 30 MB at 384 numbers. Beyond, all are made again."""


class Phrased(NamedTuple):
    """A term, and what is compared with pictures."""

    name: str
    phrase: str
    broader: str = ""


def phrased(name: str, prompt: str = "", broader: str = "") -> Phrased:
    return Phrased(name, prompt or photo_of(name), broader)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the best term for a picture."""

    best: float
    """Similarity of the two."""
    gap: float
    """How much nearer it is than the next one that is neither broader nor narrower."""
    focus: float
    """How near the picture is to anything that the model knows for sure; 0 where that cannot be told."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How similarities are to be read in a space: confidence = 1 / (1 + exp(-(of_best * best + of_gap * gap +
    of_focus * focus + bias)))."""

    of_best: float
    of_gap: float
    of_focus: float
    bias: float
    floor: float
    """Similarity that unrelated terms reach: the rival of a vocabulary without the right term, or with one term."""
    widest_gap: float
    """More says nothing more."""
    least_gap: float
    least_confidence: float
    """Nothing is proposed below these two."""

    def seen(self, similarities: Sequence[float], rivals: Sequence[float], focus: float) -> Seen:
        best = max(similarities)
        return Seen(best, min(best - max([self.floor, *rivals]), self.widest_gap), focus)

    def confidence(self, seen: Seen) -> float:
        weighed = self.of_best * seen.best + self.of_gap * seen.gap + self.of_focus * seen.focus
        return 1.0 / (1.0 + math.exp(-(weighed + self.bias)))

    def is_sure(self, seen: Seen) -> bool:
        return seen.gap >= self.least_gap and self.confidence(seen) >= self.least_confidence


CONSE_SCALE = Scale(
    of_best=18.5, of_gap=5.2, of_focus=10.3, bias=-23.2, floor=-1.0, widest_gap=0.2, least_gap=0.05,
    least_confidence=0.85,
)  # fmt: skip
"""The logistic regression of "right" over 382 captioned pictures of Debian's tuxpaint-stamps-default (cut out on white,
not photographs) and random vocabularies of 1 to 40 terms, most without the right one. Fitted to four fifths of the
pictures and asked of the rest. Of what it proposes of all pictures 0.93 is right, for any number of terms at
least 0.86. The margin to the second alone gave 0.75 to 0.82 below 15 terms: without a rival any term stands out.
`python -m tests.bench --only zeroshot` measures it."""
CONTRASTIVE_SCALE = Scale(
    of_best=0.0, of_gap=100.0, of_focus=0.0, bias=0.0, floor=0.20, widest_gap=1.0, least_gap=0.02, least_confidence=0.0
)
"""CLIP (Radford et al., 2021) is trained with a softmax of 100 times the similarity: this is that softmax between the
best and the second. Its floor is a rule of thumb, not measured here: no such weights are at hand."""


class AutoTag(Processor):
    """Its settings: its own table and the model's in one (``enabled``, ``name``, ``threads``), ``terms``
    [{"name", "prompt", "broader"}]; an empty prompt is "a photo of a <name>"."""

    name = "auto_tag"
    version = 3
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

    def output(self, poster: Path, terms: Sequence[Phrased]) -> Output:
        if self.embedder.meeting_model is None:
            return Output(facts={"reason": "the model cannot compare pictures with words"})
        picture = self._picture(poster)
        similarities = self.similarities(picture, terms)
        best, seen = self.judged(picture, similarities, terms)
        confidence = self.scale.confidence(seen)
        facts = {"model": self.embedder.meeting_model, "best": terms[best].name, "confidence": round(confidence, 4)}
        if not self.scale.is_sure(seen):
            return Output(facts=facts)
        return Output(facts=facts, proposals=(Proposal(terms[best].name, confidence),))

    def judged(
        self, picture: NDArray[np.float32], similarities: Sequence[float], terms: Sequence[Phrased]
    ) -> tuple[int, Seen]:
        """The number of the best term, and what is known of it. Its relatives fit as well, and are no rivals."""
        best = max(range(len(terms)), key=lambda number: similarities[number])
        above = {term.name: term.broader for term in terms}
        kin = lineage(terms[best].name, above)
        rivals = [
            similarity
            for term, similarity in zip(terms, similarities, strict=True)
            if term.name not in kin and terms[best].name not in lineage(term.name, above)
        ]
        landmarks = self.embedder.landmarks
        focus = 0.0 if landmarks is None else float((landmarks @ picture).max())
        return best, self.scale.seen(similarities, rivals, focus)

    def _picture(self, poster: Path) -> NDArray[np.float32]:
        from PIL import Image

        with Image.open(poster) as picture:
            (vectors,) = self.embedder.embed_pictures([picture])
        assert self.embedder.meeting_model is not None
        return vectors[self.embedder.meeting_model]

    def similarities(self, picture: NDArray[np.float32], terms: Sequence[Phrased]) -> list[float]:
        """Cosine of a picture and the phrase of each term."""
        import numpy as np

        matrix = np.stack(self._of_terms([term.phrase for term in terms]))
        return [float(value) for value in matrix @ picture]

    def _of_terms(self, phrases: Sequence[str]) -> list[NDArray[np.float32]]:
        if len(self._vectors) > TERMS_KEPT:
            self._vectors.clear()
        new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._vectors]
        made = self.embedder.embed_texts(new)
        self._vectors.update(zip(new, made, strict=True))
        return [self._vectors[phrase] for phrase in phrases]


def lineage(name: str, above: Mapping[str, str]) -> set[str]:
    """A term and those broader than it."""
    found: set[str] = set()
    while name and name not in found:
        found.add(name)
        name = above.get(name, "")
    return found


@functools.lru_cache(maxsize=1)
def _judge(name: str, threads: int) -> Judge:
    return Judge(load_embedder(name, threads))


def _terms(settings: Facts) -> list[Phrased]:
    terms = settings["terms"]
    assert isinstance(terms, Sequence)
    return [phrased(**{key: str(value) for key, value in term.items()}) for term in terms]

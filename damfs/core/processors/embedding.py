"""Processor "embedding": what the poster and the moments of an asset show, as vectors of the model in use.

Runs in the model worker, which keeps the model loaded; the daemon imports this module for ``accepts`` only, so model
libraries and PIL are imported where they are used. It writes nothing: a kill costs the one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from damfs.catalog.embedder import NO_MODEL, Embedder, enough_memory
from damfs.core.processors.model_use import embedder_of, is_of_space, space_told
from damfs.core.processors.processor import SPACE_FACT, MadeEmbedding, Output, Processor, Subject, Work, Worker
from damfs.core.processors.strip import STRIP_KEY, pictures_of_strip
from damfs.model import Media

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Vectors = NDArray[np.float32]

POSTER = "poster/jpeg"


class Embedding(Processor):
    name = "embedding"
    version = 3
    needs = frozenset({"preview"})
    worker = Worker.MODEL
    priority = 40
    timeout_s = 300.0
    batch = 16

    def accepts(self, subject: Subject) -> bool:
        return subject.settings.get("name") != NO_MODEL and subject.media in {Media.VIDEO, Media.IMAGE}

    def is_current(self, subject: Subject) -> bool:
        """Also when what an earlier use of the model made is still there; not of a clip: its moments may be others."""
        found, moments = subject.facts.get(self.name, {}), moments_told(subject)
        kept = subject.settings.get("pictures")
        if isinstance(kept, list) and kept and not moments and subject.models.issuperset(kept):
            return True
        return found.get("at_ns") == moments and is_of_space(found, subject)

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        """ModelUnavailable when the model named in the settings cannot be loaded here."""
        (made,) = self.run_many([Work(source, out, subject)])
        if isinstance(made, Exception):
            raise made
        return made

    def run_many(self, works: Sequence[Work]) -> list[Output | Exception]:
        """All pictures of all of them go through the model in one call."""
        if not works:
            return []
        embedder = embedder_of(works[0].subject)
        seen = [_looked_at(work.subject) for work in works]
        pictures = [picture for each in seen if isinstance(each, _Pictures) for picture in each.all]
        with enough_memory(str(works[0].subject.settings["name"])):
            vectors = iter(embedder.embed_pictures(pictures))
        return [
            each if isinstance(each, Exception) else _output(embedder, work.subject, each, vectors)
            for work, each in zip(works, seen, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Pictures:
    all: tuple[Image, ...]
    """The poster, if there is one, then the moments."""
    at_ns: tuple[int, ...]
    """Of the moments."""


def _looked_at(subject: Subject) -> _Pictures | Exception:
    from PIL import Image

    try:
        pictures = []
        if poster := subject.renditions.get(POSTER):
            with Image.open(poster) as opened:
                opened.draft("RGB", (512, 512))
                pictures.append(opened.convert("RGB"))
        times = moments_told(subject) if STRIP_KEY in subject.renditions else []
        if times:
            height = int(str(subject.facts["moments"]["height"]))
            pictures += list(pictures_of_strip(subject.renditions[STRIP_KEY], height))[: len(times)]
        return _Pictures(tuple(pictures), tuple(times))
    except Exception as error:  # noqa: BLE001 - a damaged picture is the fault of one job of the batch
        return error


def _output(
    embedder: Embedder, subject: Subject, seen: _Pictures, vectors_of_all: Iterator[dict[str, Vectors]]
) -> Output:
    made = list(islice(vectors_of_all, len(seen.all)))
    embeddings: list[MadeEmbedding] = []
    for model in made[0] if made else ():
        vectors = [each[model] for each in made]
        embeddings.append(_made(model, pooled(vectors)))
        if seen.at_ns:
            moments = vectors[-len(seen.at_ns) :]
            embeddings += [_made(model, vector, at) for vector, at in zip(moments, seen.at_ns, strict=True)]
    models = tuple(dict.fromkeys(filter(None, (embedder.visual_model, embedder.meeting_model))))
    name = str(subject.settings["name"])
    facts = {
        "models": list(models) if made else [],
        "at_ns": moments_told(subject),
        SPACE_FACT: space_told(embedder, name),
    }
    return Output(facts=facts, embeddings=tuple(embeddings), replaces=models)


def pooled(vectors: Sequence[Vectors]) -> Vectors:
    """The direction of the mean: what a clip shows as a whole."""
    import numpy as np

    mean = np.mean(np.stack(vectors), axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)


def moments_told(subject: Subject) -> list[int]:
    times = subject.facts.get("moments", {}).get("at_ns")
    return [int(at) for at in times] if isinstance(times, list) else []


def _made(model: str, vector: Vectors, at_ns: int | None = None) -> MadeEmbedding:
    return MadeEmbedding(model=model, vector=vector.astype("<f4").tobytes(), at_ns=at_ns)

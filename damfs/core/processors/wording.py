"""Processor "wording": what an asset is called, where it lies, what people say of it and what plug-ins read or heard in
it, as vectors of words.

Runs in the model worker, see "embedding". Any processor may put ``text`` into its facts: a string, or a list of
``{"at_ns": int, "text": str}`` in the order of time; the words of a moment get a vector of that moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from blake3 import blake3

from damfs.catalog.embedder import NO_MODEL, enough_memory
from damfs.core.processors.model_use import embedder_of, is_of_space, space_told
from damfs.core.processors.processor import SPACE_FACT, MadeEmbedding, Output, Processor, Subject, Work, Worker
from damfs.model import Media

PASSAGE = 600
"""Characters of a passage: about what a model reads of a text (256 tokens hold some 1000) and a person says in 40 s."""
MOST = 400
"""Passages of one asset: four hours of speech."""
WHOLE = 2_000


class Wording(Processor):
    name = "wording"
    version = 1
    needs = frozenset({"probe"})
    worker = Worker.MODEL
    priority = 45
    timeout_s = 300.0
    batch = 64
    wants_words = True

    def accepts(self, subject: Subject) -> bool:
        return subject.settings.get("name") != NO_MODEL and subject.media is not Media.OTHER

    def is_current(self, subject: Subject) -> bool:
        found = subject.facts.get(self.name, {})
        return found.get("digest") == digest_of(passages_of(subject)) and is_of_space(found, subject)

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        """ModelUnavailable when the model named in the settings cannot be loaded here."""
        (made,) = self.run_many([Work(source, out, subject)])
        if isinstance(made, Exception):
            raise made
        return made

    def run_many(self, works: Sequence[Work]) -> list[Output | Exception]:
        """All texts of all of them go through the model in one call."""
        if not works:
            return []
        embedder, name = embedder_of(works[0].subject), str(works[0].subject.settings["name"])
        texts = [passages_of(work.subject) for work in works]
        with enough_memory(name):
            vectors = iter(embedder.embed_texts([text for each in texts for _, text in each]))
        model, space = embedder.text_model, space_told(embedder, name)
        return [
            Output(
                facts={"digest": digest_of(each), "passages": len(each), SPACE_FACT: space},
                embeddings=tuple(
                    MadeEmbedding(model, next(vectors).astype("<f4").tobytes(), at_ns) for at_ns, _ in each
                ),
                replaces=(model,),
            )
            for each in texts
        ]


def passages_of(subject: Subject) -> list[tuple[int | None, str]]:
    """The words of the whole (time None), if there are any, then what is read or heard at which time."""
    timed = list(_grouped(_timed(subject)))[:MOST]
    untimed = [text for facts in subject.facts.values() if isinstance(text := facts.get("text"), str)]
    heard = [text for _, text in timed]
    whole = ". ".join([*subject.words, *untimed, *heard])[:WHOLE]
    return ([(None, whole)] if whole else []) + [(at, text) for at, text in timed]


def _timed(subject: Subject) -> list[tuple[int, str]]:
    told = [each for facts in subject.facts.values() if isinstance(texts := facts.get("text"), list) for each in texts]
    return sorted(
        (max(0, each["at_ns"]), " ".join(each["text"].split()))
        for each in told
        if isinstance(each, dict) and isinstance(each.get("at_ns"), int) and isinstance(each.get("text"), str)
    )


def _grouped(timed: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines that follow each other make a passage, at the time of its first."""
    begin, lines = -1, ""
    for at_ns, text in timed:
        if lines and len(lines) + len(text) > PASSAGE:
            yield begin, lines
            lines = ""
        if not lines:
            begin = max(at_ns, begin + 1)
        lines = f"{lines} {text}".strip()
    if lines:
        yield begin, lines


def digest_of(passages: Sequence[tuple[int | None, str]]) -> str:
    """Tells whether the words are still those that the vectors were made of."""
    return blake3(repr(list(passages)).encode("utf-8", "backslashreplace")).hexdigest()[:16]

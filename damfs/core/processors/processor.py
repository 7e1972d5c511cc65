"""The public base class of processors: one step that derives something from the bytes of a version.

Concurrency and crash rule: ``accepts`` runs in the daemon and must be pure and quick; ``run`` runs in a worker
process that may be killed at any moment, so it writes below ``out`` only and knows nothing of the catalog.
What it returns is committed in one transaction by the job runner.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from damfs.model import Facts, Media, RenditionKind

LOOK_MODEL = "look-1"
"""Id of the built-in visual descriptor: what similar-to/ ranks by when no model can run."""

SPACE_FACT = "space"
"""Under this name a processor that asked a model tells in its facts of which space its vectors are."""


class Worker(StrEnum):
    """Which pool of worker processes runs a processor: MODEL workers keep their model loaded between jobs, PROMPT ones
    do what somebody waits for and never stand behind jobs."""

    MEDIA = "media"
    MODEL = "model"
    PROMPT = "prompt"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a processor may look at to decide, and is told about the bytes when it runs."""

    name: str
    media: Media
    size: int
    facts: Mapping[str, Facts] = field(default_factory=dict)
    """Facts by the name of the processor that found them, e.g. ``facts["probe"]["width"]``."""
    renditions: Mapping[str, Path] = field(default_factory=dict)
    """Renditions made so far by ``kind/profile``, e.g. ``poster/jpeg``; empty in ``accepts``."""
    settings: Facts = field(default_factory=dict)
    """The processor's own table of damfs.toml, plus ``terms`` for the vocabulary where it asked for it."""
    models: frozenset[str] = frozenset()
    """Models that have a vector of these bytes already."""
    beside: Mapping[str, Path] = field(default_factory=dict)
    """Other bytes that it asked to read (`Processor.reads`), by their digest; empty in ``accepts``."""
    words: tuple[str, ...] = ()
    """What people call them and say of them: names, folders, terms and comments of every asset that has these bytes.
    Only for who asked for them (`Processor.wants_words`); empty in ``accepts``."""


@dataclass(frozen=True, slots=True)
class Work:
    """One run of a processor. ``source`` is never written; files go below ``out``, an empty directory."""

    source: Path
    out: Path
    subject: Subject


@dataclass(frozen=True, slots=True)
class MadeRendition:
    """A file below ``out`` to be published as a rendition. ``profile`` tells renditions of one kind apart."""

    kind: RenditionKind
    profile: str
    path: Path
    detail: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MadeEmbedding:
    """A unit vector in the space of ``model`` (an id that two models never share), little-endian float32."""

    model: str
    vector: bytes
    at_ns: int | None = None
    """Moment in a video, None for the whole."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A term that a model proposes for the asset, with its confidence in 0..1."""

    term: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Output:
    facts: Facts = field(default_factory=dict)
    """Replaces what this processor found before. ``media`` and ``captured_*`` of the probe move the asset."""
    renditions: tuple[MadeRendition, ...] = ()
    embeddings: tuple[MadeEmbedding, ...] = ()
    replaces: tuple[str, ...] = ()
    """Models of which nothing is kept that was made of these bytes before; of others, what has the same moment is."""
    proposals: tuple[Proposal, ...] = ()


class Processor(ABC):
    """*MUST* set ``name`` and ``version`` and implement ``accepts`` and ``run``; *MAY* set the rest."""

    name: ClassVar[str]
    version: ClassVar[int]
    """A new version plans assets again that an older one has done."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Names of processors that must be done (or have declined) before this one."""
    after: ClassVar[frozenset[str]] = frozenset()
    """As ``needs``, of those that are installed: it runs without the others too."""
    worker: ClassVar[Worker] = Worker.MEDIA
    priority: ClassVar[int] = 50
    """Lower runs first: what a person looks at before what takes long."""
    timeout_s: ClassVar[float] = 600.0
    """Limit of one run; the worker is killed after it. Wall-clock time, for media workers without what they waited for
    a processor."""
    batch: ClassVar[int] = 1
    """So many runs that wait for a worker at the same time are given to `run_many` together."""
    wants_words: ClassVar[bool] = False
    """Whether ``run`` and ``is_current`` look at ``subject.words``."""

    @abstractmethod
    def accepts(self, subject: Subject) -> bool:
        """Whether there is anything to do for this subject. Pure: called in the daemon, on its loop."""

    def is_current(self, subject: Subject) -> bool:
        """Whether what this version found before still holds; if not, it is done again, after all else. Pure.

        After a run it *MUST* hold, whatever the run found: else it would be run for ever.
        """
        return True

    def reads(self, subject: Subject) -> Sequence[str]:
        """Digests (hexadecimal) of other bytes that ``run`` finds in ``subject.beside``, unless they are gone. Pure."""
        return ()

    @abstractmethod
    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        """Do the step. ``source`` is never written; files go below ``out``, an empty directory.

        Raises BadMedia with one clear line when the bytes are at fault (not tried again); anything else is
        tried again with backoff.
        """

    def run_many(self, works: Sequence[Work]) -> list[Output | Exception]:
        """For each of up to ``batch`` runs what it made or raised. Worth overriding where many cost less together."""
        return [self._run_one(work) for work in works]

    def _run_one(self, work: Work) -> Output | Exception:
        try:
            return self.run(work.source, work.out, work.subject)
        except Exception as error:  # noqa: BLE001 - one run's fault is not another's
            return error

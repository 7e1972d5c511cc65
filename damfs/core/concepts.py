"""A vocabulary as it travels between files and a library: concepts that name each other by keys. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from damfs.core.asset_names import NAME_LIMIT, clean_name, size_of
from damfs.errors import BadVocabulary
from damfs.storage.droppings import is_dropping

TERMS_LIMIT = 100_000
"""Terms of one file; the largest thesauri that people tag with have half of that."""
TEXT_LIMIT = 32 << 20
"""Characters of all that a file says: it travels in one request."""


class ConceptLabel(Struct, frozen=True):
    name: str
    language: str = ""
    preferred: bool = False


class Concept(Struct, frozen=True, omit_defaults=True):
    """``key``: what others of the same file call it; ``broader`` and ``related`` are keys. ``where``: in the file."""

    key: str
    name: str
    broader: str = ""
    language: str = ""
    labels: tuple[ConceptLabel, ...] = ()
    notes: dict[str, str] = {}
    related: tuple[str, ...] = ()
    prompt: str = ""
    uri: str = ""
    grouping: bool = False
    where: str = ""
    assets: int = 0
    """How many carry it, where a library tells."""
    remark: str = ""
    """What of it could not be taken over as it is."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    concepts: Sequence[Concept]
    remarks: list[str] = field(default_factory=list)
    """What could not be taken over as it is."""


def checked(concepts: Sequence[Concept], file: str) -> Vocabulary:
    """The concepts, broader ones first and with a name of its own each. Raises BadVocabulary, naming file and line."""
    _check_size(concepts, file)
    fit = [_fit(concept, file) for concept in concepts]
    ordered = _broader_first(fit, file)
    remarks = [f"{concept.where}: {concept.remark}" for concept in fit if concept.remark]
    return Vocabulary(_apart(ordered, remarks.append), remarks)


def _check_size(concepts: Sequence[Concept], file: str) -> None:
    """Raises BadVocabulary."""
    check_number(len(concepts), file)
    if sum(map(_length, concepts)) > TEXT_LIMIT:
        raise BadVocabulary(f"{file}: names and notes of more than {TEXT_LIMIT >> 20} MB; import a part of it")


def check_number(terms: int, file: str) -> None:
    """For whoever reads files: early. Raises BadVocabulary."""
    if terms > TERMS_LIMIT:
        raise BadVocabulary(
            f"{file}: more than {TERMS_LIMIT:,} terms; import a part of it, or is this a list of something else?"
        )


def _length(concept: Concept) -> int:
    names = len(concept.name) + sum(len(label.name) for label in concept.labels)
    return names + sum(map(len, concept.notes.values())) + sum(map(len, concept.related)) + len(concept.prompt)


def _fit(concept: Concept, file: str) -> Concept:
    names = (concept.name, *(label.name for label in concept.labels))
    for name in names:
        check_name(name, f"{file}, {concept.where}")
    name = clean_name(concept.name.strip())
    made = (replace(label, name=clean_name(label.name.strip())) for label in concept.labels)
    labels = dict.fromkeys(label for label in made if label.name != name or label.language)
    return replace(concept, name=name, labels=tuple(label for label in labels if label.name != name))


def check_name(name: str, where: str) -> None:
    """Raises BadVocabulary."""
    if not name.strip():
        raise BadVocabulary(f"{where}: a term without a name")
    if size_of(name.strip()) > NAME_LIMIT:
        raise BadVocabulary(
            f'{where}: "{name[:40]}…" is {len(name):,} characters long; a term has at most {NAME_LIMIT} bytes'
        )
    if is_dropping(clean_name(name.strip())):
        raise BadVocabulary(f'{where}: "{name}" is a name that desktops leave behind; choose another one')


def _broader_first(concepts: Sequence[Concept], file: str) -> list[Concept]:
    by_key = {concept.key: concept for concept in concepts}
    placed: dict[str, Concept] = {}
    for concept in concepts:
        chain: dict[str, Concept] = {}
        each: Concept | None = concept
        while each is not None and each.key not in placed:
            if each.key in chain:
                circle = " > ".join(f'"{one.name}"' for one in reversed([*chain.values(), each]))
                raise BadVocabulary(f"{file}, {each.where}: broader terms go in a circle: {circle}")
            chain[each.key] = each
            each = by_key.get(each.broader) if each.broader else None
        placed.update(reversed(chain.items()))
    return list(placed.values())


def _apart(concepts: Iterable[Concept], remark: Callable[[str], None]) -> list[Concept]:
    """A library has each name once: a second one is told apart by the name of its broader term, or a number."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    made = []
    for concept in concepts:
        name, number = concept.name, 2
        if name in taken and concept.broader in names:
            name = f"{concept.name} ({names[concept.broader]})"
        while name in taken:
            name, number = f"{concept.name} ({number})", number + 1
        if name != concept.name:
            remark(f'{concept.where}: there is another "{concept.name}" in the file; this one is called "{name}"')
        taken.add(name)
        names[concept.key] = name
        made.append(replace(concept, name=clean_name(name)))
    return made

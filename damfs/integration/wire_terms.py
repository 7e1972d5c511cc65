"""The requests about the vocabulary and about what models propose, as they travel over the control socket. Pure."""

from __future__ import annotations

from msgspec import Struct

from damfs.core.concepts import Concept


class GetVocabulary(Struct, frozen=True, tag="vocabulary"):
    """Every term with all that is said of it, as concepts; their keys are numbers."""


class ImportVocabulary(Struct, frozen=True, tag="import-vocabulary"):
    """``concepts``: as `concepts.checked` has them."""

    concepts: tuple[Concept, ...]


class AddTerm(Struct, frozen=True, tag="add-term"):
    """A new term; ``below``: a term, or ''."""

    name: str
    below: str = ""
    synonyms: tuple[str, ...] = ()
    note: str = ""
    prompt: str = ""


class ChangeTerm(Struct, frozen=True, tag="change-term"):
    """Another name, another place (``below`` "" with ``move``: the top), or none at all."""

    term: str
    name: str = ""
    keep: bool = False
    """The old name as a synonym."""
    move: bool = False
    below: str = ""
    remove: bool = False


class MergeTerm(Struct, frozen=True, tag="merge-term"):
    term: str
    into: str


class DescribeTerm(Struct, frozen=True, tag="describe-term"):
    """What is None stays as it is."""

    term: str
    note: str | None = None
    language: str = ""
    prompt: str | None = None
    grouping: bool | None = None


class LabelTerm(Struct, frozen=True, tag="label-term"):
    term: str
    label: str
    language: str = ""
    preferred: bool = False
    remove: bool = False


class RelateTerm(Struct, frozen=True, tag="relate-term"):
    term: str
    other: str
    remove: bool = False


class GetSuggestions(Struct, frozen=True, tag="suggestions"):
    """What waits for a person, surest first."""

    term: str = ""
    above: float = 0.0


class Judge(Struct, frozen=True, tag="judge"):
    """Accept or refuse suggestions: of a term, of assets, those surer than something; all of these together."""

    accept: bool
    term: str = ""
    assets: tuple[int, ...] = ()
    above: float = 0.0


class SuggestAll(Struct, frozen=True, tag="suggest-all"):
    """Look at every picture again."""


Editing = AddTerm | ChangeTerm | MergeTerm | DescribeTerm | LabelTerm | RelateTerm
Judging = GetSuggestions | Judge | SuggestAll
OnTerms = GetVocabulary | ImportVocabulary | Editing | Judging

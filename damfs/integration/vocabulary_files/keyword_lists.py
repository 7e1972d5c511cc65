"""Keyword lists: Lightroom's (indented by tabs, ``{synonym}`` below a keyword, ``[keyword]`` that only groups), and
plain lists of paths as digiKam and others have them (``a/b/c`` a line). Pure.

Lightroom's: https://helpx.adobe.com/lightroom-classic/help/keywords.html (importing and exporting keywords).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from damfs.core.concepts import Concept, ConceptLabel, check_number
from damfs.errors import BadVocabulary

LINE_LIMIT = 20_000
SEPARATORS = "/|"
"""Between the steps of a path; digiKam exports '/', others '|'."""


def lines_of(text: str, file: str) -> Iterator[tuple[int, str]]:
    """Numbered lines that hold anything. Raises BadVocabulary for one that no list has."""
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > LINE_LIMIT:
            raise BadVocabulary(f"{file}, line {number}: {len(line):,} characters; this is no list of terms")
        if line.strip():
            yield number, line.rstrip()


def read_lightroom(text: str, file: str) -> list[Concept]:
    """Raises BadVocabulary."""
    found: dict[str, Concept] = {}
    above: list[str] = []
    """Keys of the keywords that the line is below, outermost first."""
    for number, line in lines_of(text, file):
        depth = len(line) - len(line.lstrip("\t"))
        word = line.strip()
        if depth > len(above):
            raise BadVocabulary(f"{file}, line {number}: indented by {depth} tabs below one with {len(above) - 1}")
        del above[depth:]
        if word.startswith("{") and word.endswith("}"):
            _add_synonym(found, above, word[1:-1], f"{file}, line {number}")
            continue
        grouping = word.startswith("[") and word.endswith("]")
        word = word[1:-1] if grouping else word
        check_number(len(found), file)
        key = "\0".join((*above[-1:], word))
        found.setdefault(key, Concept(key, word, above[-1] if above else "", grouping=grouping, where=f"line {number}"))
        above.append(key)
    return list(found.values())


def _add_synonym(found: dict[str, Concept], above: Sequence[str], word: str, where: str) -> None:
    if not above:
        raise BadVocabulary(f'{where}: the synonym "{word}" stands below no keyword')
    concept = found[above[-1]]
    labels = (*concept.labels, ConceptLabel(word.strip()))
    found[above[-1]] = Concept(
        concept.key, concept.name, concept.broader, labels=labels, grouping=concept.grouping, where=concept.where
    )


def write_lightroom(concepts: Sequence[Concept], _: str) -> str:
    children = _children(concepts)
    lines: list[str] = []

    waiting = [(0, concept) for concept in reversed(children.get("", []))]
    while waiting:
        depth, concept = waiting.pop()
        word = f"[{concept.name}]" if concept.grouping else concept.name
        lines.append("\t" * depth + word)
        lines += ["\t" * (depth + 1) + "{" + label + "}" for label in _label_names(concept)]
        waiting += [(depth + 1, below) for below in reversed(children.get(concept.key, []))]
    return "".join(line + "\n" for line in lines)


def read_paths(text: str, file: str) -> list[Concept]:
    """A path a line; what stands before the last step is made as well."""
    found: dict[str, Concept] = {}
    for number, line in lines_of(text, file):
        check_number(len(found), file)
        key = ""
        for step in _steps(line.strip()):
            above, key = key, f"{key}\0{step}"
            found.setdefault(key, Concept(key, step, above, where=f"line {number}"))
    return list(found.values())


def _steps(line: str) -> list[str]:
    separator = next((each for each in SEPARATORS if each in line), "/")
    return [step.strip() for step in line.split(separator) if step.strip()]


def write_paths(concepts: Sequence[Concept], file: str) -> str:
    """Raises BadVocabulary for a name that the format cannot say."""
    by_key = {concept.key: concept for concept in concepts}
    lines = []
    for concept in concepts:
        steps, each = [concept.name], concept
        while each.broader:
            each = by_key[each.broader]
            steps.append(each.name)
        if any(mark in step for step in steps for mark in SEPARATORS):
            raise BadVocabulary(
                f'{file}: "{concept.name}" holds a "|", which a list of paths cannot say; export as skos'
            )
        lines.append("/".join(reversed(steps)))
    return "".join(line + "\n" for line in sorted(lines))


def _children(concepts: Sequence[Concept]) -> dict[str, list[Concept]]:
    children: dict[str, list[Concept]] = {}
    for concept in sorted(concepts, key=lambda each: each.name):
        children.setdefault(concept.broader, []).append(concept)
    return children


def _label_names(concept: Concept) -> list[str]:
    return sorted({label.name for label in concept.labels})

"""Tables of terms (CSV): a head with ``name``, and any of ``broader, synonyms, note, language, prompt``. Pure.

Synonyms are separated by ``;`` (one of their own is written ``\\;``) and may carry their language:
``plage@fr; strand@de``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from damfs.core.concepts import Concept, ConceptLabel, check_number
from damfs.errors import BadVocabulary

COLUMNS = ("name", "broader", "synonyms", "note", "language", "prompt")
CELL_LIMIT = 1 << 17
SEPARATOR = re.compile(r"(?<!\\);")
SYNONYM = re.compile(r"(?P<name>.*?)(@(?P<language>[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*))?", re.DOTALL)


def read(text: str, file: str) -> list[Concept]:
    """Raises BadVocabulary."""
    before = csv.field_size_limit(CELL_LIMIT)  # one for the whole process, which other libraries change
    try:
        return _read(text, file)
    finally:
        csv.field_size_limit(before)


def _read(text: str, file: str) -> list[Concept]:
    found: dict[str, Concept] = {}
    reader = csv.reader(io.StringIO(text, newline=""), dialect=_dialect(text), strict=True)
    try:
        head = [cell.strip().casefold() for cell in next(reader, [])]
        _check_head(head, file)
        for row in reader:
            where = f"line {reader.line_num}"
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(head):
                raise BadVocabulary(f"{file}, {where}: {len(row)} columns, but the head has {len(head)}")
            check_number(len(found), file)
            concept = _concept(dict(zip(head, (cell.strip() for cell in row), strict=True)), where)
            if concept.key in found:
                raise BadVocabulary(f'{file}, {where}: "{concept.name}" is there already ({found[concept.key].where})')
            found[concept.key] = concept
    except csv.Error as error:
        raise BadVocabulary(f"{file}, line {reader.line_num}: {error}; is this a table of terms?") from None
    return _with_missing(found)


def _dialect(text: str) -> type[csv.Dialect]:
    """By its first line: spreadsheets of many countries separate by semicolons."""
    head = text.partition("\n")[0]
    mark = max(",;\t", key=head.count)
    return type("Table", (csv.excel,), {"delimiter": mark})


def _check_head(head: list[str], file: str) -> None:
    unknown = [cell for cell in head if cell not in COLUMNS]
    if "name" not in head or unknown:
        what = f'there is no column "{unknown[0][:40]}"' if unknown else 'a column "name" is missing'
        raise BadVocabulary(f"{file}, line 1: {what}; the first line names the columns: {', '.join(COLUMNS)}")


def _concept(row: dict[str, str], where: str) -> Concept:
    synonyms = (each.replace(r"\;", ";").strip() for each in SEPARATOR.split(row.get("synonyms", "")))
    labels = [SYNONYM.fullmatch(each) for each in synonyms if each]
    note, language = row.get("note", ""), row.get("language", "")
    return Concept(
        row["name"], row["name"], row.get("broader", ""), language,
        tuple(ConceptLabel(each["name"].strip(), each["language"] or "") for each in labels if each is not None),
        {language: note} if note else {}, prompt=row.get("prompt", ""), where=where,
    )  # fmt: skip


def _with_missing(found: dict[str, Concept]) -> list[Concept]:
    """A broader term without a line of its own is a top term."""
    missing = {each.broader: each.where for each in found.values() if each.broader and each.broader not in found}
    return [*(Concept(name, name, where=where) for name, where in missing.items()), *found.values()]


def write(concepts: Sequence[Concept], _: str) -> str:
    names = {concept.key: concept.name for concept in concepts}
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for concept in sorted(concepts, key=lambda each: each.name):
        synonyms = "; ".join(_synonym(label) for label in concept.labels)
        note = concept.notes.get(concept.language) or next(iter(concept.notes.values()), "")
        broader = names.get(concept.broader, "")
        writer.writerow([concept.name, broader, synonyms, note, concept.language, concept.prompt])
    return out.getvalue()


def _synonym(label: ConceptLabel) -> str:
    name = label.name.replace(";", r"\;")
    return f"{name}@{label.language}" if label.language else name
